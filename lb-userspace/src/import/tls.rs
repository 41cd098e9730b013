//! TLS, which passes through a balancer at layer 4: both ends have to speak it, or neither.

use super::{notes::Notes, place::Excerpt};

const ENDED: &str = "TLS ended here; shunt passes it through, and these backends do not speak it: left out; let them, then listen here";
const BEGUN: &str =
    "TLS began here; clients would have to speak it with these backends themselves: left out";
const THROUGH: &str = "TLS is passed through: clients see the certificates of the backends";

/// Whether clients of a listener speak as the backends do. What changes for them is said.
pub(super) fn matches(listener: bool, backends: bool, said: &Excerpt, notes: &mut Notes) -> bool {
    match (listener, backends) {
        (true, false) => notes.add(said, ENDED),
        (false, true) => notes.add(said, BEGUN),
        (true, true) => notes.add(said, THROUGH),
        (false, false) => {}
    }
    listener == backends
}
