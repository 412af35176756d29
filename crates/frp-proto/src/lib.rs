//! The frp wire protocol as pure functions: messages, framing, keys and ciphers; no I/O, clock or task.
