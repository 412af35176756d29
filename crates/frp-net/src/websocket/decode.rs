//! What arrives, without I/O: frames in, their payload out, in the same place.

use super::Role;
use super::frame::{FrameError, Header, MAX_CONTROL, MAX_HEADER, Opcode, apply_mask};

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer sent a close frame.
    Closed,
    /// The peer broke the protocol.
    Broken(FrameError),
}

/// Turns the bytes of frames into those of their payload. Holds a header or the payload of a control frame, and
/// nothing else.
#[derive(Debug)]
pub struct Decoder {
    /// Who reads.
    role: Role,
    state: State,
    /// The start of a header, or of the payload of a control frame.
    held: [u8; MAX_CONTROL],
    held_len: usize,
    ping: Option<Vec<u8>>,
}

#[derive(Debug)]
enum State {
    Header,
    /// In the payload of a data frame: the bytes to come, and the mask for the first of them.
    Data(u64, [u8; 4]),
    /// In the payload of a control frame: its whole length.
    Control(Opcode, usize, [u8; 4]),
    End(End),
}

impl Decoder {
    /// For the end `role` of a connection, at its first frame.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self { role, state: State::Header, held: [0; MAX_CONTROL], held_len: 0, ping: None }
    }

    /// Takes bytes as they were received, and leaves the payload of data frames at their front: so many bytes. What
    /// comes behind the end is dropped.
    pub fn decode(&mut self, bytes: &mut [u8]) -> usize {
        let (mut read, mut written) = (0, 0);
        while read < bytes.len() {
            match self.state {
                State::End(_) => break,
                State::Header => {
                    let rest = bytes.get(read..).unwrap_or_default();
                    read += self.header(rest);
                }
                State::Data(left, mask) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - read);
                    if read != written {
                        bytes.copy_within(read..read + count, written);
                    }
                    if mask != [0; 4] {
                        apply_mask(bytes.get_mut(written..written + count).unwrap_or_default(), mask);
                    }
                    read += count;
                    written += count;
                    let mut mask = mask;
                    mask.rotate_left(count % 4);
                    let left = left - count as u64;
                    self.state = if left == 0 { State::Header } else { State::Data(left, mask) };
                }
                State::Control(..) => {
                    let rest = bytes.get(read..).unwrap_or_default();
                    read += self.control(rest);
                }
            }
        }
        written
    }

    /// Takes bytes of a header, and says how many.
    fn header(&mut self, bytes: &[u8]) -> usize {
        let held = self.held_len;
        let count = self.hold(bytes, MAX_HEADER);
        let whole = Header::parse(self.held.get(..self.held_len).unwrap_or_default());
        let (header, length) = match whole {
            Ok(Some(whole)) => whole,
            Ok(None) => return count,
            Err(error) => {
                self.state = State::End(End::Broken(error));
                return count;
            }
        };
        self.held_len = 0;
        self.state = if header.mask.is_some() != (self.role == Role::Server) {
            State::End(End::Broken(FrameError::Mask))
        } else {
            let mask = header.mask.unwrap_or_default();
            match usize::try_from(header.length) {
                Ok(length) if header.opcode.is_control() => State::Control(header.opcode, length, mask),
                _ if header.length == 0 => State::Header,
                _ => State::Data(header.length, mask),
            }
        };
        if matches!(self.state, State::Control(_, 0, _)) {
            self.control(&[]);
        }
        length - held
    }

    /// Takes bytes of the payload of a control frame, and says how many.
    fn control(&mut self, bytes: &[u8]) -> usize {
        let State::Control(opcode, length, mask) = self.state else { return 0 };
        let count = self.hold(bytes, length);
        if self.held_len == length {
            self.held_len = 0;
            self.state = State::Header;
            match opcode {
                Opcode::Close => self.state = State::End(End::Closed),
                Opcode::Ping => {
                    let mut payload = self.held.get(..length).unwrap_or_default().to_vec();
                    apply_mask(&mut payload, mask);
                    self.ping = Some(payload);
                }
                _ => {}
            }
        }
        count
    }

    /// Keeps bytes until there are `wanted`, and says how many it took.
    fn hold(&mut self, bytes: &[u8], wanted: usize) -> usize {
        let count = bytes.len().min(wanted.saturating_sub(self.held_len));
        let room = self.held.get_mut(self.held_len..self.held_len + count).unwrap_or_default();
        room.copy_from_slice(bytes.get(..count).unwrap_or_default());
        self.held_len += count;
        count
    }

    /// The payload of the last ping that has not been answered.
    pub fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    /// Whether the stream may end here without having lost anything.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Header | State::End(_)) && self.held_len == 0
    }

    /// Why nothing more comes.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        if let State::End(end) = self.state { Some(end) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::frame;
    use super::*;

    /// The payload of pieces, one after the other.
    fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        for piece in pieces {
            let mut piece = piece.to_vec();
            let count = decoder.decode(&mut piece);
            all.extend_from_slice(&piece[..count]);
        }
        all
    }

    #[test]
    fn a_stream_of_every_kind_of_frame_cut_anywhere() {
        for role in [Role::Client, Role::Server] {
            let mask = (role == Role::Server).then_some([9, 8, 7, 250]);
            let long: Vec<u8> = (0..300_u32).map(|n| n.to_le_bytes()[0]).collect();
            let mut wire = Vec::new();
            wire.extend(frame(Opcode::Text, false, b"\xff\xfe", mask));
            wire.extend(frame(Opcode::Ping, true, b"are you there", mask));
            wire.extend(frame(Opcode::Continuation, true, b"abc", mask));
            wire.extend(frame(Opcode::Binary, true, b"", mask));
            wire.extend(frame(Opcode::Pong, true, b"", mask));
            wire.extend(frame(Opcode::Binary, true, &long, mask));
            let body = wire.len();
            wire.extend(frame(Opcode::Close, true, &[3, 232], mask));
            wire.extend(frame(Opcode::Binary, true, b"too late", mask));
            let expected = [b"\xff\xfeabc", &long[..]].concat();
            for cut in 0..=wire.len() {
                let mut decoder = Decoder::new(role);
                assert_eq!(decode(&mut decoder, &[&wire[..cut], &wire[cut..]]), expected, "{cut}");
                assert_eq!(decoder.end(), Some(End::Closed));
                assert_eq!(decoder.take_ping().unwrap(), b"are you there");
            }
            let bytes: Vec<&[u8]> = wire[..body].chunks(1).collect();
            let mut decoder = Decoder::new(role);
            assert_eq!(decode(&mut decoder, &bytes), expected);
            assert!(decoder.is_between_frames() && decoder.end().is_none());
        }
    }

    #[test]
    fn what_came_before_a_fault_is_kept() {
        let mut wire = frame(Opcode::Binary, true, b"good", None);
        wire.extend(frame(Opcode::Binary, true, b"masked", Some([1; 4])));
        let mut decoder = Decoder::new(Role::Client);
        assert_eq!(decode(&mut decoder, &[&wire]), b"good");
        assert_eq!(decoder.end(), Some(End::Broken(FrameError::Mask)));
        let mut decoder = Decoder::new(Role::Server);
        assert_eq!(decode(&mut decoder, &[&wire]), b"");
        assert_eq!(decoder.end(), Some(End::Broken(FrameError::Mask)));
    }

    #[test]
    fn a_frame_of_any_announced_length_takes_no_room() {
        let (head, end) =
            Header { fin: true, opcode: Opcode::Binary, mask: None, length: i64::MAX as u64 }.encode();
        let mut decoder = Decoder::new(Role::Client);
        assert_eq!(decode(&mut decoder, &[&head[..end], b"some"]), b"some");
        assert!(!decoder.is_between_frames());
    }
}
