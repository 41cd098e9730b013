use std::time::{Duration, Instant};

use crate::dataplane::Shortages;

/// A shortage that lasts is told of again after this.
const SILENCE: Duration = Duration::from_secs(60);

/// Decides when a shortage of `fullnat` is worth a word.
#[derive(Debug, Default)]
pub struct Watch {
    /// What was counted when this daemon first looked.
    seen: Option<Shortages>,
    ports: Kind,
    translations: Kind,
}

#[derive(Debug, Default)]
struct Kind {
    told: Option<Instant>,
    /// Dropped, and not told of yet.
    dropped: u64,
}

/// Packets that were dropped since the last word; 0: nothing to say.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Told {
    pub ports: u64,
    pub translations: u64,
}

impl Watch {
    /// What is to be told, and whether anything was dropped for want of room since the last look.
    pub fn look(&mut self, now: Instant, counted: Shortages) -> (Told, bool) {
        let seen = self.seen.replace(counted).unwrap_or(counted);
        let ports = counted.ports.saturating_sub(seen.ports);
        let translations = counted.translations.saturating_sub(seen.translations);
        let told = Told {
            ports: self.ports.add(now, ports),
            translations: self.translations.add(now, translations),
        };
        (told, translations > 0)
    }
}

impl Kind {
    fn add(&mut self, now: Instant, dropped: u64) -> u64 {
        self.dropped += dropped;
        let is_quiet = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < SILENCE);
        if self.dropped == 0 || is_quiet {
            return 0;
        }
        self.told = Some(now);
        std::mem::take(&mut self.dropped)
    }
}

impl Told {
    pub fn log(self) {
        if self.ports > 0 {
            tracing::warn!(
                dropped = self.ports,
                "fullnat found no free source port for new flows: list more addresses in [daemon] snat_addresses, or \
                 add backends; each address has 64,512 ports towards each backend"
            );
        }
        if self.translations > 0 {
            tracing::warn!(
                dropped = self.translations,
                "fullnat has no room for new flows, {} of a family: shorter [daemon.timeouts] forget idle ones sooner",
                lb_common::layout::TRANSLATIONS_CAPACITY
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counted(ports: u64, translations: u64) -> Shortages {
        Shortages {
            ports,
            translations,
        }
    }

    #[test]
    fn it_is_told_at_once_and_then_once_in_a_while_with_all_that_was_dropped() {
        let start = Instant::now();
        let mut watch = Watch::default();
        let mut look = |seconds, ports, translations| {
            let now = start + Duration::from_secs(seconds);
            watch.look(now, counted(ports, translations))
        };
        let told = |ports, translations| Told {
            ports,
            translations,
        };
        // Of what a daemon before this one has seen, nothing is told.
        assert_eq!(look(0, 100, 7), (told(0, 0), false));
        assert_eq!(look(1, 101, 7), (told(1, 0), false));
        assert_eq!(look(2, 111, 7), (told(0, 0), false));
        // The other kind has its own time.
        assert_eq!(look(3, 111, 9), (told(0, 2), true));
        assert_eq!(look(62, 116, 9), (told(15, 0), false));
        assert_eq!(look(200, 116, 9), (told(0, 0), false));
    }
}
