//! `[[service]]`.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    address,
    backend::{self, Backend},
    duration, health,
    report::{At, Mistake, Place},
    section::Section,
    share, soundness, text,
};
use crate::{
    address::Listen,
    desired::{Forward, HealthSettings, OnDown, Protocol, Scheduler, ServiceSettings},
};

const LISTEN: &str = r#"a list of addresses, such as ["192.0.2.10:80", "[2001:db8::10]:80"]"#;
const NAME: &str = r#"a name, such as "web""#;
const PROTOCOL: Protocol = Protocol::Tcp;
const MIN_ACTIVE: usize = 1;
const AFFINITY: Duration = Duration::from_secs(3600);
const AFFINITIES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
const SLOW_STARTS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
/// From a few slots for each of a few backends to the larger table of the Maglev paper (Eisenbud et al.,
/// NSDI 2016, section 5.3).
const TABLE_SIZES: RangeInclusive<u32> = 251..=65537;

/// A service and where its parts were written, for checks that concern several of them.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) place: Place,
    pub(super) name: Option<At<String>>,
    /// `None`: wrong, so that nothing follows from it.
    pub(super) protocol: Option<Protocol>,
    pub(super) listen: Vec<At<Listen>>,
    pub(super) backends: Vec<Backend>,
    /// Whether no listener or backend is left out for being wrong.
    pub(super) complete: bool,
    pub(super) min_active: Option<At<usize>>,
    pub(super) table_size: Option<At<u32>>,
    pub(super) forward: Forward,
    panic_below: u8,
    slow_start: Duration,
    pub(super) health: HealthSettings,
    scheduler: Scheduler,
    affinity: Duration,
    on_down: OnDown,
}

impl Service {
    pub(super) fn settings(self) -> ServiceSettings {
        ServiceSettings {
            name: self.name.map(|at| at.value).unwrap_or_default(),
            listen: self.listen.into_iter().map(|at| at.value).collect(),
            protocol: self.protocol.unwrap_or(PROTOCOL),
            forward: self.forward,
            scheduler: self.scheduler,
            affinity: self.affinity,
            on_down: self.on_down,
            min_active: self.min_active.map_or(MIN_ACTIVE, |at| at.value),
            panic_below: self.panic_below,
            slow_start: self.slow_start,
            table_size: self.table_size.map(|at| at.value),
            health: self.health,
            backends: self
                .backends
                .into_iter()
                .map(|backend| backend.settings)
                .collect(),
        }
    }
}

pub(super) fn all(root: &mut Section) -> Vec<Service> {
    let sections = root.sections("service", "service", &["name"]);
    sections.unwrap_or_default().into_iter().map(read).collect()
}

fn read(mut section: Section) -> Service {
    let name = name(&mut section);
    let protocol = protocol(&mut section);
    let (listen, every_listener) = listen(&mut section);
    let (backends, every_backend) = backends(&mut section);
    let service = Service {
        place: section.place().clone(),
        name,
        protocol,
        listen,
        backends,
        complete: every_listener && every_backend,
        min_active: min_active(&mut section),
        panic_below: share::read(&mut section, "panic_below"),
        slow_start: duration::read(&mut section, "slow_start", Duration::ZERO, SLOW_STARTS),
        table_size: table_size(&mut section),
        forward: forward(&mut section),
        scheduler: scheduler(&mut section),
        affinity: affinity(&mut section),
        on_down: on_down(&mut section),
        health: health::read(&mut section, protocol.unwrap_or(PROTOCOL)),
    };
    soundness::check(&service, section.report());
    section.finish();
    service
}

fn name(section: &mut Section) -> Option<At<String>> {
    let field = section.required("name", NAME)?;
    Some(field.at(text::name(&field)?))
}

/// The default where the key is missing, nothing where it is wrong.
fn protocol(section: &mut Section) -> Option<Protocol> {
    let words = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
    match section.optional("protocol") {
        Some(field) => field.word(&words, &[]),
        None => Some(PROTOCOL),
    }
}

/// The usable listeners, and whether all are.
fn listen(section: &mut Section) -> (Vec<At<Listen>>, bool) {
    let field = section.required("listen", LISTEN);
    let Some(fields) = field.and_then(|field| field.elements(LISTEN)) else {
        return (Vec::new(), false);
    };
    let usable = fields
        .iter()
        .filter_map(|field| Some(field.at(address::listen(field)?)));
    let usable: Vec<_> = usable.collect();
    let all = usable.len() == fields.len();
    (usable, all)
}

/// The usable backends, and whether all are.
fn backends(section: &mut Section) -> (Vec<Backend>, bool) {
    let labels = ["name", "address"];
    let Some(sections) = section.sections("backend", "service.backend", &labels) else {
        return (Vec::new(), false);
    };
    let count = sections.len();
    let usable: Vec<_> = sections.into_iter().filter_map(backend::read).collect();
    let all = usable.len() == count;
    (usable, all)
}

fn min_active(section: &mut Section) -> Option<At<usize>> {
    let field = section.optional("min_active")?;
    Some(field.at(field.whole(1..=usize::from(u16::MAX))?))
}

fn table_size(section: &mut Section) -> Option<At<u32>> {
    let field = section.optional("table_size")?;
    let size = field.whole(TABLE_SIZES)?;
    if !is_prime(size) {
        let next = (size..=*TABLE_SIZES.end()).find(|&size| is_prime(size));
        let mistake = Mistake::new(field.found(), "a prime, which Maglev needs");
        field.wrong(match next {
            Some(prime) => mistake.help(format!("the next prime is {prime}")),
            None => mistake,
        });
        return None;
    }
    Some(field.at(size))
}

/// By trial division, which is at most 255 steps for the largest size.
fn is_prime(number: u32) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}

fn forward(section: &mut Section) -> Forward {
    section
        .optional("forward")
        .and_then(|field| field.word(&Forward::ALL.map(|word| (word.name(), word)), &[]))
        .unwrap_or(Forward::Nat)
}

fn scheduler(section: &mut Section) -> Scheduler {
    section
        .optional("scheduler")
        .and_then(|field| {
            let words = Scheduler::ALL.map(|word| (word.name(), word));
            field.word(&words, &[])
        })
        .unwrap_or(Scheduler::Maglev)
}

fn on_down(section: &mut Section) -> OnDown {
    let words = [("reselect", OnDown::Reselect), ("keep", OnDown::Keep)];
    section
        .optional("on_down")
        .and_then(|field| field.word(&words, &["reset"]))
        .unwrap_or_default()
}

/// `affinity = { source = true, timeout = "1h" }`; zero where there is none.
fn affinity(section: &mut Section) -> Duration {
    let Some(mut section) = section.section("affinity") else {
        return Duration::ZERO;
    };
    let source = section.optional("source");
    let source = source.and_then(|field| field.flag()).unwrap_or(true);
    let timeout = duration::read(&mut section, "timeout", AFFINITY, AFFINITIES);
    section.finish();
    if source { timeout } else { Duration::ZERO }
}
