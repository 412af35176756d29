//! Authentication of both programs: token digests and token sources.
