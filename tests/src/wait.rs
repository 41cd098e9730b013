//! Waiting for something to become true, with a deadline and never longer than needed.

use std::{
    error, fmt, thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(10);

/// Says that waiting longer is of no use: it ends [`wait_for`] at once.
#[derive(Debug)]
pub struct Hopeless(pub String);

impl fmt::Display for Hopeless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for Hopeless {}

/// Asks `probe` until it succeeds. Its errors say what is missing yet.
///
/// # Errors
/// After `within`, with the last error of `probe`; at once where that is [`Hopeless`].
pub fn wait_for<T>(
    what: impl fmt::Display,
    within: Duration,
    mut probe: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        let missing = match probe() {
            Ok(value) => return Ok(value),
            Err(missing) => missing,
        };
        if missing.is::<Hopeless>() {
            return Err(missing.context(format!("waiting for {what}")));
        }
        if start.elapsed() >= within {
            return Err(missing.context(format!("{what}: not within {within:?}")));
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn asks_until_it_is_so() {
        let mut asked = 0;
        let answer = wait_for("three", Duration::from_secs(5), || {
            asked += 1;
            if asked < 3 {
                bail!("only {asked}");
            }
            Ok(asked)
        });
        assert_eq!(answer.unwrap(), 3);
    }

    #[test]
    fn says_what_was_missing() {
        let error = wait_for::<()>("rain", Duration::ZERO, || bail!("no cloud")).unwrap_err();
        assert_eq!(format!("{error:#}"), "rain: not within 0ns: no cloud");
    }

    #[test]
    fn gives_up_when_it_is_hopeless() {
        let error = wait_for::<()>("rain", Duration::from_secs(3600), || {
            bail!(Hopeless("it is a desert".into()))
        })
        .unwrap_err();
        assert_eq!(format!("{error:#}"), "waiting for rain: it is a desert");
    }
}
