//! What users of an http proxy see: for each request the answers must be those that the site itself gives, but for the
//! headers that a gateway is there to change.

use anyhow::{Context, Result, ensure};
use frp_test_support::http::{Answer, Connection, Head};
use frp_test_support::kind::{Doors, Kind};
use frp_test_support::programs::{Maker, Role};
use frp_test_support::scripted::Step;
use frp_test_support::service::{Gate, Service};
use frp_test_support::tunnel::{Setting, Tunnel};
use frp_test_support::{skipped, traffic, within};
use tokio::io::AsyncWriteExt;

const SETTING: Setting = Setting { tls: true, mux: true, encryption: false, compression: false };
const HOST: &str = "site.test";

/// A tunnel to one site.
struct Site {
    tunnel: Tunnel,
    direct: u16,
    public: u16,
    service: Service,
}

impl Site {
    async fn start(service: Service) -> Result<Self> {
        let doors = Doors::free();
        let proxy = Kind::Http.proxy("site", service.port(), HOST);
        let tunnel = Tunnel::start_with(SETTING, &[proxy], &doors.ini(), "").await?;
        Ok(Self { tunnel, direct: service.port(), public: doors.http, service })
    }
}

/// Requests on one connection, sent in one piece, and what is known of the difference.
struct Case {
    name: &'static str,
    /// The method of each request, which says what kind of answer comes.
    methods: &'static [&'static str],
    bytes: Vec<u8>,
    /// What the original is known to do otherwise.
    original: Option<&'static str>,
    /// The site tells no length, and the gateway has to.
    reframed: bool,
}

/// A case of one request or of several in one piece.
fn case(name: &'static str, methods: &'static [&'static str], bytes: impl Into<Vec<u8>>) -> Case {
    Case { name, methods, bytes: bytes.into(), original: None, reframed: false }
}

/// A `GET` of a path.
fn get(name: &'static str, path: &str) -> Case {
    case(name, &["GET"], format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
}

/// A request with further lines behind `Host`, the empty line and the body included.
fn request(name: &'static str, method: &'static [&'static str], path: &str, rest: &str) -> Case {
    let word = method.first().copied().unwrap_or_default();
    case(name, method, format!("{word} {path} HTTP/1.1\r\nHost: {HOST}\r\n{rest}"))
}

impl Case {
    fn original(mut self, why: &'static str) -> Self {
        self.original = Some(why);
        self
    }

    fn reframed(mut self) -> Self {
        self.reframed = true;
        self
    }
}

/// What a user saw: every answer, and whether the connection then ended.
#[derive(Debug, PartialEq)]
struct Seen {
    answers: Vec<Answer>,
    /// Only looked at when the last answer, or its want, ends the connection.
    ended: bool,
}

async fn see(port: u16, case: &Case) -> Result<Seen> {
    let mut connection = Connection::open(port).await?;
    connection.send(&case.bytes).await?;
    let mut seen = Seen { answers: Vec::new(), ended: false };
    for method in case.methods {
        match connection.answer(method).await? {
            Some(answer) => seen.answers.push(answer),
            None => break,
        }
    }
    let last = seen.answers.last();
    let asked = case.bytes.windows(17).any(|window| window.eq_ignore_ascii_case(b"connection: close"));
    if asked || last.is_none_or(|last| !last.whole) {
        seen.ended =
            connection.head().await.is_ok_and(|head| head.is_none()) || last.is_none_or(|last| !last.whole);
    }
    Ok(seen)
}

/// Headers of a connection, not of an answer.
const OF_THE_CONNECTION: [&str; 4] = ["connection", "keep-alive", "proxy-connection", "trailer"];

/// Takes out what a gateway may change.
fn comparable(mut seen: Seen, case: &Case, direct: Option<&Seen>) -> Seen {
    for (index, answer) in seen.answers.iter_mut().enumerate() {
        let from_site =
            direct.map_or(Some(&answer.head), |direct| direct.answers.get(index).map(|site| &site.head));
        let from_site = from_site.cloned();
        let strip = |head: &mut Head, added: &[&str]| {
            // The reason phrase is free, and so is the version.
            let status = head.status();
            head.start = status.to_string();
            head.headers.retain(|(name, _)| {
                let free = OF_THE_CONNECTION.contains(&name.as_str())
                    // What has no body has no type.
                    || (status == 304 && name == "content-type")
                    || (case.reframed && matches!(name.as_str(), "content-length" | "transfer-encoding"))
                    || (added.contains(&name.as_str())
                        && from_site.as_ref().is_none_or(|site| site.header(name).is_none()));
                !free
            });
            // The order of names is free, that of the values of one name is not.
            head.headers.sort_by(|one, other| one.0.cmp(&other.0));
        };
        for head in &mut answer.interim {
            strip(head, &[]);
        }
        // A gateway dates what is not dated, and names the type of what has none.
        strip(&mut answer.head, &["date", "content-type"]);
        answer.trailers.sort();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if text.contains("host: ") {
            // Its own wish for compression, which is nobody's business as long as it unpacks.
            let wished = case.bytes.windows(15).any(|window| window.eq_ignore_ascii_case(b"accept-encoding"));
            let lines = text.lines().filter(|line| wished || !line.starts_with("accept-encoding: "));
            answer.body = lines.collect::<Vec<_>>().join("\n").into_bytes();
            answer.head.headers.retain(|(name, _)| name != "content-length");
        }
    }
    seen
}

/// All answers by the site and through the tunnel; those that differ are told together.
async fn the_same(site: &Site, cases: &[Case]) -> Result<()> {
    let original = Maker::from_env(Role::Frps) != Maker::Ours;
    let mut differ = Vec::new();
    for case in cases {
        if let (Some(why), true) = (case.original, original) {
            skipped(&format!("{}: the original {why}", case.name));
            continue;
        }
        let direct = see(site.direct, case).await.with_context(|| format!("{}, directly", case.name))?;
        ensure!(!direct.answers.is_empty(), "{}: the site itself does not answer", case.name);
        match see(site.public, case).await {
            Ok(through) => {
                let through = comparable(through, case, Some(&direct));
                let direct = comparable(direct, case, None);
                if through != direct {
                    differ.push(format!(
                        "{}\n  directly: {}\n  through:  {}",
                        case.name,
                        short(&direct),
                        short(&through)
                    ));
                }
            }
            Err(error) => differ.push(format!("{}: {error:#}", case.name)),
        }
    }
    ensure!(differ.is_empty(), "{} of {} differ:\n{}", differ.len(), cases.len(), differ.join("\n"));
    Ok(())
}

/// Few enough letters for a report.
fn short(seen: &Seen) -> String {
    let mut text = format!("ended: {} ", seen.ended);
    for Answer { interim, head, body, trailers, whole } in &seen.answers {
        let cut = |head: &Head| {
            let headers = head.headers.iter().map(|(name, value)| (name, value.get(..60).unwrap_or(value)));
            format!("{} {:?}", head.start, headers.take(12).collect::<Vec<_>>())
        };
        let interim: Vec<_> = interim.iter().map(cut).collect();
        let start = body.get(..600).unwrap_or(body);
        text.push_str(&format!(
            "[{interim:?} {} {} bytes {:?} whole: {whole} {trailers:?}] ",
            cut(head),
            body.len(),
            String::from_utf8_lossy(start)
        ));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_site_is_seen_as_it_is() -> Result<()> {
    if !Kind::Http.built() {
        return Ok(());
    }
    let site = Site::start(Service::site("site").await?).await?;
    let long = "l".repeat(60_000);
    let many: String = (0..60).map(|index| format!("X-{index}: {}\r\n", "v".repeat(500))).collect();
    let body = "b".repeat(100_000);
    let cases = [
        get("a page", "/"),
        get("no type, no date", "/bare"),
        get("a length", "/noise/3/300000"),
        get("chunks", "/chunked/3/300000"),
        get("an empty body", "/noise/3/0"),
        get("an empty body in chunks", "/chunked/3/0"),
        request("a length and HEAD", &["HEAD"], "/noise/3/300000", "\r\n"),
        request("HEAD of what has no length", &["HEAD"], "/chunked/3/300000", "\r\n").reframed(),
        get("204", "/status/204"),
        get("205", "/status/205"),
        get("206", "/status/206"),
        get("304", "/status/304"),
        get("301", "/status/301"),
        get("401", "/status/401"),
        get("404", "/status/404"),
        get("407", "/status/407"),
        get("418", "/status/418"),
        get("421", "/status/421"),
        get("500", "/status/500"),
        get("502", "/status/502"),
        get("504", "/status/504"),
        get("an unknown status", "/status/599"),
        get("many headers of an answer", "/headers/80/100"),
        get("long headers of an answer", "/headers/10/30000"),
        get("cookies, an empty and a Latin-1 value", "/cookies"),
        get("what is unpacked on the way", "/packed").reframed(),
        request("what is asked for packed", &["GET"], "/packed", "Accept-Encoding: gzip\r\n\r\n"),
        request("what is asked for unpacked", &["GET"], "/packed", "Accept-Encoding: identity\r\n\r\n"),
        request("a range", &["GET"], "/reflect", "Range: bytes=1-2\r\n\r\n"),
        request("a body with a length", &["POST"], "/reflect", "Content-Length: 5\r\n\r\nhello"),
        request("a body of no bytes", &["POST"], "/echo", "Content-Length: 0\r\n\r\n"),
        request("no body", &["POST"], "/echo", "\r\n"),
        request("a long body", &["POST"], "/echo", &format!("Content-Length: {}\r\n\r\n{body}", body.len())),
        request(
            "a body in chunks",
            &["POST"],
            "/reflect",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\n\r\n",
        ),
        request(
            "a body in chunks with trailers",
            &["POST"],
            "/reflect",
            "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 9\r\n\r\n",
        )
        .original("drops them"),
        request("GET with a body", &["GET"], "/reflect", "Content-Length: 5\r\n\r\nhello"),
        request("DELETE with a body", &["DELETE"], "/reflect", "Content-Length: 5\r\n\r\nhello"),
        request("PUT", &["PUT"], "/reflect", "Content-Length: 5\r\n\r\nhello"),
        request("PATCH", &["PATCH"], "/reflect", "Content-Length: 5\r\n\r\nhello"),
        request("OPTIONS", &["OPTIONS"], "/reflect", "\r\n"),
        request("TRACE", &["TRACE"], "/reflect", "\r\n"),
        request("a method of one's own", &["PROPFIND"], "/reflect", "Depth: 1\r\n\r\n"),
        request(
            "several values, an empty one, spaces, odd names",
            &["GET"],
            "/reflect",
            "X-A: 1\r\nX-B: b\r\nX-A: 2\r\nX-Empty:\r\nX-Space:   a  b  \r\nX!#$%&'*+.^_`|~9: odd\r\nCookie: a=b; c=d\r\n\r\n",
        ),
        request("no User-Agent", &["GET"], "/reflect", "Accept: */*\r\n\r\n"),
        request("credentials", &["GET"], "/reflect", "Authorization: Basic bWU6cGFzcw==\r\n\r\n"),
        request("many headers", &["GET"], "/reflect", &format!("{many}\r\n")),
        request("a long header", &["GET"], "/reflect", &format!("X-Long: {long}\r\n\r\n")),
        request("a long target", &["GET"], &format!("/reflect?{long}"), "\r\n"),
        request("targets stay", &["GET"], "/reflect/%61%2Fb//c/../d;x=1/:@?a=1&b=%20&&c=?/", "\r\n"),
        request("an empty query", &["GET"], "/reflect?", "\r\n"),
        request("the user's last request", &["GET"], "/", "Connection: close\r\n\r\n"),
        request("headers named by Connection go", &["GET"], "/", "Connection: x-a\r\nX-A: 1\r\n\r\n"),
        case(
            "one after another on one connection",
            &["GET", "POST", "HEAD", "GET", "GET"],
            format!(
                "GET /noise/1/70000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n\
                 POST /reflect HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\nfirst\
                 HEAD /noise/1/70000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n\
                 GET /status/204 HTTP/1.1\r\nHost: {HOST}\r\n\r\n\
                 GET /chunked/2/70000 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
            ),
        ),
        case(
            "HTTP/1.0",
            &["GET"],
            format!("GET /noise/1/70000 HTTP/1.0\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
        ),
        case(
            "HTTP/1.0 and a body without a length",
            &["GET"],
            format!("GET /chunked/1/70000 HTTP/1.0\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
        ),
        case(
            "HTTP/1.0, twice",
            &["GET", "GET"],
            format!(
                "GET /noise/1/100 HTTP/1.0\r\nHost: {HOST}\r\nConnection: keep-alive\r\n\r\n\
                 GET /noise/1/100 HTTP/1.0\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
            ),
        ),
    ];
    the_same(&site, &cases).await
}

/// A head and a body as one answer.
fn answer(text: &str) -> Vec<Step> {
    vec![Step::Body, Step::send(text)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_site_is_seen_as_it_is() -> Result<()> {
    if !Kind::Http.built() {
        return Ok(());
    }
    let closing = |text: &str| vec![Step::Body, Step::send(text), Step::Close];
    let site = Service::scripted([
        ("/trailers", answer(
            "HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Other\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 9\r\nX-Other: o\r\n\r\n",
        )),
        ("/unannounced", answer(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 9\r\n\r\n",
        )),
        ("/hints", answer(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        )),
        ("/processing", answer(
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno",
        )),
        ("/continue", vec![
            Step::send("HTTP/1.1 100 Continue\r\n\r\n"),
            Step::Body,
            Step::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntook"),
        ]),
        ("/to-the-end", closing("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")),
        ("/http10", closing("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")),
        ("/close", closing("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbye")),
        ("/no-reason", answer("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok")),
        ("/head-length", answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")),
        ("/not-modified", answer("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nCache-Control: no-cache\r\n\r\n")),
        ("/no-content", answer("HTTP/1.1 204 No Content\r\nETag: \"x\"\r\n\r\n")),
        ("/short", closing("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")),
        ("/short-chunks", closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")),
        ("/within-a-chunk", closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello\r\n")),
        ("/early", vec![
            Step::send("HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"),
        ]),
        ("/upgrade-refused", answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")),
        ("/events", answer(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n",
        )),
        ("/dated", answer(
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: \r\nContent-Length: 2\r\n\r\nok",
        )),
    ])
    .await?;
    let site = Site::start(site).await?;
    let cases = [
        get("trailers", "/trailers"),
        get("trailers that nobody announced", "/unannounced"),
        get("103", "/hints"),
        get("102 and 103", "/processing"),
        request("100", &["POST"], "/continue", "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
            .original("adds one of its own"),
        get("a body that ends with the connection", "/to-the-end").reframed(),
        get("HTTP/1.0", "/http10").reframed(),
        get("a site that closes", "/close"),
        get("no reason", "/no-reason"),
        request("HEAD", &["HEAD"], "/head-length", "\r\n"),
        get("304", "/not-modified"),
        request("304 to HEAD", &["HEAD"], "/not-modified", "\r\n"),
        get("204", "/no-content"),
        get("a site that dies within a length", "/short").original("keeps what it has back, and drops it"),
        get("a site that dies between chunks", "/short-chunks"),
        get("a site that dies within a chunk", "/within-a-chunk"),
        request("refused before the body", &["POST"], "/early", "Content-Length: 100000\r\n\r\nhello")
            .original("waits for all of the body"),
        request(
            "an upgrade that the site does not do",
            &["GET"],
            "/upgrade-refused",
            "Connection: Upgrade\r\nUpgrade: other\r\n\r\n",
        ),
        get("events", "/events"),
        get("dates and an empty type", "/dated"),
    ];
    the_same(&site, &cases).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_pass_as_they_come() -> Result<()> {
    if !Kind::Http.built() {
        return Ok(());
    }
    let gate = Gate::default();
    let wait = || Step::Wait(gate.clone());
    let service = Service::scripted([
        (
            "/chunks",
            vec![
                Step::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                wait(),
                Step::send("5\r\nfirst\r\n"),
                wait(),
                Step::send("6\r\nsecond\r\n0\r\n\r\n"),
            ],
        ),
        (
            "/length",
            vec![
                Step::send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"),
                wait(),
                Step::send("first"),
                wait(),
                Step::send("second"),
            ],
        ),
        (
            "/to-the-end",
            vec![
                Step::send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"),
                wait(),
                Step::send("first"),
                wait(),
                Step::send("second"),
                Step::Close,
            ],
        ),
    ])
    .await?;
    let site = Site::start(service).await?;
    for path in ["/chunks", "/length", "/to-the-end"] {
        if path == "/length" && Maker::from_env(Role::Frps) != Maker::Ours {
            println!("skipped: {path}: the original keeps short answers back until they are whole");
            continue;
        }
        let mut user = Connection::open(site.public).await?;
        user.send(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).await?;
        let head = user.head().await?.context("no answer")?;
        user.expect_answer_body("GET", &head)?;
        // Each piece is let go only once the one before has come.
        for expected in ["first", "second"] {
            gate.open();
            let mut piece = Vec::new();
            while piece.len() < expected.len() {
                piece.extend(user.body().await?.context("the end of the body")?);
            }
            ensure!(piece == expected.as_bytes(), "{path}: {piece:?}");
        }
        ensure!(user.body().await?.is_none(), "{path}: more than the body");
    }
    drop(site.tunnel);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_read_as_it_is_sent() -> Result<()> {
    if !Kind::Http.built() {
        return Ok(());
    }
    // The service shows each piece of a request's body as soon as it has it.
    let (show, mut shown) = tokio::sync::mpsc::channel::<Vec<u8>>(100);
    let service = Service::tcp(move |peer| {
        let show = show.clone();
        async move {
            let mut connection = Connection::new(peer);
            // The next request may come on the same connection.
            while let Ok(Some(head)) = connection.head().await {
                if connection.expect_request_body(&head).is_err() {
                    return;
                }
                while let Ok(Some(piece)) = connection.body().await {
                    let _ = show.send(piece).await;
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntook";
                if connection.send(answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await?;
    let site = Site::start(service).await?;
    for (head, pieces, end) in [
        ("Content-Length: 11", ["first", "second"], ""),
        ("Transfer-Encoding: chunked", ["5\r\nfirst\r\n", "6\r\nsecond\r\n"], "0\r\n\r\n"),
    ] {
        let mut user = Connection::open(site.public).await?;
        user.send(format!("POST /slow HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n\r\n").as_bytes()).await?;
        for (sent, expected) in pieces.into_iter().zip(["first", "second"]) {
            user.send(sent.as_bytes()).await?;
            let mut piece = Vec::new();
            while piece.len() < expected.len() {
                let came = within("a piece of the body", shown.recv()).await?;
                piece.extend(came.context("the service has ended")?);
            }
            ensure!(piece == expected.as_bytes(), "{head}: {piece:?}");
        }
        user.send(end.as_bytes()).await?;
        let answer = user.answer("POST").await?.context("no answer")?;
        ensure!(answer.body == b"took", "{head}: {:?}", answer.head);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgraded_connection_carries_anything() -> Result<()> {
    if !Kind::Http.built() {
        return Ok(());
    }
    let service = Service::scripted([(
        "/upgrade",
        vec![
            Step::send(
                "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: Other\r\nX-A: 1\r\n\r\nhello ",
            ),
            Step::Echo,
        ],
    )])
    .await?;
    let site = Site::start(service).await?;
    let ours = Maker::from_env(Role::Frps) == Maker::Ours;
    // What is sent in the same breath as the request is lost by the original.
    let early: &[u8] = if ours { b"early" } else { b"" };
    let head =
        format!("GET /upgrade HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: Other\r\n\r\n");
    let mut user = Connection::open(site.public).await?;
    user.send(&[head.as_bytes(), early].concat()).await?;
    let answer = user.answer("GET").await?.context("no answer")?;
    ensure!(answer.status() == 101, "{:?}", answer.head);
    ensure!(answer.head.header("x-a").is_some(), "{:?}", answer.head);
    ensure!(answer.head.header("upgrade").as_deref() == Some("Other"), "{:?}", answer.head);
    let (mut stream, mut got) = user.into_parts();
    let expected = [b"hello ", early].concat();
    while got.len() < expected.len() {
        use tokio::io::AsyncReadExt as _;
        let read = within("the greeting", stream.read_buf(&mut got)).await??;
        ensure!(read > 0, "the end within the greeting");
    }
    ensure!(got == expected, "{got:?}");
    traffic::bulk_echo_on(&mut stream, 1 << 20, 5).await?;
    stream.shutdown().await?;
    traffic::read_to_end(&mut stream).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_share_connections_to_the_site() -> Result<()> {
    if !Kind::Http.built() {
        return Ok(());
    }
    let site = Site::start(Service::site("site").await?).await?;
    // One after another, each on a connection of its own.
    for _ in 0..10 {
        let answer = frp_test_support::http::get(site.public, HOST, "/name", "").await?;
        ensure!(answer.body == b"site", "{:?}", answer.head);
    }
    ensure!(site.service.accepted() < 10, "{} connections for 10 requests", site.service.accepted());
    Ok(())
}
