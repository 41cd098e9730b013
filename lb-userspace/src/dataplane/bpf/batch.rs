//! Reads a whole hash map in few system calls: aya has no batch operations.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{Pod, maps::MapData};

const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BATCH: usize = 4096;

/// `union bpf_attr`, the part `batch`.
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Every entry that stands in the map throughout; one that comes or goes meanwhile may be missed (kernel 5.6).
pub fn entries<K: Pod, V: Pod>(map: &MapData) -> io::Result<Vec<(K, V)>> {
    let info = map.info().map_err(io::Error::other)?;
    if info.key_size() as usize != size_of::<K>() || info.value_size() as usize != size_of::<V>() {
        return Err(io::Error::other("the map has other types"));
    }
    let mut found = Vec::new();
    // The kernel keeps the number of a bucket here.
    let mut position = [0_u64; 2];
    let mut has_position = false;
    let mut room = BATCH;
    loop {
        let mut keys: Vec<K> = Vec::with_capacity(room);
        let mut values: Vec<V> = Vec::with_capacity(room);
        let address = &raw mut position as u64;
        let mut attr = BatchAttr {
            in_batch: if has_position { address } else { 0 },
            out_batch: address,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: room as u32,
            map_fd: map.fd().as_fd().as_raw_fd() as u32,
            ..BatchAttr::default()
        };
        // SAFETY: the buffers have room for `count` entries of the map's own sizes.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_MAP_LOOKUP_BATCH,
                &raw mut attr,
                size_of::<BatchAttr>(),
            )
        };
        let error = (answer != 0).then(io::Error::last_os_error);
        match error.as_ref().and_then(io::Error::raw_os_error) {
            // A bucket holds more than the room left.
            Some(libc::ENOSPC) if room < 1 << 22 => {
                room *= 2;
                continue;
            }
            None | Some(libc::ENOENT) => {}
            Some(_) => return Err(error.unwrap_or_else(io::Error::last_os_error)),
        }
        let count = (attr.count as usize).min(room);
        // SAFETY: the kernel wrote `count` entries.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        found.extend(keys.into_iter().zip(values));
        if error.is_some() {
            return Ok(found);
        }
        has_position = true;
    }
}
