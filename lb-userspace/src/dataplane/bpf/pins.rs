//! Where maps and links outlive the daemon.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use lb_common::layout;

/// How directories start that keep what a switch was.
const SWITCH: &str = "sysctl";
const BPF_FS_MAGIC: libc::c_long = 0xcafe_4a11;

/// The directory of a shunt's pins, on a bpffs.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Makes the directory, and mounts the bpffs at its usual place where the machine has not.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let standard = Path::new("/sys/fs/bpf");
        if root.starts_with(standard) && !is_bpffs(standard) {
            mount(standard)?;
        }
        let parent = root
            .ancestors()
            .skip(1)
            .find(|ancestor| ancestor.exists())
            .unwrap_or(Path::new("/"));
        if !is_bpffs(parent) {
            bail!(
                "pin_dir {}: {} is not on a bpffs; choose a directory below /sys/fs/bpf, or mount one there with \
                 `mount -t bpf bpf {}`",
                root.display(),
                parent.display(),
                parent.display()
            );
        }
        let pins = Self {
            root: root.to_path_buf(),
        };
        for directory in [pins.maps(), pins.links()] {
            fs::create_dir_all(&directory)
                .with_context(|| format!("making {}", directory.display()))?;
        }
        Ok(pins)
    }

    fn maps(&self) -> PathBuf {
        self.root.join(format!("maps-v{}", layout::VERSION))
    }

    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// The links of the programs for sockets.
    pub fn sockets(&self) -> PathBuf {
        self.root.join("sockets")
    }

    /// A directory that says of an interface that we made its clsact qdisc: a bpffs holds no files of other kinds.
    pub fn qdisc(&self, interface: u32) -> PathBuf {
        self.root.join(format!("clsact-{interface}"))
    }

    /// Keeps the value that a switch of an interface had. The first one stays.
    pub fn keep_switch(&self, interface: u32, switch: &str, value: u8) -> io::Result<()> {
        let kept = |(index, name, _): &(u32, String, u8)| *index == interface && name == switch;
        if self.kept_switches().iter().any(kept) {
            return Ok(());
        }
        let name = format!("{SWITCH}-{interface}-{switch}-{value}");
        fs::create_dir(self.root.join(name))
    }

    /// The interface's index, the switch, and its value before.
    pub fn kept_switches(&self) -> Vec<(u32, String, u8)> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let mut words = name.strip_prefix(SWITCH)?.strip_prefix('-')?.split('-');
                let (index, switch, value) = (words.next()?, words.next()?, words.next()?);
                Some((index.parse().ok()?, switch.to_owned(), value.parse().ok()?))
            })
            .collect()
    }

    /// Whether a daemon before this one left its maps.
    pub fn has_maps(&self) -> bool {
        self.map(layout::CONTROL).exists()
    }

    /// Removes every pin, and the directories.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.root)
    }
}

fn is_bpffs(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: all zero is a value; the kernel fills it.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string and a struct to write.
    let answer = unsafe { libc::statfs(path.as_ptr(), &raw mut stat) };
    answer == 0 && stat.f_type as libc::c_long == BPF_FS_MAGIC
}

fn mount(target: &Path) -> anyhow::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::CString::new(target.as_os_str().as_bytes())?;
    // SAFETY: C strings, no data.
    let answer = unsafe {
        libc::mount(
            c"bpf".as_ptr(),
            path.as_ptr(),
            c"bpf".as_ptr(),
            0,
            std::ptr::null(),
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error())
            .with_context(|| format!("mounting the BPF filesystem at {}", target.display()));
    }
    tracing::debug!(at = %target.display(), "mounted the BPF filesystem");
    Ok(())
}
