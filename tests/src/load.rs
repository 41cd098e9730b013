//! What did it cost to load a program? A line that a test prints, and the table of a run in VMs reads.

use std::{fmt, time::Duration};

/// A kernel has verified and compiled a program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Load {
    pub program: String,
    /// To milliseconds, as it is printed.
    pub took: Duration,
    /// Instructions that the verifier walked; kernels before 5.16 do not tell.
    pub verified: Option<u32>,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            program,
            took,
            verified,
        } = self;
        write!(f, "loaded {program} in {} ms", took.as_millis())?;
        match verified {
            Some(verified) => write!(f, ", {verified} instructions verified"),
            None => Ok(()),
        }
    }
}

impl Load {
    /// `None` for any other line.
    pub fn parse(line: &str) -> Option<Self> {
        let (program, cost) = line.strip_prefix("loaded ")?.split_once(" in ")?;
        let (millis, verified) = cost.split_once(" ms")?;
        let verified = match verified {
            "" => None,
            words => {
                let number = words.strip_prefix(", ")?;
                Some(
                    number
                        .strip_suffix(" instructions verified")?
                        .parse()
                        .ok()?,
                )
            }
        };
        Some(Self {
            program: program.to_owned(),
            took: Duration::from_millis(millis.parse().ok()?),
            verified,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        for verified in [None, Some(82_606)] {
            let load = Load {
                program: "shunt_xdp".into(),
                took: Duration::from_millis(1234),
                verified,
            };
            assert_eq!(Load::parse(&load.to_string()), Some(load));
        }
    }

    #[test]
    fn another_line_is_not() {
        for line in [
            "",
            "loaded it in no time",
            "loaded it in 5 ms, or so",
            "5 ms",
        ] {
            assert_eq!(Load::parse(line), None, "{line}");
        }
    }
}
