//! How long a round trip takes, and how long to wait for an acknowledgement (RFC 6298, as kcp-go `update_ack` does it).

use crate::Micros;
use crate::config::INTERVAL;

/// Before anything is known. kcp-go `IKCP_RTO_DEF`.
const FIRST: Micros = 200_000;
/// kcp-go `IKCP_RTO_NDL`, which `nodelay` chooses.
const LEAST: Micros = 30_000;
/// kcp-go `IKCP_RTO_MAX`.
const MOST: Micros = 60_000_000;

#[derive(Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Micros>,
    variation: Micros,
}

impl Rtt {
    pub(crate) fn sample(&mut self, rtt: Micros) {
        let Some(smoothed) = &mut self.smoothed else {
            self.smoothed = Some(rtt);
            self.variation = rtt / 2;
            return;
        };
        let deviation = smoothed.abs_diff(rtt);
        *smoothed = (*smoothed * 7 + rtt) / 8;
        // A sample far below everything says little about those to come.
        let weight = if rtt < smoothed.saturating_sub(self.variation) { 32 } else { 4 };
        self.variation = (self.variation * (weight - 1) + deviation) / weight;
    }

    /// Nothing before the first sample.
    pub(crate) const fn smoothed(&self) -> Option<Micros> {
        self.smoothed
    }

    pub(crate) fn timeout(&self) -> Micros {
        let Some(smoothed) = self.smoothed else { return FIRST };
        #[expect(clippy::cast_possible_truncation, reason = "it is 20 ms")]
        let interval = INTERVAL.as_micros() as Micros;
        (smoothed + interval.max(4 * self.variation)).clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_round_trips() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(), FIRST);
        rtt.sample(100_000);
        assert_eq!(rtt.timeout(), 300_000);
        for _ in 0..100 {
            rtt.sample(100_000);
        }
        assert_eq!(rtt.timeout(), 120_000);
        for _ in 0..100 {
            rtt.sample(100);
        }
        assert_eq!(rtt.timeout(), LEAST);
        rtt.sample(600_000_000);
        assert_eq!(rtt.timeout(), MOST);
    }
}
