//! Says when services begin and cease to use all of their backends because too few are healthy.

use std::collections::BTreeSet;

use super::service::Family;

/// Those that were told of.
#[derive(Debug, Default)]
pub struct Watch(BTreeSet<(String, Family)>);

impl Watch {
    /// Logs what has changed. `panicking`: as of now.
    pub fn look(&mut self, panicking: BTreeSet<(String, Family)>) {
        for (service, family) in panicking.difference(&self.0) {
            tracing::warn!(
                service,
                family = family.name(),
                "fewer backends are healthy than panic_below allows; all are used, healthy or not"
            );
        }
        for (service, family) in self.0.difference(&panicking) {
            tracing::info!(
                service,
                family = family.name(),
                "enough backends are healthy again"
            );
        }
        self.0 = panicking;
    }
}
