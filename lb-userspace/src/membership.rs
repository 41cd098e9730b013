//! Which backends of a service take new flows.

/// What decides whether a backend is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Member {
    /// Healthy, and not taken out by anybody.
    pub usable: bool,
    /// With weight 0 it takes no new flows and does not count.
    pub weight: u16,
    /// Stands by until primaries are missing.
    pub backup: bool,
}

impl Member {
    const fn is_able(self) -> bool {
        self.usable && self.weight > 0
    }
}

/// How many backends a service wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Below that, backups are promoted.
    pub min_active: usize,
    /// With fewer able members than this many percent, those that are not usable are used, too; 0: never.
    pub panic_below: u8,
}

/// Whether so few members are able that the checks are more likely to be wrong than the backends: better all of them
/// than too few for everything. Members of weight 0 do not count.
pub fn panics(members: &[Member], wanted: Wanted) -> bool {
    let count =
        |wanted: fn(&Member) -> bool| members.iter().filter(|member| wanted(member)).count();
    let (all, able) = (
        count(|member| member.weight > 0),
        count(|member| member.is_able()),
    );
    able * 100 < all * usize::from(wanted.panic_below)
}

/// Says of each member whether it takes new flows. All able primaries do; while they are fewer than `min_active`,
/// able backups make up the number, in the order of `members`. In a panic all with a weight do.
///
/// Backups stand down as primaries return: the answer depends on the present alone.
pub fn active(members: &[Member], wanted: Wanted) -> Vec<bool> {
    if panics(members, wanted) {
        return members.iter().map(|member| member.weight > 0).collect();
    }
    let min_active = wanted.min_active;
    let primaries = members
        .iter()
        .filter(|member| member.is_able() && !member.backup)
        .count();
    let mut missing = min_active.saturating_sub(primaries);
    members
        .iter()
        .map(|member| {
            if !member.is_able() {
                return false;
            }
            if !member.backup {
                return true;
            }
            let promoted = missing > 0;
            missing = missing.saturating_sub(1);
            promoted
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `P` and `B`: a usable primary and backup; `p` and `b`: not usable; `0` and `o`: usable ones of weight 0.
    fn member(letter: char) -> Member {
        Member {
            usable: matches!(letter, 'P' | 'B' | '0' | 'o'),
            weight: u16::from(!matches!(letter, '0' | 'o')),
            backup: matches!(letter, 'B' | 'b' | 'o'),
        }
    }

    #[test]
    fn known_services() {
        // members, min_active, which of them are active
        let rows = [
            ("", 1, ""),
            ("PPPP", 1, "1111"),
            ("PPPPB", 1, "11110"),
            ("PpPpB", 1, "10100"),
            ("ppppB", 1, "00001"),
            ("ppppb", 1, "00000"),
            ("ppppBB", 1, "000010"),
            ("ppppbB", 1, "000001"),
            ("PPBB", 3, "1110"),
            ("PPBB", 4, "1111"),
            ("PPBB", 9, "1111"),
            ("BPBp", 2, "1100"),
            ("pB", 0, "00"),
            ("PB", 0, "10"),
            ("0B", 1, "01"),
            ("0PB", 2, "011"),
            ("poB", 1, "001"),
            ("po", 1, "00"),
        ];
        for (letters, min_active, expected) in rows {
            let members: Vec<Member> = letters.chars().map(member).collect();
            let wanted = Wanted {
                min_active,
                panic_below: 0,
            };
            let found: String = active(&members, wanted)
                .into_iter()
                .map(|active| if active { '1' } else { '0' })
                .collect();
            assert_eq!(found, expected, "{letters} with min_active {min_active}");
        }
    }

    #[test]
    fn in_a_panic_all_are_used() {
        // members, panic_below, which of them are active
        let rows = [
            ("pppp", 0, "0000"),
            ("pppp", 1, "1111"),
            ("Pppp", 25, "1000"),
            ("Pppp", 26, "1111"),
            ("PPpp", 50, "1100"),
            ("PPPp", 100, "1111"),
            ("PPPP", 100, "1111"),
            ("PpppB", 40, "10000"),
            ("PpppB", 41, "11111"),
            ("Pp0o", 51, "1100"),
            ("00", 100, "00"),
            ("", 100, ""),
        ];
        for (letters, panic_below, expected) in rows {
            let members: Vec<Member> = letters.chars().map(member).collect();
            let wanted = Wanted {
                min_active: 1,
                panic_below,
            };
            let found: String = active(&members, wanted)
                .into_iter()
                .map(|active| if active { '1' } else { '0' })
                .collect();
            assert_eq!(found, expected, "{letters} with panic_below {panic_below}");
        }
    }

    proptest! {
        #[test]
        fn invariants(
            letters in "[PpBb0o]{0,20}",
            min_active in 0_usize..12,
        ) {
            let members: Vec<Member> = letters.chars().map(member).collect();
            let active = active(&members, Wanted { min_active, panic_below: 0 });
            prop_assert_eq!(active.len(), members.len());
            let count = |wanted: &dyn Fn(&Member) -> bool| {
                members.iter().zip(&active).filter(|&(m, &a)| a && wanted(m)).count()
            };

            for (member, &active) in members.iter().zip(&active) {
                let able = member.usable && member.weight > 0;
                prop_assert!(able || !active, "only able members are active");
                prop_assert!(!able || member.backup || active, "all able primaries are active");
            }
            // No more backups than needed, and as many as there are where they are.
            let able = members.iter().filter(|m| m.usable && m.weight > 0).count();
            let primaries = count(&|member| !member.backup);
            prop_assert_eq!(count(&|_| true), primaries.max(min_active.min(able)));
            // In order: none is active behind an able one that stands by.
            let able_backups = members.iter().zip(&active)
                .filter(|(m, _)| m.backup && m.usable && m.weight > 0)
                .map(|(_, &active)| active);
            prop_assert!(able_backups.is_sorted_by_key(|active| !active));
        }
    }
}
