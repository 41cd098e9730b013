//! An array map in this process's memory: thousands of entries change without a system call, a word in one store.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::{Pod, maps::MapData};

/// All entries of an array map of `T` that was made with `BPF_F_MMAPABLE` (kernel 5.5).
#[derive(Debug)]
pub struct Mapped<T> {
    base: NonNull<u8>,
    bytes: usize,
    stride: usize,
    entries: u32,
    entry: PhantomData<T>,
}

// SAFETY: the memory belongs to this value alone on our side; the kernel's side is what volatile and atomic access is for.
unsafe impl<T: Send> Send for Mapped<T> {}

impl<T: Pod> Mapped<T> {
    /// # Errors
    /// The map's values are not of `T`'s size, or the kernel refuses.
    pub fn new(map: &MapData) -> io::Result<Self> {
        let info = map.info().map_err(io::Error::other)?;
        if info.value_size() as usize != size_of::<T>() {
            return Err(io::Error::other(format!(
                "map {} holds values of {} bytes, expected {}",
                info.name_as_str().unwrap_or("?"),
                info.value_size(),
                size_of::<T>()
            )));
        }
        // The kernel rounds the size of array elements up to 8 (`array_map_alloc`).
        let stride = size_of::<T>().next_multiple_of(8);
        let entries = info.max_entries();
        let bytes = stride * entries as usize;
        // SAFETY: a fresh mapping that nobody else knows.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at null"))?;
        Ok(Self {
            base,
            bytes,
            stride,
            entries,
            entry: PhantomData,
        })
    }

    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// A copy of an entry, which only the daemon writes.
    ///
    /// # Panics
    /// `index` is out of bounds: callers took it from the map's own capacity.
    pub fn load(&self, index: u32) -> T {
        // SAFETY: in bounds and aligned to 8; T is plain data.
        unsafe { self.place(index).read_volatile() }
    }

    /// Replaces an entry, not in one store: nothing may lead packets to it yet.
    ///
    /// # Panics
    /// As [`Self::load`].
    pub fn store(&mut self, index: u32, value: T) {
        // SAFETY: as in `load`.
        unsafe { self.place(index).write_volatile(value) }
    }

    /// The 32-bit word `offset` bytes into an entry, for a single store.
    ///
    /// # Panics
    /// As [`Self::load`], and where `offset` is no place of a word.
    pub fn word32(&self, index: u32, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= size_of::<T>());
        // SAFETY: in bounds, aligned, and lives as long as the mapping.
        unsafe { AtomicU32::from_ptr(self.place(index).byte_add(offset).cast()) }
    }

    /// The same for 64 bits.
    ///
    /// # Panics
    /// As [`Self::word32`].
    pub fn word64(&self, index: u32, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= size_of::<T>());
        // SAFETY: in bounds, aligned, and lives as long as the mapping.
        unsafe { AtomicU64::from_ptr(self.place(index).byte_add(offset).cast()) }
    }

    fn place(&self, index: u32) -> *mut T {
        assert!(index < self.entries, "entry {index} of {}", self.entries);
        // SAFETY: in bounds, checked above.
        unsafe { self.base.as_ptr().add(self.stride * index as usize).cast() }
    }
}

impl Mapped<u64> {
    pub fn read(&self, index: u32) -> u64 {
        self.word64(index, 0).load(Ordering::Acquire)
    }

    /// One store, after everything written before it.
    pub fn write(&self, index: u32, word: u64) {
        self.word64(index, 0).store(word, Ordering::Release);
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`, which nothing refers to any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Waits until no program that started before still runs, so that what it may read can be reused.
pub fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: no memory is passed. It waits for an RCU grace period, and programs run inside of RCU
    // read-side sections.
    let answer = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0) };
    if answer != 0 {
        // nohz_full CPUs make the kernel refuse; programs run for microseconds.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
