//! What is set up: hosts, applications, the daemon.

use std::{fmt, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    app::App,
    client::Client,
    config::{Backend, Config, Service},
    daemon::{self, Daemon},
    scratch::Scratch,
    stale,
    topology::{Shape, Topology, vip},
};

use super::progress::Progress;

/// Weights of the primaries; one backup comes after them.
pub const WEIGHTS: [u16; 4] = [3, 2, 1, 1];
/// Its place among the applications.
pub const BACKUP: usize = WEIGHTS.len();

pub const INTERVAL: Duration = Duration::from_millis(500);
pub const TIMEOUT: Duration = Duration::from_millis(500);
/// Everything but the two spreads is shown over this one.
pub const FAMILY: Family = Family::V4;

pub const RISE: u32 = 2;
pub const FALL: u32 = 2;

/// The longest that a dead backend may stay: as many failures as it takes, and the last one's time.
pub const EJECTION: Duration = INTERVAL.saturating_mul(FALL).saturating_add(TIMEOUT);
/// The longest that a returned one may stay away.
pub const RETURN: Duration = INTERVAL.saturating_mul(RISE).saturating_add(TIMEOUT);

/// How long a step may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PORT: u16 = 80;

/// In the order of going: the daemon detaches before its hosts do.
pub struct Stage {
    pub daemon: Daemon,
    pub apps: Vec<Option<App>>,
    pub client: Client,
    pub topology: Topology,
    logs: Scratch,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

impl Stage {
    /// Until the daemon balances over healthy applications, and no table is in motion any more.
    pub fn set(binary: &Path, progress: &Progress) -> anyhow::Result<Self> {
        progress.doing("making the network: a client, and a load balancer host");
        let topology = Topology::new(Shape::Local, WEIGHTS.len() + 1)?;
        let client = Client::new(&topology.client).patience(Duration::from_secs(5));
        let logs = Scratch::new("logs")?;
        let daemon = Daemon::prepare_binary(binary.to_owned(), &topology.lb, &config(&topology))?;
        let mut stage = Self {
            daemon,
            apps: (0..=BACKUP).map(|_| None).collect(),
            client,
            topology,
            logs,
        };
        for i in 0..=BACKUP {
            stage.start_app(i)?;
        }
        for i in 0..=BACKUP {
            let what = format!("starting {}", app_name(i));
            progress.wait_for(what, PATIENCE, || stage.probe_app(i))?;
        }
        stage.daemon.run()?;
        stage.wait_status("the daemon has checked every backend", progress, |status| {
            daemon::backends(status).all(|backend| backend["health"] == "up")
        })?;
        let status =
            stage.wait_status("every slot of the table is stable", progress, |status| {
                pools(status)
                    .all(|pool| pool["size"].as_u64() > Some(0) && pool["stable"] == pool["size"])
            })?;
        progress.done(format!(
            "{} FastAPI processes, and the daemon with XDP attached ({}) in front of them",
            stage.apps.len(),
            status["interfaces"][0]["mode"]
                .as_str()
                .unwrap_or("nowhere")
        ));
        Ok(stage)
    }

    /// Starts an application, and does not wait for it.
    pub fn start_app(&mut self, i: usize) -> anyhow::Result<()> {
        let backend = &self.topology.backends[i];
        let (name, addresses) = (app_name(i), backend.addresses());
        let app = App::start(&backend.netns, &name, &addresses, self.logs.path())?;
        self.apps[i] = Some(app);
        Ok(())
    }

    /// Whether an application answers at its own addresses, on its own host.
    ///
    /// # Errors
    /// It does not, or has ended.
    pub fn probe_app(&mut self, i: usize) -> anyhow::Result<()> {
        let app = self.apps[i].as_mut().context("it does not run")?;
        app.probe(&Client::new(&self.topology.lb))
    }

    /// SIGKILL.
    pub fn kill_app(&mut self, i: usize) -> anyhow::Result<()> {
        let mut app = self.apps[i].take().context("it runs")?;
        app.process().kill()
    }

    /// Waits until `holds` is true of the daemon's status.
    pub fn wait_status(
        &mut self,
        what: &str,
        progress: &Progress,
        holds: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let daemon = &mut self.daemon;
        let status = progress.wait_for(what, PATIENCE, || {
            daemon.expect_running()?;
            let status = daemon.status()?;
            ensure!(holds(&status), "status: {status:#}");
            Ok(status)
        });
        status.or_else(|error| {
            // The log has nothing to say of a Ctrl-C.
            progress.check()?;
            Err(error.context(self.daemon.log_tail()))
        })
    }

    /// Leaves everything up and says how to explore and how to remove it.
    pub fn keep(self) -> anyhow::Result<()> {
        stale::keep()?;
        eprintln!("{}", self.guide());
        std::mem::forget(self);
        Ok(())
    }

    fn guide(&self) -> String {
        let client = format!("nsenter --net=/run/netns/{}", self.topology.client.name());
        let lb = format!("nsenter --net=/run/netns/{}", self.topology.lb.name());
        let shunt = self.daemon.binary().display();
        let socket = self.daemon.socket();
        format!(
            "Everything stays up. To explore it:\n  \
             {client} curl -gs http://{v4}/ 'http://{v6}/'\n  \
             {shunt} status --socket {socket}\n  \
             {lb} bpftool net\n  \
             less {config}\n  \
             tail -f {log} {apps}/*.log\n\
             To remove it:\n  \
             cargo xtask demo --remove",
            v4 = web(Family::V4),
            v6 = web(Family::V6),
            socket = socket.display(),
            config = self.daemon.config_path().display(),
            log = self.daemon.log_path().display(),
            apps = self.logs.path().display(),
        )
    }
}

/// Where clients go.
pub fn web(family: Family) -> SocketAddr {
    vip(family, PORT)
}

/// Whether each of these applications takes new flows of a family, or each does not.
pub fn take(
    status: &Value,
    family: Family,
    mut which: impl Iterator<Item = usize>,
    should: bool,
) -> bool {
    let services = status["services"].as_array();
    let service = services
        .into_iter()
        .flatten()
        .find(|service| service["name"] == service_name(family));
    let backends = service.and_then(|service| service["backends"].as_array());
    which.all(|i| {
        let name = app_name(i);
        backends
            .into_iter()
            .flatten()
            .any(|backend| backend["name"] == name.as_str() && backend["active"] == should)
    })
}

const fn service_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "web",
        Family::V6 => "web-ipv6",
    }
}

pub fn app_name(i: usize) -> String {
    format!("api{}", i + 1)
}

fn pools(status: &Value) -> impl Iterator<Item = &Value> {
    let services = status["services"].as_array().into_iter().flatten();
    services.flat_map(|service| service["pools"].as_array().into_iter().flatten())
}

fn config(topology: &Topology) -> Config {
    // No flow is older than the demo, so that tables need not wait long for old ones to show themselves.
    Config::new(topology.interfaces())
        .timeouts("transition = \"1s\"")
        .service(service(topology, Family::V4))
        .service(service(topology, Family::V6))
}

fn service(topology: &Topology, family: Family) -> Service {
    let mut service = Service::new(service_name(family), Protocol::Tcp, &[web(family)]).health(&format!(
        "type = \"http\"\npath = \"/health\"\ninterval = \"{}ms\"\ntimeout = \"{}ms\"\nrise = {RISE}\nfall = {FALL}",
        INTERVAL.as_millis(),
        TIMEOUT.as_millis()
    ));
    for (i, host) in topology.backends.iter().enumerate() {
        let mut backend = Backend::new(&app_name(i), host.address(family));
        match WEIGHTS.get(i) {
            Some(&weight) => backend.weight = weight,
            None => backend.backup = true,
        }
        service = service.backend(backend);
    }
    service
}
