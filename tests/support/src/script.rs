//! What recorded scripts of users and services are made of.

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Recorded bytes: one a character, or a list of such and of repetitions.
///
/// # Errors
/// The value is none of these.
pub fn bytes(value: &Value) -> Result<Vec<u8>> {
    bytes_and(value, &|_| None)
}

/// The same with whatever else `place` knows.
///
/// # Errors
/// As [`bytes`].
pub fn bytes_and(value: &Value, place: &dyn Fn(&Value) -> Option<Vec<u8>>) -> Result<Vec<u8>> {
    if let Some(text) = value.as_str() {
        return text.chars().map(|char| u8::try_from(u32::from(char)).context("a byte")).collect();
    }
    if let Some(list) = value.as_array() {
        let parts = list.iter().map(|part| bytes_and(part, place));
        return Ok(parts.collect::<Result<Vec<_>>>()?.concat());
    }
    if let Some(known) = place(value) {
        return Ok(known);
    }
    let count = value["n"].as_u64().and_then(|count| usize::try_from(count).ok()).context("n")?;
    Ok(bytes_and(&value["rep"], place)?.repeat(count))
}

/// Reads once; true at the end of the connection, however it ends.
pub async fn read(stream: &mut TcpStream, got: &mut Vec<u8>) -> bool {
    matches!(stream.read_buf(got).await, Ok(0) | Err(_))
}

/// Sends byte by byte. What the peer no longer takes is left out.
pub async fn trickle(stream: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes {
        let _ = stream.write_all(&[*byte]).await;
        tokio::task::yield_now().await;
    }
}

/// Where `text` ends in what was got, looked for behind its first `from` bytes.
#[must_use]
pub fn end_of(text: &[u8], got: &[u8], from: usize) -> Option<usize> {
    let found = got.get(from..)?.windows(text.len()).position(|window| window == text);
    found.map(|at| from + at + text.len())
}
