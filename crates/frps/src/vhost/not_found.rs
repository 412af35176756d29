//! What a user is told that asks for a domain of nobody. Upstream `pkg/util/vhost/resource.go`.

use bytes::Bytes;
use tracing::warn;

use crate::COMPATIBLE_VERSION;

/// Our own page.
const PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Not Found</title>
<style>body { max-width: 36em; margin: 4em auto; padding: 0 1em; font-family: sans-serif; line-height: 1.5; }</style>
</head>
<body>
<h1>Nothing here</h1>
<p>No service is offered under this address at the moment. If it is yours, see whether its frpc is running and
connected, and whether the domain is spelled as in its configuration.</p>
</body>
</html>
";

/// The page: the file `custom404Page`, read anew each time, or our own when `file` is empty or cannot be read.
pub(crate) async fn page(file: &str) -> Bytes {
    if !file.is_empty() {
        match tokio::fs::read(file).await {
            Ok(page) => return page.into(),
            Err(error) => warn!("read custom 404 page error: {error}"),
        }
    }
    Bytes::from_static(PAGE.as_bytes())
}

/// A whole answer with the page, after which the connection is closed.
pub(crate) async fn response(file: &str) -> Vec<u8> {
    let page = page(file).await;
    let head = format!(
        "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\nContent-Type: text/html\r\nServer: frp/{COMPATIBLE_VERSION}\r\n\r\n",
        page.len()
    );
    [head.as_bytes(), &page].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_of_the_operator_or_ours() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "mine").unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        assert_eq!(page(&path).await, "mine");
        std::fs::write(&file, "changed").unwrap();
        let response = String::from_utf8(response(&path).await).unwrap();
        let expected = "HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\nContent-Type: text/html\r\n\
            Server: frp/0.70.1\r\n\r\nchanged";
        assert_eq!(response, expected);
        drop(file);
        assert!(page(&path).await.starts_with(b"<!DOCTYPE html>"));
        assert_eq!(page("").await, PAGE);
    }
}
