//! Many new flows, and who answered them.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::Answer;
use crate::netns::Netns;

/// What came of many requests.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Spread {
    /// Answers, by the name of who gave them.
    pub counts: BTreeMap<String, u64>,
    /// Requests without an answer, by what was wrong.
    pub failures: BTreeMap<String, u64>,
    /// What had to be sent again.
    pub retries: u64,
    /// How long the slowest answer took.
    pub slowest: Duration,
}

impl Spread {
    pub fn answered(&self) -> u64 {
        self.counts.values().sum()
    }

    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The answers of one server.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Who answered, where every request was.
    ///
    /// # Errors
    /// One was not.
    pub fn all(self) -> anyhow::Result<BTreeMap<String, u64>> {
        ensure!(
            self.failures.is_empty(),
            "{} of {} requests failed: {:?}",
            self.failed(),
            self.failed() + self.answered(),
            self.failures
        );
        Ok(self.counts)
    }

    /// Takes in one result.
    pub(crate) fn add(&mut self, result: anyhow::Result<Answer>, took: Duration) {
        match result {
            Ok(answer) => {
                *self.counts.entry(answer.name).or_default() += 1;
                self.retries += answer.retries;
                self.slowest = self.slowest.max(took);
            }
            Err(error) => *self.failures.entry(format!("{error:#}")).or_default() += 1,
        }
    }

    /// Both together.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for (error, count) in other.failures {
            *self.failures.entry(error).or_default() += count;
        }
        self.retries += other.retries;
        self.slowest = self.slowest.max(other.slowest);
        self
    }
}

/// Asks `count` times, from `threads` threads inside `netns`.
pub(crate) fn run(
    netns: &Netns,
    count: u64,
    threads: usize,
    ask: impl Fn() -> anyhow::Result<Answer> + Sync,
) -> anyhow::Result<Spread> {
    let begun = AtomicU64::new(0);
    let work = || {
        netns.join()?;
        let mut spread = Spread::default();
        while begun.fetch_add(1, Ordering::Relaxed) < count {
            let start = Instant::now();
            spread.add(ask(), start.elapsed());
        }
        anyhow::Ok(spread)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| match worker.join() {
                Ok(spread) => spread,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .try_fold(Spread::default(), |sum, spread| Ok(sum.merge(spread?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, retries: u64) -> anyhow::Result<Answer> {
        Ok(Answer {
            name: name.to_owned(),
            retries,
        })
    }

    #[test]
    fn every_result_is_counted_once() {
        let mut one = Spread::default();
        one.add(answer("b1", 0), Duration::from_millis(2));
        one.add(answer("b2", 3), Duration::from_millis(1));
        let mut other = Spread::default();
        other.add(answer("b1", 1), Duration::from_millis(7));
        other.add(Err(anyhow::anyhow!("refused")), Duration::from_secs(9));
        let sum = one.merge(other);
        assert_eq!((sum.of("b1"), sum.of("b2"), sum.of("b3")), (2, 1, 0));
        assert_eq!((sum.answered(), sum.failed(), sum.retries), (3, 1, 4));
        assert_eq!(sum.slowest, Duration::from_millis(7));
        assert!(sum.all().is_err());
    }
}
