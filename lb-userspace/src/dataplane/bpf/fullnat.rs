use std::{mem::offset_of, sync::atomic::Ordering};

use lb_common::{service::Control, verdict::Event};

use super::{BpfDataplane, own_sources, sources::Span};
use crate::{
    dataplane::{BackendEntry, DataplaneError, Shortages},
    desired::Forward,
};

/// What `fullnat` needs besides its backends.
impl BpfDataplane {
    /// Where the source addresses towards a backend are.
    pub(super) fn span(&mut self, backend: &BackendEntry) -> Span {
        if backend.address.ip.is_ipv4() && !self.accepts_own_sources {
            own_sources::accept(&self.pins, &self.attached);
            self.accepts_own_sources = true;
        }
        self.sources.towards(backend.address.ip)
    }

    /// Routes may have changed, or the configured addresses.
    pub(super) fn refresh_sources(&mut self) {
        for (id, backend) in self.backends.read() {
            if backend.forward == Forward::Fullnat {
                let span = self.span(&backend);
                self.backends.put(&self.control, id, &backend, span);
            }
        }
    }

    pub(super) fn has_fullnat(&self) -> bool {
        self.control.load(0).has_fullnat != 0
    }

    pub(super) fn set_fullnat(&self, is_used: bool) {
        self.control
            .word32(0, offset_of!(Control, has_fullnat))
            .store(is_used.into(), Ordering::Release);
    }

    pub(super) fn count_shortages(&self) -> Result<Shortages, DataplaneError> {
        let count = |event| {
            let count = self.counters.event(event);
            count.map_err(|error| DataplaneError::kernel("reading counters", error))
        };
        Ok(Shortages {
            ports: count(Event::SnatPortsTaken)?,
            translations: count(Event::TranslationsFull)?,
        })
    }
}
