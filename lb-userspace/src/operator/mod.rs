//! What an operator ordered of single backends, beside what the file says. Kept across restarts, and for a backend that the
//! file does not name for a while.

mod store;

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::store::{Store, StoreError};

/// Whether a backend may take flows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminState {
    #[default]
    Ready,
    /// No new ones; those that are open stay.
    Drain,
    /// None: those that are open choose again.
    Maint,
}

impl AdminState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

/// What was ordered of one backend.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    #[serde(default)]
    pub state: AdminState,
    /// Instead of the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.name())?;
        match self.weight {
            Some(weight) => write!(f, ", weight {weight}"),
            None => Ok(()),
        }
    }
}

impl Order {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// One change of an order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    State(AdminState),
    /// `None`: the file's.
    Weight(Option<u16>),
}

/// A backend of a service, typed as `SERVICE/BACKEND`.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Target {
    pub service: String,
    pub backend: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.backend)
    }
}

/// Another text than `SERVICE/BACKEND`.
#[derive(Debug, thiserror::Error)]
#[error("found {0:?}, expected SERVICE/BACKEND, such as web/api1; `shunt status` names them")]
pub struct NotATarget(String);

impl FromStr for Target {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, NotATarget> {
        // Neither name has a slash.
        match text.split_once('/') {
            Some((service, backend)) if !service.is_empty() && !backend.is_empty() => Ok(Self {
                service: service.to_owned(),
                backend: backend.to_owned(),
            }),
            _ => Err(NotATarget(text.to_owned())),
        }
    }
}

/// All that was ordered, by service and backend.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Orders(BTreeMap<String, BTreeMap<String, Order>>);

impl Orders {
    pub fn of(&self, service: &str, backend: &str) -> Order {
        let orders = self.0.get(service);
        let order = orders.and_then(|backends| backends.get(backend));
        order.copied().unwrap_or_default()
    }

    /// The same orders but for one change.
    #[must_use]
    pub fn with(&self, target: &Target, change: Change) -> Self {
        let mut changed = self.clone();
        let backends = changed.0.entry(target.service.clone()).or_default();
        let order = backends.entry(target.backend.clone()).or_default();
        match change {
            Change::State(state) => order.state = state,
            Change::Weight(weight) => order.weight = weight,
        }
        backends.retain(|_, order| !order.is_none());
        changed.0.retain(|_, backends| !backends.is_empty());
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn targets() {
        assert_eq!(target("web/api1").to_string(), "web/api1");
        assert_eq!(target("web/10.0.0.1:80").backend, "10.0.0.1:80");
        for text in ["", "web", "web/", "/api1"] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("expected SERVICE/BACKEND"), "{error}");
        }
    }

    #[test]
    fn orders_add_up_and_end() {
        let drain = Change::State(AdminState::Drain);
        let orders = Orders::default()
            .with(&target("web/a"), drain)
            .with(&target("web/a"), Change::Weight(Some(3)))
            .with(&target("dns/a"), Change::Weight(Some(0)));
        let of = orders.of("web", "a");
        assert_eq!((of.state, of.weight), (AdminState::Drain, Some(3)));
        assert_eq!(orders.of("dns", "a").weight, Some(0));
        assert_eq!(orders.of("web", "b"), Order::default());

        let ended = orders
            .with(&target("web/a"), Change::State(AdminState::Ready))
            .with(&target("web/a"), Change::Weight(None))
            .with(&target("dns/a"), Change::Weight(None));
        assert_eq!(ended, Orders::default());
    }
}
