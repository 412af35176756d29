//! Messages as a reader of HTTP/1 sees them: framing removed, names without case.

use std::collections::BTreeMap;

/// What a recording says in place of bytes that vary.
pub(crate) const DATE: &str = "\u{1}date\u{1}";
pub(crate) const PAGE: &str = "\u{1}page\u{1}";
pub(crate) const PORT: &str = "\u{1}port\u{1}";

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// Method, target and version of a request, version and status of a response.
    pub(crate) line: String,
    /// The values of each field in their order.
    pub(crate) fields: BTreeMap<String, Vec<String>>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: BTreeMap<String, Vec<String>>,
    /// Nothing of it is missing.
    pub(crate) whole: bool,
}

impl Message {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.first().map(String::as_str)
    }

    pub(crate) fn set(&mut self, name: &str, values: &[&str]) {
        self.fields.insert(name.to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
    }

    pub(crate) fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// Whether this is `recorded` in all that matters. What varies in the recording may be anything here.
    pub(crate) fn is(&self, recorded: &Self) -> bool {
        let page = recorded.body == PAGE.as_bytes();
        let same_fields = |ours: &BTreeMap<String, Vec<String>>, theirs: &BTreeMap<String, Vec<String>>| {
            ours.keys().eq(theirs.keys())
                && theirs.iter().all(|(name, values)| {
                    let ours = ours.get(name).map(Vec::as_slice).unwrap_or_default();
                    values.iter().any(|value| value == DATE)
                        || page && name == "content-length"
                        || ours == values
                })
        };
        let ours_has_page = String::from_utf8_lossy(&self.body).contains("Not Found</title>");
        self.line == recorded.line
            && same_fields(&self.fields, &recorded.fields)
            && same_fields(&self.trailers, &recorded.trailers)
            && self.whole == recorded.whole
            && if page { ours_has_page } else { self.body == recorded.body }
    }
}

/// Which side speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side<'a> {
    Requests,
    /// To requests of these methods.
    Responses(&'a [String]),
}

/// All messages of a connection that may have ended. What follows a switch of protocols is the body of the message
/// before.
pub(crate) fn messages(mut bytes: &[u8], side: Side<'_>, ended: bool) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut answered = 0;
    while !bytes.is_empty() {
        let method = match side {
            Side::Requests => "",
            Side::Responses(methods) => methods.get(answered).map_or("GET", String::as_str),
        };
        let (message, length) = message(bytes, side == Side::Requests, method, ended);
        bytes = bytes.get(length..).unwrap_or_default();
        answered += usize::from(side != Side::Requests && !(100..200).contains(&message.status()));
        messages.push(message);
    }
    messages
}

/// How many bytes the first request takes.
pub(crate) fn first_length(bytes: &[u8]) -> usize {
    message(bytes, true, "", false).1
}

fn message(bytes: &[u8], is_request: bool, method: &str, ended: bool) -> (Message, usize) {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return (Message { line: text, ..Message::default() }, bytes.len());
    };
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_default() + 4;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let line =
        if is_request { first.to_owned() } else { first.split(' ').take(2).collect::<Vec<_>>().join(" ") };
    let mut message = Message { line, fields: fields(lines), ..Message::default() };
    let rest = bytes.get(at..).unwrap_or_default();
    let status = if is_request { 0 } else { message.status() };
    let switched = status == 101
        || first.starts_with("CONNECT ")
        || method == "CONNECT" && status == 200
        || is_request && message.field("upgrade").is_some() && !rest.starts_with(b"GET ");
    if switched {
        message.body = rest.to_vec();
        message.whole = true;
        return (message, bytes.len());
    }
    let bodiless = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
    let length = message.field("content-length").and_then(|length| length.parse().ok());
    let chunked = message.field("transfer-encoding") == Some("chunked");
    let taken = if bodiless {
        message.whole = true;
        0
    } else if chunked {
        chunks(rest, &mut message)
    } else if rest.starts_with(PAGE.as_bytes()) {
        message.body = PAGE.as_bytes().to_vec();
        message.whole = true;
        PAGE.len()
    } else {
        let length: usize = length.unwrap_or(if is_request { 0 } else { usize::MAX });
        message.body = rest.get(..length).unwrap_or(rest).to_vec();
        message.whole = rest.len() >= length || length == usize::MAX && ended;
        message.body.len()
    };
    (message, at + taken)
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        fields.entry(name.to_lowercase()).or_default().push(value.trim().to_owned());
    }
    fields
}

/// Fills in body and trailers, and returns how many bytes they took.
fn chunks(bytes: &[u8], message: &mut Message) -> usize {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return bytes.len() };
        let size = std::str::from_utf8(rest.get(..end).unwrap_or_default()).unwrap_or_default();
        let Ok(size) = usize::from_str_radix(size, 16) else { return bytes.len() };
        at += end + 2;
        if size == 0 {
            let rest: String =
                bytes.get(at..).unwrap_or_default().iter().map(|byte| char::from(*byte)).collect();
            if rest.starts_with("\r\n") {
                message.whole = true;
                return at + 2;
            }
            let Some((lines, _)) = rest.split_once("\r\n\r\n") else { return bytes.len() };
            message.trailers = fields(lines.split("\r\n"));
            message.whole = true;
            return at + lines.len() + 4;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        message.body.extend_from_slice(rest.get(..size).unwrap_or(rest));
        if rest.len() < size + 2 {
            return bytes.len();
        }
        at += size + 2;
    }
}
