//! Command lines of frps and frpc, with the original's parsing rules and texts.
