use tokio::sync::{mpsc, oneshot};

use crate::{
    api::{OpenFlows, Status},
    desired::Desired,
    operator::{Change, Target},
};

/// What others ask of the controller.
#[derive(Debug)]
pub enum Command {
    Status(oneshot::Sender<Result<Status, ControlError>>),
    Reload(Box<Desired>, oneshot::Sender<Result<(), ControlError>>),
    OpenFlows(oneshot::Sender<Result<Vec<OpenFlows>, ControlError>>),
    Order(Target, Change, oneshot::Sender<Result<(), ControlError>>),
}

/// Why the controller did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("the daemon is stopping")]
    Stopping,
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Unknown(#[from] super::Unknown),
}

/// Talks to the controller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    pub fn channel() -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(16);
        (Self { commands }, receiver)
    }

    pub async fn status(&self) -> Result<Status, ControlError> {
        self.ask(Command::Status).await
    }

    /// Takes over a new configuration, wholly or not at all.
    pub async fn reload(&self, desired: Desired) -> Result<(), ControlError> {
        self.ask(|answer| Command::Reload(Box::new(desired), answer))
            .await
    }

    /// How many connections are open to each backend.
    pub async fn open_flows(&self) -> Result<Vec<OpenFlows>, ControlError> {
        self.ask(Command::OpenFlows).await
    }

    /// Orders something of a backend, which is kept for the next daemon, too.
    pub async fn order(&self, target: Target, change: Change) -> Result<(), ControlError> {
        self.ask(|answer| Command::Order(target, change, answer))
            .await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, ControlError>>) -> Command,
    ) -> Result<T, ControlError> {
        let (answer, answered) = oneshot::channel();
        self.commands
            .send(command(answer))
            .await
            .map_err(|_| ControlError::Stopping)?;
        answered.await.map_err(|_| ControlError::Stopping)?
    }
}
