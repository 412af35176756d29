//! yamux: many streams over one connection, a core without I/O and a thin tokio side.
