//! The parts of a conversation that keep state: what is sent, what is received, how long it takes, how fast it may go.

pub(crate) mod pace;
pub(crate) mod receiver;
pub(crate) mod rtt;
pub(crate) mod sender;

/// A full number of which only the low half was sent, next to one that is known.
pub(crate) fn expand(near: u64, low: u32) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    let distance = low.wrapping_sub(near as u32).cast_signed();
    near.checked_add_signed(i64::from(distance))
}

/// The half of a number that is sent.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
pub(crate) const fn low(number: u64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_expanded_next_to_a_known_one() {
        let wrap = 1 << 32;
        for (near, full) in [(0, 5), (wrap - 2, wrap + 3), (wrap + 3, wrap - 2), (wrap, wrap), (7, 0)] {
            assert_eq!(expand(near, low(full)), Some(full));
        }
        // Before the first.
        assert_eq!(expand(0, u32::MAX), None);
    }
}
