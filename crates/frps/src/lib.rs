//! The frp server, as a library with a thin main.
