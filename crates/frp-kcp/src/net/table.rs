//! Which conversation a datagram is of.
//!
//! An address has one conversation, as with kcp-go. Another one that begins there takes its place, but not before its
//! peer is proven to be there: anybody can write another's address on a datagram.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use super::shared::{Closed, Shared};
use crate::fec::Datagram;
use crate::segment::{Command, Segment};

/// A conversation begins with one of these: nobody sends more before it was answered (kcp-go `IKCP_WND_RCV`), and the
/// first may be late.
const FIRST_SEGMENTS: u32 = 32;

#[derive(Default)]
pub(super) struct Table {
    peers: HashMap<SocketAddr, Peer>,
    /// In the order in which they came.
    unproven: BTreeMap<u64, SocketAddr>,
    next_id: u64,
}

#[derive(Default)]
struct Peer {
    proven: Option<Entry>,
    candidate: Option<Entry>,
}

struct Entry {
    id: u64,
    conv: u32,
    shared: Arc<Shared>,
}

/// Where a datagram belongs.
pub(super) enum Found<'a> {
    Known(&'a Arc<Shared>),
    /// It begins this conversation.
    Begins(u32),
    Nowhere,
}

impl Table {
    pub(super) fn find(&self, from: SocketAddr, datagram: &[u8]) -> Found<'_> {
        let Some(datagram) = Datagram::parse(datagram) else { return Found::Nowhere };
        let peer = self.peers.get(&from);
        let entries = || peer.into_iter().flat_map(|peer| [&peer.proven, &peer.candidate]).flatten();
        let Some(segments) = datagram.segments() else {
            // Parity does not say of which it is.
            return entries().next().map_or(Found::Nowhere, |entry| Found::Known(&entry.shared));
        };
        let Ok(Some((segment, payload, _))) = Segment::decode(segments) else { return Found::Nowhere };
        if let Some(entry) = entries().find(|entry| entry.conv == segment.conv) {
            return Found::Known(&entry.shared);
        }
        let first = if peer.is_none() { FIRST_SEGMENTS } else { 1 };
        let begins =
            segment.command == Command::Push && segment.sn < first && segment.una == 0 && !payload.is_empty();
        if begins { Found::Begins(segment.conv) } else { Found::Nowhere }
    }

    /// Adds a conversation that begins. Its number in the table, and those that have to go for it: the last one of this
    /// address that is not proven, and the oldest of all if there are more than `most`.
    pub(super) fn add(&mut self, from: SocketAddr, conv: u32, shared: Arc<Shared>, most: usize) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let peer = self.peers.entry(from).or_default();
        if let Some(before) = peer.candidate.replace(Entry { id, conv, shared }) {
            self.unproven.remove(&before.id);
            before.shared.close(Closed::Replaced);
        }
        self.unproven.insert(id, from);
        if self.unproven.len() > most
            && let Some((oldest, address)) = self.unproven.pop_first()
            && let Some(peer) = self.peers.get_mut(&address)
        {
            if let Some(entry) = peer.candidate.take_if(|entry| entry.id == oldest) {
                entry.shared.close(Closed::Replaced);
            }
            self.forget_if_empty(address);
        }
        id
    }

    /// The peer of this conversation is where it says it is.
    pub(super) fn prove(&mut self, from: SocketAddr, shared: &Arc<Shared>) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if let Some(entry) = peer.candidate.take_if(|entry| Arc::ptr_eq(&entry.shared, shared)) {
            self.unproven.remove(&entry.id);
            if let Some(before) = peer.proven.replace(entry) {
                before.shared.close(Closed::Replaced);
            }
        }
    }

    /// The conversation is over.
    pub(super) fn remove(&mut self, from: SocketAddr, id: u64) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.proven.take_if(|entry| entry.id == id);
        peer.candidate.take_if(|entry| entry.id == id);
        self.unproven.remove(&id);
        self.forget_if_empty(from);
    }

    fn forget_if_empty(&mut self, address: SocketAddr) {
        if self.peers.get(&address).is_some_and(|peer| peer.proven.is_none() && peer.candidate.is_none()) {
            self.peers.remove(&address);
        }
    }
}
