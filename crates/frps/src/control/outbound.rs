//! The queues of messages from and towards one client.

use frp_proto::msg::Message;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many messages wait for the writer before senders have to wait. Upstream `pkg/msg/handler.go`.
pub(crate) const QUEUE: usize = 100;

/// What the queues of a control hold. Boxed, because a queue keeps room for 32 of them however few there are, and every
/// client has two queues.
pub(crate) type Queued = Box<Message>;

/// The control is closing, so nothing more can be sent. The text reaches logs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("control is already closed")]
pub(crate) struct ControlClosed;

/// The sending end; the writer task of the control holds the other.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    queue: mpsc::Sender<Queued>,
    stop: CancellationToken,
}

impl Outbound {
    /// A queue that refuses everything once `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> (Self, mpsc::Receiver<Queued>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        (Self { queue, stop }, receiver)
    }

    /// Queues a message, waiting while the queue is full. Safe to cancel: then the message is not queued.
    ///
    /// # Errors
    /// When the control is closing.
    pub(crate) async fn send(&self, message: impl Into<Message>) -> Result<(), ControlClosed> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(ControlClosed),
            sent = self.queue.send(Box::new(message.into())) => sent.map_err(|_| ControlClosed),
        }
    }
}
