use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{DrainArgs, order};
use crate::{
    api::{self, ClientError},
    operator::{AdminState, Change, Target},
};

/// Between two looks at what is open.
const PAUSE: Duration = Duration::from_secs(1);

pub fn drain(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let socket = args.order.socket.path()?;
    let target = &args.order.target;
    order::give(&socket, target, Change::State(AdminState::Drain))?;
    if !args.wait && args.deadline.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let is_empty = super::wait_for(wait(&socket, target, args.deadline))??;
    Ok(ExitCode::from(u8::from(!is_empty)))
}

/// Until nothing is open, or the time is over; whether nothing is.
async fn wait(socket: &Path, target: &Target, limit: Option<Duration>) -> Result<bool, WaitError> {
    let start = Instant::now();
    let mut line = Line::default();
    loop {
        let all = api::open_flows(socket).await?;
        let flows = all.into_iter().find(|flows| flows.target == *target);
        let Some(open) = flows.and_then(|flows| flows.flows) else {
            return Err(WaitError::NotCounted(target.clone()));
        };
        line.show(&format!("{target}: {open} open"));
        let is_over = limit.is_some_and(|limit| start.elapsed() >= limit);
        if open == 0 || is_over {
            line.end();
            return Ok(open == 0);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why it is not known when all are gone.
#[derive(Debug, thiserror::Error)]
enum WaitError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "{0} is drained, but its connections are not counted: only those of forward = \"nat\" and \"fullnat\" come back \
         through the load balancer"
    )]
    NotCounted(Target),
}

/// On a terminal one line that is written over; elsewhere a line for each change.
#[derive(Debug, Default)]
struct Line {
    last: String,
}

impl Line {
    fn show(&mut self, text: &str) {
        if self.last == text {
            return;
        }
        if io::stdout().is_terminal() {
            print!("\r\x1b[K{text}");
            // A terminal that is gone is no reason to stop.
            let _ = io::stdout().flush();
        } else {
            println!("{text}");
        }
        text.clone_into(&mut self.last);
    }

    fn end(&self) {
        if io::stdout().is_terminal() {
            println!();
        }
    }
}
