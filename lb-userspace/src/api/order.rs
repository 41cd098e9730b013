use serde::{Deserialize, Serialize};

use crate::operator::{Change, Target};

/// What is ordered of which backend: `{"service": "web", "backend": "api1", "state": "drain"}`, or with `"weight": 3`
/// instead of the state, `null` for the file's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ordered {
    #[serde(flatten)]
    pub target: Target,
    #[serde(flatten)]
    pub change: Change,
}

/// How many connections are open to a backend.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OpenFlows {
    #[serde(flatten)]
    pub target: Target,
    /// `None`: they are not recorded, because replies do not come back through here.
    pub flows: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::AdminState;

    #[test]
    fn as_one_would_write_it() {
        let target: Target = "web/api1".parse().unwrap();
        let rows = [
            (
                Change::State(AdminState::Drain),
                r#"{"service":"web","backend":"api1","state":"drain"}"#,
            ),
            (
                Change::Weight(Some(3)),
                r#"{"service":"web","backend":"api1","weight":3}"#,
            ),
            (
                Change::Weight(None),
                r#"{"service":"web","backend":"api1","weight":null}"#,
            ),
        ];
        for (change, text) in rows {
            let ordered = Ordered {
                target: target.clone(),
                change,
            };
            assert_eq!(serde_json::to_string(&ordered).unwrap(), text);
            assert_eq!(serde_json::from_str::<Ordered>(text).unwrap(), ordered);
        }
    }
}
