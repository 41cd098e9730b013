//! An exhaustive check of just-enough tracking: from an empty slot, every order of events, to any depth. The states
//! that can be reached are finite in number, so all of them are visited, not only those up to some depth.
//!
//! The model: one slot, two flows, three backends. Events: a SYN, a packet, the end of each flow; a stray packet of a
//! flow that is none; the table giving the slot to another backend; the table changing its size; a backend failing and
//! coming back; the daemon settling a slot, making it stable, forgetting idle records, starting anew; the service beginning
//! and ceasing to record every flow, while which any backend may get a new one.
//!
//! The claim: a packet of a flow whose backend has been alive since it opened reaches that backend.

use std::collections::HashMap;

use lb_common::{
    backend::BackendId,
    slot::{Asks, Reason, Slot, SlotState},
};

const BACKENDS: [BackendId; 3] = [
    BackendId::new(1, 0),
    BackendId::new(2, 0),
    BackendId::new(3, 0),
];
const FLOWS: usize = 2;

#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Flow {
    /// Where the connection is open; none where it is not, or where its backend died.
    at: BackendId,
    /// Whether it sent a packet since the slot came into transition.
    shown: bool,
    /// What the flow table says of it.
    record: BackendId,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct World {
    slot: Slot,
    /// The flow's slot in the table before the last resize.
    former: Option<Slot>,
    /// Whether every flow is recorded.
    tracks: bool,
    /// A bit for each of [`BACKENDS`].
    alive: u8,
    flows: [Flow; FLOWS],
}

/// What happened, for telling how a flow was lost.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Where every flow is recorded, also whom the scheduler picks.
    Syn(usize, BackendId),
    Packet(usize),
    Stray(usize),
    Close(usize),
    Forget(usize),
    Own(BackendId),
    Resize(BackendId),
    /// The same, and every flow is recorded from then on, or no longer.
    Track(BackendId),
    Fail(BackendId, BackendId),
    Return(BackendId),
    Settle,
    Stabilise,
    Restart,
}

impl World {
    fn start() -> Self {
        Self {
            slot: Slot::EMPTY,
            former: None,
            tracks: false,
            alive: 0,
            flows: [Flow::default(); FLOWS],
        }
    }

    fn lives(&self, id: BackendId) -> bool {
        BACKENDS
            .iter()
            .position(|&backend| backend == id)
            .is_some_and(|bit| self.alive >> bit & 1 == 1)
    }

    fn set_alive(&mut self, id: BackendId, alive: bool) {
        for (bit, _) in (0..).zip(BACKENDS).filter(|&(_, backend)| backend == id) {
            self.alive = self.alive & !(1 << bit) | u8::from(alive) << bit;
        }
    }

    /// What the kernel program does with a packet of flow `f`.
    fn choose(&mut self, f: usize, opens: bool, pick: BackendId) -> BackendId {
        let record = self.flows[f].record;
        let choice = self.slot.choose(
            Asks {
                opens,
                may_open: false,
                tracks: self.tracks,
            },
            (!record.is_none()).then_some(record),
            || self.former,
            |id| self.lives(id),
        );
        if choice.reason == Reason::New {
            assert!(self.tracks);
            self.flows[f].record = pick;
            return pick;
        }
        if !self.lives(choice.backend) {
            return BackendId::NONE;
        }
        if choice.record {
            self.flows[f].record = choice.backend;
        }
        choice.backend
    }

    fn advance(&self, owner: BackendId) -> Slot {
        if self.tracks {
            self.slot.advance_tracked(owner)
        } else {
            self.slot.advance(owner, |id| self.lives(id))
        }
    }

    /// The slot after the reconciler wrote it; every open flow has to show itself when that begins a transition.
    fn write(&mut self, slot: Slot) {
        let begins =
            slot.state() == SlotState::Transition && self.slot.state() != SlotState::Transition;
        self.slot = slot;
        if begins {
            self.hide();
        }
        self.drop_former();
    }

    fn hide(&mut self) {
        for flow in &mut self.flows {
            flow.shown = false;
        }
    }

    fn drop_former(&mut self) {
        if self.slot.previous != BackendId::FORMER {
            self.former = None;
        }
    }

    /// Every event that can happen now.
    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Restart];
        for f in 0..FLOWS {
            let flow = self.flows[f];
            let living = BACKENDS.into_iter().filter(|&id| self.lives(id));
            let picks = living.filter(|_| self.tracks).chain([BackendId::NONE]);
            events.extend(picks.map(|pick| Event::Syn(f, pick)));
            if flow.at.is_none() {
                events.push(Event::Stray(f));
                if !flow.record.is_none() {
                    events.push(Event::Forget(f));
                }
            } else {
                events.push(Event::Packet(f));
                events.push(Event::Close(f));
            }
        }
        let owners: Vec<_> = BACKENDS
            .into_iter()
            .filter(|&id| self.lives(id))
            .chain([BackendId::NOBODY])
            .collect();
        for &owner in &owners {
            events.push(Event::Own(owner));
            if self.former.is_none() {
                events.push(Event::Resize(owner));
                events.push(Event::Track(owner));
            }
        }
        for backend in BACKENDS {
            if !self.lives(backend) {
                events.push(Event::Return(backend));
                continue;
            }
            for &owner in owners.iter().filter(|&&owner| owner != backend) {
                events.push(Event::Fail(backend, owner));
            }
        }
        match self.slot.state() {
            SlotState::Stable => {}
            SlotState::Transition => {
                if self
                    .flows
                    .iter()
                    .all(|flow| flow.at.is_none() || flow.shown)
                {
                    events.push(Event::Settle);
                }
            }
            SlotState::Settled => {
                if self.tracks || self.flows.iter().all(|flow| flow.record.is_none()) {
                    events.push(Event::Stabilise);
                }
            }
        }
        events
    }

    /// The world after `event`, or how a live flow was moved.
    fn after(mut self, event: Event) -> Result<Self, String> {
        match event {
            Event::Syn(f, pick) => {
                let at = self.choose(f, true, pick);
                let flow = &mut self.flows[f];
                // A connection whose client opens it again has ended.
                flow.at = at;
                flow.shown = true;
            }
            Event::Packet(f) => {
                let at = self.choose(f, false, BackendId::NONE);
                if at != self.flows[f].at {
                    return Err(format!("flow {f} moved to {at:?}"));
                }
                self.flows[f].shown = true;
            }
            Event::Stray(f) => {
                self.choose(f, false, BackendId::NONE);
            }
            Event::Close(f) => self.flows[f].at = BackendId::NONE,
            Event::Forget(f) => self.flows[f].record = BackendId::NONE,
            Event::Own(owner) => self.write(self.advance(owner)),
            Event::Resize(owner) | Event::Track(owner) => {
                self.tracks ^= matches!(event, Event::Track(_));
                let old = self.slot;
                self.former = Some(old);
                self.slot = Slot::resized(owner);
                self.hide();
            }
            Event::Fail(backend, owner) => {
                self.set_alive(backend, false);
                self.write(self.advance(owner));
                for flow in &mut self.flows {
                    if flow.at == backend {
                        flow.at = BackendId::NONE;
                    }
                }
            }
            Event::Return(backend) => self.set_alive(backend, true),
            Event::Settle if self.tracks => self.write(Slot::stable(self.slot.current)),
            Event::Settle => self.write(self.slot.settle()),
            Event::Stabilise => self.write(self.slot.stabilise()),
            Event::Restart => {
                if self.slot.state() == SlotState::Transition {
                    self.hide();
                }
            }
        }
        Ok(self)
    }

    /// The same world with its flows in a fixed order: they are alike.
    fn normalised(mut self) -> Self {
        for flow in &mut self.flows {
            // Means nothing, and would only multiply the worlds.
            if flow.at.is_none() || self.slot.state() != SlotState::Transition {
                flow.shown = false;
            }
        }
        self.flows.sort_unstable();
        self
    }
}

/// Each world that was reached, and how.
type Origins = HashMap<World, Option<(World, Event)>>;

#[test]
fn no_order_of_events_moves_a_live_flow() {
    let start = World::start();
    let mut origins: Origins = HashMap::from([(start, None)]);
    let mut layer = vec![start];
    let mut depth = 0;
    while !layer.is_empty() {
        let mut next = Vec::new();
        for world in layer {
            for event in world.events() {
                let after = world
                    .after(event)
                    .unwrap_or_else(|moved| {
                        panic!("{moved} by {event:?}\n{}", story(&origins, world))
                    })
                    .normalised();
                origins.entry(after).or_insert_with(|| {
                    next.push(after);
                    Some((world, event))
                });
            }
        }
        layer = next;
        depth += 1;
    }
    println!("{} worlds, the farthest {depth} events away", origins.len());
    assert!(origins.len() > 10_000, "the model lost its events");
}

/// The events that led to `world`, the last first.
fn story(origins: &Origins, mut world: World) -> String {
    let mut lines = vec![format!("{world:?}")];
    while let Some(Some((before, event))) = origins.get(&world) {
        lines.push(format!("{event:?} in {before:?}"));
        world = *before;
    }
    lines.join("\n")
}
