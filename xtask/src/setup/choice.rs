//! Which toolchain is complete, by what the machine answered?

use super::{linker, version::Version};

/// The distribution's compiler, under the name it is linked by.
pub const LINKED: &str = "shunt-bpf";
pub const NIGHTLY: &str = "nightly";

/// A compiler as it answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Compiler {
    pub release: Version,
    pub llvm: Version,
    /// Whether it has the sources of `core`.
    pub sources: bool,
}

/// What the machine answered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// Of rustup: the nightly, or the one that was asked for by name.
    pub rustup: Option<Compiler>,
    pub linked: Option<Compiler>,
    pub linker_on_path: Option<Version>,
    pub our_linker: Option<Version>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    Rustup,
    Linked,
    /// Neither is complete.
    Incomplete,
}

/// A complete nightly first; a toolchain that is wanted by name, or none.
pub fn choose(wanted: Option<&str>, facts: &Facts) -> Choice {
    let rustup = facts.rustup.is_some_and(Compiler::is_usable) && facts.linker_on_path.is_some();
    let linked =
        facts.linked.is_some_and(Compiler::is_usable) && facts.our_linker == Some(linker::OURS);
    match wanted {
        None | Some(NIGHTLY) if rustup => Choice::Rustup,
        None | Some(LINKED) if linked => Choice::Linked,
        Some(name) if name != LINKED && rustup => Choice::Rustup,
        _ => Choice::Incomplete,
    }
}

/// What keeps a toolchain from being complete, and how to get it.
pub fn lacks(name: &str, facts: &Facts) -> String {
    let (compiler, linker) = if name == LINKED {
        (facts.linked, facts.our_linker)
    } else {
        (facts.rustup, facts.linker_on_path)
    };
    let mut lacks = Vec::new();
    match compiler {
        None => lacks.push(format!(
            "`rustup toolchain install {name} --component rust-src`"
        )),
        Some(compiler) if !compiler.sources => {
            lacks.push(format!(
                "`rustup component add rust-src --toolchain {name}`"
            ));
        }
        Some(compiler) if compiler.release < oldest() => {
            lacks.push(format!(
                "rustc {} or later instead of {}",
                oldest(),
                compiler.release
            ));
        }
        Some(_) => {}
    }
    if linker.is_none() {
        lacks.push("`cargo install bpf-linker`".to_owned());
    }
    format!("{name} lacks {}", lacks.join(" and "))
}

/// Reads `rustc -vV`.
pub fn parse(verbose_version: &str, sources: bool) -> Option<Compiler> {
    let field = |key| {
        let line = verbose_version
            .lines()
            .find_map(|line| line.strip_prefix(key));
        Version::find(line?)
    };
    Some(Compiler {
        release: field("release:")?,
        llvm: field("LLVM version:")?,
        sources,
    })
}

/// The oldest compiler that builds this workspace.
pub fn oldest() -> Version {
    Version::find(env!("CARGO_PKG_RUST_VERSION")).unwrap_or(Version::new(1, 95, 0))
}

impl Compiler {
    pub fn is_usable(self) -> bool {
        self.sources && self.release >= oldest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: Compiler = Compiler {
        release: Version::new(1, 96, 0),
        llvm: Version::new(22, 1, 8),
        sources: true,
    };
    const BARE: Compiler = Compiler {
        sources: false,
        ..COMPLETE
    };
    const OLD: Compiler = Compiler {
        release: Version::new(1, 85, 0),
        ..COMPLETE
    };
    const EVERYTHING: Facts = Facts {
        rustup: Some(COMPLETE),
        linked: Some(COMPLETE),
        linker_on_path: Some(linker::OURS),
        our_linker: Some(linker::OURS),
    };

    #[test]
    fn a_complete_nightly_is_preferred() {
        assert_eq!(choose(None, &EVERYTHING), Choice::Rustup);
        let no_debian = Facts {
            linked: None,
            our_linker: None,
            ..EVERYTHING
        };
        assert_eq!(choose(None, &no_debian), Choice::Rustup);
    }

    #[test]
    fn an_incomplete_nightly_gives_way() {
        for facts in [
            Facts {
                rustup: None,
                ..EVERYTHING
            },
            Facts {
                rustup: Some(BARE),
                ..EVERYTHING
            },
            Facts {
                rustup: Some(OLD),
                ..EVERYTHING
            },
            Facts {
                linker_on_path: None,
                ..EVERYTHING
            },
        ] {
            assert_eq!(choose(None, &facts), Choice::Linked, "{facts:?}");
        }
    }

    #[test]
    fn half_of_a_toolchain_is_none() {
        let no_nightly = Facts {
            rustup: Some(BARE),
            ..EVERYTHING
        };
        for facts in [
            Facts::default(),
            Facts {
                linked: None,
                ..no_nightly
            },
            Facts {
                linked: Some(BARE),
                ..no_nightly
            },
            Facts {
                linked: Some(OLD),
                ..no_nightly
            },
            Facts {
                our_linker: None,
                ..no_nightly
            },
            Facts {
                our_linker: Some(Version::new(0, 12, 9)),
                ..no_nightly
            },
        ] {
            assert_eq!(choose(None, &facts), Choice::Incomplete, "{facts:?}");
        }
    }

    #[test]
    fn a_toolchain_asked_for_by_name_is_used_or_nothing_is() {
        assert_eq!(choose(Some(LINKED), &EVERYTHING), Choice::Linked);
        assert_eq!(choose(Some(NIGHTLY), &EVERYTHING), Choice::Rustup);
        assert_eq!(
            choose(Some("nightly-2026-05-01"), &EVERYTHING),
            Choice::Rustup
        );
        let bare = Facts {
            rustup: Some(BARE),
            ..EVERYTHING
        };
        assert_eq!(choose(Some(NIGHTLY), &bare), Choice::Incomplete);
        let unlinked = Facts {
            linked: None,
            ..EVERYTHING
        };
        assert_eq!(choose(Some(LINKED), &unlinked), Choice::Incomplete);
    }

    #[test]
    fn what_is_lacking_is_named() {
        let facts = Facts {
            rustup: Some(BARE),
            ..Facts::default()
        };
        assert_eq!(
            lacks(NIGHTLY, &facts),
            "nightly lacks `rustup component add rust-src --toolchain nightly` and `cargo install bpf-linker`"
        );
    }

    #[test]
    fn compilers_are_understood() {
        let answer = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
            binary: rustc\ncommit-date: 2026-05-25\nhost: x86_64-unknown-linux-gnu\n\
            release: 1.96.0\nLLVM version: 22.1.8";
        assert_eq!(parse(answer, true), Some(COMPLETE));
        assert_eq!(parse("rustc 1.96.0\nrelease: 1.96.0", true), None);
    }
}
