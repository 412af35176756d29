//! The relay itself: both directions, and how it ends.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    GRACE, Operation, RelayEnd, RelayError, RelayOptions, RelayReport, Side,
    direction::{Direction, Failure},
    watch::Watch,
};
use crate::{Stream, buffer::Buffer};

/// No timeout is longer: far beyond any use, and safe to add to a point in time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The future of [`relay`](super::relay).
#[must_use = "a relay does nothing unless polled"]
pub struct Relay {
    /// `None` once the connection is of no more use; dropping it closes it.
    user: Option<Stream>,
    service: Option<Stream>,
    to_service: Direction,
    to_user: Direction,
    half_close_timeout: Duration,
    deadline: Deadline,
    watch: Watch,
    state: State,
}

enum State {
    /// Bytes move in both directions.
    Open,
    /// The user's end was passed on; answers still flow.
    HalfClosed,
    /// The service has failed; what it sent before is still delivered.
    ServiceGone(RelayError),
    /// It is known how the relay ends; what was read is handed over.
    Closing(RelayEnd),
    /// The report was given.
    Over,
}

impl Relay {
    pub(super) fn new(user: Stream, service: Stream, options: RelayOptions) -> Self {
        Self {
            user: Some(user),
            service: Some(service),
            to_service: Direction::default(),
            to_user: Direction::default(),
            half_close_timeout: options.half_close_timeout.min(LONGEST),
            deadline: Deadline::default(),
            watch: Watch::default(),
            state: State::Open,
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.to_service.is_idle() && self.to_user.is_idle() && self.deadline.0.is_none()
    }

    /// Whether bytes are spliced towards the service, and towards the user.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn is_bulk(&self) -> [bool; 2] {
        [self.to_service.is_bulk(), self.to_user.is_bulk()]
    }

    /// Moves bytes until it is known how the relay ends.
    fn poll_moving(&mut self, cx: &mut Context<'_>) -> Poll<RelayEnd> {
        let (Some(user), Some(service)) = (&mut self.user, &mut self.service) else {
            return Poll::Pending;
        };
        if matches!(self.state, State::Open) {
            match self.to_service.poll_move(cx, user, service) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.state = State::HalfClosed,
                Poll::Ready(Err(failure @ (Operation::Read, _))) => {
                    return Poll::Ready(RelayEnd::failed(Side::User, failure));
                }
                Poll::Ready(Err(failure)) => {
                    self.state = State::ServiceGone(RelayError::new(Side::Service, failure));
                    self.deadline = Deadline::default();
                }
            }
        }
        match self.to_user.poll_move(cx, service, user) {
            Poll::Ready(Err(failure @ (Operation::Write, _))) => {
                Poll::Ready(RelayEnd::failed(Side::User, failure))
            }
            Poll::Ready(Err(failure)) => Poll::Ready(self.service_ended(Some(failure))),
            // The end of what the service sends: it may still be on its way to the user.
            _ if self.to_user.read_ended() => Poll::Ready(self.service_ended(None)),
            _ => {
                if let Poll::Ready(end) = self.poll_watch(cx) {
                    return Poll::Ready(end);
                }
                self.poll_deadline(cx)
            }
        }
    }

    /// Looks after the sides from which nobody reads, because the other one takes nothing. Once an end is
    /// known, the deadline does that.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<RelayEnd> {
        let is_open = matches!(self.state, State::Open);
        let blocked = [&self.to_service, &self.to_user].map(|direction| is_open && direction.is_blocked());
        let moved = [self.to_service.moved(), self.to_user.moved()];
        let stalled = ready!(self.watch.poll_stalled(cx, blocked.contains(&true), moved));
        let failure = |of: &Option<Stream>| of.as_ref().and_then(Stream::failure);
        if blocked[0]
            && stalled[0]
            && let Some(error) = failure(&self.user)
        {
            // The service has had its time to take what was read.
            let end = RelayEnd::failed(Side::User, (Operation::Read, error));
            self.user = None;
            self.close_service(&end);
            return Poll::Ready(end);
        }
        if blocked[1]
            && stalled[1]
            && let Some(error) = failure(&self.service)
        {
            self.state = State::ServiceGone(RelayError::new(Side::Service, (Operation::Read, error)));
        }
        Poll::Pending
    }

    /// How the relay ends now that nothing more comes from the service.
    fn service_ended(&mut self, failure: Option<Failure>) -> RelayEnd {
        match (mem::replace(&mut self.state, State::Over), failure) {
            // That writing failed was the first sign of the same end.
            (State::ServiceGone(error), _) => RelayEnd::Failed(error),
            (_, Some(failure)) => RelayEnd::failed(Side::Service, failure),
            (_, None) if self.to_service.read_ended() => RelayEnd::Closed { first: Side::User },
            (_, None) => RelayEnd::Closed { first: Side::Service },
        }
    }

    /// Cuts a relay of which one side is gone and which makes no progress.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<RelayEnd> {
        let timeout = match self.state {
            // The user may take what there is as slowly as in the end.
            State::ServiceGone(_) if self.to_user.is_blocked() => self.half_close_timeout.max(GRACE),
            State::ServiceGone(_) => GRACE,
            // Also while the user's end waits in a layer, behind bytes that the service does not take.
            _ if self.to_service.read_ended() => self.half_close_timeout,
            _ => return Poll::Pending,
        };
        ready!(self.deadline.poll_expired(cx, timeout, self.to_user.moved()));
        Poll::Ready(match mem::replace(&mut self.state, State::Over) {
            State::ServiceGone(error) => {
                // A user that takes nothing has had its time.
                if self.to_user.is_blocked()
                    && let Some(user) = self.user.take()
                {
                    user.abandon();
                }
                RelayEnd::Failed(error)
            }
            _ => RelayEnd::HalfCloseTimeout,
        })
    }

    /// Hands over what was read, ends both streams and closes them.
    fn poll_closing(&mut self, cx: &mut Context<'_>, end: &RelayEnd) -> Poll<()> {
        let user_failed = matches!(end, RelayEnd::Failed(RelayError { side: Side::User, .. }));
        match end {
            RelayEnd::HalfCloseTimeout => return Poll::Ready(()),
            RelayEnd::Failed(RelayError { side: Side::Service, .. }) => self.service = None,
            _ if user_failed => self.user = None,
            _ => {}
        }
        if let Some(service) = &mut self.service {
            // Closing a connection that has nothing more to say ends it as well, without a call to the system of its own.
            let closing_ends = self.to_user.read_ended() && service.raw_tcp().is_some();
            let done = if user_failed || closing_ends {
                self.to_service.poll_hand_over(cx, service)
            } else {
                self.to_service.poll_finish(cx, service)
            };
            if done.is_ready() {
                self.close_service(end);
            }
        }
        let mut delivered = true;
        if let Some(user) = &mut self.user {
            match self.to_user.poll_finish(cx, user) {
                Poll::Pending => delivered = false,
                Poll::Ready(Err(_)) => self.user = None,
                // The user has ended too: nothing unread is left behind.
                Poll::Ready(Ok(())) if self.to_service.read_ended() => self.user = None,
                Poll::Ready(Ok(())) => {
                    if poll_discard(cx, user).is_ready() {
                        self.user = None;
                    }
                }
            }
        }
        if self.user.is_none() && self.service.is_none() {
            return Poll::Ready(());
        }
        let progress = self.to_user.moved() + u64::from(delivered);
        let timeout = if delivered { GRACE } else { self.half_close_timeout.max(GRACE) };
        self.deadline.poll_expired(cx, timeout, progress)
    }

    /// A service whose user is gone has to hear of it, even after the user's end was passed on: else it
    /// would go on sending to nobody.
    fn close_service(&mut self, end: &RelayEnd) {
        let closed_in_order = matches!(end, RelayEnd::Closed { .. });
        if let Some(service) = self.service.take()
            && !closed_in_order
        {
            service.abandon();
        }
    }
}

impl Future for Relay {
    type Output = RelayReport;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RelayReport> {
        let this = self.get_mut();
        let end = match mem::replace(&mut this.state, State::Over) {
            State::Over => return Poll::Pending,
            State::Closing(end) => end,
            moving => {
                this.state = moving;
                let end = ready!(this.poll_moving(cx));
                this.deadline = Deadline::default();
                end
            }
        };
        if this.poll_closing(cx, &end).is_pending() {
            this.state = State::Closing(end);
            return Poll::Pending;
        }
        this.state = State::Over;
        this.close_service(&end);
        if let Some(user) = this.user.take()
            && matches!(end, RelayEnd::HalfCloseTimeout)
        {
            user.abandon();
        }
        Poll::Ready(RelayReport { to_service: this.to_service.moved(), to_user: this.to_user.moved(), end })
    }
}

/// Reads until the end and throws away. Ready when there is nothing more to come.
fn poll_discard(cx: &mut Context<'_>, from: &mut Stream) -> Poll<()> {
    let mut buffer = Buffer::take();
    // One buffer per poll is enough: a peer that keeps this busy gets its turn again.
    let mut unread = ReadBuf::new(&mut buffer);
    match ready!(Pin::new(from).poll_read(cx, &mut unread)) {
        Ok(()) if !unread.filled().is_empty() => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        _ => Poll::Ready(()),
    }
}

/// A bound on time without progress. Costs nothing until it is first used.
#[derive(Default)]
struct Deadline(Option<Box<Armed>>);

struct Armed {
    sleep: Pin<Box<Sleep>>,
    since: Instant,
    progress: u64,
}

impl Deadline {
    /// Ready when `progress` has not changed for `timeout`.
    fn poll_expired(&mut self, cx: &mut Context<'_>, timeout: Duration, progress: u64) -> Poll<()> {
        let now = Instant::now();
        let armed = self.0.get_or_insert_with(|| {
            Box::new(Armed { sleep: Box::pin(sleep_until(now + timeout)), since: now, progress })
        });
        if armed.progress != progress {
            armed.progress = progress;
            armed.since = now;
        }
        // Progress only moves `since`; the timer is set anew when it fires, not with every byte.
        loop {
            let due = armed.since + timeout;
            if due < armed.sleep.deadline() {
                armed.sleep.as_mut().reset(due);
            }
            ready!(armed.sleep.as_mut().poll(cx));
            if due <= armed.sleep.deadline() {
                return Poll::Ready(());
            }
            armed.sleep.as_mut().reset(due);
        }
    }
}

impl RelayEnd {
    fn failed(side: Side, failure: Failure) -> Self {
        Self::Failed(RelayError::new(side, failure))
    }
}

impl RelayError {
    fn new(side: Side, (operation, error): Failure) -> Self {
        Self { side, operation, error }
    }
}
