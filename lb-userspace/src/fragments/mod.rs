//! Fragments that came before their first one, which alone has the ports. A kernel program cannot keep a packet: it hands
//! them over, and they are put back when the ports are known, as if they came in then.
//!
//! There is no loss in that: one whose first does not come is put back when its time is up, and passed to the kernel. While
//! the queue is full nothing is read; the programs then find nobody to hand fragments to, and pass them at once.

mod queue;

use std::time::{Duration, Instant};

use lb_common::{
    address::{Address, V4, V6},
    fragment::Key,
    packet::{Frame, network_layer, parse},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};

use self::queue::Queue;

/// Fragments kept at once, in 3 MiB at most.
const CAPACITY: usize = 1024;
/// How long one waits for its first: queues and paths that reorder differ by less. Receivers wait for 30 s and more.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often the ports are looked for.
const LOOK: Duration = Duration::from_millis(1);

/// A frame with a later fragment.
#[derive(Debug)]
pub struct HeldFrame {
    /// The index of the interface it came in by.
    pub ingress: u32,
    pub bytes: Vec<u8>,
    key: Option<Key>,
}

impl HeldFrame {
    pub fn new(ingress: u32, mut bytes: Vec<u8>) -> Self {
        let key = key(&Frame(&mut bytes));
        Self {
            ingress,
            bytes,
            key,
        }
    }
}

/// `None` for what is no fragment: nothing to wait for.
fn key(frame: &Frame<'_>) -> Option<Key> {
    match network_layer(frame).ok()? {
        (V4::ETHERTYPE, network) => Some(Key::of::<V4>(&parse(frame, network).ok()?)),
        (V6::ETHERTYPE, network) => Some(Key::of::<V6>(&parse(frame, network).ok()?)),
        _ => None,
    }
}

/// Where frames come from and go back to.
pub trait Datapath: Send + 'static {
    /// Whether the first fragment has come.
    fn knows(&self, key: &Key) -> bool;
    /// Makes the frame arrive again; it is not handed over a second time.
    fn put_back(&mut self, frame: &HeldFrame) -> anyhow::Result<()>;
}

/// Keeps what comes in by `frames`, until that ends.
pub async fn hold(mut frames: mpsc::Receiver<HeldFrame>, mut datapath: impl Datapath) {
    let mut queue = Queue::new(CAPACITY, PATIENCE);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            frame = frames.recv(), if queue.has_room() => {
                let Some(frame) = frame else { return };
                if is_ready(&frame, &datapath) {
                    put_back(&frame, &mut datapath);
                } else {
                    queue.push(Instant::now(), frame);
                }
            }
            _ = look.tick(), if !queue.is_empty() => {
                for frame in queue.take(Instant::now(), |frame| is_ready(frame, &datapath)) {
                    put_back(&frame, &mut datapath);
                }
            }
        }
    }
}

fn is_ready(frame: &HeldFrame, datapath: &impl Datapath) -> bool {
    frame.key.is_none_or(|key| datapath.knows(&key))
}

fn put_back(frame: &HeldFrame, datapath: &mut impl Datapath) {
    if let Err(error) = datapath.put_back(frame) {
        let error = format!("{error:#}");
        tracing::warn!(error, "a fragment out of order is lost: not put back");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;

    struct Fake {
        knows: Arc<AtomicBool>,
        back: mpsc::UnboundedSender<(u32, Instant)>,
    }

    impl Datapath for Fake {
        fn knows(&self, _: &Key) -> bool {
            self.knows.load(Ordering::Relaxed)
        }

        fn put_back(&mut self, frame: &HeldFrame) -> anyhow::Result<()> {
            self.back.send((frame.ingress, Instant::now()))?;
            Ok(())
        }
    }

    /// The second fragment of an IPv4 packet with UDP, of which there is more.
    fn fragment() -> Vec<u8> {
        let mut frame = vec![0; 14 + 20 + 8];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14..14 + 10].copy_from_slice(&[0x45, 0, 0, 28, 0, 7, 0x20, 1, 64, 17]);
        frame
    }

    #[tokio::test]
    async fn a_frame_goes_back_when_its_first_has_come_or_its_time_is_up() {
        let knows = Arc::new(AtomicBool::new(false));
        let (back, mut returned) = mpsc::unbounded_channel();
        let (sender, frames) = mpsc::channel(8);
        let knows_too = Arc::clone(&knows);
        tokio::spawn(hold(
            frames,
            Fake {
                knows: knows_too,
                back,
            },
        ));

        let start = Instant::now();
        sender.send(HeldFrame::new(1, fragment())).await.unwrap();
        let (ingress, at) = returned.recv().await.unwrap();
        assert_eq!(ingress, 1);
        assert!(at - start >= PATIENCE);

        sender.send(HeldFrame::new(2, fragment())).await.unwrap();
        tokio::time::sleep(PATIENCE / 5).await;
        assert!(returned.try_recv().is_err());
        knows.store(true, Ordering::Relaxed);
        assert_eq!(returned.recv().await.unwrap().0, 2);

        sender.send(HeldFrame::new(3, fragment())).await.unwrap();
        assert_eq!(returned.recv().await.unwrap().0, 3);
    }

    #[tokio::test]
    async fn what_is_no_fragment_is_not_kept() {
        let (back, mut returned) = mpsc::unbounded_channel();
        let (sender, frames) = mpsc::channel(8);
        let knows = Arc::default();
        tokio::spawn(hold(frames, Fake { knows, back }));
        sender.send(HeldFrame::new(1, vec![0; 60])).await.unwrap();
        assert_eq!(returned.recv().await.unwrap().0, 1);
    }
}
