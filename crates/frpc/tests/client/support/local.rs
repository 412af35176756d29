//! Local services.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::soon;

/// Sends back what it gets, and ends when its user does.
pub(crate) struct Echo {
    pub(crate) port: u16,
    _tasks: JoinSet<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut users = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                users.spawn(async move {
                    let (mut read, mut write) = socket.split();
                    let _ = copy(&mut read, &mut write).await;
                    let _ = write.shutdown().await;
                });
            }
        });
        Self { port, _tasks: tasks }
    }
}

/// Sends datagrams back to where they came from, with a mark before them.
pub(crate) struct UdpEcho {
    pub(crate) port: u16,
    _tasks: JoinSet<()>,
}

impl UdpEcho {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, user)) = socket.recv_from(&mut buffer).await {
                let answer = [b">", &buffer[..length]].concat();
                let _ = socket.send_to(&answer, user).await;
            }
        });
        Self { port, _tasks: tasks }
    }
}

/// Answers each request as the test says, on connections that it keeps.
pub(crate) struct HttpService {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    requests: mpsc::Receiver<String>,
    answers: mpsc::Sender<String>,
    _tasks: JoinSet<()>,
}

impl HttpService {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (heard, requests) = mpsc::channel(1);
        let (answers, mut to_say) = mpsc::channel::<String>(1);
        let mut tasks = JoinSet::new();
        let count = Arc::clone(&connections);
        tasks.spawn(async move {
            // One connection at a time: the client needs no more.
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                while let Some(request) = head(&mut socket).await {
                    heard.send(request).await.unwrap();
                    let Some(answer) = to_say.recv().await else { return };
                    socket.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains("\r\nBye: ") {
                        break;
                    }
                }
            }
        });
        Self { port, connections, requests, answers, _tasks: tasks }
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The head of the next request, to be answered next.
    pub(crate) async fn request(&mut self) -> String {
        soon(self.requests.recv()).await.unwrap()
    }

    pub(crate) async fn answer(&self, status: &str, headers: &str) {
        let bodiless = status.starts_with("204") || status.starts_with("304");
        let (length, body) = if bodiless { ("", "") } else { ("Content-Length: 2\r\n", "ok") };
        let answer = format!("HTTP/1.1 {status}\r\n{length}{headers}\r\n{body}");
        soon(self.answers.send(answer)).await.unwrap();
    }
}

async fn head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}
