//! What is in the initial RAM file system of a VM, and how is it put together?
//!
//! Three archives in a row: tools with their libraries (cached), the kernel's modules (cached with the kernel), and the
//! tests. They are not compressed: an emulated machine would take longer to unpack them than to copy them.

use std::{
    collections::BTreeSet,
    fs,
    hash::{Hash, Hasher as _},
    io::{self, BufWriter},
    path::{Path, PathBuf},
    process::Command,
    time::UNIX_EPOCH,
};

use anyhow::{Context as _, Result};
use shunt_tests::guest::protocol::{PLAN, Plan};
use siphasher::sip::SipHasher;

use super::{archive::Archive, harness::Harness, kernels::Kernel, modules, programs};
use crate::{paths, process};

/// Changes with what this module writes beside files of this machine.
const LAYOUT: u32 = 1;

/// As in a distribution of today.
const LINKS: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("usr/sbin", "bin"),
    ("var/run", "/run"),
];

/// Small files that programs ask for.
const FILES: &[(&str, &str)] = &[
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\nwww-data:x:33:33::/:/bin/false\n",
    ),
    (
        "etc/group",
        "root:x:0:\nnogroup:x:65534:\nnobody:x:65534:\nwww-data:x:33:\n",
    ),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    ),
    (
        "root/.profile",
        "echo; echo \"Linux $(uname -r). Tests are here in $PWD: ./NAME runs a file of them, ./NAME FILTER some.\"\n\
         echo 'exit ends the VM, so does Ctrl-A X.'; echo\n",
    ),
];

/// Writes the image for a kernel.
pub fn write(kernel: &Kernel, harness: &Harness, plan: &Plan, to: &Path) -> Result<()> {
    let tools = tools()?;
    let file = fs::File::create(to).with_context(|| format!("writing {}", to.display()))?;
    let mut output = BufWriter::with_capacity(1 << 20, file);
    let mut tools =
        fs::File::open(&tools).with_context(|| format!("reading {}", tools.display()))?;
    io::copy(&mut tools, &mut output)?;

    let mut archive = Archive::new(output);
    archive.tree(
        "usr/lib/modules",
        &modules::prepare(kernel)?.join("lib/modules"),
    )?;
    archive.file("init", &stripped(&harness.init)?)?;
    archive.file("usr/bin/shunt", &stripped(&harness.daemon)?)?;
    let used: BTreeSet<&str> = plan.tests.iter().map(|test| test.binary.as_str()).collect();
    for binary in &harness.binaries {
        if used.contains(binary.name.as_str()) {
            archive.file(&format!("tests/{}", binary.name), &stripped(&binary.path)?)?;
        }
    }
    let plan = serde_json::to_vec(plan)?;
    archive.bytes(PLAN.trim_start_matches('/'), &plan)?;
    archive.finish()?;
    Ok(())
}

/// The archive of the tools, made again when one of them or their libraries changes.
fn tools() -> Result<PathBuf> {
    let programs = programs::find()?;
    // The tests need no other libraries than some tool does: the C library and the compiler's.
    let own = std::env::current_exe()?;
    let executables = programs.iter().map(|program| program.path.as_path());
    let libraries = programs::libraries(executables.chain([own.as_path()]))?;
    let paths = programs.iter().map(|program| &program.path);
    let fingerprint = fingerprint(paths.chain(&libraries))?;
    let directory = super::cache().join("images");
    let place = directory.join(format!("tools-{fingerprint:016x}.cpio"));
    if place.exists() {
        return Ok(place);
    }
    fs::create_dir_all(&directory)?;
    let draft = place.with_extension(format!("{}", std::process::id()));
    let mut archive = Archive::new(BufWriter::new(fs::File::create(&draft)?));
    for (at, to) in LINKS {
        archive.link(at, to)?;
    }
    for (at, text) in FILES {
        archive.bytes(at, text.as_bytes())?;
    }
    for program in &programs {
        archive.file(&format!("usr/bin/{}", program.name), &program.path)?;
    }
    for library in &libraries {
        archive.file(&in_image(library), library)?;
    }
    archive.finish()?;
    fs::rename(&draft, &place)?;
    remove_others(&directory, &place)?;
    Ok(place)
}

/// `/lib/x86_64-linux-gnu/libc.so.6` is written below `usr`, where the link `lib` leads to.
fn in_image(library: &Path) -> String {
    let path = library.to_string_lossy();
    let path = path.trim_start_matches('/');
    if path.starts_with("usr/") {
        path.to_owned()
    } else {
        format!("usr/{path}")
    }
}

/// Of paths, sizes and times.
fn fingerprint<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<u64> {
    let mut hasher = SipHasher::new();
    (LAYOUT, LINKS, FILES).hash(&mut hasher);
    for path in paths {
        let data = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
        let modified = data
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        (path, data.len(), modified.as_nanos()).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn remove_others(directory: &Path, kept: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path != kept {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// A copy without debug information, which is most of a binary; kept while the binary is not newer.
fn stripped(binary: &Path) -> Result<PathBuf> {
    let directory = paths::target()?.join("vm/stripped");
    let name = binary.file_name().context("a binary without a name")?;
    let place = directory.join(name);
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    if modified(&place).is_ok_and(|copied| modified(binary).is_ok_and(|built| copied > built)) {
        return Ok(place);
    }
    fs::create_dir_all(&directory)?;
    process::quietly(
        Command::new("strip")
            .args(["--strip-debug", "-o"])
            .arg(&place)
            .arg(binary),
    )?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_go_where_the_links_lead() {
        for (path, expected) in [
            (
                "/lib64/ld-linux-x86-64.so.2",
                "usr/lib64/ld-linux-x86-64.so.2",
            ),
            ("/usr/lib/libz.so.1", "usr/lib/libz.so.1"),
        ] {
            assert_eq!(in_image(Path::new(path)), expected);
        }
    }
}
