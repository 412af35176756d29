//! The state of one stream.

use std::task::Waker;
use std::time::Duration;

use super::receive_queue::ReceiveQueue;
use super::send_queue::SendQueue;
use super::window::ReceiveWindow;
use crate::INITIAL_WINDOW;

/// Who holds the stream on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// It waits to be accepted.
    Backlog,
    /// A handle.
    Handle,
    /// Nobody, and it was shut down before: what the peer still sends is dropped until its FIN.
    Gone,
    /// Nobody, and it was not shut down: more data of the peer resets it.
    Abandoned,
    /// Nobody, and the peer shall hear of it: data of the peer resets it as soon as FIN is out.
    Delivering,
}

/// How far our end of the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fin {
    /// More may be written.
    Open,
    /// FIN goes out behind what is queued.
    Queued,
    /// FIN is out.
    Sent,
}

/// Where the stream stands among those that have something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    /// Before all others, until it has sent one turn's worth.
    Fresh,
    /// In the round.
    Round,
}

pub(super) struct Stream {
    pub(super) id: u32,
    /// The peer opened it.
    pub(super) inbound: bool,
    pub(super) holder: Holder,
    /// We opened it and the peer has not acknowledged it.
    pub(super) unacknowledged: bool,
    /// Its id is still in use on the wire.
    pub(super) live: bool,
    /// RST, from either side.
    pub(super) reset: bool,

    pub(super) received: ReceiveQueue,
    pub(super) window: ReceiveWindow,
    pub(super) window_listed: bool,
    pub(super) peer_fin: bool,
    pub(super) reader: Option<Waker>,

    pub(super) queued: SendQueue,
    /// What the peer lets us send.
    pub(super) credit: u32,
    pub(super) fin: Fin,
    /// RST follows FIN: the peer has sent what nobody reads.
    pub(super) reset_owed: bool,
    pub(super) writer: Option<Waker>,
    pub(super) place: Place,

    /// When a byte last went either way.
    pub(super) active: Duration,
    pub(super) close_listed: bool,
}

impl Stream {
    pub(super) fn new(id: u32, inbound: bool, holder: Holder, now: Duration) -> Self {
        Self {
            id,
            inbound,
            holder,
            unacknowledged: !inbound,
            live: true,
            reset: false,
            received: ReceiveQueue::default(),
            window: ReceiveWindow::new(),
            window_listed: false,
            peer_fin: false,
            reader: None,
            queued: SendQueue::default(),
            credit: INITIAL_WINDOW,
            fin: Fin::Open,
            reset_owed: false,
            writer: None,
            place: Place::Nowhere,
            active: now,
            close_listed: false,
        }
    }

    /// Whether someone may still read what arrives.
    pub(super) fn has_reader(&self) -> bool {
        matches!(self.holder, Holder::Backlog | Holder::Handle)
    }

    /// Whether a turn would send something.
    pub(super) fn can_send(&self) -> bool {
        self.live
            && ((self.queued.len() > 0 && self.credit > 0)
                || (self.queued.len() == 0 && self.fin == Fin::Queued))
    }
}
