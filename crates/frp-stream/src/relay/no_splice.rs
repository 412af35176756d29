//! Where there is no `splice(2)`, everything is copied.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

/// The splicing half of a direction, which never has anything to do.
#[derive(Default)]
pub(super) struct Splice;

impl Splice {
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    pub(super) fn is_due(&self) -> bool {
        false
    }

    pub(super) fn saw(&mut self, _full: bool) {}

    pub(super) fn poll_fill(
        &mut self,
        _: &mut Context<'_>,
        _: &TcpStream,
    ) -> Poll<io::Result<Option<usize>>> {
        Poll::Ready(Ok(None))
    }

    pub(super) fn poll_drain(&mut self, _: &mut Context<'_>, _: &TcpStream) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }
}
