use std::{collections::BTreeMap, time::Instant};

use lb_common::{
    backend::BackendId,
    slot::{Slot, SlotState},
};

use super::{
    service::{Family, ServiceState},
    state::State,
};
use crate::{
    api::{
        BackendStatus, FlowStatus, InterfaceStatus, LocalClientsStatus, PoolStatus, ServiceStatus,
        Status,
    },
    dataplane::{Applied, Attachment, Attachments, Counters, LocalClients, Recorded},
};

/// The moment put into words.
pub fn status(
    state: &State,
    applied: &Applied,
    attachments: &Attachments,
    counters: &Counters,
    recorded: &Recorded,
    error: Option<&str>,
    now: Instant,
) -> Status {
    let owned = slots_owned(applied);
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        interfaces: attachments.interfaces.iter().map(interface).collect(),
        local_clients: local_clients(&attachments.local_clients, counters),
        services: state
            .services
            .iter()
            .map(|service| ServiceStatus {
                name: service.settings.name.clone(),
                protocol: service.settings.protocol.name().to_owned(),
                scheduler: service.settings.scheduler.name().to_owned(),
                forward: service.settings.forward.name().to_owned(),
                listen: texts(&service.settings.listen),
                min_active: service.settings.min_active,
                panic: Family::ALL.into_iter().any(|family| service.panics(family)),
                backends: backends(service, &owned, counters, now),
                pools: pools(state, service, applied),
            })
            .collect(),
        flows: FlowStatus {
            recorded: recorded.flows,
            translated: recorded.translations,
        },
        verdicts: named(&counters.verdicts),
        events: named(&counters.events),
        error: error.map(str::to_owned),
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

fn interface(attachment: &Attachment) -> InterfaceStatus {
    InterfaceStatus {
        name: attachment.interface.clone(),
        mode: attachment.mode.name().to_owned(),
        egress: attachment.egress.name().to_owned(),
    }
}

fn local_clients(clients: &LocalClients, counters: &Counters) -> LocalClientsStatus {
    let (cgroup, reason) = match clients {
        LocalClients::Balanced { cgroup } => (Some(cgroup.clone()), None),
        LocalClients::Off => (None, Some("local_clients = false".to_owned())),
        LocalClients::Unavailable { reason } => (None, Some(reason.clone())),
    };
    LocalClientsStatus {
        cgroup,
        reason,
        namespaces: counters.namespaces,
    }
}

fn named(counters: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counters
        .iter()
        .map(|(&name, &value)| (name.to_owned(), value))
        .collect()
}

fn slots_owned(applied: &Applied) -> BTreeMap<BackendId, usize> {
    let mut owned = BTreeMap::new();
    for slot in applied.pools.values().flat_map(|pool| &pool.slots) {
        *owned.entry(slot.current).or_default() += 1;
    }
    owned
}

fn backends(
    service: &ServiceState,
    owned: &BTreeMap<BackendId, usize>,
    counters: &Counters,
    now: Instant,
) -> Vec<BackendStatus> {
    service
        .members
        .iter()
        .zip(service.active())
        .map(|(member, active)| {
            let traffic = counters
                .backends
                .get(&member.id)
                .copied()
                .unwrap_or_default();
            BackendStatus {
                name: member.settings.name.clone(),
                address: member.settings.address.to_string(),
                weight: member.settings.weight,
                ordered_weight: member.order.weight,
                state: member.order.state.name().to_owned(),
                backup: member.settings.backup,
                health: member.machine.health().name().to_owned(),
                active,
                last_check: member.last_check.clone(),
                since_seconds: member
                    .machine
                    .since()
                    .map(|since| now.saturating_duration_since(since).as_secs_f64()),
                sixteenths: member.sixteenths(now),
                slots: owned.get(&member.id).copied().unwrap_or_default(),
                packets: traffic.packets,
                bytes: traffic.bytes,
                open: member
                    .has_count()
                    .then(|| counters.open.get(&member.id).copied().unwrap_or_default()),
                max_conns: member.settings.max_conns,
                out_seconds: member.passive.left(now).map(|left| left.as_secs_f64()),
            }
        })
        .collect()
}

fn pools(state: &State, service: &ServiceState, applied: &Applied) -> Vec<PoolStatus> {
    Family::ALL
        .into_iter()
        .filter_map(|family| {
            let pool = state.pools.get(&service.settings.name, family)?;
            let pool = applied.pools.get(&pool)?;
            let count = |wanted: SlotState| {
                pool.slots
                    .iter()
                    .filter(|slot: &&Slot| slot.state() == wanted)
                    .count()
            };
            Some(PoolStatus {
                family: family.name().to_owned(),
                size: pool.slots.len(),
                stable: count(SlotState::Stable),
                transition: count(SlotState::Transition),
                settled: count(SlotState::Settled),
            })
        })
        .collect()
}
