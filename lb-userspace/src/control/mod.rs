//! Who owns the state, and in what order things happen: one task, [`Controller::run`].
//!
//! ```text
//!  probes ──observations──►┐
//!  API, signals ─commands─►├─► Controller ──plan──► Writer ──ops──► dataplane
//!  kernel ──routes changed─►│      (State)
//!  clock ──────ticks───────►┘
//! ```
//!
//! | module | question it answers |
//! |---|---|
//! | [`state`], [`service`] | what does the daemon know, and what follows from it? |
//! | [`ids`], [`pools`], [`tables`] | which ids, listeners and tables are in use? |
//! | [`writer`] | what does the datapath hold, and who changes it? |
//! | [`probes`] | which backends are being checked? |
//! | [`hops`] | did routes, neighbours or interfaces change? |
//! | [`panics`] | are all backends used because too few are healthy? |
//! | [`shortages`] | has `fullnat` run out of ports or room? |
//! | [`handle`] | how do other tasks ask? |
//! | [`status`] | what is there to see? |

mod handle;
mod hops;
mod ids;
mod panics;
mod pools;
mod probes;
mod service;
mod shortages;
mod state;
mod status;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::time::{Duration, Instant};

use tokio::{sync::mpsc, time::MissedTickBehavior};

pub use self::{
    handle::{Command, ControlError, Handle},
    state::Unknown,
};
use self::{probes::Probes, service::Member, state::State, writer::Writer};
use crate::{
    api::{OpenFlows, Status},
    dataplane::{Attachments, Dataplane, DataplaneError, Recorded},
    desired::{Desired, Forward},
    health::{Event, Health, Transition, passive},
    hooks::Hooks,
    operator::{Change, Store, Target},
    probe::task::Observation,
};

/// How often slots are looked at, and failed writes tried again.
const TICK: Duration = Duration::from_secs(1);
/// How often recorded flows are walked while no slot moves: only to forget idle ones.
const REST: Duration = Duration::from_secs(30);
/// How often open connections are counted anew: the programs lose count where a full table forgets a flow, or a flow ends
/// without a word.
const RECOUNT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Controller<D> {
    state: State,
    writer: Writer<D>,
    probes: Probes,
    observations: mpsc::Receiver<Observation>,
    commands: mpsc::Receiver<Command>,
    attachments: Attachments,
    /// The last walk over the recorded flows, and when it was.
    walk: (Instant, Recorded),
    recounted: Instant,
    shortages: shortages::Watch,
    panics: panics::Watch,
    orders: Store,
    hooks: Hooks,
    /// Why the last write failed; it is tried again.
    error: Option<String>,
}

impl<D: Dataplane> Controller<D> {
    /// Brings the datapath to what `desired` says, and starts the checks.
    ///
    /// # Errors
    /// The datapath cannot hold it.
    pub fn start(
        desired: Desired,
        dataplane: D,
        attachments: Attachments,
        commands: mpsc::Receiver<Command>,
    ) -> anyhow::Result<Self> {
        let now = Instant::now();
        let mut writer = Writer::new(dataplane, now)?;
        let walk = (now, writer.dataplane().recorded()?);
        let orders = Store::new(&desired.daemon.state_dir);
        let hooks = Hooks::start(&desired.daemon.on_change);
        let state = State::new(desired, orders.load()?, writer.applied())?;
        let (probes, observations) = Probes::new();
        let mut controller = Self {
            state,
            writer,
            probes,
            observations,
            commands,
            attachments,
            walk,
            recounted: now,
            shortages: shortages::Watch::default(),
            panics: panics::Watch::default(),
            orders,
            hooks,
            error: None,
        };
        controller.write(now)?;
        controller.probes.adjust(controller.state.members());
        Ok(controller)
    }

    /// Until `stop` resolves. Gives the datapath back as it then is.
    ///
    /// Each branch of the loop is cancel-safe: channels lose nothing, ticks may be missed, and the work itself does
    /// not wait for anything.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> D {
        tokio::pin!(stop);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut routes = watched(hops::ROUTES);
        let mut links = watched(hops::LINKS);
        loop {
            tokio::select! {
                () = &mut stop => return self.writer.into_dataplane(),
                Some(observation) = self.observations.recv() => self.observe(observation),
                Some(command) = self.commands.recv() => self.obey(command),
                Some(()) = changed(&mut routes) => {
                    self.forget_next_hops();
                    self.follow_namespaces();
                }
                Some(()) = changed(&mut links) => self.heed_interfaces(),
                _ = tick.tick() => self.keep_house(),
            }
        }
    }

    fn observe(&mut self, first: Observation) {
        let mut has_changed = false;
        let mut next = Some(first);
        // One write for all that is there.
        while let Some(Observation { id, at, result }) = next {
            let (event, text) = match result {
                Ok(passed) => (Event::Passed, passed.summary),
                Err(failure) => (Event::Failed, failure.to_string()),
            };
            if let Some((member, transition)) = self.state.observe(id, event, text, at) {
                self.probes.pace(id, member.interval());
                if let Some(transition) = transition {
                    has_changed = true;
                    report(member, transition);
                    self.hooks.tell(member.notice(
                        "health",
                        transition.from.name(),
                        transition.to.name(),
                    ));
                }
            }
            next = self.observations.try_recv().ok();
        }
        if has_changed {
            // Its failure is remembered, and the tick tries again.
            let _ = self.write(Instant::now());
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Status(answer) => {
                // Whoever asked may have gone.
                let _ = answer.send(
                    self.status()
                        .map_err(|error| ControlError::Refused(error.to_string())),
                );
            }
            Command::Reload(desired, answer) => {
                let _ = answer.send(
                    self.reload(*desired)
                        .map_err(|error| ControlError::Refused(format!("{error:#}"))),
                );
            }
            Command::OpenFlows(answer) => {
                let _ = answer.send(
                    self.open_flows()
                        .map_err(|error| ControlError::Refused(error.to_string())),
                );
            }
            Command::Order(target, change, answer) => {
                let _ = answer.send(self.order(&target, change));
            }
        }
    }

    /// Kept first: what is done is done by the next daemon, too.
    fn order(&mut self, target: &Target, change: Change) -> Result<(), ControlError> {
        let orders = self.state.ordered(target, change)?;
        self.orders
            .save(&orders)
            .map_err(|error| ControlError::Refused(format!("{:#}", anyhow::Error::from(error))))?;
        let before = self.state.member(target).map(|member| member.order);
        self.state.obey(orders);
        tracing::info!(backend = %target, ?change, "ordered");
        if let Some(member) = self.state.member(target)
            && let Some(before) = before
        {
            let (from, to) = (before.to_string(), member.order.to_string());
            self.hooks.tell(member.notice("order", &from, &to));
        }
        // A failed write is remembered, and tried again.
        let _ = self.write(Instant::now());
        Ok(())
    }

    fn reload(&mut self, desired: Desired) -> anyhow::Result<()> {
        let now = Instant::now();
        if desired.daemon != self.state.desired.daemon {
            tracing::warn!("changes in [daemon] take effect when shunt is restarted");
        }
        self.state.reload(desired, self.writer.applied())?;
        self.probes.adjust(self.state.members());
        self.write(now)?;
        Ok(())
    }

    fn write(&mut self, now: Instant) -> Result<(), DataplaneError> {
        self.panics.look(self.state.panicking());
        let target = self.state.target(self.writer.applied(), None, now);
        let result = self.writer.reconcile(&target, now);
        self.note(&result);
        result
    }

    fn note(&mut self, result: &Result<(), DataplaneError>) {
        if let Err(error) = result {
            let error = error.to_string();
            if self.error.as_ref() != Some(&error) {
                tracing::error!(error, "the datapath is not up to date; trying again");
            }
            self.error = Some(error);
        } else if self.error.take().is_some() {
            tracing::info!("the datapath is up to date again");
        }
    }

    fn keep_house(&mut self) {
        let now = Instant::now();
        self.follow_namespaces();
        let result = self
            .recount(now)
            .and_then(|()| self.heed_failures(now))
            .and_then(|()| self.try_keep_house(now));
        self.note(&result);
    }

    /// Passive checks.
    fn heed_failures(&mut self, now: Instant) -> Result<(), DataplaneError> {
        if !self.state.has_passive_checks() {
            return Ok(());
        }
        let failures = self.writer.dataplane().failures()?;
        let changed = self.state.heed(&failures, now);
        if changed.is_empty() {
            return Ok(());
        }
        for (member, verdict) in changed {
            let (from, to) = report_passive(member, verdict);
            self.hooks.tell(member.notice("connections", from, to));
        }
        self.write(now)
    }

    fn recount(&mut self, now: Instant) -> Result<(), DataplaneError> {
        if now.saturating_duration_since(self.recounted) >= RECOUNT {
            self.writer.dataplane().open_flows()?;
            self.recounted = now;
        }
        Ok(())
    }

    /// In this order: what the walk does not find named, nothing can name again, because slots moved on before it.
    fn try_keep_house(&mut self, now: Instant) -> Result<(), DataplaneError> {
        let is_busy = self.lacks_room(now)?
            || self.writer.is_moving()
            || self.error.is_some()
            || self.state.is_starting()
            || self.state.has_left_over(self.writer.applied());
        let (walked, _) = self.walk;
        if !is_busy && now.saturating_duration_since(walked) < REST {
            return Ok(());
        }
        let recorded = self.walk(now, Duration::ZERO)?;
        self.state.forget_left(self.writer.applied(), &recorded);
        self.probes.adjust(self.state.members());
        let target = self
            .state
            .target(self.writer.applied(), Some(&recorded), now);
        self.writer.reconcile(&target, now)?;
        let state = &self.state;
        self.writer
            .step(&recorded, now, |pool| state.transition(pool))
    }

    /// Whether new flows of `fullnat` found no room lately. Says so, and what to do.
    fn lacks_room(&mut self, now: Instant) -> Result<bool, DataplaneError> {
        let mut services = self.state.desired.services.iter();
        if !services.any(|service| service.forward == Forward::Fullnat) {
            return Ok(false);
        }
        let counted = self.writer.dataplane().shortages()?;
        let (told, lacks_room) = self.shortages.look(now, counted);
        told.log();
        Ok(lacks_room)
    }

    /// What is recorded, as of a walk not older than `age`.
    fn walk(&mut self, now: Instant, age: Duration) -> Result<Recorded, DataplaneError> {
        if now.saturating_duration_since(self.walk.0) >= age {
            self.walk = (now, self.writer.dataplane().recorded()?);
        }
        Ok(self.walk.1.clone())
    }

    fn heed_interfaces(&mut self) {
        if let Err(error) = self.writer.dataplane().heed_interfaces() {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(
                error,
                "packets of new VLAN devices leave through the kernel"
            );
        }
        self.forget_next_hops();
    }

    fn follow_namespaces(&mut self) {
        if let Err(error) = self.writer.dataplane().follow_namespaces() {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(
                error,
                "new clients behind bridges may not be balanced yet; trying again"
            );
        }
    }

    fn forget_next_hops(&mut self) {
        if let Err(error) = self.writer.dataplane().forget_next_hops() {
            tracing::warn!(%error, "next hops may be stale for some hundred packets");
        }
    }

    fn open_flows(&mut self) -> Result<Vec<OpenFlows>, DataplaneError> {
        let open = self.writer.dataplane().open_flows()?;
        let services = self.state.services.iter();
        let members = services.flat_map(|service| &service.members);
        Ok(members
            .map(|member| OpenFlows {
                target: Target {
                    service: member.service.clone(),
                    backend: member.settings.name.clone(),
                },
                flows: member
                    .has_count()
                    .then(|| open.get(&member.id).copied().unwrap_or_default()),
            })
            .collect())
    }

    fn status(&mut self) -> Result<Status, DataplaneError> {
        let now = Instant::now();
        let recorded = self.walk(now, TICK)?;
        let counters = self.writer.dataplane().counters()?;
        Ok(status::status(
            &self.state,
            self.writer.applied(),
            &self.attachments,
            &counters,
            &recorded,
            self.error.as_deref(),
            now,
        ))
    }
}

fn report(member: &Member, transition: Transition) {
    let (service, backend) = (&member.service, &member.settings.name);
    let check = member.last_check.as_deref();
    if transition.to == Health::Up {
        tracing::info!(service, backend, check, "backend is up");
    } else {
        tracing::warn!(service, backend, check, "backend is down");
    }
}

fn report_passive(member: &Member, verdict: passive::Verdict) -> (&'static str, &'static str) {
    let (service, backend) = (&member.service, &member.settings.name);
    match verdict {
        passive::Verdict::Out { fails, wait } => {
            tracing::warn!(
                service,
                backend,
                fails,
                ?wait,
                "connections failed; the backend gets no new ones for a while"
            );
            ("in", "out")
        }
        passive::Verdict::In => {
            tracing::info!(service, backend, "the backend gets new connections again");
            ("out", "in")
        }
    }
}

fn watched(groups: hops::Groups) -> Option<mpsc::Receiver<()>> {
    hops::watch(groups)
        .inspect_err(|error| {
            tracing::warn!(%error, ?groups, "the host's network is not watched; changes of routes are seen within some hundred packets");
        })
        .ok()
}

async fn changed(routes: &mut Option<mpsc::Receiver<()>>) -> Option<()> {
    match routes {
        Some(routes) => routes.recv().await,
        None => std::future::pending().await,
    }
}
