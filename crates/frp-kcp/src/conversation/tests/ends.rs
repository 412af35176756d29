//! How conversations end, and what they do when nothing happens.

use std::time::Duration;

use super::*;
use crate::segment::Segment;

fn quiet(config: Config) -> Pair {
    let mut pair = Pair::new(config, Link::default());
    pair.write(0, b"hello");
    pair.run_until(SECOND, |pair| pair.read[1] == b"hello" && pair.ends[0].sender.is_done());
    pair
}

/// Segments of a datagram.
fn segments(datagram: &[u8]) -> Vec<Segment> {
    let mut rest = Datagram::parse(datagram).and_then(|datagram| datagram.segments()).unwrap_or_default();
    let mut all = Vec::new();
    while let Ok(Some((segment, _, after))) = Segment::decode(rest) {
        all.push(segment);
        rest = after;
    }
    all
}

#[test]
fn an_idle_conversation_wants_nothing() {
    let mut pair = quiet(Config::multiplexed());
    pair.run_for(10 * SECOND);
    assert_eq!(pair.ends.each_ref().map(|end| end.due(pair.now)), [None, None]);
    let steps = pair.steps;
    assert!(steps < 40, "{steps} steps");
}

#[test]
fn an_end_is_read_after_everything_before_it() {
    for loss in [0, 2000] {
        let link = Link { loss, ..Link::default() };
        let mut pair = Pair::new(Config::single(), link);
        let all = bytes(100_000);
        pair.write(0, &all);
        pair.run_until(20 * SECOND, |pair| pair.written[0] == all.len());
        pair.ends[0].finish(pair.now);
        pair.run_until(20 * SECOND, |pair| pair.ends[1].readable() == Readable::End);
        assert!(pair.read[1] == all);
        // The other direction goes on.
        pair.write(1, &all);
        pair.run_until(40 * SECOND, |pair| pair.read[0].len() == all.len());
        pair.ends[1].abandon(pair.now);
        pair.ends[0].abandon(pair.now);
        pair.run_until(80 * SECOND, |pair| pair.ends.iter().all(|end| end.over().is_some()));
    }
}

#[test]
fn who_leaves_is_noticed_and_what_was_sent_before_arrives() {
    let mut pair = quiet(Config::single());
    let all = bytes(50_000);
    pair.write(0, &all);
    pair.run_until(SECOND, |pair| pair.written[0] == all.len() + 5);
    pair.ends[0].abandon(pair.now);
    pair.run_until(5 * SECOND, |pair| pair.ends[0].over() == Some(Over::Finished));
    assert_eq!(pair.ends[1].over(), Some(Over::PeerLeft));
    assert!(pair.read[1][5..] == all && pair.ends[1].readable() == Readable::End);
}

#[test]
fn a_stock_peer_is_told_nothing_that_it_does_not_know() {
    let mut pair = Pair::of(Config::single(), Config::tunnel(), Link::default());
    pair.sent = Some(Vec::new());
    pair.write(0, b"hello");
    pair.run_until(SECOND, |pair| pair.read[1] == b"hello");
    pair.ends[0].finish(pair.now);
    pair.run_for(SECOND);
    pair.ends[0].abandon(pair.now);
    pair.run_until(60 * SECOND, |pair| pair.ends[0].over() == Some(Over::Finished));
    let sent = pair.sent.unwrap();
    assert!(sent.iter().flat_map(|(_, datagram)| segments(datagram)).all(|segment| segment.fragment == 0));
    assert_eq!(pair.ends[1].readable(), Readable::Nothing);
}

#[test]
fn an_end_that_nobody_answers_is_not_told_without_a_pause() {
    let finish: fn(&mut Conversation, Micros) = |end, now| end.finish(now);
    let write_and_abandon: fn(&mut Conversation, Micros) = |end, now| {
        assert_eq!(end.write(b"lost"), 4);
        end.abandon(now);
    };
    let abandon: fn(&mut Conversation, Micros) = |end, now| end.abandon(now);
    for (ends, over) in [(finish, None), (write_and_abandon, None), (abandon, Some(Over::Finished))] {
        let mut pair = quiet(Config::multiplexed());
        let end = &mut pair.ends[0];
        assert!(end.peer_is_ours);
        ends(end, pair.now);
        // Nothing that is sent arrives.
        let until = pair.now + 9 * SECOND;
        let mut steps = 0;
        let mut batch = Batch::default();
        let mut now = pair.now;
        while now < until {
            end.transmit(now, &mut batch);
            steps += 1;
            let Some(due) = end.due(now) else { break };
            assert!(due > now, "due again at once in step {steps}");
            now = due;
        }
        assert_eq!((end.end.as_ref().map(|end| end.left), end.over()), (Some(0), over));
        assert!(steps < 60, "{steps} steps");
    }
}

#[test]
fn a_silent_peer_is_dead_after_a_while_and_not_before() {
    for (cut, is_dead) in [(25 * SECOND, false), (45 * SECOND, true)] {
        let mut pair = quiet(Config::multiplexed());
        pair.paths.iter_mut().for_each(|path| path.is_cut = true);
        let all = bytes(2_000_000);
        pair.write(0, &all);
        pair.run_for(cut);
        assert_eq!(pair.ends[0].over() == Some(Over::Silent), is_dead);
        // Into a hole goes little.
        assert!(pair.paths[0].bytes < 1_500_000, "{} bytes", pair.paths[0].bytes);
        if is_dead {
            assert_eq!(pair.ends[0].due(pair.now), None);
        } else {
            pair.paths.iter_mut().for_each(|path| path.is_cut = false);
            let limit = pair.now + 10 * SECOND;
            pair.run_until(limit, |pair| pair.read[1].len() == all.len() + 5);
        }
    }
}

#[test]
fn who_has_nothing_to_say_is_asked() {
    let mut pair = quiet(Config::single());
    pair.run_for(300 * SECOND);
    assert_eq!(pair.ends.each_ref().map(Conversation::over), [None, None]);
    pair.paths.iter_mut().for_each(|path| path.is_cut = true);
    pair.run_for(25 * SECOND);
    assert_eq!(pair.ends[0].over(), None);
    pair.run_for(40 * SECOND);
    assert_eq!(pair.ends.each_ref().map(Conversation::over), [Some(Over::Silent); 2]);
}

#[test]
fn a_peer_that_has_forgotten_us_is_no_sign_of_life() {
    let mut pair = quiet(Config::single());
    // As kcp-go does: whoever writes to a listener begins a conversation, and this one answers questions.
    pair.ends[1] = Conversation::new(7, Config::tunnel(), 1, pair.now);
    pair.run_for(100 * SECOND);
    assert_eq!(pair.ends[0].over(), Some(Over::Silent));
}

#[test]
fn a_reader_that_stops_stops_the_writer_and_lets_it_go_on() {
    for loss in [0, 3000] {
        let config = Config { receive_window: 1200, ..Config::multiplexed() };
        let mut pair = Pair::new(config, Link { loss, ..Link::default() });
        let all = bytes(5_000_000);
        pair.reads[1] = false;
        pair.write(0, &all);
        pair.run_for(20 * SECOND);
        assert!(pair.ends[1].receiver.room() == 0 && pair.written[0] < all.len());
        pair.reads[1] = true;
        pair.read_available(1);
        let limit = pair.now + 60 * SECOND;
        pair.run_until(limit, |pair| pair.read[1].len() == all.len());
        assert!(pair.read[1] == all);
    }
}

#[test]
fn keepalive_is_off_where_something_above_pings() {
    assert_eq!(Config::multiplexed().keepalive, None);
    assert_eq!(Config::single().keepalive, Some(Duration::from_secs(30)));
}
