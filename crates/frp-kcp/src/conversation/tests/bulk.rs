//! Bytes arrive as they were written, whatever the path does, and fast enough.

use proptest::prelude::*;

use super::*;

/// Sends both ways and checks what arrives.
fn exchange(mut pair: Pair, there: usize, back: usize) -> Pair {
    let [one, other] = [bytes(there), bytes(back)];
    pair.write(0, &one);
    pair.write(1, &other);
    pair.run_until(600 * SECOND, |pair| pair.read[1].len() >= there && pair.read[0].len() >= back);
    assert!(pair.read[1] == one && pair.read[0] == other, "bytes differ");
    pair
}

#[test]
fn bytes_arrive_over_a_clean_path() {
    exchange(Pair::new(Config::multiplexed(), Link::default()), 3_000_000, 1_000_000);
}

#[test]
fn bytes_arrive_over_a_bad_path() {
    for seed in 1..6 {
        let link = Link {
            delay: 20 * MILLISECOND,
            jitter: 15 * MILLISECOND,
            loss: 1500,
            duplicates: 1000,
            seed,
            ..Link::default()
        };
        exchange(Pair::new(Config::single(), link), 300_000, 200_000);
    }
}

#[test]
fn numbers_and_times_wrap() {
    let link = Link { delay: 5 * MILLISECOND, loss: 500, jitter: 3 * MILLISECOND, ..Link::default() };
    for (first, ts_base) in [(u64::from(u32::MAX) - 100, u32::MAX - 200), (u64::from(u32::MAX), u32::MAX)] {
        let config = Config::multiplexed();
        exchange(Pair::starting_at(config.clone(), config, link.clone(), first, ts_base), 800_000, 800_000);
    }
}

#[test]
fn a_stock_window_is_respected() {
    let pair =
        exchange(Pair::of(Config::multiplexed(), Config::tunnel(), Link::default()), 4_000_000, 4_000_000);
    assert!(!pair.ends[0].peer_is_ours && pair.ends[1].peer_is_ours);
}

/// Half the round trip in milliseconds, loss in ten thousandths, and the Mb/s of payload that are expected at least
/// where the path carries 200 Mb/s, of which three thirteenths are parity, and with the beginning. The original's windows
/// carry 45 Mb/s and 11 Mb/s over 100 ms, from the server and from the client, and a third of that over 300 ms.
const CELLS: [(Micros, u64, u64); 9] = [
    (10, 0, 120),
    (10, 10, 120),
    (10, 100, 115),
    (50, 0, 90),
    (50, 10, 90),
    (50, 100, 85),
    (150, 0, 40),
    (150, 10, 40),
    (150, 100, 40),
];

#[test]
fn a_long_path_is_filled() {
    for (delay, loss, expected) in CELLS {
        let link = Link {
            delay: delay * MILLISECOND,
            loss,
            rate: Some(25_000_000),
            // 50 ms.
            queue: 1_250_000,
            ..Link::default()
        };
        let mut pair = Pair::new(Config::multiplexed(), link);
        let count = 24_000_000;
        pair.write(0, &bytes(count));
        pair.run_until(60 * SECOND, |pair| pair.read[1].len() >= count);
        let rate = count as u64 * 8 / pair.now;
        let overhead = pair.paths[0].bytes * 100 / count as u64;
        let dropped = pair.paths[0].dropped;
        assert!(rate >= expected, "{} ms, {loss}: {rate} Mb/s, {dropped} dropped", 2 * delay);
        assert!(overhead < 160, "{overhead} %");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn bytes_arrive(
        delay in 0_u64..100, jitter in 0_u64..50, loss in 0_u64..3000, duplicates in 0_u64..2000,
        rate in prop::option::of(20_000_u64..10_000_000), there in 0_usize..100_000, back in 0_usize..100_000,
        seed in any::<u64>(), stock in any::<bool>(),
    ) {
        let link = Link {
            delay: delay * MILLISECOND, jitter: jitter * MILLISECOND, loss, duplicates, rate, queue: 100_000, seed,
        };
        let other = if stock { Config::tunnel() } else { Config::single() };
        exchange(Pair::of(Config::single(), other, link), there, back);
    }
}
