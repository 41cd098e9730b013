//! What waits, and for how long. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Items that wait until they are ready, but no longer than their patience lasts.
#[derive(Debug)]
pub struct Queue<T> {
    capacity: usize,
    patience: Duration,
    /// The longest waiting first.
    waiting: VecDeque<(Instant, T)>,
}

impl<T> Queue<T> {
    pub fn new(capacity: usize, patience: Duration) -> Self {
        Self {
            capacity,
            patience,
            waiting: VecDeque::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.waiting.len() < self.capacity
    }

    pub fn push(&mut self, now: Instant, item: T) {
        self.waiting.push_back((now, item));
    }

    /// Takes out what is ready and what has waited long enough, in the order in which it came.
    pub fn take(&mut self, now: Instant, is_ready: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for (since, item) in std::mem::take(&mut self.waiting) {
            if now.saturating_duration_since(since) >= self.patience || is_ready(&item) {
                taken.push(item);
            } else {
                self.waiting.push_back((since, item));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_ready_goes_first_and_the_rest_when_its_time_is_up() {
        let start = Instant::now();
        let mut queue = Queue::new(8, 50 * MS);
        for (n, item) in (0..).zip(['a', 'b', 'c', 'd']) {
            queue.push(start + n * MS, item);
        }
        assert_eq!(queue.take(start + 4 * MS, |_| false), []);
        assert_eq!(queue.take(start + 5 * MS, |&item| item == 'c'), ['c']);
        assert_eq!(queue.take(start + 51 * MS, |_| false), ['a', 'b']);
        assert_eq!(queue.take(start + 51 * MS, |_| true), ['d']);
        assert!(queue.is_empty());
    }

    #[test]
    fn there_is_room_again_when_something_was_taken() {
        let start = Instant::now();
        let mut queue = Queue::new(2, 50 * MS);
        queue.push(start, 1);
        assert!(queue.has_room());
        queue.push(start, 2);
        assert!(!queue.has_room());
        queue.take(start, |&item| item == 1);
        assert!(queue.has_room());
    }
}
