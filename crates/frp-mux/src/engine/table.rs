//! The streams of a session: by key for their handles and the engine's lists, by id for frames.

use std::collections::HashMap;

use super::state::Stream;

/// Names one stream of an engine. A key outlives its stream harmlessly: it never names a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKey {
    slot: u32,
    generation: u32,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    stream: Option<Box<Stream>>,
}

/// All streams that someone still cares for. A stream the peer may still send frames for also has its id here;
/// one that is over on the wire has lost it, so that the peer may use the id again.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ids: HashMap<u32, StreamKey>,
}

impl Table {
    /// Adds a stream under its id, which must not be in use.
    pub(super) fn insert(&mut self, stream: Stream) -> StreamKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let id = stream.id;
        let place = &mut self.slots[slot as usize];
        place.stream = Some(Box::new(stream));
        let key = StreamKey { slot, generation: place.generation };
        self.ids.insert(id, key);
        key
    }

    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        let slot = self.slots.get(key.slot as usize)?;
        slot.stream.as_deref().filter(|_| slot.generation == key.generation)
    }

    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        slot.stream.as_deref_mut()
    }

    pub(super) fn by_id(&self, id: u32) -> Option<StreamKey> {
        self.ids.get(&id).copied()
    }

    /// Streams that live on the wire.
    pub(super) fn live(&self) -> usize {
        self.ids.len()
    }

    /// Forgets the id of a stream: frames for it are ignored from now on.
    pub(super) fn forget_id(&mut self, id: u32) {
        self.ids.remove(&id);
        if self.ids.is_empty() && self.ids.capacity() > 1024 {
            self.ids = HashMap::new();
        }
    }

    /// Takes a stream out for good; its id must be forgotten already.
    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Box<Stream>> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let stream = slot.stream.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(stream)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().filter_map(|slot| slot.stream.as_deref_mut())
    }
}
