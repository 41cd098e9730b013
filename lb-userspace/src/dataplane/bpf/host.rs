//! What the host says of its interfaces, ports and forwarding.

use std::{ffi::CStr, fs, io, net::IpAddr};

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

/// The first and the last port that the host takes for its own connections.
pub fn local_ports() -> io::Result<(u16, u16)> {
    // Of IPv6 as well, in spite of its name.
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok((first, last)),
        _ => Err(io::Error::other(format!(
            "net.ipv4.ip_local_port_range is {text:?}"
        ))),
    }
}

/// The interface that has an address.
pub fn interface_of(address: IpAddr) -> Option<String> {
    nix::ifaddrs::getifaddrs().ok()?.find_map(|entry| {
        let storage = entry.address?;
        let found: IpAddr = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
            (Some(v4), _) => v4.ip().into(),
            (_, Some(v6)) => v6.ip().into(),
            (None, None) => return None,
        };
        (found == address).then_some(entry.interface_name)
    })
}

/// The name of an interface that is there.
pub fn name(index: u32) -> Option<String> {
    let mut buffer = [0; libc::IF_NAMESIZE];
    // SAFETY: room for the longest name there can be.
    let name = unsafe { libc::if_indextoname(index, buffer.as_mut_ptr()) };
    if name.is_null() {
        return None;
    }
    // SAFETY: the kernel wrote a C string.
    let name = unsafe { CStr::from_ptr(name) };
    Some(name.to_str().ok()?.to_owned())
}

/// A switch `net.ipv4.conf.INTERFACE.NAME`; `all` is an interface, too.
pub fn conf(interface: &str, name: &str) -> io::Result<u8> {
    let text = fs::read_to_string(conf_path(interface, name))?;
    text.trim().parse().map_err(io::Error::other)
}

pub fn set_conf(interface: &str, name: &str, value: u8) -> io::Result<()> {
    fs::write(conf_path(interface, name), value.to_string())
}

fn conf_path(interface: &str, name: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/{name}")
}
