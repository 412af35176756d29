//! Byte streams of frp: messages over streams, layers (cipher, snappy, limit), and the relay.
