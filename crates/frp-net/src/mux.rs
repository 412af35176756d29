//! A stream of a multiplexed connection as a stream like any other.

use frp_mux::MuxStream;
use frp_stream::Stream;
use frp_stream::io::PieceIo;

/// The bytes of a mux stream pass a relay without a copy, and a peer that nobody reads is told so.
static MUX_STREAM: PieceIo<MuxStream> = PieceIo {
    abandon: MuxStream::abandon,
    read: MuxStream::poll_read_piece,
    write: MuxStream::poll_write_bytes,
};

/// Wraps a mux stream for everything that works on a [`Stream`].
#[must_use]
pub fn stream(stream: MuxStream) -> Stream {
    Stream::boxed_pieces(stream, &MUX_STREAM)
}
