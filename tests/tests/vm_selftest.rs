//! Does the VM bench report rightly what goes wrong in it? `cargo xtask test vm --selftest` runs these in a VM and
//! compares; they are of no use elsewhere, and two of them would take a real machine down.

use std::{env, fs, thread, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::getppid,
};
use shunt_tests::needs;

const REASON: &str = "run by `cargo xtask test vm --selftest`";

/// # Panics
/// On a real machine, before anything happens to it.
fn only_in_a_vm() {
    assert!(
        env::var_os(needs::IN_GUEST).is_some(),
        "only in a VM: {REASON}"
    );
}

#[test]
#[ignore = "run by `cargo xtask test vm --selftest`"]
fn a_passes() {
    only_in_a_vm();
    println!("said by the one that passes");
}

#[test]
#[ignore = "run by `cargo xtask test vm --selftest`"]
fn b_fails() {
    only_in_a_vm();
    panic!("said by the one that fails");
}

#[test]
#[ignore = "run by `cargo xtask test vm --selftest`"]
fn c_needs_what_is_not_there() {
    needs!(needs::module("shunt_no_such_module"));
    panic!("it ran");
}

#[test]
#[ignore = "run by `cargo xtask test vm --selftest`"]
fn d_hangs() {
    only_in_a_vm();
    thread::sleep(Duration::from_secs(3600));
}

#[test]
#[ignore = "run by `cargo xtask test vm --selftest`"]
fn e_panics_the_kernel() {
    only_in_a_vm();
    fs::write("/proc/sysrq-trigger", "c").unwrap();
    thread::sleep(Duration::from_secs(3600));
}

/// The one who would end it in time cannot.
#[test]
#[ignore = "run by `cargo xtask test vm --selftest`"]
fn f_stops_the_runner() {
    only_in_a_vm();
    kill(getppid(), Signal::SIGSTOP).unwrap();
    thread::sleep(Duration::from_secs(3600));
}

#[test]
#[ignore = "run by `cargo xtask test vm --selftest`"]
fn g_loads_a_module() {
    only_in_a_vm();
    needs!(needs::kernel("5.10"), needs::module("ipip"));
    assert!(fs::exists("/sys/module/ipip").unwrap());
}
