//! Which part of the slot array belongs to which table. Pure.

use std::collections::BTreeMap;

/// Hands out ranges of `0..capacity`. A range that was given back rests until [`Regions::recycle`]: programs may
/// still read it.
#[derive(Debug)]
pub struct Regions {
    capacity: u32,
    /// Base to size, both in use and resting.
    taken: BTreeMap<u32, u32>,
    resting: Vec<u32>,
}

impl Regions {
    pub fn new(capacity: u32) -> Self {
        Self {
            capacity,
            taken: BTreeMap::new(),
            resting: Vec::new(),
        }
    }

    /// Marks a range as taken that a former daemon took.
    pub fn adopt(&mut self, base: u32, size: u32) {
        self.taken.insert(base, size);
    }

    /// The first gap that holds `size`; `None` where there is none, perhaps only until [`Self::recycle`].
    pub fn take(&mut self, size: u32) -> Option<u32> {
        let mut base: u32 = 0;
        for (&next, &length) in &self.taken {
            if next - base >= size {
                break;
            }
            base = next + length;
        }
        if self.capacity - base < size {
            return None;
        }
        self.taken.insert(base, size);
        Some(base)
    }

    /// Lets a range rest.
    pub fn give_back(&mut self, base: u32) {
        self.resting.push(base);
    }

    /// Makes what rests available. No program may read it any more.
    pub fn recycle(&mut self) {
        for base in self.resting.drain(..) {
            self.taken.remove(&base);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_never_overlap_and_rest_before_reuse() {
        let mut regions = Regions::new(100);
        assert_eq!(regions.take(40), Some(0));
        assert_eq!(regions.take(40), Some(40));
        assert_eq!(regions.take(40), None);
        regions.give_back(0);
        assert_eq!(regions.take(40), None);
        regions.recycle();
        assert_eq!(regions.take(30), Some(0));
        assert_eq!(regions.take(10), Some(30));
        assert_eq!(regions.take(20), Some(80));
        assert_eq!(regions.take(1), None);
    }

    #[test]
    fn adopted_ranges_are_taken() {
        let mut regions = Regions::new(100);
        regions.adopt(10, 80);
        assert_eq!(regions.take(11), None);
        assert_eq!(regions.take(10), Some(0));
        assert_eq!(regions.take(10), Some(90));
    }
}
