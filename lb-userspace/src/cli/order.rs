use std::{path::Path, process::ExitCode};

use super::OrderArgs;
use crate::{
    api::{self, Ordered},
    desired::HEAVIEST,
    operator::{AdminState, Change, Target},
};

/// What a person typed for a weight; `None`: `configured`.
#[derive(Clone, Copy, Debug)]
pub struct Weight(pub Option<u16>);

pub fn weight(text: &str) -> Result<Weight, String> {
    if text == "configured" {
        return Ok(Weight(None));
    }
    match text.parse() {
        Ok(weight) if weight <= HEAVIEST => Ok(Weight(Some(weight))),
        _ => Err(format!(
            "expected a whole number from 0 to {HEAVIEST}, or `configured`"
        )),
    }
}

pub fn order(args: &OrderArgs, change: Change) -> anyhow::Result<ExitCode> {
    give(&args.socket.path()?, &args.target, change)?;
    Ok(ExitCode::SUCCESS)
}

/// And says what that does.
pub fn give(socket: &Path, target: &Target, change: Change) -> anyhow::Result<()> {
    let ordered = Ordered {
        target: target.clone(),
        change,
    };
    super::wait_for(api::order(socket, &ordered))??;
    println!("{target}: {}", effect(change));
    Ok(())
}

fn effect(change: Change) -> String {
    match change {
        Change::State(AdminState::Ready) => {
            "ready; takes new connections while it is healthy".to_owned()
        }
        Change::State(AdminState::Drain) => {
            "drain; takes no new connections, and those that are open stay".to_owned()
        }
        Change::State(AdminState::Maint) => {
            "maint; takes nothing, and connections that are open go to others".to_owned()
        }
        Change::Weight(Some(weight)) => format!("weight {weight}"),
        Change::Weight(None) => "weight as configured".to_owned(),
    }
}
