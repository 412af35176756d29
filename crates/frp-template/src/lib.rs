//! The part of Go's text/template that frp configuration files are rendered with.
