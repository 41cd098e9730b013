//! Configurations of the daemon, as text.

use std::{fmt, net::SocketAddr};

use crate::Protocol;

/// Fast enough for a test, slow enough for a busy machine.
const TCP_CHECK: &str = r#"type = "tcp"
interval = "200ms"
timeout = "500ms"
rise = 1
fall = 2
"#;

/// A configuration but for where its daemon keeps its socket and pins: each has places of its own.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub interfaces: Vec<String>,
    /// Further lines of `[daemon]`, TOML.
    pub daemon: String,
    /// Lines of `[daemon.timeouts]`, TOML.
    pub timeouts: String,
    pub services: Vec<Service>,
}

impl Config {
    pub fn new(interfaces: Vec<String>) -> Self {
        Self {
            interfaces,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn daemon(mut self, lines: &str) -> Self {
        self.daemon = lines.to_owned();
        self
    }

    #[must_use]
    pub fn timeouts(mut self, lines: &str) -> Self {
        self.timeouts = lines.to_owned();
        self
    }

    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }
}

/// One `[[service]]`.
#[derive(Clone, Debug)]
pub struct Service {
    pub name: String,
    pub protocol: Protocol,
    /// As the configuration spells them.
    pub listen: Vec<String>,
    /// Further lines, TOML: `min_active = 2`.
    pub options: String,
    /// Lines of `[service.health]`, TOML.
    pub health: String,
    pub backends: Vec<Backend>,
}

impl Service {
    /// Without backends yet. Checked by connecting where the protocol is TCP, else not at all.
    pub fn new(name: &str, protocol: Protocol, listen: &[SocketAddr]) -> Self {
        Self {
            name: name.to_owned(),
            protocol,
            listen: listen.iter().map(ToString::to_string).collect(),
            options: String::new(),
            health: match protocol {
                Protocol::Tcp => TCP_CHECK.to_owned(),
                Protocol::Udp => "type = \"none\"\n".to_owned(),
            },
            backends: Vec::new(),
        }
    }

    #[must_use]
    pub fn options(mut self, lines: &str) -> Self {
        self.options = lines.to_owned();
        self
    }

    #[must_use]
    pub fn health(mut self, lines: &str) -> Self {
        self.health = lines.to_owned();
        self
    }

    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backends.push(backend);
        self
    }

    /// The backend of this name, to change it.
    pub fn backend_mut(&mut self, name: &str) -> Option<&mut Backend> {
        self.backends
            .iter_mut()
            .find(|backend| backend.name == name)
    }
}

/// One `[[service.backend]]`.
#[derive(Clone, Debug)]
pub struct Backend {
    pub name: String,
    /// As the configuration spells it.
    pub address: String,
    pub weight: u16,
    pub backup: bool,
    /// 0: any number.
    pub max_conns: u32,
    /// More lines.
    pub options: String,
}

impl Backend {
    /// Of weight 1, no backup.
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            address: address.to_string(),
            weight: 1,
            backup: false,
            max_conns: 0,
            options: String::new(),
        }
    }

    #[must_use]
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    #[must_use]
    pub fn backup(mut self) -> Self {
        self.backup = true;
        self
    }
}

/// As TOML, with the places of one daemon.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) config: &'a Config,
    pub(crate) socket: &'a std::path::Path,
    pub(crate) pin_dir: &'a std::path::Path,
    pub(crate) state_dir: &'a std::path::Path,
}

impl fmt::Display for Placed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.config;
        // Debug's quoting of plain names and paths is TOML's.
        writeln!(f, "[daemon]")?;
        writeln!(f, "interfaces = {:?}", config.interfaces)?;
        writeln!(f, "socket = {:?}", self.socket)?;
        writeln!(f, "pin_dir = {:?}", self.pin_dir)?;
        writeln!(f, "state_dir = {:?}", self.state_dir)?;
        writeln!(f, "{}", config.daemon)?;
        if !config.timeouts.is_empty() {
            writeln!(f, "[daemon.timeouts]\n{}", config.timeouts)?;
        }
        config
            .services
            .iter()
            .try_for_each(|service| write!(f, "\n{service}"))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[service]]")?;
        writeln!(f, "name = {:?}", self.name)?;
        writeln!(f, "protocol = {:?}", self.protocol.name())?;
        writeln!(f, "listen = {:?}", self.listen)?;
        writeln!(f, "{}", self.options)?;
        writeln!(f, "[service.health]\n{}", self.health)?;
        self.backends
            .iter()
            .try_for_each(|backend| write!(f, "{backend}"))
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[[service.backend]]")?;
        writeln!(f, "name = {:?}", self.name)?;
        writeln!(f, "address = {:?}", self.address)?;
        writeln!(f, "weight = {}", self.weight)?;
        writeln!(f, "backup = {}", self.backup)?;
        writeln!(f, "max_conns = {}", self.max_conns)?;
        writeln!(f, "{}", self.options)
    }
}
