use super::*;

fn server() -> ServerTls {
    ServerTls::new(&ServerTlsOptions::default()).unwrap()
}

/// Accepts by the first byte what `client` sends, and echoes a byte.
async fn accepted<F: Future<Output = io::Result<()>>>(
    force: bool,
    client: impl FnOnce(Stream) -> F,
) -> (io::Result<Security>, io::Result<()>) {
    let (near, far) = tokio::io::duplex(4096);
    let server = async {
        let (mut stream, security) = accept_by_first_byte(Stream::boxed(far), &server(), force).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await?;
        Ok(security)
    };
    tokio::join!(server, client(Stream::boxed(near)))
}

async fn echo(mut stream: Stream, byte: u8) -> io::Result<()> {
    stream.write_u8(byte).await?;
    assert_eq!(stream.read_u8().await?, byte);
    Ok(())
}

async fn over_tls(mut stream: Stream, marked: bool) -> io::Result<()> {
    let tls = ClientTls::new(&ClientTlsOptions::default()).unwrap();
    if marked {
        write_marker(&mut stream).await?;
    }
    echo(tls.connect(stream).await?, 7).await
}

#[tokio::test]
async fn the_first_byte_decides() {
    for force in [false, true] {
        let (security, client) = accepted(force, |stream| over_tls(stream, false)).await;
        client.unwrap();
        assert_eq!(security.unwrap(), Security::Tls);
        let (security, client) = accepted(force, |stream| over_tls(stream, true)).await;
        client.unwrap();
        assert_eq!(security.unwrap(), Security::MarkedTls);
    }
}

#[tokio::test]
async fn a_plain_connection_keeps_its_first_byte() {
    for byte in [0, b'o', 0x15, 0x18, 0xff] {
        let (security, client) = accepted(false, |stream| echo(stream, byte)).await;
        client.unwrap();
        assert_eq!(security.unwrap(), Security::Plain);
    }
}

#[tokio::test]
async fn force_refuses_plain_connections() {
    let (security, client) = accepted(true, |stream| echo(stream, b'o')).await;
    assert_eq!(security.unwrap_err().to_string(), "non-TLS connection received on a TlsOnly server");
    client.unwrap_err();
}

#[tokio::test]
async fn nothing_at_all_is_an_end() {
    let (security, _) = accepted(false, |stream| async {
        drop(stream);
        Ok(())
    })
    .await;
    assert_eq!(security.unwrap_err().to_string(), "EOF");
}
