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
    for (ends, over) in
        [(finish, None), (write_and_abandon, Some(Over::Finished)), (abandon, Some(Over::Finished))]
    {
        let mut pair = quiet(Config::multiplexed());
        let end = &mut pair.ends[0];
        assert!(end.peer_is_ours);
        ends(end, pair.now);
        // Nothing that is sent arrives.
        let until = pair.now + 60 * SECOND;
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
        assert_eq!((end.over(), end.due(now)), (over, None));
        assert!(steps < 60, "{steps} steps");
    }
}

/// Both ways are cut for so long while something happens at the first end.
fn cut(pair: &mut Pair, duration: Micros, happens: impl FnOnce(&mut Conversation, Micros)) {
    pair.paths.iter_mut().for_each(|path| path.is_cut = true);
    happens(&mut pair.ends[0], pair.now);
    pair.run_for(duration);
    pair.paths.iter_mut().for_each(|path| path.is_cut = false);
}

#[test]
fn an_end_survives_an_outage_as_what_was_written_does() {
    let mut pair = quiet(Config::multiplexed());
    cut(&mut pair, 25 * SECOND, Conversation::finish);
    let limit = pair.now + 5 * SECOND;
    pair.run_until(limit, |pair| pair.ends[1].readable() == Readable::End);
    let mut pair = quiet(Config::multiplexed());
    cut(&mut pair, 6 * SECOND, Conversation::abandon);
    let limit = pair.now + 5 * SECOND;
    pair.run_until(limit, |pair| pair.ends[0].over() == Some(Over::Finished));
    assert_eq!(pair.ends[1].over(), Some(Over::PeerLeft));
}

#[test]
fn an_end_that_was_told_in_vain_is_told_again_when_the_peer_is_heard() {
    let mut pair = quiet(Config::multiplexed());
    cut(&mut pair, 120 * SECOND, Conversation::finish);
    pair.run_for(60 * SECOND);
    assert_eq!(pair.ends[1].readable(), Readable::Nothing);
    pair.write(1, b"still here");
    let limit = pair.now + SECOND;
    pair.run_until(limit, |pair| pair.ends[1].readable() == Readable::End);
}

#[test]
fn who_knows_of_an_end_is_told_until_he_knows_that_nobody_reads() {
    let mut pair = quiet(Config::multiplexed());
    pair.ends[0].finish(pair.now);
    pair.step();
    // The next one is lost, and the first one is answered.
    cut(&mut pair, 0, Conversation::abandon);
    let limit = pair.now + SECOND;
    pair.run_until(limit, |pair| pair.ends[0].over() == Some(Over::Finished));
    assert_eq!(pair.ends[1].over(), Some(Over::PeerLeft));
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

/// A conversation with a stock listener that has heard `hello`, and has said `welcome`.
fn with_stock() -> Pair {
    let mut pair = Pair::of(Config::single(), Config::tunnel(), Link::default());
    pair.write(0, b"hello");
    pair.write(1, b"welcome");
    pair.run_until(SECOND, |pair| {
        pair.read[1] == b"hello"
            && pair.read[0] == b"welcome"
            && pair.ends.iter().all(|end| end.sender.is_done())
    });
    pair.run_for(SECOND);
    pair
}

/// The listener closes it and forgets it, and makes a new conversation of whatever comes of it from now on.
fn forgotten(pair: &mut Pair) {
    pair.ends[1] = Conversation::new(7, Config::tunnel(), 1, pair.now);
    pair.read[1].clear();
}

#[test]
fn what_comes_of_a_conversation_that_a_stock_listener_has_closed_is_refused_at_its_first_byte() {
    let last_words: fn(&mut Pair) = |pair| {
        pair.write(1, b"goodbye");
        pair.step();
        forgotten(pair);
    };
    let data: fn(&mut Pair) = |pair| {
        forgotten(pair);
        pair.write(0, b"goodbye");
    };
    let end: fn(&mut Pair) = |pair| {
        forgotten(pair);
        pair.write(0, b"goodbye");
        pair.step();
        pair.ends[0].abandon(pair.now);
    };
    // Nobody says anything any more, and the peer is asked whether it is there.
    let silence: fn(&mut Pair) = forgotten;
    for (what, limit) in [(last_words, SECOND), (data, SECOND), (end, SECOND), (silence, 31 * SECOND)] {
        let mut pair = with_stock();
        what(&mut pair);
        let limit = pair.now + limit;
        pair.run_until(limit, |pair| !pair.read[1].is_empty());
        assert!(pair.read[1].starts_with(&NO_BEGINNING), "{:?}", pair.read[1]);
        // It is closed each time, and proves no life.
        let until = pair.now + 100 * SECOND;
        while pair.now < until && pair.ends[0].over().is_none() {
            if !pair.read[1].is_empty() {
                assert!(pair.read[1].starts_with(&NO_BEGINNING), "{:?}", pair.read[1]);
                forgotten(&mut pair);
            }
            pair.run_for(5 * MILLISECOND);
        }
        assert!(matches!(pair.ends[0].over(), Some(Over::Silent | Over::Finished)));
    }
}

#[test]
fn a_stock_listener_that_closed_a_conversation_after_one_byte_refuses_the_rest() {
    let mut pair = Pair::of(Config::single(), Config::tunnel(), Link::default());
    pair.write(0, b"h");
    pair.run_until(SECOND, |pair| pair.ends[0].sender.is_done());
    forgotten(&mut pair);
    pair.write(0, b"ello");
    pair.run_until(SECOND, |pair| !pair.read[1].is_empty());
    assert!(pair.read[1].starts_with(&NO_BEGINNING), "{:?}", pair.read[1]);
}

#[test]
fn what_is_written_first_leaves_at_once_in_one_datagram() {
    let mut conversation = Conversation::new(1, Config::single(), 0, 0).with_listener();
    assert_eq!(conversation.write(b"hello"), 5);
    let mut batch = Batch::default();
    conversation.transmit(0, &mut batch);
    let sent: Vec<u32> = batch.datagrams().flat_map(segments).map(|segment| segment.sn).collect();
    assert_eq!((batch.lengths().len(), sent), (1, vec![0, 1]));
}

#[test]
fn a_stock_listener_that_has_the_conversation_reads_nothing_of_what_only_a_new_one_is_for() {
    let mut pair = with_stock();
    pair.sent = Some(Vec::new());
    pair.run_for(100 * SECOND);
    pair.write(1, b" and goodbye");
    pair.run_for(SECOND);
    pair.write(0, b" and goodbye");
    pair.run_for(SECOND);
    assert_eq!(pair.ends.each_ref().map(Conversation::over), [None, None]);
    assert_eq!(pair.read, [b"welcome and goodbye".to_vec(), b"hello and goodbye".to_vec()]);
    let sent = pair.sent.unwrap();
    let again = |(end, datagram): &&(usize, Vec<u8>)| {
        *end == 0
            && segments(datagram).iter().any(|segment| segment.command == Command::Push && segment.sn == 0)
    };
    // With three questions and an acknowledgement.
    assert_eq!(sent.iter().filter(again).count(), 4);
}

#[test]
fn nothing_is_repeated_to_a_listener_of_ours_or_over_a_tunnel() {
    for (other, has_listener) in [(Config::single(), true), (Config::tunnel(), false)] {
        let mut pair = Pair::of(Config::single(), other, Link::default());
        if !has_listener {
            pair.ends[0] = Conversation::new(7, Config::single(), 1, 0);
        }
        pair.sent = Some(Vec::new());
        pair.write(0, b"hello");
        pair.run_for(SECOND);
        pair.write(1, b"welcome");
        pair.run_for(100 * SECOND);
        let sent = pair.sent.unwrap();
        let firsts = sent.iter().filter(|(end, _)| *end == 0).flat_map(|(_, datagram)| segments(datagram));
        let firsts = firsts.filter(|segment| segment.command == Command::Push && segment.sn == 0);
        assert_eq!(firsts.count(), 1);
    }
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
