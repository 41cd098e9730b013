//! Makes the kernel take packets that come from an address of its own, as those of `fullnat` do once they are rewritten:
//! otherwise it refuses them as martians (IPv4 alone; `accept_local` and `rp_filter` in the kernel's
//! networking/ip-sysctl.rst). What XDP transmits itself it does not see.
//!
//! What was there before is kept as directories beside the pins, `sysctl-INTERFACE-SWITCH-VALUE`, so that the daemon that
//! detaches puts it back, whichever changed it.

use std::io;

use super::{attach::Attached, host, pins::Pins};

/// A switch of an interface, the value it needs, and which values of its own and of `all` together do without a change.
struct Switch {
    name: &'static str,
    value: u8,
    is_enough: fn(own: u8, all: u8) -> bool,
}

const SWITCHES: [Switch; 2] = [
    Switch {
        name: "accept_local",
        value: 1,
        is_enough: |own, all| own != 0 || all != 0,
    },
    // The larger one counts: 0 off, 1 strict, 2 loose.
    Switch {
        name: "rp_filter",
        value: 2,
        is_enough: |own, all| own.max(all) != 1,
    },
];

/// On every interface that is attached to.
pub fn accept(pins: &Pins, attached: &[Attached]) {
    for Attached { index, attachment } in attached {
        let interface = &attachment.interface;
        for switch in &SWITCHES {
            match turn(pins, *index, interface, switch) {
                Ok(false) => {}
                Ok(true) => tracing::info!(
                    interface,
                    "set net.ipv4.conf.{interface}.{} to {} for fullnat, until shunt is stopped",
                    switch.name,
                    switch.value
                ),
                Err(error) => tracing::warn!(
                    interface,
                    %error,
                    "net.ipv4.conf.{interface}.{} should be {}: packets of fullnat that XDP does not transmit itself are \
                     refused by the kernel; `sysctl -w net.ipv4.conf.{interface}.{}={}` sets it",
                    switch.name,
                    switch.value,
                    switch.name,
                    switch.value
                ),
            }
        }
    }
}

/// Whether something had to change.
fn turn(pins: &Pins, index: u32, interface: &str, switch: &Switch) -> io::Result<bool> {
    let own = host::conf(interface, switch.name)?;
    if (switch.is_enough)(own, host::conf("all", switch.name)?) {
        return Ok(false);
    }
    pins.keep_switch(index, switch.name, own)?;
    host::set_conf(interface, switch.name, switch.value)?;
    Ok(true)
}

/// Puts everything back.
pub fn restore(pins: &Pins) {
    for (index, switch, value) in pins.kept_switches() {
        let Some(interface) = host::name(index) else {
            // It took its switches with it.
            continue;
        };
        if let Err(error) = host::set_conf(&interface, &switch, value) {
            tracing::warn!(interface, %error, "net.ipv4.conf.{interface}.{switch} was {value}, and is not set back");
        }
    }
}
