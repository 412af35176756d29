//! A handle that waits while the session is closed, without a driver: small enough for every order there is.

use super::*;

/// Runs `waits`, which must end when the session is closed.
fn closed_under<F: Future<Output = ()> + Send + 'static>(waits: fn(Session) -> F) {
    check_all(move || {
        let (session, driver, _peer) = session(true, 1000, Config { accept_backlog: 1, ..config() });
        let waiting = go(waits(session.clone()));
        session.close();
        waiting.join().unwrap();
        drop(driver);
    });
}

#[test]
fn a_reader() {
    closed_under(|session| async move {
        let Ok(mut stream) = session.open().await else { return };
        assert!(stream.read(&mut [0]).await.is_err());
    });
}

#[test]
fn a_writer() {
    closed_under(|session| async move {
        let Ok(mut stream) = session.open().await else { return };
        while stream.write(b"full").await.is_ok() {}
    });
}

#[test]
fn one_that_opens() {
    closed_under(|session| async move {
        let _first = session.open().await;
        assert!(session.open().await.is_err());
    });
}

#[test]
fn one_that_accepts() {
    closed_under(|session| async move { assert!(session.accept().await.is_none()) });
}

#[test]
fn one_that_waits_for_the_end() {
    closed_under(|session| async move { assert!(matches!(session.closed().await, SessionEnd::Closed)) });
}
