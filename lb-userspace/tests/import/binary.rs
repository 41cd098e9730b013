//! What the binary does with files, standard input and mistakes.

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use lb_userspace::config;

use crate::directory;

fn shunt(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shunt"))
        .args(arguments)
        .current_dir(directory())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    // Whoever does not read it ends before.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("it is text")
}

#[test]
fn a_file_becomes_a_configuration_and_notes() {
    let arguments = [
        "import",
        "nginx",
        "nginx/methods.conf",
        "--vip",
        "192.0.2.1",
        "--interface",
        "eth0",
    ];
    let output = shunt(&arguments, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for (found, snapshot) in [
        (&output.stdout, "nginx/methods.toml"),
        (&output.stderr, "nginx/methods.notes"),
    ] {
        let expected = fs::read_to_string(directory().join(snapshot)).expect("it is there");
        assert_eq!(text(found), expected);
    }
    assert!(config::parse("stdout", text(&output.stdout)).is_ok());
}

#[test]
fn standard_input_and_an_interface_that_is_a_guess() {
    let input = "listen web\n bind 192.0.2.9:80\n balance uri\n server a 10.0.0.1:80 check\n";
    let output = shunt(&["import", "haproxy", "-"], input);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(config::parse("stdout", text(&output.stdout)).is_ok());
    let error = text(&output.stderr);
    assert!(error.starts_with("-:3: `balance uri`: "), "{error}");
    assert!(
        error.contains("\nshunt: interfaces = [\"eth0\"] is a guess"),
        "{error}"
    );
}

#[test]
fn mistakes_have_a_place_and_nothing_is_written() {
    let rows = [
        (
            "nginx",
            "http {\n upstream a {\n",
            "shunt: -:3: found the end of the file in `upstream` of line 2, expected `}`\n",
        ),
        (
            "haproxy",
            "\nbalance source\n",
            "shunt: -:2: found `balance`, expected a section, such as `backend NAME`\n",
        ),
        (
            "nginx",
            "events {}",
            "shunt: -: nothing that could be taken over\n",
        ),
    ];
    for (format, input, message) in rows {
        let output = shunt(&["import", format, "-"], input);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("", message));
    }
    let output = shunt(&["import", "nginx", "/nowhere"], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).starts_with("shunt: cannot read /nowhere: "),
        "{output:?}"
    );
}

#[test]
fn wrong_usage_is_another_code() {
    for arguments in [
        &["import"][..],
        &["import", "apache", "x"],
        &["import", "nginx"],
        &["import", "nginx", "-", "--vip", "127.0.0.1"],
        &["import", "nginx", "-", "--local", "app.example"],
    ] {
        assert_eq!(shunt(arguments, "").status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn what_is_not_right_yet_is_said() {
    let input = "listen web\n bind 192.0.2.9:80\n server a 10.0.0.1:80 check\n";
    let output = shunt(
        &["import", "haproxy", "-", "--interface", "no such interface"],
        input,
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stderr).contains("what was written is not right yet"),
        "{output:?}"
    );
}
