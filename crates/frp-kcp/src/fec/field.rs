//! Arithmetic of the parity: bytes as polynomials modulo x^8 + x^4 + x^3 + x^2 + 1 (0x11d).
//!
//! Products of whole datagrams are sums of doublings, which a compiler turns into vector instructions; a table of
//! products would be read byte by byte.

use super::{DATA, PARITY};

/// What each datagram of data is multiplied with for each one of parity. The lower rows of the systematic matrix that
/// `klauspost/reedsolomon` makes of a Vandermonde matrix for ten and three shards.
pub const ROWS: [[u8; DATA]; PARITY] = [
    [0x81, 0x96, 0xaf, 0xb8, 0xd2, 0xc4, 0xfe, 0xe8, 0x03, 0x02],
    [0x96, 0x81, 0xb8, 0xaf, 0xc4, 0xd2, 0xe8, 0xfe, 0x02, 0x03],
    [0xbf, 0xd6, 0x62, 0x0a, 0x06, 0x6f, 0xdf, 0xb7, 0x05, 0x04],
];

const REDUCTION: u8 = 0x1d;

/// Twice a number.
#[inline]
const fn double(a: u8) -> u8 {
    (a << 1) ^ (REDUCTION & ((a >> 7) ^ 1).wrapping_sub(1))
}

/// The product of two numbers.
#[must_use]
pub const fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = double(a);
        b >>= 1;
    }
    product
}

/// The number with which `a` makes 1. That of 0 is 0, which nobody asks for.
#[must_use]
pub const fn inverse(a: u8) -> u8 {
    // a^254, by the bits of 254 but the lowest.
    let (mut result, mut power, mut bit) = (1, multiply(a, a), 1);
    while bit < 8 {
        result = multiply(result, power);
        power = multiply(power, power);
        bit += 1;
    }
    result
}

/// Adds `from` to `to`.
pub(super) fn add(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to ^= *from;
    }
}

/// Doubles every byte.
fn double_all(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = double(*byte);
    }
}

/// The sum of `shards`, each multiplied with its coefficient. Shorter shards count as if they ended in zeros; none is
/// longer than `sum`.
pub(super) fn combine<'a>(sum: &mut [u8], shards: &(impl Iterator<Item = (u8, &'a [u8])> + Clone)) {
    sum.fill(0);
    for bit in (0..8).rev() {
        if bit != 7 {
            double_all(sum);
        }
        for (coefficient, shard) in shards.clone() {
            if coefficient >> bit & 1 == 1 {
                add(sum, shard);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows below the identity of the Vandermonde matrix (row r, column c: r^c) times the inverse of its top.
    fn systematic() -> Vec<Vec<u8>> {
        let power = |base: u8, exponent: usize| (0..exponent).fold(1, |product, _| multiply(product, base));
        let vandermonde: Vec<Vec<u8>> =
            (0..13).map(|row| (0..DATA).map(|column| power(row, column)).collect()).collect();
        // Gauss and Jordan on the columns: what makes the top an identity makes the rest the wanted rows.
        let mut matrix = vandermonde;
        for at in 0..DATA {
            let pivot = (at..DATA).find(|&column| matrix[at][column] != 0).unwrap();
            for row in &mut matrix {
                row.swap(at, pivot);
            }
            let scale = inverse(matrix[at][at]);
            for row in &mut matrix {
                row[at] = multiply(row[at], scale);
            }
            for column in (0..DATA).filter(|&column| column != at) {
                let factor = matrix[at][column];
                for row in &mut matrix {
                    row[column] ^= multiply(factor, row[at]);
                }
            }
        }
        matrix.split_off(DATA)
    }

    #[test]
    fn the_rows_are_those_of_the_construction() {
        assert_eq!(systematic(), ROWS.map(Vec::from));
    }

    #[test]
    fn every_number_has_its_inverse() {
        assert!((1..=255).all(|a| multiply(a, inverse(a)) == 1));
    }

    #[test]
    fn parity_of_one_to_ten() {
        let bytes: Vec<[u8; 1]> = (1..=10).map(|byte| [byte]).collect();
        let mut sum = [0xaa];
        let parity = ROWS.map(|row| {
            combine(&mut sum, &row.iter().copied().zip(bytes.iter().map(|byte| &byte[..])));
            sum[0]
        });
        assert_eq!(parity, [0x45, 0xf2, 0x12]);
    }
}
