//! Finds the groups among the datagrams that come, and what is missing of them.
//!
//! Where a group begins is not said anywhere. kcp-go leaves parity out when a group fills slowly, and does not skip its
//! numbers then, so that groups of a stock peer may begin anywhere; what lies around a datagram of parity shows where
//! its group does.

use std::collections::VecDeque;

use super::{DATA, DATA_NUMBERS, GROUP, LONGEST, PARITY, PARITY_NUMBERS, field};

/// Datagrams that are kept: three groups. kcp-go `rxFECMulti`.
const KEPT: usize = 3 * (DATA + PARITY);
/// Complete groups whose late datagrams are known.
const REMEMBERED: usize = 4;
/// Numbers further back than this are of a peer that has begun anew.
const FAR: u32 = 1 << 16;

/// The receiving half. Holds no more than three groups of datagrams.
#[derive(Debug, Default)]
pub struct Decoder {
    /// In the order of their numbers.
    items: VecDeque<Item>,
    /// How many of them are parity.
    parities: usize,
    /// Where the last complete groups began.
    complete: VecDeque<u32>,
    /// Where groups begin modulo their length, by the last of them.
    phase: u32,
    free: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Item {
    sequence: u32,
    is_parity: bool,
    body: Vec<u8>,
}

impl Decoder {
    /// Takes a datagram. `recovered` is called with the bodies that it makes known, each with its size at the front and
    /// perhaps zeros at its end; a peer may have made them of anything.
    pub fn receive(&mut self, sequence: u32, body: &[u8], is_parity: bool, mut recovered: impl FnMut(&[u8])) {
        if body.len() > LONGEST || !self.insert(sequence, body, is_parity) || self.parities == 0 {
            return;
        }
        if is_parity {
            self.attempt(sequence, &mut recovered);
            return;
        }
        // It may be the one that the parity after it was waiting for.
        for distance in 1..GROUP {
            let parity = sequence.wrapping_add(distance);
            if self.items.iter().any(|item| item.is_parity && item.sequence == parity)
                && self.attempt(parity, &mut recovered)
            {
                return;
            }
        }
    }

    /// Gives everything back.
    pub(crate) fn trim(&mut self) {
        self.items = VecDeque::new();
        self.free = Vec::new();
        self.parities = 0;
    }

    /// Whether there is anything to give back.
    pub(crate) fn is_trimmed(&self) -> bool {
        self.items.capacity() == 0 && self.free.is_empty()
    }

    fn insert(&mut self, sequence: u32, body: &[u8], is_parity: bool) -> bool {
        if self.complete.iter().any(|&start| sequence.wrapping_sub(start) < GROUP) {
            return false;
        }
        if let Some(last) = self.items.back() {
            let ahead = sequence.wrapping_sub(last.sequence);
            if ahead > FAR && ahead < u32::MAX - FAR {
                while self.drop_first() {}
                self.complete.clear();
            }
        }
        let later = self.items.iter().rev().take_while(|item| is_after(item.sequence, sequence)).count();
        let at = self.items.len() - later;
        if at
            .checked_sub(1)
            .and_then(|before| self.items.get(before))
            .is_some_and(|item| item.sequence == sequence)
        {
            return false;
        }
        if self.items.len() >= KEPT {
            if at == 0 {
                return false;
            }
            self.drop_first();
        }
        let at = self.items.len() - later;
        let mut kept = self.free.pop().unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(body);
        self.items.insert(at, Item { sequence, is_parity, body: kept });
        self.parities += usize::from(is_parity);
        true
    }

    fn drop_first(&mut self) -> bool {
        let Some(item) = self.items.pop_front() else { return false };
        self.recycle(item);
        true
    }

    fn recycle(&mut self, item: Item) {
        self.parities -= usize::from(item.is_parity);
        if self.free.len() < KEPT {
            self.free.push(item.body);
        }
    }

    /// Completes the group of a datagram of parity, if it is known and enough of it is here.
    fn attempt(&mut self, parity: u32, recovered: &mut impl FnMut(&[u8])) -> bool {
        let Some(start) = self.start_of(parity) else { return false };
        let members = || self.items.iter().filter(|item| item.sequence.wrapping_sub(start) < GROUP);
        let data = members().filter(|item| !item.is_parity).count();
        if members().count() < DATA {
            return false;
        }
        if data < DATA {
            let mut shards = [const { None }; DATA + PARITY];
            for item in members() {
                if let Some(shard) = shards.get_mut(item.sequence.wrapping_sub(start) as usize) {
                    *shard = Some(item.body.as_slice());
                }
            }
            reconstruct(&shards, recovered);
        }
        self.phase = start % GROUP;
        if self.complete.len() == REMEMBERED {
            self.complete.pop_front();
        }
        self.complete.push_back(start);
        let mut at = 0;
        while let Some(item) = self.items.get(at) {
            if item.sequence.wrapping_sub(start) >= GROUP {
                at += 1;
            } else if let Some(item) = self.items.remove(at) {
                self.recycle(item);
            }
        }
        true
    }

    /// Where the group of a datagram of parity begins, as far as that can be told.
    fn start_of(&self, parity: u32) -> Option<u32> {
        let starts = (0..PARITY_NUMBERS).map(|index| parity.wrapping_sub(DATA_NUMBERS + index));
        let fitting = starts.filter(|&start| self.may_begin(start));
        let follows = |start: &u32| self.complete.iter().any(|&before| before.wrapping_add(GROUP) == *start);
        let mut both = fitting.clone();
        if let Some(start) = fitting.clone().find(follows) {
            return Some(start);
        }
        if let Some(start) = fitting.clone().find(|start| start % GROUP == self.phase) {
            return Some(start);
        }
        both.next().filter(|_| both.next().is_none())
    }

    /// Whether everything that is here may belong to a group that begins there, or be outside of it.
    fn may_begin(&self, start: u32) -> bool {
        let overlaps = |&before: &u32| {
            let distance = start.wrapping_sub(before);
            !(GROUP..=u32::MAX - GROUP + 1).contains(&distance)
        };
        !self.complete.iter().any(overlaps)
            && self.items.iter().all(|item| match item.sequence.wrapping_sub(start) {
                0..DATA_NUMBERS | GROUP => !item.is_parity,
                DATA_NUMBERS..GROUP => item.is_parity,
                _ => true,
            })
    }
}

const fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

/// Computes the missing datagrams of data; there are as many of parity, at least.
fn reconstruct(shards: &[Option<&[u8]>; DATA + PARITY], recovered: &mut impl FnMut(&[u8])) {
    let (data, parity) = shards.split_at(DATA);
    let missing: Vec<usize> = (0..DATA).filter(|&at| data.get(at).is_some_and(Option::is_none)).collect();
    let rows = parity.iter().zip(&field::ROWS).filter_map(|(shard, row)| Some(((*shard)?, row)));
    let rows: Vec<(&[u8], &[u8; DATA])> = rows.take(missing.len()).collect();
    let length = rows.iter().map(|(shard, _)| shard.len()).max().unwrap_or(0);
    if rows.iter().any(|(shard, _)| shard.len() != length)
        || data.iter().flatten().any(|shard| shard.len() > length)
    {
        return;
    }
    let coefficients = rows
        .iter()
        .map(|(_, row)| missing.iter().map(|&at| row.get(at).copied().unwrap_or_default()).collect())
        .collect();
    let Some(solution) = inverted(coefficients) else { return };
    // What is left of each parity without the data that is here.
    let rests: Vec<Vec<u8>> = rows
        .iter()
        .map(|(shard, row)| {
            let mut rest = vec![0; length];
            let known =
                row.iter().zip(data).filter_map(|(&coefficient, shard)| Some((coefficient, (*shard)?)));
            field::combine(&mut rest, &known);
            field::add(&mut rest, shard);
            rest
        })
        .collect();
    let mut body = vec![0; length];
    for row in &solution {
        field::combine(&mut body, &row.iter().copied().zip(rests.iter().map(Vec::as_slice)));
        recovered(&body);
    }
}

/// The inverse of a square matrix of no more than three rows.
fn inverted(mut matrix: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let size = matrix.len();
    for (at, row) in matrix.iter_mut().enumerate() {
        row.extend((0..size).map(|column| u8::from(column == at)));
    }
    for at in 0..size {
        let pivot = (at..size).find(|&row| matrix.get(row).and_then(|row| row.get(at)) != Some(&0))?;
        matrix.swap(at, pivot);
        let scale = field::inverse(*matrix.get(at)?.get(at)?);
        let scaled: Vec<u8> = matrix.get(at)?.iter().map(|&value| field::multiply(value, scale)).collect();
        for row in &mut matrix {
            let factor = *row.get(at)?;
            for (value, scaled) in row.iter_mut().zip(&scaled) {
                *value ^= field::multiply(factor, *scaled);
            }
        }
        *matrix.get_mut(at)? = scaled;
    }
    Some(matrix.into_iter().map(|row| row.into_iter().skip(size).collect()).collect())
}

#[cfg(test)]
mod tests;
