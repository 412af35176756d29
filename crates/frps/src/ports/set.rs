//! A set of ports, as one bit each: 8 KiB for all of them, however the allowed ranges are cut.

const WORDS: usize = 1024;

/// Ports from 0 to 65535.
#[derive(Debug)]
pub(super) struct PortSet {
    words: Box<[u64]>,
    len: u32,
}

impl Default for PortSet {
    fn default() -> Self {
        Self { words: vec![0; WORDS].into_boxed_slice(), len: 0 }
    }
}

impl PortSet {
    pub(super) fn contains(&self, port: u16) -> bool {
        let (word, bit) = place(port);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn insert(&mut self, port: u16) {
        let (word, bit) = place(port);
        if let Some(word) = self.words.get_mut(word)
            && *word & bit == 0
        {
            *word |= bit;
            self.len += 1;
        }
    }

    /// Inserts `start` to `end`, both included; nothing when `end` is the smaller one.
    pub(super) fn insert_range(&mut self, start: u16, end: u16) {
        (start..=end).for_each(|port| self.insert(port));
    }

    pub(super) fn remove(&mut self, port: u16) {
        let (word, bit) = place(port);
        if let Some(word) = self.words.get_mut(word)
            && *word & bit != 0
        {
            *word &= !bit;
            self.len -= 1;
        }
    }

    /// Up to `count` different members, chosen at random.
    pub(super) fn sample(&self, count: usize) -> Vec<u16> {
        let mut ranks = Vec::with_capacity(count);
        while ranks.len() < count.min(self.len as usize) {
            let rank = rand::random_range(0..self.len);
            if !ranks.contains(&rank) {
                ranks.push(rank);
            }
        }
        ranks.into_iter().filter_map(|rank| self.nth(rank)).collect()
    }

    /// The member that has `rank` smaller ones.
    fn nth(&self, mut rank: u32) -> Option<u16> {
        for (index, &word) in self.words.iter().enumerate() {
            if rank < word.count_ones() {
                let mut rest = word;
                for _ in 0..rank {
                    rest &= rest - 1;
                }
                return u16::try_from(index * 64 + rest.trailing_zeros() as usize).ok();
            }
            rank -= word.count_ones();
        }
        None
    }
}

fn place(port: u16) -> (usize, u64) {
    (usize::from(port / 64), 1 << (port % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_holds_different_members_only() {
        let mut set = PortSet::default();
        set.insert_range(10, 13);
        set.insert(65_535);
        set.remove(11);
        set.remove(11);
        let mut sample = set.sample(10);
        sample.sort_unstable();
        assert_eq!(sample, [10, 12, 13, 65_535]);
        assert_eq!(set.sample(2).len(), 2);
        assert!(!set.contains(11));
    }

    #[test]
    fn an_empty_or_reversed_range_is_nothing() {
        let mut set = PortSet::default();
        set.insert_range(5, 4);
        assert!(set.sample(5).is_empty());
    }
}
