//! Pinned links, in the ways aya does not know.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

const BPF_OBJ_GET: libc::c_int = 7;
/// Since kernel 5.7, as links for cgroups are.
const BPF_LINK_UPDATE: libc::c_int = 29;
/// Since kernel 5.9, as links for XDP are.
const BPF_LINK_DETACH: libc::c_int = 34;

/// `union bpf_attr`, the parts for objects in a filesystem, for `BPF_LINK_UPDATE` and for `BPF_LINK_DETACH`.
#[repr(C)]
#[derive(Default)]
struct PathAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct UpdateAttr {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkAttr {
    fd: u32,
    padding: u32,
}

/// Detaches the link that is pinned at `path` at once; the pin stays. Removing the pin alone detaches too, but some time
/// later: the kernel frees links in the background, and whoever attaches meanwhile finds the interface taken.
pub fn detach(path: &Path) -> io::Result<()> {
    let link = open(path)?;
    let mut attr = LinkAttr {
        fd: link.as_raw_fd().cast_unsigned(),
        padding: 0,
    };
    bpf(BPF_LINK_DETACH, &mut attr).map(|_| ())
}

/// Replaces the program of the link that is pinned at `path`, so that nothing goes by neither.
pub fn update(path: &Path, program: BorrowedFd<'_>) -> io::Result<()> {
    let link = open(path)?;
    let mut attr = UpdateAttr {
        link: link.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        ..UpdateAttr::default()
    };
    bpf(BPF_LINK_UPDATE, &mut attr).map(|_| ())
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = PathAttr {
        path: path.as_ptr() as u64,
        ..PathAttr::default()
    };
    let descriptor = bpf(BPF_OBJ_GET, &mut attr)?;
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
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
