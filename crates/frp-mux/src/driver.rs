//! The one task of a session: moves bytes between the transport and the engine, and keeps the engine's time.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::SessionEnd;
use crate::engine::Outgoing;
use crate::input::{Input, READ_BUFFER};
use crate::shared::Shared;
use crate::sync::{Sleep, sleep_until};
use crate::turns::Turns;

/// One read of a quiet session, which then needs no buffer while it waits.
const QUIET_READ: usize = 4 * 1024;
/// So many small reads in a row make a session quiet again.
const QUIET_AFTER: u32 = 16;
/// A busy session that has nothing to do for this long gives its buffers back.
const TRIM_AFTER: Duration = Duration::from_secs(1);
/// Slices in one vectored write.
const SLICES: usize = 64;
/// Writes and reads before others on the runtime get a turn.
const ROUNDS: usize = 8;
/// How long a closing session may take to send what is queued and to see the peer close too.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// Reads and writes the transport of one session until the session is over. The owner spawns it; dropping it closes
/// the transport and ends the session.
#[must_use = "a session does nothing until its driver runs"]
pub struct Driver<T> {
    io: T,
    shared: Arc<Shared>,
    write_timeout: Duration,
    input: Input,
    /// Whether reads are large enough to be worth a buffer, and how many small ones came in a row.
    busy: bool,
    small_reads: u32,
    out: Outgoing,
    unflushed: bool,
    /// Too many answers to the peer are unsent to read more of it.
    paused: bool,
    /// Since when the transport has taken nothing.
    stalled: Option<Duration>,
    trim_at: Option<Duration>,
    turns: Turns,
    closing: Option<Closing>,
    timer: Option<Pin<Box<Sleep>>>,
    timer_at: Option<Duration>,
    wakes: Vec<Waker>,
}

struct Closing {
    reason: SessionEnd,
    deadline: Duration,
    /// All is sent, and the transport was told so; it may take its time.
    shutting_down: bool,
    shut_down: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    pub(crate) fn new(io: T, shared: Arc<Shared>, write_timeout: Duration) -> Self {
        let out = Outgoing::new(io.is_write_vectored());
        Self {
            io,
            shared,
            write_timeout,
            input: Input::default(),
            busy: false,
            small_reads: 0,
            out,
            unflushed: false,
            paused: false,
            stalled: None,
            trim_at: None,
            turns: Turns::default(),
            closing: None,
            timer: None,
            timer_at: None,
            wakes: Vec::new(),
        }
    }

    /// One write and one read. Says whether there may be more to do at once.
    fn step(&mut self, cx: &mut Context<'_>, now: Duration) -> Result<bool, SessionEnd> {
        self.on_time(now)?;
        self.gather(now)?;
        let wrote = self.write(cx, now)?;
        if self.closing.is_some() {
            return self.wind_up(cx).map(|more| more || wrote);
        }
        Ok(self.read(cx, now)? || wrote)
    }

    fn write(&mut self, cx: &mut Context<'_>, now: Duration) -> Result<bool, SessionEnd> {
        let wrote = !self.out.is_empty();
        if wrote {
            let written = if self.io.is_write_vectored() {
                let mut slices = [io::IoSlice::new(&[]); SLICES];
                let used = self.out.slices(&mut slices);
                Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..used])
            } else {
                Pin::new(&mut self.io).poll_write(cx, self.out.first())
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(transport(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.out.advance(count);
                    self.unflushed = true;
                    self.stalled = None;
                }
                Poll::Ready(Err(error)) => return Err(transport(error)),
                Poll::Pending => {
                    self.stalled.get_or_insert(now);
                    self.out.slow_down();
                    return Ok(false);
                }
            }
        }
        if self.out.is_empty() && self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    self.stalled = None;
                    self.out.speed_up();
                    return Ok(true);
                }
                Poll::Ready(Err(error)) => return Err(transport(error)),
                Poll::Pending => {
                    self.stalled.get_or_insert(now);
                    self.out.slow_down();
                    return Ok(false);
                }
            }
        }
        Ok(wrote)
    }

    /// Whether something was given to the transport that it has not taken.
    fn is_blocked(&self) -> bool {
        !self.out.is_empty() || self.unflushed
    }

    /// Whether the transport may be given more: it has taken everything, and is not shut down.
    fn takes_more(&self) -> bool {
        !self.is_blocked() && self.closing.as_ref().is_none_or(|closing| !closing.shutting_down)
    }

    /// Takes what the streams have to send, and notices deadlines and a session that was closed.
    fn gather(&mut self, now: Duration) -> Result<(), SessionEnd> {
        let mut state = self.shared.lock();
        state.driver_runs();
        if self.closing.is_none() && (state.end.is_some() || state.is_orphaned()) {
            let reason = state.end.get_or_insert(SessionEnd::Closed).clone();
            self.closing = Some(Closing {
                reason,
                deadline: now + CLOSE_WITHIN,
                shutting_down: false,
                shut_down: false,
            });
        }
        let due = state.engine.next_timeout().is_some_and(|at| at <= now);
        let in_time = if due { state.engine.handle_timeout(now) } else { Ok(()) };
        // What a layer below still holds goes first: behind it, everything would only wait in a longer line.
        if self.takes_more() && state.engine.wants_transmit() {
            let frames = state.engine.transmit(&mut self.out, now);
            self.turns.gathered(frames, self.out.len());
        }
        self.paused = state.engine.reading_paused();
        state.engine.take_wakes(&mut self.wakes);
        let acknowledged = state.engine.take_acknowledged();
        drop(state);
        self.after(acknowledged, 0);
        in_time
    }

    /// Reads once. Says whether something came.
    fn read(&mut self, cx: &mut Context<'_>, now: Duration) -> Result<bool, SessionEnd> {
        let room = if self.busy { READ_BUFFER } else { QUIET_READ };
        let count = match self.read_input(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => return Err(SessionEnd::PeerClosed),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Err(transport(error)),
        };
        if count >= room.min(READ_BUFFER / 8) {
            self.busy = true;
            self.small_reads = 0;
        } else if self.busy {
            self.small_reads += 1;
            self.busy = self.small_reads < QUIET_AFTER;
        }
        self.trim_at = None;
        let mut state = self.shared.lock();
        let received = state.engine.receive(&mut self.input.buffer, now);
        state.engine.take_wakes(&mut self.wakes);
        let acknowledged = state.engine.take_acknowledged();
        let arrivals = state.engine.take_arrivals();
        drop(state);
        self.after(acknowledged, arrivals);
        received.map(|()| true)
    }

    fn read_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.paused {
            // The answers that go out make room; the driver looks again after each write.
            return Poll::Pending;
        }
        if self.busy {
            self.input.make_room();
            return pin!(self.io.read_buf(&mut self.input.buffer)).poll(cx);
        }
        let mut bytes = [MaybeUninit::uninit(); QUIET_READ];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        std::task::ready!(Pin::new(&mut self.io).poll_read(cx, &mut bytes))?;
        self.input.buffer.extend_from_slice(bytes.filled());
        Poll::Ready(Ok(bytes.filled().len()))
    }

    /// Wakes whom the engine named, with the lock free.
    fn after(&mut self, acknowledged: usize, arrivals: usize) {
        if acknowledged > 0 {
            self.shared.opens.add_permits(acknowledged);
        }
        if arrivals > 0 {
            self.shared.arrived.notify_waiters();
        }
        self.wakes.drain(..).for_each(Waker::wake);
    }

    /// The session is closed on our side: sends what is left, then closes, then waits for the peer to close, because
    /// closing a socket while input waits would cost the peer what it has not read.
    fn wind_up(&mut self, cx: &mut Context<'_>) -> Result<bool, SessionEnd> {
        let all_sent = self.takes_more() && !self.shared.lock().engine.wants_transmit();
        let Some(closing) = &mut self.closing else { return Ok(false) };
        let failed = |_| closing.reason.clone();
        closing.shutting_down |= all_sent;
        if closing.shutting_down && !closing.shut_down {
            match Pin::new(&mut self.io).poll_shutdown(cx).map_err(failed)? {
                Poll::Ready(()) => closing.shut_down = true,
                Poll::Pending => {}
            }
        }
        let mut bytes = [MaybeUninit::uninit(); QUIET_READ];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        match Pin::new(&mut self.io).poll_read(cx, &mut bytes).map_err(|_| closing.reason.clone())? {
            Poll::Ready(()) if bytes.filled().is_empty() => Err(closing.reason.clone()),
            Poll::Ready(()) => Ok(true),
            Poll::Pending => Ok(false),
        }
    }

    /// The deadlines that are not the engine's.
    fn on_time(&mut self, now: Duration) -> Result<(), SessionEnd> {
        if self.timer_at.is_some_and(|at| at <= now) {
            self.timer_at = None;
        }
        if let Some(closing) = &self.closing
            && closing.deadline <= now
        {
            return Err(closing.reason.clone());
        }
        if self.stalled.is_some_and(|since| since + self.write_timeout <= now) {
            return Err(SessionEnd::WriteTimeout);
        }
        if self.trim_at.is_some_and(|at| at <= now) {
            self.busy = false;
            self.trim_at = None;
            self.out.release();
            self.input.release();
        }
        Ok(())
    }

    /// Prepares to sleep. `false` when something came up in between.
    fn sleep(&mut self, cx: &mut Context<'_>, now: Duration) -> bool {
        if self.busy && self.trim_at.is_none() {
            self.trim_at = Some(now + TRIM_AFTER);
        }
        let mut state = self.shared.lock();
        let takes_more = self.takes_more();
        let closes = self.closing.is_none() && (state.end.is_some() || state.is_orphaned());
        if closes || takes_more && state.engine.wants_transmit() {
            return false;
        }
        state.driver_sleeps(cx.waker(), !takes_more);
        let next = state.engine.next_timeout();
        drop(state);
        let stall = self.stalled.map(|since| since + self.write_timeout);
        let closing = self.closing.as_ref().map(|closing| closing.deadline);
        let next = [next, stall, closing, self.trim_at].into_iter().flatten().min();
        if let Some(at) = next
            && self.timer_at.is_none_or(|set| at < set)
        {
            let instant = self.shared.instant(at);
            self.timer_at = Some(at);
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(instant),
                None => self.timer = Some(Box::pin(sleep_until(instant))),
            }
        }
        // A timer that was set for something that is settled by now rings early: harmless, and cheaper than moving it.
        match &mut self.timer {
            Some(timer) if self.timer_at.is_some() => timer.as_mut().poll(cx).is_pending(),
            _ => true,
        }
    }
}

fn transport(error: io::Error) -> SessionEnd {
    SessionEnd::Transport(Arc::new(error))
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Driver<T> {
    type Output = SessionEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        let this = self.get_mut();
        if !this.is_blocked() && this.closing.is_none() && this.turns.comes_last(&this.shared) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        for _ in 0..ROUNDS {
            let now = this.shared.now();
            match this.step(cx, now) {
                Ok(true) => {}
                Ok(false) if this.sleep(cx, now) => return Poll::Pending,
                Ok(false) => {}
                Err(reason) => return Poll::Ready(this.finish(cx, reason)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    fn finish(&mut self, cx: &mut Context<'_>, reason: SessionEnd) -> SessionEnd {
        if matches!(reason, SessionEnd::Protocol(_)) {
            // The goaway that names the fault; it goes if it can go at once.
            let _ = self.gather(self.shared.now());
            while let Poll::Ready(Ok(count)) = Pin::new(&mut self.io).poll_write(cx, self.out.first())
                && count > 0
            {
                self.out.advance(count);
            }
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
        self.shared.end(reason)
    }
}

impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        self.shared.end(SessionEnd::Closed);
        self.shared.lock().engine.stop_sending();
    }
}

impl<T> std::fmt::Debug for Driver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("unsent", &self.out.len()).finish_non_exhaustive()
    }
}
