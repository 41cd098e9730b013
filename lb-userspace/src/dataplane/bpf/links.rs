//! Detaching a pinned link at once. Removing its pin alone detaches too, but some time later: the kernel frees links in
//! the background, and whoever attaches meanwhile finds the interface taken.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

const BPF_OBJ_GET: libc::c_int = 7;
/// Since kernel 5.9, as links for XDP are.
const BPF_LINK_DETACH: libc::c_int = 34;

/// `union bpf_attr`, the parts for objects in a filesystem and for `BPF_LINK_DETACH`.
#[repr(C)]
#[derive(Default)]
struct PathAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkAttr {
    fd: u32,
    padding: u32,
}

/// Detaches the link that is pinned at `path`; the pin stays.
pub fn detach(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = PathAttr {
        path: path.as_ptr() as u64,
        ..PathAttr::default()
    };
    let descriptor = bpf(BPF_OBJ_GET, &mut attr)?;
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it for us.
    let link = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let mut attr = LinkAttr {
        fd: link.as_raw_fd().cast_unsigned(),
        padding: 0,
    };
    bpf(BPF_LINK_DETACH, &mut attr).map(|_| ())
}

fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: a struct of the command's own layout; what it points to outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}
