//! Datagrams on their way out.

/// Datagrams that stand one after the other, as a socket takes them in one call.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lengths: Vec<usize>,
}

impl Batch {
    /// The bytes of all datagrams.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How long each of them is.
    #[must_use]
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Forgets them and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lengths.clear();
    }

    /// Gives the room back.
    pub(crate) fn release(&mut self) {
        *self = Self::default();
    }

    /// Each datagram in its order.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        self.lengths.iter().map_while(move |&length| {
            let (datagram, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(datagram)
        })
    }
}
