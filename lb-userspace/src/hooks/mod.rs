//! Tells others when a backend changes: a command is run, or JSON is posted. Never more than some at once, never for longer
//! than a while, and never waited for by whoever tells.

mod command;
mod post;

use std::{sync::Arc, time::SystemTime};

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};

use crate::desired::OnChange;

/// Notices that wait; more than that are dropped, and counted.
const WAITING: usize = 256;
/// Hooks that run at the same time.
const RUNNING: usize = 4;

/// What has changed of a backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    pub service: String,
    pub backend: String,
    pub address: String,
    /// `health` or `order`.
    pub what: &'static str,
    pub from: String,
    pub to: String,
    /// What the last check said.
    pub check: Option<String>,
    /// Seconds since 1970.
    pub at: u64,
}

/// The present, as notices have it.
pub fn seconds_since_1970() -> u64 {
    // A clock before 1970 is as good as none.
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Why a hook did not do its work.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error("starting {command}")]
    Start {
        command: String,
        source: std::io::Error,
    },
    #[error("{command} ended with {status}")]
    Ended {
        command: String,
        status: std::process::ExitStatus,
    },
    #[error("no end after {0:?}")]
    Late(std::time::Duration),
    #[error("connecting to {authority}")]
    Connect {
        authority: String,
        source: std::io::Error,
    },
    #[error("posting")]
    Http(#[from] hyper::Error),
    #[error("the answer was HTTP {0}")]
    Status(u16),
    #[error("talking to the hook")]
    Io(#[from] std::io::Error),
}

/// Where to tell. Does nothing where no hook is configured.
#[derive(Debug)]
pub struct Hooks {
    notices: Option<mpsc::Sender<Notice>>,
    dropped: u64,
}

impl Hooks {
    /// Starts what runs them on the current runtime; it ends with this value.
    pub fn start(settings: &OnChange) -> Self {
        if settings.command.is_none() && settings.url.is_none() {
            return Self {
                notices: None,
                dropped: 0,
            };
        }
        let (notices, receiver) = mpsc::channel(WAITING);
        tokio::spawn(run(settings.clone(), receiver));
        Self {
            notices: Some(notices),
            dropped: 0,
        }
    }

    /// Never waits.
    pub fn tell(&mut self, notice: Notice) {
        let Some(notices) = &self.notices else {
            return;
        };
        if let Err(error) = notices.try_send(notice) {
            self.dropped += 1;
            let notice = error.into_inner();
            tracing::warn!(
                service = notice.service,
                backend = notice.backend,
                dropped = self.dropped,
                "on_change is too slow: {WAITING} changes wait, this one is not told"
            );
        }
    }
}

async fn run(settings: OnChange, mut notices: mpsc::Receiver<Notice>) {
    let settings = Arc::new(settings);
    let running = Arc::new(Semaphore::new(RUNNING));
    while let Some(notice) = notices.recv().await {
        let Ok(permit) = running.clone().acquire_owned().await else {
            return;
        };
        let settings = settings.clone();
        tokio::spawn(async move {
            serve(&settings, &notice).await;
            drop(permit);
        });
    }
}

/// Both hooks, one after the other, each within its time.
async fn serve(settings: &OnChange, notice: &Notice) {
    let json = serde_json::json!(notice).to_string();
    if let Some(command) = &settings.command {
        let done = bound(settings, command::run(command, &json)).await;
        log("command", notice, done);
    }
    if let Some(url) = &settings.url {
        let done = bound(settings, post::post(url, &json)).await;
        log("url", notice, done);
    }
}

async fn bound(
    settings: &OnChange,
    hook: impl Future<Output = Result<(), HookError>>,
) -> Result<(), HookError> {
    let late = |_| HookError::Late(settings.timeout);
    tokio::time::timeout(settings.timeout, hook)
        .await
        .map_err(late)?
}

fn log(hook: &str, notice: &Notice, done: Result<(), HookError>) {
    let (service, backend) = (&notice.service, &notice.backend);
    match done {
        Ok(()) => tracing::debug!(hook, service, backend, "told"),
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(hook, service, backend, error, "on_change failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::{Instant, sleep, timeout},
    };

    use super::*;

    const PATIENT: Duration = Duration::from_secs(10);

    fn notice(backend: &str) -> Notice {
        Notice {
            service: "web".into(),
            backend: backend.into(),
            address: "10.0.0.11:8001".into(),
            what: "health",
            from: "up".into(),
            to: "down".into(),
            check: Some("connection refused".into()),
            at: 1,
        }
    }

    fn command(words: &[&str]) -> OnChange {
        OnChange {
            command: Some(words.iter().map(|&word| word.to_owned()).collect()),
            ..OnChange::default()
        }
    }

    #[tokio::test]
    async fn a_command_reads_what_has_changed() {
        let path = std::env::temp_dir().join(format!("shunt-{}-hook", std::process::id()));
        let name = path.display().to_string();
        let mut hooks = Hooks::start(&command(&["sh", "-c", "cat > $0", &name]));
        hooks.tell(notice("api1"));
        let start = Instant::now();
        let text = loop {
            match std::fs::read_to_string(&path) {
                Ok(text) if text.ends_with('}') => break text,
                _ => assert!(start.elapsed() < PATIENT, "no file"),
            }
            sleep(Duration::from_millis(10)).await;
        };
        let _ = std::fs::remove_file(&path);
        assert_eq!(
            text,
            r#"{"address":"10.0.0.11:8001","at":1,"backend":"api1","check":"connection refused","from":"up","service":"web","to":"down","what":"health"}"#
        );
    }

    #[tokio::test]
    async fn json_is_posted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut hooks = Hooks::start(&OnChange {
            url: Some(
                format!("http://{address}/changes?from=lb1")
                    .parse()
                    .unwrap(),
            ),
            ..OnChange::default()
        });
        hooks.tell(notice("api1"));
        let (mut stream, _) = timeout(PATIENT, listener.accept()).await.unwrap().unwrap();
        let mut request = String::new();
        while !request.ends_with('}') {
            let mut bytes = [0; 1024];
            let read = timeout(PATIENT, stream.read(&mut bytes))
                .await
                .unwrap()
                .unwrap();
            assert!(read > 0, "{request}");
            request += std::str::from_utf8(&bytes[..read]).unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        assert!(
            request.starts_with("POST /changes?from=lb1 HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("content-type: application/json\r\n"),
            "{request}"
        );
        assert!(request.contains(r#""to":"down""#), "{request}");
    }

    #[tokio::test]
    async fn what_does_not_end_is_ended() {
        let settings = OnChange {
            timeout: Duration::from_millis(100),
            ..command(&["sleep", "1000"])
        };
        let start = Instant::now();
        let words = settings.command.clone().unwrap();
        let done = bound(&settings, command::run(&words, "")).await;
        assert!(matches!(done, Err(HookError::Late(_))), "{done:?}");
        assert!(start.elapsed() < PATIENT);
    }

    #[tokio::test]
    async fn what_fails_says_how() {
        for (words, expected) in [
            (["sh", "-c", "exit 3"], "sh ended with exit status: 3"),
            (["/nowhere", "", ""], "starting /nowhere"),
        ] {
            let words: Vec<String> = words.map(str::to_owned).into();
            let error = command::run(&words, "").await.unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[tokio::test]
    async fn whoever_tells_never_waits() {
        let mut hooks = Hooks::start(&command(&["sleep", "1000"]));
        for _ in 0..2 * WAITING {
            hooks.tell(notice("api1"));
        }
        // The runtime has had no turn to take any.
        assert_eq!(hooks.dropped, WAITING as u64);
    }
}
