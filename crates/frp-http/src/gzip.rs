//! Bodies that the original's transport asks for compressed and hands on plain.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// Compressed bytes that are fed at once: what comes out of them, at most a thousandfold, is handed on before the next.
const PIECE: usize = 256;

/// Decompresses a gzip stream, several members in a row included.
pub struct Gunzip(MultiGzDecoder<Vec<u8>>);

impl Default for Gunzip {
    fn default() -> Self {
        Self(MultiGzDecoder::new(Vec::new()))
    }
}

impl Gunzip {
    /// Takes some of `input`, writes what comes out of it to `out`, and returns how much was taken.
    ///
    /// # Errors
    /// When it is no gzip, or damaged.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let piece = input.get(..PIECE).unwrap_or(input);
        self.0.write_all(piece)?;
        out.append(self.0.get_mut());
        Ok(piece.len())
    }

    /// Everything was fed; writes what is left to `out`.
    ///
    /// # Errors
    /// When the end is missing.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.0.try_finish()?;
        out.append(self.0.get_mut());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn gunzip(mut data: &[u8]) -> io::Result<Vec<u8>> {
        let (mut gunzip, mut out) = (Gunzip::default(), Vec::new());
        while !data.is_empty() {
            let taken = gunzip.feed(data, &mut out)?;
            data = &data[taken..];
        }
        gunzip.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn bodies() {
        let plain = b"hello gzip ".repeat(5000);
        let packed = gzip(&plain);
        assert_eq!(gunzip(&packed).unwrap(), plain);
        assert_eq!(gunzip(&[gzip(b"a"), gzip(b"b")].concat()).unwrap(), b"ab");
        assert!(gunzip(b"notgz").is_err());
        assert!(gunzip(&packed[..packed.len() - 1]).is_err());
    }
}
