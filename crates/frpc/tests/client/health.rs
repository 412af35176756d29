//! Health checks, with the shortest times that can be configured.

use tokio::net::TcpListener;

use crate::support::{Frps, HttpService, Log, Text, closed};

#[tokio::test]
async fn a_proxy_comes_and_goes_with_its_tcp_service() {
    let mut log = Log::capture();
    let local = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = local.local_addr().unwrap();
    drop(local);
    let mut frps = Frps::start().await;
    let check = "healthCheck.type = \"tcp\"\nhealthCheck.intervalSeconds = 1";
    let frpc = Text::with_token(&frps).line("user = \"me\"").tcp("web", address.port(), check).start();
    let mut control = frps.accept("0123456789abcdef").await;
    let refused = format!(
        "WARN [0123456789abcdef] [web] do one health check failed: dial tcp {address}: connect: connection refused"
    );
    log.line(&refused).await;

    let local = TcpListener::bind(address).await.unwrap();
    assert_eq!(control.start().await.proxy_name, "me.web");
    log.line("INFO [0123456789abcdef] [web] health check status change to success").await;
    log.line("INFO [0123456789abcdef] [web] health check success").await;
    log.line("INFO [0123456789abcdef] [web] start proxy success").await;

    drop(local);
    assert_eq!(control.withdrawn().await, "me.web");
    log.line(&refused).await;
    log.line("WARN [0123456789abcdef] [web] health check status change to failed").await;
    log.line("INFO [0123456789abcdef] [web] health check failed").await;
    closed(&mut frps.user(&mut control, "me.web").await).await;

    let _local = TcpListener::bind(address).await.unwrap();
    control.start().await;
    log.line("[web] start proxy success").await;
    frpc.stop().await;
}

fn http(frps: &Frps, port: u16, more: &str) -> Text {
    let check = format!(
        "healthCheck.type = \"http\"\nhealthCheck.path = \"health?x=1\"\nhealthCheck.intervalSeconds = 1\n{more}"
    );
    Text::with_token(frps).tcp("web", port, &check)
}

#[tokio::test]
async fn an_http_check_asks_as_the_original_does_over_one_connection() {
    let mut service = HttpService::start().await;
    let mut frps = Frps::start().await;
    let headers = "healthCheck.httpHeaders = [{ name = \"host\", value = \"a.test\" }, { name = \"X-Key\", value = \"1\" }]";
    let frpc = http(&frps, service.port, headers).start();
    let mut control = frps.accept("0123456789abcdef").await;
    let request = service.request().await.to_lowercase();
    assert!(request.starts_with("get /health?x=1 http/1.1\r\n"), "{request}");
    for header in ["host: a.test", "user-agent: go-http-client/1.1", "accept-encoding: gzip", "x-key: 1"] {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{header}: {request}");
    }
    assert_eq!(request.matches("\r\nhost: ").count(), 1);
    service.answer("204 No Content", "").await;
    control.start().await;
    service.request().await;
    service.answer("200 OK", "").await;
    service.request().await;
    assert_eq!(service.connections(), 1);
    service.answer("500 Internal Server Error", "").await;
    control.withdrawn().await;
    frpc.stop().await;
}

#[tokio::test]
async fn an_http_check_follows_redirects_and_wants_a_2xx() {
    let mut log = Log::capture();
    let mut service = HttpService::start().await;
    let mut frps = Frps::start().await;
    let header = "healthCheck.httpHeaders = [{ name = \"Host\", value = \"a.test\" }]";
    let frpc = http(&frps, service.port, header).start();
    let mut control = frps.accept("0123456789abcdef").await;
    service.request().await;
    service.answer("304 Not Modified", "").await;
    log.line("[web] do one health check failed: do http health check, StatusCode is [304] not 2xx").await;
    service.request().await;
    // A URL in the query makes no absolute redirect.
    service.answer("301 Moved Permanently", "Location: /login?next=http://b.test/\r\n").await;
    let request = service.request().await;
    assert!(request.starts_with("GET /login?next=http://b.test/ HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: a.test\r\n"), "{request}");
    service.answer("302 Found", &format!("Location: http://127.0.0.1:{}/there\r\n", service.port)).await;
    let request = service.request().await;
    assert!(request.starts_with("GET /there HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: 127.0.0.1:{}\r\n", service.port)), "{request}");
    service.answer("200 OK", "").await;
    control.start().await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_kept_connection_that_the_service_closed_fails_no_check() {
    let mut log = Log::capture();
    let mut service = HttpService::start().await;
    let mut frps = Frps::start().await;
    let frpc = http(&frps, service.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    for _ in 0..2 {
        service.request().await;
        // Closed after the answer, which does not say so.
        service.answer("200 OK", "Bye: now\r\n").await;
    }
    control.start().await;
    log.line("[web] start proxy success").await;
    service.request().await;
    assert!(!log.has("do one health check failed"), "{:#?}", log.all());
    assert_eq!(service.connections(), 3);
    frpc.stop().await;
}

#[tokio::test]
async fn a_silent_http_service_fails_the_check() {
    let mut log = Log::capture();
    let mut service = HttpService::start().await;
    let mut frps = Frps::start().await;
    let frpc = http(&frps, service.port, "healthCheck.timeoutSeconds = 1").start();
    let _control = frps.accept("0123456789abcdef").await;
    service.request().await;
    log.line(&format!(
        "[web] do one health check failed: Get \"http://127.0.0.1:{}/health?x=1\": context deadline exceeded",
        service.port
    ))
    .await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_udp_proxy_comes_and_goes_with_its_check_and_so_does_its_work_connection() {
    let mut log = Log::capture();
    // The check is a TCP connection to the same port number.
    let local = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = local.local_addr().unwrap();
    let mut frps = Frps::start().await;
    let check = format!(
        "localPort = {}\nremotePort = 6000\nhealthCheck.type = \"tcp\"\nhealthCheck.intervalSeconds = 1",
        address.port()
    );
    let frpc = Text::with_token(&frps).proxy("udp", "dns", &check).start();
    let mut control = frps.accept("0123456789abcdef").await;
    assert_eq!(control.start().await.proxy_type, "udp");
    let mut work = frps.user(&mut control, "dns").await;
    log.line(&format!("[dns] incoming a new work connection for udp proxy, 127.0.0.1:{}", frps.port())).await;
    drop(local);
    assert_eq!(control.withdrawn().await, "dns");
    log.line("INFO [0123456789abcdef] [dns] health check failed").await;
    closed(&mut work).await;
    let _local = TcpListener::bind(address).await.unwrap();
    control.start().await;
    log.line("[dns] start proxy success").await;
    frpc.stop().await;
}
