//! Where packets of `fullnat` come from: the configured addresses, or the one by which this host reaches the backend.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

use aya::{Pod, maps::MapData};
use lb_common::{
    address::{V4, V6},
    layout,
    snat::{Ports, SnatAddress},
};

use super::{host, mapped::Mapped, wire};

/// Where the source addresses towards a backend stand in their family's map.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    pub first: u8,
    pub count: u8,
}

#[derive(Debug)]
pub struct Sources {
    v4: Family<V4>,
    v6: Family<V6>,
    /// Of the host's own addresses: those it takes for its own connections are left to it.
    shared: Ports,
    attached: Vec<String>,
    /// What was warned of already.
    told: BTreeSet<String>,
}

/// The first `listed` entries are the configured ones.
#[derive(Debug)]
struct Family<A> {
    map: Mapped<SnatAddress<A>>,
    listed: u8,
}

impl Sources {
    /// `attached`: the interfaces by which replies are seen.
    pub fn new(
        v4: &MapData,
        v6: &MapData,
        listed: &[IpAddr],
        attached: &[String],
    ) -> io::Result<Self> {
        let (first, last) = host::local_ports()?;
        let mut sources = Self {
            v4: Family::new(v4)?,
            v6: Family::new(v6)?,
            shared: Ports::without(first, last),
            attached: attached.to_vec(),
            told: BTreeSet::new(),
        };
        for &address in listed {
            match address {
                IpAddr::V4(address) => sources.v4.list(wire::v4(address)),
                IpAddr::V6(address) => sources.v6.list(wire::v6(address)),
            }
            if UdpSocket::bind((address, 0)).is_err() {
                tracing::warn!(
                    %address,
                    "of snat_addresses is no address of this host: replies reach it only where routers send them here"
                );
            }
        }
        Ok(sources)
    }

    /// The addresses for packets to `backend`; none where there are none yet, which is logged.
    pub fn towards(&mut self, backend: IpAddr) -> Span {
        let own = own_address(backend);
        if own.as_ref().is_ok_and(|own| *own == backend) {
            self.warn(format!(
                "{backend} is on this host, and its replies do not come in by an interface: use forward = \"nat\""
            ));
        }
        let listed = match backend {
            IpAddr::V4(_) => self.v4.listed,
            IpAddr::V6(_) => self.v6.listed,
        };
        if listed > 0 {
            return Span {
                first: 0,
                count: listed,
            };
        }
        let own = match own {
            Ok(own) => own,
            Err(error) => {
                self.warn(format!(
                    "no way to {backend}: {error}; its new flows are dropped until there is one"
                ));
                return Span::default();
            }
        };
        self.expect_attached(own);
        let place = match own {
            IpAddr::V4(own) => self.v4.find_or_add(wire::v4(own), self.shared),
            IpAddr::V6(own) => self.v6.find_or_add(wire::v6(own), self.shared),
        };
        let Some(first) = place else {
            self.warn(format!(
                "no room for {own} among {} source addresses: list those to use in snat_addresses",
                layout::SNAT_CAPACITY
            ));
            return Span::default();
        };
        Span { first, count: 1 }
    }

    fn expect_attached(&mut self, own: IpAddr) {
        if let Some(interface) = host::interface_of(own)
            && !self.attached.contains(&interface)
        {
            self.warn(format!(
                "replies to {own} come in by {interface}, which is not in `interfaces`: they are not seen"
            ));
        }
    }

    fn warn(&mut self, text: String) {
        if !self.told.contains(&text) {
            tracing::warn!("fullnat: {text}");
            self.told.insert(text);
        }
    }
}

impl<A: Default + PartialEq> Family<A>
where
    SnatAddress<A>: Pod,
{
    fn new(map: &MapData) -> io::Result<Self> {
        Ok(Self {
            map: Mapped::new(map)?,
            listed: 0,
        })
    }

    /// Nobody else uses a listed address. There is room for all that a configuration may list.
    fn list(&mut self, address: A) {
        let entry = SnatAddress {
            address,
            ports: Ports::ALL,
        };
        self.map.store(self.listed.into(), entry);
        self.listed += 1;
    }

    /// Its place, `None` where there is no room. A daemon before this one may have left it there.
    fn find_or_add(&mut self, address: A, ports: Ports) -> Option<u8> {
        let entry = SnatAddress { address, ports };
        let place = (0..=u8::MAX).find(|&place| {
            let known = self.map.load(place.into());
            known == entry || known.ports.count() == 0
        })?;
        self.map.store(place.into(), entry);
        Some(place)
    }
}

/// The address that the kernel sends from to `backend`. Nothing is sent.
fn own_address(backend: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match backend {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Any port: nothing is sent.
    socket.connect((backend, 9))?;
    Ok(socket.local_addr()?.ip())
}
