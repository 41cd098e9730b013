//! What the host says of its interfaces and of forwarding.

use std::{fs, io};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 3;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;

/// `struct ethtool_drvinfo`: the command and the driver's name; the rest is not read.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Flags {
    command: u32,
    flags: u32,
}

/// The name of an interface's driver.
pub fn driver(interface: &str) -> io::Result<String> {
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        rest: [0; 160],
    };
    let mut request = request(interface)?;
    request.ifr_ifru.ifru_data = (&raw mut info).cast();
    ask(SIOCETHTOOL, &mut request)?;
    let length = info.driver.iter().position(|&byte| byte == 0).unwrap_or(32);
    Ok(String::from_utf8_lossy(&info.driver[..length]).into_owned())
}

/// Whether VLAN tags are taken off what an interface receives, by its hardware or by a veth's peer: `rx-vlan-offload`.
pub fn takes_tags_off(interface: &str) -> io::Result<bool> {
    let mut value = Flags {
        command: ETHTOOL_GFLAGS,
        flags: 0,
    };
    let mut request = request(interface)?;
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    ask(SIOCETHTOOL, &mut request)?;
    Ok(value.flags & ETH_FLAG_RXVLAN != 0)
}

fn request(interface: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(request)
}

fn ask(question: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")
        .or_else(|_| std::net::UdpSocket::bind("[::]:0"))?;
    // SAFETY: the request is of the question's own layout.
    let answer = unsafe {
        libc::ioctl(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            question as _,
            std::ptr::from_mut(request),
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Which of the switches for forwarding are off, as sysctl names them. Only processes on this host are served then.
pub fn forwarding_off() -> Vec<&'static str> {
    ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]
        .into_iter()
        .filter(|name| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            fs::read_to_string(path).is_ok_and(|value| value.trim() == "0")
        })
        .collect()
}
