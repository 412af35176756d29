//! Encryption of a proxy's payload (`useEncryption`) and of the v1 control channel: AES-128-CFB.
//!
//! Each direction is an IV of 16 random bytes in clear, sent with the first byte and not before, and
//! then the ciphertext, in one run to the end. There is no integrity check. Upstream `golib` `crypto`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use frp_proto::{
    crypto::{
        Key,
        cfb::{Decryptor, Encryptor},
    },
    limits::IV_LEN,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Io,
    buffer::{Buffer, Pending},
    io::Layer,
};

/// A stream whose bytes are encrypted on the wire.
pub struct Cipher<S> {
    inner: S,
    key: Key,
    reading: Reading,
    writing: Writing,
    /// Encrypted and not yet written.
    output: Pending,
}

enum Reading {
    /// So much of the IV has come.
    Iv { iv: [u8; IV_LEN], len: usize },
    /// The IV was read.
    Data(Box<Decryptor>),
}

enum Writing {
    /// Nothing was written; the IV to begin with.
    Iv([u8; IV_LEN]),
    /// The IV was written.
    Data(Box<Encryptor>),
}

impl<S: Io> Cipher<S> {
    /// Encrypts what is written to `inner`, and decrypts what is read from it, both with `key`.
    pub fn new(inner: S, key: &Key) -> Self {
        Self::with_iv(inner, key, rand::random())
    }

    /// The same with a given IV for what is written. An IV must never be used twice with a key: this
    /// is for comparing with recorded streams.
    pub(crate) fn with_iv(inner: S, key: &Key, iv: [u8; IV_LEN]) -> Self {
        Self {
            inner,
            key: key.clone(),
            reading: Reading::Iv { iv: [0; IV_LEN], len: 0 },
            writing: Writing::Iv(iv),
            output: Pending::default(),
        }
    }

    /// Decrypts `bytes` in place, as read from the wire; returns how many bytes at its end are data.
    fn decrypt(&mut self, bytes: &mut [u8]) -> usize {
        match &mut self.reading {
            Reading::Data(decryptor) => {
                decryptor.apply(bytes);
                bytes.len()
            }
            Reading::Iv { iv, len } => {
                let taken = bytes.len().min(IV_LEN - *len);
                iv[*len..*len + taken].copy_from_slice(&bytes[..taken]);
                *len += taken;
                if *len < IV_LEN {
                    return 0;
                }
                let mut decryptor = Decryptor::new(&self.key, *iv);
                let data = &mut bytes[taken..];
                decryptor.apply(data);
                self.reading = Reading::Data(Box::new(decryptor));
                data.len()
            }
        }
    }
}

impl<S: Layer> Layer for Cipher<S> {
    fn abandon(&mut self) {
        self.inner.abandon();
    }
}

impl<S: Io> AsyncRead for Cipher<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        loop {
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let read = &mut buf.filled_mut()[before..];
            let len = read.len();
            if len == 0 {
                return Poll::Ready(match this.reading {
                    Reading::Iv { len: 1.., .. } => Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => Ok(()),
                });
            }
            let data = this.decrypt(read);
            read.copy_within(len - data.., 0);
            buf.set_filled(before + data);
            if data > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: Io> AsyncWrite for Cipher<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.output.poll_write_to(cx, &mut this.inner))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut buffer = Buffer::take();
        let mut start = 0;
        if let Writing::Iv(iv) = this.writing {
            buffer[..IV_LEN].copy_from_slice(&iv);
            start = IV_LEN;
            this.writing = Writing::Data(Box::new(Encryptor::new(&this.key, iv)));
        }
        let taken = buf.len().min(buffer.len() - start);
        let data = &mut buffer[start..start + taken];
        data.copy_from_slice(&buf[..taken]);
        if let Writing::Data(encryptor) = &mut this.writing {
            encryptor.apply(data);
        }
        this.output.hold(buffer, 0, start + taken);
        // What is not taken now goes before the next write, flush or shutdown ends.
        if let Poll::Ready(Err(error)) = this.output.poll_write_to(cx, &mut this.inner) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_write_to(cx, &mut this.inner))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_write_to(cx, &mut this.inner))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
