//! Which kernels are there, by name, and how do they get here?

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::apt::Apt;
use crate::{
    process,
    setup::{
        Policy,
        progress::{ready, step},
    },
};

/// Every run of all tests has these.
pub const MATRIX: &[&str] = &["5.10", "6.1", "6.12", NEWEST];
/// The latest one that Debian has.
pub const NEWEST: &str = "newest";

/// Debian's suites that have kernels of many versions.
const SUITES: &[&str] = &[
    "bullseye-security",
    "bookworm-security",
    "bookworm-backports",
    "trixie-backports",
];
const PREFIX: &str = "linux-image-";
/// Kernels for virtual machines: smaller, and with all that networks need.
const FLAVOUR: &str = "-cloud-amd64";

/// One that is unpacked.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// As it was asked for: `6.12`.
    pub name: String,
    /// As it calls itself: `6.12.117+deb12-cloud-amd64`.
    pub release: String,
    pub image: PathBuf,
    /// What `lib/modules` is below.
    pub root: PathBuf,
}

impl Kernel {
    /// Its version without the distribution's suffix.
    pub fn version(&self) -> &str {
        let end = self.release.find(['+', '-']).unwrap_or(self.release.len());
        &self.release[..end]
    }

    pub fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }
}

/// Fetches those that are missing, in the order asked for.
pub fn ensure(names: &[String], policy: Policy) -> Result<Vec<Kernel>> {
    let start = Instant::now();
    for name in names {
        ensure!(
            name == NEWEST || is_series(name),
            "`{name}` is no kernel: expected a version such as 6.12, or `{NEWEST}`"
        );
    }
    let missing: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| find(name).is_err())
        .collect();
    if !missing.is_empty() {
        let list = missing.join(" ");
        ensure!(
            policy == Policy::Install,
            "missing: kernels {list} for VMs; `cargo xtask test vm` fetches them"
        );
        fetch(&missing).with_context(|| format!("kernels for VMs: {list}"))?;
    }
    let kernels: Vec<Kernel> = names.iter().map(|name| find(name)).collect::<Result<_>>()?;
    let versions: Vec<&str> = kernels.iter().map(Kernel::version).collect();
    ready("kernels for VMs", &versions.join(" "), start);
    Ok(kernels)
}

fn is_series(name: &str) -> bool {
    let numbers: Vec<&str> = name.split('.').collect();
    (2..=3).contains(&numbers.len())
        && numbers
            .iter()
            .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn directory(name: &str) -> PathBuf {
    super::cache().join("kernels").join(name)
}

fn fetch(names: &[&str]) -> Result<()> {
    ensure!(
        crate::paths::program("apt-get").is_some() && crate::paths::program("dpkg").is_some(),
        "they are Debian's, and neither apt-get nor dpkg is here: run this on Debian or one of its relatives"
    );
    let apt = Apt::new("kernels", SUITES, false)?;
    step("lists of Debian's kernels", || apt.update())?;
    let known = process::answer(apt.command("apt-cache").args(["pkgnames", PREFIX]))?;
    for name in names {
        let package = newest_of(name, known.lines()).with_context(|| {
            format!(
                "Debian has no kernel {name} in {}; it has {}",
                SUITES.join(", "),
                series(known.lines()).join(" ")
            )
        })?;
        step(format_args!("{package} for VMs"), || {
            unpack(&apt, name, package)
        })?;
    }
    Ok(())
}

/// Unpacked beside its place and then renamed: a half of one is never found.
fn unpack(apt: &Apt, name: &str, package: &str) -> Result<()> {
    let (place, draft) = (directory(name), directory(&format!("{name}.new")));
    for old in [&place, &draft] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(&draft)?;
    let mut packages = vec![package.to_owned()];
    packages.extend(parts(&process::answer(
        apt.command("apt-cache").args(["show", package]),
    )?));
    apt.unpack(&packages, &draft)?;
    let kernel = find_in(name, &draft)?;
    // Debian runs this when it installs the package.
    process::quietly(
        Command::new("depmod")
            .arg("-b")
            .arg(&kernel.root)
            .arg(&kernel.release),
    )?;
    fs::rename(&draft, &place)?;
    Ok(())
}

fn find(name: &str) -> Result<Kernel> {
    find_in(name, &directory(name))
}

/// Debian has `boot/vmlinuz-RELEASE` and `lib/modules/RELEASE`, from 7.x on all in `usr/lib/modules/RELEASE`.
fn find_in(name: &str, directory: &Path) -> Result<Kernel> {
    for root in [directory.to_owned(), directory.join("usr")] {
        let Ok(mut entries) = fs::read_dir(root.join("lib/modules")) else {
            continue;
        };
        let Some(Ok(entry)) = entries.next() else {
            continue;
        };
        let release = entry.file_name().to_string_lossy().into_owned();
        let images = [
            directory.join("boot").join(format!("vmlinuz-{release}")),
            entry.path().join("vmlinuz"),
        ];
        let Some(image) = images.into_iter().find(|image| image.is_file()) else {
            bail!("no kernel image of {release} in {}", directory.display());
        };
        return Ok(Kernel {
            name: name.to_owned(),
            release,
            image,
            root,
        });
    }
    bail!(
        "no kernel in {}; `cargo xtask test vm` fetches it",
        directory.display()
    )
}

/// The package of the highest version that begins with `name`.
fn newest_of<'a>(name: &str, packages: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let series = format!("{name}.");
    packages
        .filter(|package| {
            abi(package).is_some_and(|abi| {
                name == NEWEST || abi.starts_with(&series) || abi.starts_with(&format!("{name}+"))
            })
        })
        .max_by_key(|package| numbers(package))
}

/// Versions to choose from, for an error message.
fn series<'a>(packages: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut known: Vec<Vec<u64>> = packages
        .filter(|package| abi(package).is_some())
        .map(|package| numbers(package).into_iter().take(2).collect())
        .collect();
    known.sort();
    known.dedup();
    known
        .iter()
        .map(|numbers| {
            numbers
                .iter()
                .map(u64::to_string)
                .collect::<Vec<_>>()
                .join(".")
        })
        .collect()
}

/// `6.12.117+deb12` of `linux-image-6.12.117+deb12-cloud-amd64`; packages that only name another one have two numbers.
fn abi(package: &str) -> Option<&str> {
    let abi = package.strip_prefix(PREFIX)?.strip_suffix(FLAVOUR)?;
    (abi.split(['.', '-', '+']).count() > 2
        && abi.starts_with(|first: char| first.is_ascii_digit()))
    .then_some(abi)
}

fn numbers(package: &str) -> Vec<u64> {
    abi(package)
        .unwrap_or_default()
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// From 7.x on the image's package is empty, and these have its parts.
fn parts(shown: &str) -> Vec<String> {
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends:"));
    depends
        .into_iter()
        .flat_map(|depends| depends.split(','))
        .filter_map(|dependency| dependency.split_whitespace().next())
        .filter(|package| {
            ["linux-base-", "linux-binary-", "linux-modules-"]
                .iter()
                .any(|part| package.starts_with(part))
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &[
        "linux-image-cloud-amd64",
        "linux-image-6.1-cloud-amd64",
        "linux-image-6.1.0-0.deb11.52-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64",
        "linux-image-6.1.0-9-cloud-amd64",
        "linux-image-6.12.95+deb12-cloud-amd64",
        "linux-image-6.12.117+deb12-cloud-amd64",
        "linux-image-6.12.117+deb12-cloud-amd64-dbg",
        "linux-image-6.12.118+deb12-amd64",
        "linux-image-7.3.4+deb13-cloud-amd64",
    ];

    #[test]
    fn a_series_means_its_latest_kernel() {
        for (name, package) in [
            ("6.1", Some("linux-image-6.1.0-56-cloud-amd64")),
            ("6.12", Some("linux-image-6.12.117+deb12-cloud-amd64")),
            ("6.12.95", Some("linux-image-6.12.95+deb12-cloud-amd64")),
            (NEWEST, Some("linux-image-7.3.4+deb13-cloud-amd64")),
            ("7.4", None),
        ] {
            assert_eq!(newest_of(name, KNOWN.iter().copied()), package, "{name}");
        }
        assert_eq!(series(KNOWN.iter().copied()), ["6.1", "6.12", "7.3"]);
    }

    #[test]
    fn only_versions_name_kernels() {
        for (name, right) in [
            ("6.12", true),
            ("6.12.95", true),
            ("6", false),
            ("../x", false),
            ("6.", false),
        ] {
            assert_eq!(is_series(name), right, "{name}");
        }
    }

    #[test]
    fn a_kernel_in_parts_is_fetched_in_parts() {
        let shown = "Package: linux-image-7.3.4+deb13-cloud-amd64\n\
            Depends: dracut | linux-initramfs-tool, linux-base-7.3.4+deb13-cloud-amd64 (= 7.3.4-1), \
            linux-binary-7.3.4+deb13-cloud-amd64 (= 7.3.4-1)";
        assert_eq!(
            parts(shown),
            [
                "linux-base-7.3.4+deb13-cloud-amd64",
                "linux-binary-7.3.4+deb13-cloud-amd64"
            ]
        );
        assert!(parts("Depends: kmod, linux-base (>= 4.3~)").is_empty());
    }
}
