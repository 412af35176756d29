//! The unit of a conversation: 24 bytes and what they announce, all numbers little endian (kcp-go `kcp.go`, `encode`).

/// Bytes before the payload.
pub const OVERHEAD: usize = 24;

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Bytes of the stream.
    Push,
    /// One segment has come.
    Ack,
    /// Asks for the window of the other end. Whoever has the conversation answers, which makes it a sign of life.
    Ask,
    /// Tells one's own window. Stock peers look at nothing else of it.
    Tell,
}

impl Command {
    const fn byte(self) -> u8 {
        match self {
            Self::Push => 81,
            Self::Ack => 82,
            Self::Ask => 83,
            Self::Tell => 84,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            81 => Self::Push,
            82 => Self::Ack,
            83 => Self::Ask,
            84 => Self::Tell,
            _ => return None,
        })
    }
}

/// A segment without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Which conversation; the client chose it.
    pub conv: u32,
    /// What it is.
    pub command: Command,
    /// Pieces of the message that follow; 0 in stream mode. With [`Command::Tell`] it is ours, see
    /// [`crate::conversation`].
    pub fragment: u8,
    /// Segments that the sender has room for.
    pub window: u16,
    /// When it was sent, in the sender's milliseconds; an acknowledgement repeats it.
    pub ts: u32,
    /// Its number, counted from 0.
    pub sn: u32,
    /// The number of the first segment that the sender still waits for.
    pub una: u32,
}

/// A segment, its payload, and what follows in the datagram.
pub type Decoded<'a> = (Segment, &'a [u8], &'a [u8]);

/// A datagram that is no row of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Segment {
    /// Appends the segment's header.
    pub fn encode(&self, length: usize, out: &mut Vec<u8>) {
        let mut head = [0; OVERHEAD];
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let fields: [&[u8]; 8] = [
            &self.conv.to_le_bytes(),
            &[self.command.byte(), self.fragment],
            &self.window.to_le_bytes(),
            &self.ts.to_le_bytes(),
            &self.sn.to_le_bytes(),
            &self.una.to_le_bytes(),
            &length.to_le_bytes(),
            &[],
        ];
        for (byte, value) in head.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *value;
        }
        out.extend_from_slice(&head);
    }

    /// The first segment of a datagram, its payload, and what follows. Nothing, at the end of the datagram; bytes that
    /// are too few for a header are its end, too.
    ///
    /// # Errors
    /// An unknown command, or a payload longer than the datagram.
    pub fn decode(bytes: &[u8]) -> Result<Option<Decoded<'_>>, Malformed> {
        let Some((head, rest)) = bytes.split_first_chunk::<OVERHEAD>() else { return Ok(None) };
        let [
            c0,
            c1,
            c2,
            c3,
            command,
            fragment,
            w0,
            w1,
            t0,
            t1,
            t2,
            t3,
            s0,
            s1,
            s2,
            s3,
            u0,
            u1,
            u2,
            u3,
            lens @ ..,
        ] = *head;
        let segment = Self {
            conv: u32::from_le_bytes([c0, c1, c2, c3]),
            command: Command::from_byte(command).ok_or(Malformed)?,
            fragment,
            window: u16::from_le_bytes([w0, w1]),
            ts: u32::from_le_bytes([t0, t1, t2, t3]),
            sn: u32::from_le_bytes([s0, s1, s2, s3]),
            una: u32::from_le_bytes([u0, u1, u2, u3]),
        };
        let length = u32::from_le_bytes(lens) as usize;
        let (payload, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        Ok(Some((segment, payload, rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: &str = "44332211510000020000000000000000000000000500000068656c6c6f";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_push_is_that_of_kcp_go() {
        let segment = Segment {
            conv: 0x1122_3344,
            command: Command::Push,
            fragment: 0,
            window: 512,
            ts: 0,
            sn: 0,
            una: 0,
        };
        let mut bytes = Vec::new();
        segment.encode(5, &mut bytes);
        bytes.extend_from_slice(b"hello");
        assert_eq!(bytes, hex(PUSH));
        assert_eq!(Segment::decode(&bytes), Ok(Some((segment, &b"hello"[..], &[][..]))));
    }

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        let bytes = hex(PUSH);
        for length in 0..OVERHEAD {
            assert_eq!(Segment::decode(&bytes[..length]), Ok(None));
        }
        for length in OVERHEAD..bytes.len() {
            assert_eq!(Segment::decode(&bytes[..length]), Err(Malformed));
        }
        let mut unknown = bytes;
        unknown[4] = 80;
        assert_eq!(Segment::decode(&unknown), Err(Malformed));
    }
}
