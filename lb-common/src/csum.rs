//! Internet checksums, changed by what changed: RFC 1624, equation 3: `HC' = ~(~HC + ~m + m')`.
//!
//! One's complement addition does not care about byte order (RFC 1071, section 2B), so everything here
//! works on native loads of packet words.

/// The change that replacing words makes to a one's complement sum, not yet folded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delta(u32);

impl Delta {
    /// `old` and `new` are sums of 16-bit words, each at most `0x8_0000`: see [`crate::address::Address::sum`].
    #[inline(always)]
    pub const fn replace(self, old: u32, new: u32) -> Self {
        // ~m for a sum of words: fold first, so that the complement is one of 16 bits.
        Self(self.0 + (!fold(old) & 0xffff) + new)
    }

    /// Both changes.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + fold(other.0))
    }

    /// The checksum field after the change.
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        !(fold((!checksum as u32 & 0xffff) + self.0)) as u16
    }

    /// The same for UDP, where zero on the wire means "no checksum" and a computed zero is sent as all ones
    /// (RFC 768).
    #[inline(always)]
    pub const fn apply_udp(self, checksum: u16) -> u16 {
        match self.apply(checksum) {
            0 => 0xffff,
            changed => changed,
        }
    }
}

/// The sum of a word's two halves.
#[inline(always)]
pub const fn halves(word: u32) -> u32 {
    (word & 0xffff) + (word >> 16)
}

/// Folds a sum of 16-bit words to 16 bits.
#[inline(always)]
pub const fn fold(sum: u32) -> u32 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full(words: &[u16]) -> u16 {
        let mut sum: u64 = words.iter().map(|&w| u64::from(w)).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285 gives 0x0000, where RFC 1141 got 0xFFFF.
        assert_eq!(
            Delta::default().replace(0x5555, 0x3285).apply(0xdd2f),
            0x0000
        );
    }

    proptest! {
        #[test]
        fn equals_a_full_computation(mut words in prop::collection::vec(any::<u16>(), 4..32), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 1..9)) {
            // A real header never sums to zero: keep one word that is not.
            words.push(0x4500);
            let last = words.len() - 1;
            let before = full(&words);
            let mut delta = Delta::default();
            for (at, new) in changes {
                let at = at.index(last);
                delta = delta.replace(u32::from(words[at]), u32::from(new));
                words[at] = new;
            }
            prop_assert_eq!(delta.apply(before), full(&words));
        }

        #[test]
        fn a_udp_checksum_never_becomes_none(checksum in 1_u16.., old: u16, new: u16) {
            prop_assert_ne!(Delta::default().replace(u32::from(old), u32::from(new)).apply_udp(checksum), 0);
        }
    }
}
