//! The one task of a session.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::SessionEnd;

/// Reads and writes the transport of one session until the session is over. The owner spawns it; dropping it ends
/// the session.
#[derive(Debug)]
#[must_use = "a session does nothing until its driver runs"]
pub struct Driver<T> {
    #[expect(dead_code, reason = "the engine behind it follows")]
    pub(crate) io: T,
}

impl<T: Unpin> Future for Driver<T> {
    type Output = SessionEnd;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<SessionEnd> {
        Poll::Ready(SessionEnd::Closed)
    }
}
