//! Seeded random changes to an input. No coverage feedback: that is libFuzzer's trade.

/// A small generator of random numbers (xorshift64*), the same on every machine.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// A generator from a seed; 0 is taken as another number.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 0x9e37_79b9_7f4a_7c15 } else { seed })
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub const fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() >> 8) as usize % bound }
    }
}

/// Longest input that is made.
const MAX_LEN: usize = 16 * 1024;

/// Bytes that parsers of text and of frames react to.
const TOKENS: [&[u8]; 40] = [
    b"null",
    b"true",
    b"false",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"\\ude00",
    b"1",
    b"-",
    b"0",
    b".",
    b"e",
    b"{}",
    b"[]",
    b" ",
    b"\n",
    b"\r\n",
    b"=",
    b"#",
    b"'",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\xa8",
    b"\xed\xa0\x80",
    b"\0",
    b"\0\0\0\0\0\0\0\0",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\x28\0",
    b"\0\0\x28\x01",
    b"{{",
    b"}}",
];

/// A changed copy of one of the seeds, perhaps with a piece of another, or with one of `words`.
#[must_use]
pub fn mutate(seeds: &[Vec<u8>], words: &[&str], random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random| seeds.get(random.below(seeds.len())).map_or(&[][..], Vec::as_slice);
    let token = |random: &mut Random| match words {
        [_, ..] if random.below(2) == 0 => words[random.below(words.len())].as_bytes().to_vec(),
        _ => TOKENS[random.below(TOKENS.len())].to_vec(),
    };
    let mut input = pick(random).to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(10) {
            0 => input.truncate(at),
            1 => drop(input.drain(..at)),
            2 => {
                let end = (at + 1 + random.below(8)).min(input.len());
                drop(input.drain(at..end));
            }
            3 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            4 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.next().to_le_bytes()[0];
                }
            }
            5 => drop(input.splice(at..at, token(random))),
            6 => {
                let token = token(random);
                let end = (at + token.len()).min(input.len());
                drop(input.splice(at..end, token));
            }
            7 => {
                let end = at + random.below(input.len() - at + 1);
                let piece = input[at..end].repeat(1 + random.below(4));
                drop(input.splice(at..at, piece));
            }
            8 => {
                // Deep nesting and long runs come from one short piece, many times.
                let piece = token(random).repeat(1 << random.below(13));
                drop(input.splice(at..at, piece));
            }
            _ => {
                let other = pick(random);
                let from = random.below(other.len() + 1);
                let to = from + random.below(other.len() - from + 1);
                drop(input.splice(at..at, other[from..to].iter().copied()));
            }
        }
        input.truncate(MAX_LEN);
    }
    input
}
