//! Frames of the peer.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::Engine;
use super::state::{Fin, Holder, Stream};
use super::table::StreamKey;
use crate::error::{GoAwayReason, ProtocolError, SessionEnd};
use crate::frame::{Flags, HEADER_LEN, Header, Kind};

/// Where in a frame the input stands.
#[derive(Default)]
pub(super) enum Decode {
    /// Before a header.
    #[default]
    Header,
    /// Inside the payload of a data frame.
    Payload {
        /// Whose it is; `None`, or a stream that is over, drops it.
        key: Option<StreamKey>,
        left: u32,
        /// The frame carried FIN, which holds behind its payload.
        fin: bool,
    },
}

impl Engine {
    /// Takes what the transport gave: whole frames, and parts of payloads as they come. Leaves in `input` at most
    /// the beginning of a header.
    ///
    /// # Errors
    /// The session is over.
    pub fn receive(&mut self, input: &mut BytesMut, now: Duration) -> Result<(), SessionEnd> {
        if !input.is_empty() {
            self.deadlines.received(now);
        }
        while !input.is_empty() {
            match self.decode {
                Decode::Header => {
                    let Some(bytes) = input.first_chunk::<HEADER_LEN>() else { return Ok(()) };
                    let header = Header::decode(*bytes).map_err(SessionEnd::Protocol)?;
                    input.advance(HEADER_LEN);
                    self.frame(header, now).inspect_err(|end| self.say_goodbye(end))?;
                }
                Decode::Payload { key, left, fin } => {
                    let part = input.len().min(left as usize);
                    let left = left - u32::try_from(part).unwrap_or(left);
                    let payload = input.split_to(part).freeze();
                    if let Some(key) = key {
                        self.deliver(key, payload, now);
                    }
                    if left > 0 {
                        self.decode = Decode::Payload { key, left, fin };
                        continue;
                    }
                    self.decode = Decode::Header;
                    if fin && let Some(key) = key {
                        self.peer_finished(key);
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells a peer that broke the protocol, as far as that still reaches it.
    fn say_goodbye(&mut self, end: &SessionEnd) {
        if matches!(end, SessionEnd::Protocol(_)) {
            self.push_control(Header::go_away(1));
        }
    }

    fn frame(&mut self, header: Header, now: Duration) -> Result<(), SessionEnd> {
        match header.kind {
            Kind::Data | Kind::WindowUpdate => self.stream_frame(header, now).map_err(SessionEnd::Protocol),
            Kind::Ping if header.flags.has(Flags::SYN) => {
                self.push_control(Header::ping(Flags::ACK, header.length));
                Ok(())
            }
            Kind::Ping => {
                self.ping_answered(header.length, now);
                Ok(())
            }
            Kind::GoAway => match header.length {
                0 => {
                    self.peer_went_away = true;
                    Ok(())
                }
                1 => Err(SessionEnd::GoAway(GoAwayReason::ProtocolError)),
                2 => Err(SessionEnd::GoAway(GoAwayReason::InternalError)),
                code => Err(SessionEnd::GoAway(GoAwayReason::Unknown(code))),
            },
        }
    }

    fn stream_frame(&mut self, header: Header, now: Duration) -> Result<(), ProtocolError> {
        if header.flags.has(Flags::SYN) {
            self.peer_opens(header.stream, now)?;
        }
        let mut key = self.table.by_id(header.stream);
        if let Some(known) = key {
            if header.flags.has(Flags::ACK) {
                self.peer_acknowledges(known, now);
            }
            if header.flags.has(Flags::FIN) && self.table.get(known).is_some_and(|stream| stream.peer_fin) {
                return Err(ProtocolError::UnexpectedFlag);
            }
            if header.flags.has(Flags::RST) {
                self.over(known, true);
                key = None;
            }
        }
        let fin = header.flags.has(Flags::FIN);
        if header.kind == Kind::Data && header.length > 0 {
            if let Some(stream) = key.and_then(|key| self.table.get_mut(key)) {
                if header.length > stream.window.left() {
                    return Err(ProtocolError::WindowExceeded);
                }
                stream.window.received(header.length, now);
                if stream.has_reader() && stream.window.wants_round_trip(&self.budget) {
                    self.deadlines.want_ping();
                }
            }
            // Data for a stream we do not know was sent before the peer heard of its end: dropped as it comes.
            self.decode = Decode::Payload { key, left: header.length, fin };
            return Ok(());
        }
        let Some(key) = key else { return Ok(()) };
        if header.kind == Kind::WindowUpdate
            && header.length > 0
            && let Some(stream) = self.table.get_mut(key)
        {
            stream.credit = stream.credit.saturating_add(header.length);
            self.resume(key);
        }
        if fin {
            self.peer_finished(key);
        }
        Ok(())
    }

    fn peer_opens(&mut self, id: u32, now: Duration) -> Result<(), ProtocolError> {
        if self.table.by_id(id).is_some() {
            return Err(ProtocolError::DuplicateStream);
        }
        if self.inbound >= self.inbound_limit || self.backlog.len() >= self.config.accept_backlog {
            self.push_control(Header::window(id, Flags::RST, 0));
            return Ok(());
        }
        let key = self.table.insert(Stream::new(id, true, Holder::Backlog, now));
        self.inbound += 1;
        self.backlog.push_back(key);
        self.arrivals += 1;
        Ok(())
    }

    fn peer_acknowledges(&mut self, key: StreamKey, now: Duration) {
        // An acknowledgement that nobody asked for means nothing.
        if self.table.get(key).is_some_and(|stream| stream.unacknowledged)
            && let Some(opened) = self.deadlines.opened_at(key)
        {
            self.learn_round_trip(now.saturating_sub(opened));
            self.settle_open(key);
        }
    }

    fn peer_finished(&mut self, key: StreamKey) {
        let Some(stream) = self.table.get_mut(key).filter(|stream| stream.live) else { return };
        stream.peer_fin = true;
        self.wakes.extend(stream.reader.take());
        if stream.fin == Fin::Sent {
            self.over(key, false);
        }
    }

    fn deliver(&mut self, key: StreamKey, payload: Bytes, now: Duration) {
        let Some(stream) = self.table.get_mut(key).filter(|stream| stream.live) else { return };
        match stream.holder {
            Holder::Backlog | Holder::Handle if !stream.peer_fin => {
                stream.active = now;
                stream.received.push(payload);
                self.wakes.extend(stream.reader.take());
            }
            Holder::Delivering if stream.fin != Fin::Sent => stream.reset_owed = true,
            Holder::Abandoned | Holder::Delivering => self.reset(key),
            Holder::Backlog | Holder::Handle | Holder::Gone => {}
        }
    }
}
