//! How do Debian's packages of other releases get here, without a change of this machine's apt?

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{paths, process};

/// What Debian signs its archives with, on every Debian machine.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Where no source of this machine says otherwise.
const MIRROR: &str = "http://deb.debian.org/debian/";
const SECURITY_MIRROR: &str = "http://deb.debian.org/debian-security/";

/// An apt whose sources, lists and archives are in a directory of its own. All else, such as proxies, is as this
/// machine is configured.
#[derive(Debug)]
pub struct Apt {
    directory: PathBuf,
    /// Whether packages count as installed that are so on this machine.
    sees_machine: bool,
}

impl Apt {
    /// Of these suites, `bookworm-security` for example. It has lists after [`Self::update`].
    pub fn new(name: &str, suites: &[&str], sees_machine: bool) -> Result<Self> {
        let directory = super::cache().join("apt").join(name);
        for part in ["lists/partial", "archives/partial"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        }
        let mirrors = Mirrors::of_this_machine();
        let sources: String = suites.iter().map(|suite| mirrors.source(suite)).collect();
        let apt = Self {
            directory,
            sees_machine,
        };
        fs::write(apt.path("sources.list"), sources)?;
        fs::write(apt.path("status"), "")?;
        Ok(apt)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// `apt-get` or `apt-cache`.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut set = |key: &str, value: &str| {
            command.arg("-o").arg(format!("{key}={value}"));
        };
        set("Dir::State::lists", &self.path("lists").to_string_lossy());
        set(
            "Dir::Cache::archives",
            &self.path("archives").to_string_lossy(),
        );
        set("Dir::Cache::pkgcache", "");
        set("Dir::Cache::srcpkgcache", "");
        set(
            "Dir::Etc::sourcelist",
            &self.path("sources.list").to_string_lossy(),
        );
        set("Dir::Etc::sourceparts", "/dev/null");
        set("Dir::Etc::preferencesparts", "/dev/null");
        set("Acquire::Languages", "none");
        // The directory may be where apt's own user cannot go.
        set("APT::Sandbox::User", "root");
        set("APT::Install-Recommends", "false");
        // Another apt at work is waited for, in seconds.
        set("DPkg::Lock::Timeout", "120");
        if !self.sees_machine {
            set("Dir::State::status", &self.path("status").to_string_lossy());
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    pub fn update(&self) -> Result<()> {
        process::quietly(self.command("apt-get").arg("update"))
            .context("the lists of Debian's packages cannot be fetched; is the mirror of this machine's apt reachable?")
    }

    /// Downloads packages and unpacks them below `directory`. Nothing of them is run.
    pub fn unpack(&self, packages: &[String], directory: &std::path::Path) -> Result<()> {
        let archives = self.path("archives");
        process::quietly(
            self.command("apt-get")
                .arg("download")
                .args(packages)
                .current_dir(&archives),
        )?;
        for entry in fs::read_dir(&archives)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                process::quietly(Command::new("dpkg").arg("-x").arg(&path).arg(directory))?;
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Mirrors {
    main: String,
    security: String,
}

impl Mirrors {
    /// Those that this machine uses, else Debian's own.
    fn of_this_machine() -> Self {
        let targets = process::answer(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI)",
            "Created-By: Packages",
        ]));
        Self::find(&targets.unwrap_or_default())
    }

    fn find(addresses: &str) -> Self {
        let ending = |end: &str, otherwise: &str| {
            let found = addresses.lines().find(|address| address.ends_with(end));
            found.unwrap_or(otherwise).to_owned()
        };
        Self {
            main: ending("/debian/", MIRROR),
            security: ending("/debian-security/", SECURITY_MIRROR),
        }
    }

    fn source(&self, suite: &str) -> String {
        let address = if suite.ends_with("-security") {
            &self.security
        } else {
            &self.main
        };
        format!("deb [signed-by={KEYRING}] {address} {suite} main\n")
    }
}

/// The code name of this Debian; `None` where this is another distribution.
pub fn release() -> Option<String> {
    paths::program("apt-get")?;
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    (value("ID=") == Some("debian")).then(|| value("VERSION_CODENAME=").map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_mirror_is_used() {
        let mirrors = Mirrors::find("https://a.example/debian/\nhttps://a.example/other/\n");
        assert_eq!(
            mirrors.source("bookworm"),
            format!("deb [signed-by={KEYRING}] https://a.example/debian/ bookworm main\n")
        );
        assert!(
            mirrors
                .source("bookworm-security")
                .contains(SECURITY_MIRROR)
        );
    }
}
