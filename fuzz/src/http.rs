//! Targets for `frp-http`.

use frp_http::body::{Body, BodyError, Piece, write_chunk};
use frp_http::framing::{self, Framing};
use frp_http::head::{Fields, RequestHead, ResponseHead, find_end, parse_trailers};
use frp_http::target::Target as RequestTarget;
use frp_http::{Credentials, content_type};

use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("http_request", http_request, requests).with_words(WORDS),
        Target::new("http_response", http_response, responses).with_words(WORDS),
        Target::new("http_chunks", http_chunks, chunks).with_words(WORDS),
    ]
}

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n ",
    "\r\n\r\n",
    "Content-Length: ",
    "Transfer-Encoding: chunked",
    "Host: a.test",
    "Connection: close",
    "Authorization: Basic YTpi",
    "GET http://a.test/%41?a=%zz;b HTTP/1.1",
    "HTTP/1.1 200 OK",
    "0\r\n\r\n",
    "5;a=b\r\nhello\r\n",
    "ffffffffffffffff\r\n",
];

/// What users sent to the original.
fn requests() -> Vec<Vec<u8>> {
    recorded("user")
}

/// What its services answered.
fn responses() -> Vec<Vec<u8>> {
    recorded("backend")
}

fn chunks() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = requests()
        .into_iter()
        .filter_map(|text| find_end(&text, 0).and_then(|end| text.get(end..).map(<[u8]>::to_vec)))
        .filter(|text| !text.is_empty())
        .collect();
    all.push(b"5;x\r\nhello\r\n0\r\nA: b\r\n\r\nrest".to_vec());
    all
}

/// The strings after every `send` below `key`.
fn recorded(key: &str) -> Vec<Vec<u8>> {
    let recorded = std::fs::read(seeds::data("http").join("cases.json")).unwrap_or_default();
    let recorded: serde_json::Value = serde_json::from_slice(&recorded).unwrap_or_default();
    let mut texts = Vec::new();
    for case in recorded["cases"].as_array().into_iter().flatten() {
        collect(&case[key], &mut texts);
    }
    texts.sort();
    texts.dedup();
    texts
}

fn collect(value: &serde_json::Value, texts: &mut Vec<Vec<u8>>) {
    if let Some(text) = value["send"].as_str() {
        texts.push(text.chars().filter_map(|char| u8::try_from(u32::from(char)).ok()).collect());
    }
    for inner in value
        .as_array()
        .into_iter()
        .flatten()
        .chain(value.as_object().into_iter().flat_map(|map| map.values()))
    {
        if inner.is_array() || inner.is_object() {
            collect(inner, texts);
        }
    }
}

/// A request's head: its end is where it is whatever the cuts, and written again it says the same.
pub fn http_request(data: &[u8]) {
    let end = find_end(data, 0);
    let cut = data.len() / 2;
    let in_two = find_end(&data[..cut], 0).or_else(|| find_end(data, cut));
    assert_eq!(in_two, end);
    let Some(end) = end else { return };
    let mut bytes = data[..end].to_vec();
    let mut head = RequestHead::default();
    if head.parse(&mut bytes).is_err() {
        return;
    }
    let framing = framing::of_request(&head, &bytes);
    let method = head.method(&bytes);
    if let Ok(target) = RequestTarget::parse(method, head.target(&bytes)) {
        let path = target.decoded_path();
        let mut out = Vec::new();
        if let RequestTarget::Origin(path_query) = target {
            path_query.write(&mut out);
            assert!(out.iter().all(|byte| *byte > b' '), "a target has no room");
            let again = RequestTarget::parse(method, &out).expect("written targets are targets");
            assert!(path.is_empty() || again.decoded_path() == path, "routes see what backends get");
        }
    }
    let mut again = [method, b" ", head.target(&bytes), b" HTTP/1.1\r\n"].concat();
    for field in head.fields().iter() {
        let (name, value) = (field.name.of(&bytes), field.value.of(&bytes));
        assert!(!value.contains(&b'\r') && !value.contains(&b'\n'), "a value is one line");
        let _ = Credentials::parse(value);
        again.extend_from_slice(&[name, b": ", value, b"\r\n"].concat());
    }
    again.extend_from_slice(b"\r\n");
    assert_eq!(find_end(&again, 0), Some(again.len()));
    let mut second = RequestHead::default();
    second.parse(&mut again).expect("written heads are heads");
    let pairs = |head: &RequestHead, bytes: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        head.fields()
            .iter()
            .map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec()))
            .collect()
    };
    assert_eq!(pairs(&second, &again), pairs(&head, &bytes));
    if let Ok(framing) = framing {
        assert_eq!(framing::of_request(&second, &again), Ok(framing));
    }
}

/// A response's head: nothing but no panic, and a status of three digits.
pub fn http_response(data: &[u8]) {
    let Some(end) = find_end(data, 0) else { return };
    let mut bytes = data[..end].to_vec();
    let mut head = ResponseHead::default();
    if head.parse(&mut bytes).is_ok() {
        assert!((100..1000).contains(&head.status()));
        let _ = framing::of_response(&head, &bytes, false);
    }
    let _ = content_type::detect(data);
}

/// A body in chunks: in one piece and byte by byte alike, and written again the same.
pub fn http_chunks(data: &[u8]) {
    let whole = decode(data, data.len());
    assert_eq!(decode(data, 1).is_ok(), whole.is_ok());
    let Ok((payload, trailers)) = whole else { return };
    assert_eq!(decode(data, 1), Ok((payload.clone(), trailers.clone())));
    let mut again = Vec::new();
    for part in payload.chunks(7) {
        write_chunk(&mut again, part);
    }
    again.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(decode(&again, again.len()), Ok((payload, Vec::new())));
    let mut lines = trailers;
    let _ = parse_trailers(&mut Fields::default(), &mut lines);
}

fn decode(data: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), BodyError> {
    let (mut body, mut payload, mut from, mut to) = (Body::new(Framing::Chunked), Vec::new(), 0, 0);
    loop {
        match body.next(&data[from..to])? {
            Piece::More if to == data.len() => return Err(BodyError::Incomplete),
            Piece::More => to = (to + step.max(1)).min(data.len()),
            Piece::Framing(length) => from += length,
            Piece::Data(length) => {
                payload.extend_from_slice(&data[from..from + length]);
                from += length;
            }
            Piece::End { trailers, .. } => return Ok((payload, data[from..from + trailers].to_vec())),
        }
    }
}
