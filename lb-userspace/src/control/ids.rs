use lb_common::{backend::BackendId, layout::BACKENDS_CAPACITY};

/// Hands out backend ids, each a successor of the youngest: a place is used again only when all others were, and then
/// under another generation.
#[derive(Debug)]
pub struct Ids {
    newest: BackendId,
}

impl Ids {
    /// `newest` is the youngest id ever given, also by daemons before this one.
    pub fn after(newest: BackendId) -> Self {
        Self { newest }
    }

    /// The next id whose place is free; `None` when every place is taken.
    pub fn next(&mut self, is_taken: impl Fn(u32) -> bool) -> Option<BackendId> {
        for _ in 1..BACKENDS_CAPACITY {
            self.newest = successor(self.newest);
            if !is_taken(self.newest.index()) {
                return Some(self.newest);
            }
        }
        None
    }
}

fn successor(id: BackendId) -> BackendId {
    let index = id.index() + 1;
    if index < BACKENDS_CAPACITY {
        return BackendId::new(index as u16, id.generation());
    }
    BackendId::new(1, id.generation().wrapping_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_young_and_skip_taken_places() {
        let mut ids = Ids::after(BackendId::NONE);
        assert_eq!(ids.next(|_| false), Some(BackendId::new(1, 0)));
        assert_eq!(ids.next(|index| index < 5), Some(BackendId::new(5, 0)));
        let mut ids = Ids::after(BackendId::new(65_535, 3));
        assert_eq!(ids.next(|_| false), Some(BackendId::new(1, 4)));
        assert_eq!(ids.next(|_| true), None);
    }
}
