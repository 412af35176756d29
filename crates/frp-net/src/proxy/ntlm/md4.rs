//! MD4 (RFC 1320), which NTLM hashes passwords with. For nothing else: it is broken.

/// The digest of `message`.
pub(super) fn md4(message: &[u8]) -> [u8; 16] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64).wrapping_mul(8).to_le_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.as_chunks::<64>().0 {
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let before = state;
        rounds(&mut state, &words);
        for (now, before) in state.iter_mut().zip(before) {
            *now = now.wrapping_add(before);
        }
    }
    let [a, b, c, d] = state.map(u32::to_le_bytes);
    let mut digest = [0; 16];
    for (to, from) in digest.iter_mut().zip([a, b, c, d].as_flattened()) {
        *to = *from;
    }
    digest
}

type Round = (fn(u32, u32, u32) -> u32, u32, [usize; 16], [u32; 4]);

/// Function, constant, order of words and rotations of each round.
const ROUNDS: [Round; 3] = [
    (|x, y, z| (x & y) | (!x & z), 0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [3, 7, 11, 19]),
    (
        |x, y, z| (x & y) | (x & z) | (y & z),
        0x5a82_7999,
        [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
        [3, 5, 9, 13],
    ),
    (
        |x, y, z| x ^ y ^ z,
        0x6ed9_eba1,
        [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
        [3, 9, 11, 15],
    ),
];

fn rounds(state: &mut [u32; 4], words: &[u32; 16]) {
    for (function, constant, order, rotations) in ROUNDS {
        for (index, rotation) in order.into_iter().zip(rotations.into_iter().cycle()) {
            let [a, b, c, d] = *state;
            let word = words.get(index).copied().unwrap_or_default();
            let mixed = a.wrapping_add(function(b, c, d)).wrapping_add(word).wrapping_add(constant);
            *state = [d, mixed.rotate_left(rotation), b, c];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::md4;

    #[test]
    fn the_examples_of_the_rfc() {
        for (text, digest) in [
            ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
            ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
            ("abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "e33b4ddc9c38f2199c3e7b164fcc0536",
            ),
        ] {
            let hex: String = md4(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, digest);
        }
    }
}
