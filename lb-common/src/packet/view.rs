//! Bytes that are known to be there.

/// What may be loaded from a packet.
///
/// # Safety
/// Every bit pattern is a value, and there is no padding.
pub unsafe trait Word: Copy {
    /// # Safety
    /// `place` is readable; its alignment does not matter.
    #[inline(always)]
    unsafe fn read(place: *const Self) -> Self {
        // SAFETY: the caller's.
        unsafe { read(place) }
    }

    /// # Safety
    /// `place` is writable; its alignment does not matter.
    #[inline(always)]
    unsafe fn write(self, place: *mut Self) {
        // SAFETY: the caller's.
        unsafe { write(place, self) };
    }
}
// SAFETY: integers.
unsafe impl Word for u8 {}
// SAFETY: as above.
unsafe impl Word for u16 {}
// SAFETY: as above.
unsafe impl Word for u32 {}
// SAFETY: as above. One by one, so that they stay in registers: the whole would be copied from memory to memory, half a
// word at a time.
unsafe impl Word for [u32; 4] {
    #[inline(always)]
    unsafe fn read(place: *const Self) -> Self {
        let place = place.cast::<u32>();
        // SAFETY: the caller's.
        unsafe {
            [
                read(place),
                read(place.wrapping_add(1)),
                read(place.wrapping_add(2)),
                read(place.wrapping_add(3)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn write(self, place: *mut Self) {
        let place = place.cast::<u32>();
        // SAFETY: the caller's.
        unsafe {
            write(place, self[0]);
            write(place.wrapping_add(1), self[1]);
            write(place.wrapping_add(2), self[2]);
            write(place.wrapping_add(3), self[3]);
        }
    }
}

/// `N` bytes of a packet, read at places that the program text names.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, const N: usize> {
    bytes: &'a [u8; N],
}

impl<'a, const N: usize> View<'a, N> {
    #[inline(always)]
    pub const fn new(bytes: &'a [u8; N]) -> Self {
        Self { bytes }
    }

    /// # Panics
    /// `at` is none of the places: an error in the program text, which the verifier refuses.
    #[inline(always)]
    pub fn load<T: Word>(&self, at: usize) -> T {
        assert!(at + size_of::<T>() <= N);
        let place = self.bytes.as_ptr().wrapping_add(at).cast::<T>();
        // SAFETY: within the bytes, and any of them are a T.
        unsafe { T::read(place) }
    }
}

/// The same, to be changed.
#[derive(Debug)]
pub struct ViewMut<'a, const N: usize> {
    bytes: &'a mut [u8; N],
}

impl<'a, const N: usize> ViewMut<'a, N> {
    #[inline(always)]
    pub const fn new(bytes: &'a mut [u8; N]) -> Self {
        Self { bytes }
    }

    /// # Panics
    /// As [`View::load`].
    #[inline(always)]
    pub fn load<T: Word>(&self, at: usize) -> T {
        View::new(self.bytes).load(at)
    }

    /// # Panics
    /// As [`View::load`].
    #[inline(always)]
    pub fn store<T: Word>(&mut self, at: usize, value: T) {
        assert!(at + size_of::<T>() <= N);
        let place = self.bytes.as_mut_ptr().wrapping_add(at).cast::<T>();
        // SAFETY: within the bytes; T has no padding.
        unsafe { value.write(place) };
    }
}

#[cfg(not(target_arch = "bpf"))]
unsafe fn read<T: Word>(place: *const T) -> T {
    // SAFETY: the caller's.
    unsafe { place.read_unaligned() }
}

#[cfg(not(target_arch = "bpf"))]
unsafe fn write<T: Word>(place: *mut T, value: T) {
    // SAFETY: the caller's.
    unsafe { place.write_unaligned(value) };
}

/// A plain load: LLVM would split an unaligned one into bytes, which the BPF machine does not need.
#[cfg(target_arch = "bpf")]
#[inline(always)]
unsafe fn read<T: Word>(place: *const T) -> T {
    // SAFETY: the caller's.
    unsafe { *place }
}

#[cfg(target_arch = "bpf")]
#[inline(always)]
unsafe fn write<T: Word>(place: *mut T, value: T) {
    // SAFETY: the caller's.
    unsafe { *place = value };
}
