//! What must come of a case: as recorded, or what is right instead.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::message::{Message, PORT, Side, messages};
use crate::script::{Served, Visit, bytes};

/// How a connection of the user is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    Either,
}

/// One right answer.
#[derive(Debug, Clone)]
struct Answer {
    messages: Vec<Message>,
    end: End,
}

/// What services get: for each connection the service's name and its messages.
type Visits = Vec<(String, Vec<Message>)>;

pub(crate) struct Wanted {
    /// For each connection of the user the methods of its requests, and what are right answers.
    visits: Vec<(Vec<String>, Vec<Answer>)>,
    /// What the services get, connection by connection: any of these, or anything at all.
    served: Option<Vec<Visits>>,
}

/// A refusal of the request's form: only its status matters, and 400 may stand for two others.
fn is_refusal(message: &Message) -> bool {
    matches!(message.status(), 400 | 414 | 417 | 431 | 501 | 505)
        && message.field("connection") == Some("close")
}

impl Answer {
    fn refused() -> Self {
        let mut message = Message { line: "HTTP/1.1 400".to_owned(), whole: true, ..Message::default() };
        message.set("connection", &["close"]);
        Self { messages: vec![message], end: End::Closed }
    }

    fn closed() -> Self {
        Self { messages: Vec::new(), end: End::Closed }
    }

    fn matches(&self, got: &[Message]) -> bool {
        let same = |(got, wanted): (&Message, &Message)| {
            if is_refusal(wanted) && is_refusal(got) {
                return match wanted.status() {
                    501 | 505 => matches!(got.status(), 400 | 501 | 505),
                    414 => matches!(got.status(), 414 | 431),
                    status => got.status() == status,
                };
            }
            got.is(wanted)
        };
        got.len() == self.messages.len() && got.iter().zip(&self.messages).all(same)
    }
}

impl Wanted {
    pub(crate) fn of(id: &str, case: &Value) -> Result<Self> {
        let observed = &case["observed"];
        let mut methods = vec![Vec::new()];
        for step in case["user"].as_array().context("user")? {
            let data = if step["send"].is_null() { &step["trickle"] } else { &step["send"] };
            if !data.is_null() {
                let text: String = bytes(data)?.iter().map(|byte| char::from(*byte)).collect();
                let lines = text.lines().filter(|line| line.contains(" HTTP/1."));
                let words = lines.filter_map(|line| line.split(' ').next().map(str::to_owned));
                methods.last_mut().context("a visit")?.extend(words);
            }
            if step["reconnect"] == true {
                methods.push(Vec::new());
            }
        }
        let mut visits = Vec::new();
        for (methods, visit) in methods.into_iter().zip(observed["user"].as_array().context("observed user")?)
        {
            let ended = visit["end"] != "open";
            let end = if ended { End::Closed } else { End::Open };
            let recorded = messages(&bytes(&visit["recv"])?, Side::Responses(&methods), ended);
            visits.push((methods, vec![Answer { messages: recorded, end }]));
        }
        let mut served = Vec::new();
        for service in observed["backend"].as_array().context("observed backend")? {
            let name = service["name"].as_str().unwrap_or_default().to_owned();
            served.push((name, requests(&bytes(&service["recv"])?)));
        }
        let mut wanted = Self { visits, served: Some(vec![served]) };
        wanted.correct(id, case)?;
        Ok(wanted)
    }

    pub(crate) fn methods(&self, visit: usize) -> &[String] {
        self.visits.get(visit).map(|(methods, _)| methods.as_slice()).unwrap_or_default()
    }

    fn answers(&self, visit: usize) -> &[Answer] {
        self.visits.get(visit).map(|(_, answers)| answers.as_slice()).unwrap_or_default()
    }

    pub(crate) fn has_come(&self, visit: usize, got: &[Message]) -> bool {
        self.answers(visit).iter().any(|answer| answer.end == End::Open && answer.matches(got))
    }

    pub(crate) fn judge_user(&self, number: usize, got: &[Message], visit: &Visit) -> Result<()> {
        let says_close = got.last().is_some_and(|last| last.field("connection") == Some("close"));
        let right = self.answers(number).iter().any(|answer| {
            let end = visit.left
                || match answer.end {
                    End::Open => !visit.ended || says_close,
                    End::Closed => visit.ended,
                    End::Either => true,
                };
            end && answer.matches(got)
        });
        ensure!(right, "ended {}, got {got:#?}\nwanted {:#?}", visit.ended, self.answers(number));
        Ok(())
    }

    pub(crate) fn judge_services(&self, served: &[Served]) -> Result<()> {
        let Some(wanted) = &self.served else { return Ok(()) };
        let got: Vec<(String, Vec<Message>)> =
            served.iter().map(|served| (served.name.to_owned(), requests(&served.got))).collect();
        let same = |wanted: &Vec<(String, Vec<Message>)>| {
            wanted.len() == got.len()
                && wanted.iter().zip(&got).all(|(wanted, got)| {
                    wanted.0 == got.0
                        && wanted.1.len() == got.1.len()
                        && wanted.1.iter().zip(&got.1).all(|(wanted, got)| got.is(wanted))
                })
        };
        ensure!(wanted.iter().any(same), "services got {got:#?}\nwanted {wanted:#?}");
        Ok(())
    }

    /// Whether a connection to a service may come after the user was answered, and must not meet the next case.
    pub(crate) fn may_be_late(&self) -> bool {
        self.served.is_none()
    }

    fn answer(&mut self) -> Result<&mut Answer> {
        self.visits.first_mut().and_then(|(_, answers)| answers.first_mut()).context("an answer")
    }

    fn or(&mut self, answer: Answer) {
        if let Some((_, answers)) = self.visits.first_mut() {
            answers.push(answer);
        }
    }

    fn only(&mut self, answer: Answer) {
        if let Some((_, answers)) = self.visits.first_mut() {
            *answers = vec![answer];
        }
    }

    /// The first request that a service gets.
    fn request(&mut self) -> Result<&mut Message> {
        let served = self.served.as_mut().and_then(|served| served.first_mut()).context("services")?;
        served.first_mut().and_then(|(_, requests)| requests.first_mut()).context("a request")
    }

    /// What the original should not do, and what is right besides what it does.
    fn correct(&mut self, id: &str, case: &Value) -> Result<()> {
        let script = |number: usize| {
            let steps = case["backend"]["*"][number].as_array().cloned().unwrap_or_default();
            steps
                .iter()
                .filter(|step| !step["send"].is_null())
                .map(|step| bytes(&step["send"]))
                .collect::<Result<Vec<_>>>()
        };
        let answered = |number: usize| -> Result<Vec<Message>> {
            Ok(messages(&script(number)?.concat(), Side::Responses(&[]), true))
        };
        let name = id.strip_prefix("http/").unwrap_or(id);
        match name {
            "leading-crlf" | "leading-many-crlf" => {
                self.only(Answer { messages: answered(0)?, end: End::Open });
                self.served = Some(vec![plain_get(&["/"])]);
            }
            "crlf-between" => {
                let twice = [answered(0)?, answered(0)?].concat();
                self.only(Answer { messages: twice, end: End::Open });
                self.served = Some(vec![plain_get(&["/", "/2"])]);
            }
            "user-half-close-after-request" | "user-half-close-slow-backend" => {
                self.only(Answer { messages: answered(0)?, end: End::Closed });
                self.served = Some(vec![plain_get(&["/"])]);
            }
            "absolute-ftp"
            | "connect-path"
            | "chunked-http10"
            | "sm-cl-te"
            | "sm-te-cl"
            | "sm-cl-te-smuggled"
            | "sm-te-fold"
            | "sm-te-bare-lf"
            | "sm-cl-get-hidden"
            | "sm-header-lf-injection" => {
                self.only(Answer::refused());
                self.served = Some(vec![Vec::new()]);
            }
            "h2-bad-preface" => {
                self.only(Answer::refused());
                self.or(Answer::closed());
            }
            "sm-chunk-bare-cr" | "sm-chunk-final-lf" => {
                self.or(Answer::refused());
                self.served = None;
            }
            "body-short-half-close" => {
                self.only(Answer::refused());
                self.or(Answer::closed());
                self.served = None;
            }
            _ if name.starts_with("sm-chunk-") && case["defect"] == true || name == "sm-trailer-bad" => {
                self.only(Answer::refused());
                self.served = None;
            }
            "bare-lf-all" | "bare-lf-one" | "obs-fold" => self.or(Answer::refused()),
            "http09" | "bare-cr-line-end" => self.or(Answer::refused()),
            "absolute-userinfo" => {
                self.request()?.fields.remove("proxy-authorization");
            }
            "expect-100-backend-100" => {
                self.answer()?.messages.remove(0);
            }
            "expect-100-backend-silent" => {
                let mut without = self.answer()?.clone();
                without.messages.remove(0);
                self.or(without);
            }
            "expect-100-backend-final-early" => {
                self.answer()?.messages.remove(0);
            }
            "gzip-client-empty-ae" => {
                self.request()?.set("accept-encoding", &[""]);
                self.only(Answer { messages: answered(0)?, end: End::Open });
            }
            "fwd-xff-empty" => self.request()?.set("x-forwarded-for", &["127.0.0.1"]),
            "backend-close-mid-body"
            | "backend-reset-mid-body"
            | "backend-mid-body-http10-user"
            | "backend-close-mid-body-large" => {
                let whole = messages(&script(0)?.concat(), Side::Responses(&[]), true);
                let head = whole.first().context("an answer")?;
                let line = head
                    .line
                    .replace("HTTP/1.1", if name.contains("http10") { "HTTP/1.0" } else { "HTTP/1.1" });
                let part = |length: usize| Answer {
                    messages: vec![Message {
                        line: line.clone(),
                        body: head.body.get(..length).unwrap_or_default().to_vec(),
                        whole: false,
                        ..head.clone()
                    }],
                    end: End::Closed,
                };
                for length in (0..=head.body.len()).rev().take(70_000) {
                    if length % 1000 == 0 || length < 10 {
                        self.or(part(length));
                    }
                }
            }
            "resp-length-slow-first-half" => {
                let part = messages(&script(0)?.concat(), Side::Responses(&[]), false);
                self.or(Answer { messages: part, end: End::Open });
            }
            "backend-status-99" => {
                let mut page = Message { line: "HTTP/1.1 404".to_owned(), whole: true, ..Message::default() };
                page.body = crate::message::PAGE.into();
                page.set("content-length", &[""]);
                page.set("content-type", &["text/html; charset=utf-8"]);
                page.set("date", &[crate::message::DATE]);
                self.only(Answer { messages: vec![page], end: End::Open });
            }
            "resp-103-http10-user" => {
                self.answer()?.messages.remove(0);
            }
            "connect-early-data" => {
                self.request()?.body = b"early".to_vec();
                let answer = self.answer()?;
                answer.messages.last_mut().context("an answer")?.body = b"early".to_vec();
            }
            "catchall-http10-no-host" => self.request()?.set("host", &[""]),
            "timeout-expect-silent" => {
                let mut late = Message { line: "HTTP/1.1 504".to_owned(), whole: true, ..Message::default() };
                late.set("content-length", &["0"]);
                late.set("date", &[crate::message::DATE]);
                late.set("connection", &["close"]);
                let go_on = self.answer()?.messages.clone();
                self.only(Answer { messages: vec![late.clone()], end: End::Either });
                self.or(Answer { messages: [go_on, vec![late]].concat(), end: End::Either });
            }
            "ws-user-half-closes" => {
                let mut late = self.answer()?.clone();
                late.messages.last_mut().context("an answer")?.body = b"after".to_vec();
                self.or(late);
            }
            "chunked-trailers-unannounced" => {
                let request = self.request()?;
                request.trailers.insert("x-sum".to_owned(), vec!["9".to_owned()]);
            }
            "group-four" => {
                // Which member is first is free.
                let other = |name: &str| if name == "a" { "b" } else { "a" }.to_owned();
                let served = self.served.as_mut().context("services")?;
                let mut turned = served.first().context("services")?.clone();
                for (name, _) in &mut turned {
                    *name = other(name);
                }
                let mut backwards = turned.clone();
                backwards.reverse();
                let mut first = served.first().context("services")?.clone();
                first.reverse();
                served.extend([turned, backwards, first]);
                let mut answer = self.answer()?.clone();
                for message in &mut answer.messages {
                    message.body = if message.body == b"na" { b"nb".to_vec() } else { b"na".to_vec() };
                }
                self.or(answer);
            }
            "resp-http2-version" | "ws-http10" => {}
            _ => ensure!(case["defect"] != true, "nobody says what is right instead"),
        }
        Ok(())
    }
}

/// What a service gets for requests without a body.
fn plain_get(targets: &[&str]) -> Vec<(String, Vec<Message>)> {
    let request = |target: &&str| {
        let mut message =
            Message { line: format!("GET {target} HTTP/1.1"), whole: true, ..Message::default() };
        message.set("host", &["plain.test"]);
        message.set("x-forwarded-for", &["127.0.0.1"]);
        message.set("x-forwarded-host", &["plain.test"]);
        message.set("x-forwarded-proto", &["http"]);
        message.set("accept-encoding", &["gzip"]);
        message
    };
    vec![("a".to_owned(), targets.iter().map(request).collect())]
}

/// The requests of a connection. A PROXY header counts as a message.
fn requests(bytes: &[u8]) -> Vec<Message> {
    if !bytes.starts_with(b"PROXY ") {
        return messages(bytes, Side::Requests, false);
    }
    let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
    let words: Vec<&str> = text
        .split(' ')
        .enumerate()
        // The port of the user.
        .map(|(at, word)| if at == 4 { PORT } else { word })
        .collect();
    let proxy = Message { line: words.join(" "), whole: true, ..Message::default() };
    let rest = messages(bytes.get(end + 2..).unwrap_or_default(), Side::Requests, false);
    [vec![proxy], rest].concat()
}
