//! The frp client, as a library with a thin main.
