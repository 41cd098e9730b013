//! Files that hold no text.

use std::{error::Error, fs, path::PathBuf, process};

use lb_userspace::config::{LoadError, load};

/// A file that is gone when its owner is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("shunt-{}-{name}", process::id()));
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_missing_file_is_named_with_its_cause() {
    let error = load("/nowhere/shunt.toml".as_ref()).expect_err("there is no such file");
    assert_eq!(
        error.to_string(),
        "cannot read the configuration /nowhere/shunt.toml"
    );
    let cause = error.source().expect("the cause is kept");
    assert!(cause.to_string().contains("No such file"), "{cause}");
}

#[test]
fn a_directory_is_no_file() {
    let error = load("/".as_ref()).expect_err("it cannot be read");
    assert!(matches!(error, LoadError::Read { .. }), "{error}");
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    let file = Scratch::new("latin1.toml", b"[daemon]\n# caf\xe9\n");
    let error = load(&file.0).expect_err("it is no UTF-8");
    assert_eq!(
        error.to_string(),
        format!(
            "{}:2:6: found byte 0xe9, expected UTF-8 text\n  help: save the file as UTF-8",
            file.0.display()
        )
    );
}

#[test]
fn columns_count_characters_and_lines_may_end_in_two() {
    let text = "[daemon]\r\ninterfaces = [\"é\", \"éé\", 3]\r\n";
    let file = Scratch::new("dos.toml", text.as_bytes());
    let error = load(&file.0).expect_err("3 is no interface");
    let place = format!("{}:2:26: daemon.interfaces[#3]", file.0.display());
    assert!(error.to_string().contains(&place), "{error}");
}
