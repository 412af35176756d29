//! Strict rotation: each turn goes to the member that has waited longest.

use std::collections::VecDeque;

/// Members in the order of their turns.
#[derive(Debug)]
pub(crate) struct Rotation<T> {
    next_id: u64,
    waiting: VecDeque<(u64, T)>,
}

impl<T> Default for Rotation<T> {
    fn default() -> Self {
        Self { next_id: 0, waiting: VecDeque::new() }
    }
}

impl<T: Clone> Rotation<T> {
    /// Adds a member behind all others and returns the id by which it leaves.
    pub(crate) fn join(&mut self, member: T) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back((id, member));
        id
    }

    /// Removes a member at once; the turns of the others keep their order.
    pub(crate) fn leave(&mut self, id: u64) {
        self.waiting.retain(|(member, _)| *member != id);
    }

    /// The member whose turn it is, `None` when there is none.
    pub(crate) fn next(&mut self) -> Option<T> {
        let (id, member) = self.waiting.pop_front()?;
        self.waiting.push_back((id, member.clone()));
        Some(member)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(rotation: &mut Rotation<char>, count: usize) -> String {
        (0..count).filter_map(|_| rotation.next()).collect()
    }

    #[test]
    fn turns_go_round() {
        let mut rotation = Rotation::default();
        assert_eq!(rotation.next(), None);
        for member in ['a', 'b', 'c'] {
            rotation.join(member);
        }
        assert_eq!(turns(&mut rotation, 7), "abcabca");
    }

    #[test]
    fn who_leaves_gets_no_further_turn_and_the_others_keep_theirs() {
        let mut rotation = Rotation::default();
        let ids: Vec<u64> = "abc".chars().map(|member| rotation.join(member)).collect();
        assert_eq!(turns(&mut rotation, 1), "a");
        rotation.leave(ids[1]);
        assert_eq!(turns(&mut rotation, 4), "caca");
        rotation.join('d');
        assert_eq!(turns(&mut rotation, 6), "cadcad");
        rotation.leave(ids[0]);
        rotation.leave(ids[2]);
        assert!(!rotation.is_empty());
        assert_eq!(turns(&mut rotation, 2), "dd");
    }
}
