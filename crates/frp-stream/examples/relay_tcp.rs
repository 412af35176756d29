//! What a relay between two TCP connections costs: bulk and requests, copied, adaptive, and in HAProxy.
//!
//! `cargo run --release -p frp-stream --example relay_tcp [MiB] [rounds]`, on Linux. Each relay is a
//! process of its own; the load comes from this one. HAProxy takes part if it is installed. The rounds are
//! interleaved, and the figures are medians; CPU is that of the relay's process alone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measuring program may end at its first error"
)]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use frp_stream::{
    Stream,
    relay::{RelayOptions, relay},
};
use tokio::{task::JoinSet, time::Instant};

const PIECE: usize = 128 * 1024;

/// The relay's process: `serve copy|adaptive <port of the service>`.
#[tokio::main]
async fn serve(how: &str, service: u16) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let copy = how == "copy";
    let mut relays = JoinSet::new();
    loop {
        let (user, _) = listener.accept().await.unwrap();
        user.set_nodelay(true).unwrap();
        relays.spawn(async move {
            let service = tokio::net::TcpStream::connect(("127.0.0.1", service)).await.unwrap();
            service.set_nodelay(true).unwrap();
            // A stream that is not known to be TCP is copied.
            let user = if copy { Stream::boxed(user) } else { user.into() };
            relay(user, service.into(), RelayOptions::default()).await;
        });
        while relays.try_join_next().is_some() {}
    }
}

/// A relay under test.
struct Subject {
    name: &'static str,
    child: Child,
    port: u16,
}

impl Subject {
    fn ours(name: &'static str, service: u16) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["serve", name, &service.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        Self { name, child, port: port.trim().parse().unwrap() }
    }

    fn haproxy(service: u16) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = env::temp_dir().join(format!("relay_tcp-{port}.cfg"));
        let text = format!(
            "defaults\n mode tcp\n option splice-request\n option splice-response\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen relay\n bind 127.0.0.1:{port}\n server service 127.0.0.1:{service}\n"
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("haproxy").arg("-db").arg("-q").arg("-f").arg(&config).spawn().ok()?;
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "HAProxy did not start");
            thread::yield_now();
        }
        let _ = fs::remove_file(config);
        Some(Self { name: "haproxy", child, port })
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Seconds of CPU used so far, of all threads.
    fn cpu(&self) -> f64 {
        fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .expect("this needs Linux")
            .map(|task| {
                let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
                text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
            })
            .sum()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The local service: a connection begins with the lengths of its requests and of their answers. Without
/// requests it is a download of one answer, without either an upload.
fn service(listener: &TcpListener) {
    loop {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        thread::spawn(move || {
            let mut sizes = [0; 8];
            if (&stream).read_exact(&mut sizes).is_err() {
                return;
            }
            let [request, answer] = [0, 4]
                .map(|at| u32::from_be_bytes(sizes[at..at + 4].try_into().unwrap()).try_into().unwrap());
            let mut bytes = vec![0; PIECE.max(request).max(answer)];
            match (request, answer) {
                (0, 0) => while (&stream).read(&mut bytes).unwrap_or(0) > 0 {},
                (0, total) => send(&stream, total),
                (request, answer) => {
                    while (&stream).read_exact(&mut bytes[..request]).is_ok() {
                        let _ = (&stream).write_all(&bytes[..answer]);
                    }
                }
            }
        });
    }
}

fn send(mut stream: &TcpStream, mut left: usize) {
    let piece = vec![7; PIECE];
    while left > 0 {
        let n = piece.len().min(left);
        if stream.write_all(&piece[..n]).is_err() {
            return;
        }
        left -= n;
    }
    let _ = stream.shutdown(Shutdown::Write);
}

fn say(mut stream: &TcpStream, request: usize, answer: usize) {
    let sizes = [request, answer].map(|size| u32::try_from(size).unwrap().to_be_bytes());
    stream.write_all(&sizes.concat()).unwrap();
}

/// What one round says: how many units per second, and CPU seconds per unit.
#[derive(Clone, Copy)]
struct Figure {
    rate: f64,
    cpu: f64,
}

fn measured(subject: &Subject, units: f64, run: impl FnOnce()) -> Figure {
    let (cpu, start) = (subject.cpu(), Instant::now());
    run();
    Figure { rate: units / start.elapsed().as_secs_f64(), cpu: (subject.cpu() - cpu) / units }
}

/// Units are GB.
fn bulk(subject: &Subject, total: usize, streams: usize, download: bool) -> Figure {
    measured(subject, total as f64 / 1e9, || {
        thread::scope(|scope| {
            for _ in 0..streams {
                scope.spawn(|| {
                    let mut stream = subject.connect();
                    let mut buffer = vec![0; PIECE];
                    if download {
                        say(&stream, 0, total / streams);
                    } else {
                        say(&stream, 0, 0);
                        send(&stream, total / streams);
                    }
                    while stream.read(&mut buffer).unwrap() > 0 {}
                });
            }
        });
    })
}

/// Units are requests.
fn requests(subject: &Subject, count: usize, streams: usize, answer: usize) -> Figure {
    measured(subject, count as f64, || {
        thread::scope(|scope| {
            for _ in 0..streams {
                scope.spawn(|| {
                    let mut stream = subject.connect();
                    say(&stream, 100, answer);
                    let mut bytes = vec![0; answer];
                    for _ in 0..count / streams {
                        stream.write_all(&[1; 100]).unwrap();
                        stream.read_exact(&mut bytes).unwrap();
                    }
                });
            }
        });
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [role, how, port] = arguments.as_slice()
        && role == "serve"
    {
        return serve(how, port.parse().unwrap());
    }
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    let (total, rounds) = (number(0, 1024) << 20, number(1, 5));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || service(&listener));
    let mut subjects = vec![Subject::ours("adaptive", port), Subject::ours("copy", port)];
    subjects.extend(Subject::haproxy(port));

    type Run = Box<dyn Fn(&Subject) -> Figure>;
    let mut rows: Vec<(String, f64, &str, f64, &str, Run)> = Vec::new();
    for (name, streams, download) in
        [("bulk up", 1, false), ("bulk down", 1, true), ("bulk up, 8 streams", 8, false)]
    {
        let run: Run = Box::new(move |subject| bulk(subject, total, streams, download));
        rows.push((name.into(), 8.0, "Gb/s", 1.0, "CPU s/GB", run));
    }
    for (answer, count) in
        [(100, 16_000), (4_000, 16_000), (64_000, 8_000), (200_000, 4_000), (1_000_000, 1_000)]
    {
        let count = count * (total >> 20) / 1024;
        let run: Run = Box::new(move |subject| requests(subject, count, 8, answer));
        rows.push((format!("answers of {answer}, 8 streams"), 1e-3, "k/s", 1e6, "CPU µs each", run));
    }
    for (row, rate_factor, rate_unit, cpu_factor, cpu_unit, run) in rows {
        let mut figures = vec![Vec::new(); subjects.len()];
        for _ in 0..rounds {
            for (subject, figures) in subjects.iter().zip(&mut figures) {
                figures.push(run(subject));
            }
        }
        println!("{row}");
        for (subject, own) in subjects.iter().zip(&figures) {
            let of = |value: fn(&Figure) -> f64| median(own.iter().map(value).collect());
            let ratio = |value: fn(&Figure) -> f64| {
                median(
                    own.iter().zip(&figures[0]).map(|(other, first)| value(first) / value(other)).collect(),
                )
            };
            println!(
                "  {:<10} {:>8.2} {rate_unit}  {:>8.3} {cpu_unit}   adaptive/this: {:.2}, CPU {:.2}",
                subject.name,
                of(|f| f.rate) * rate_factor,
                of(|f| f.cpu) * cpu_factor,
                ratio(|f| f.rate),
                ratio(|f| f.cpu),
            );
        }
    }
}
