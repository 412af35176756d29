//! A frp client as light as can be: one control, one tcp proxy, and an echo at the end of its work connections. What
//! it sends and when is what frpc sends.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use frp_net::tls::{ClientTls, ClientTlsOptions, write_marker};
use frp_proto::digest;
use frp_proto::exchange::Channel;
use frp_proto::exchange::client::ClientLogin;
use frp_proto::msg::{Login, Message, NewProxy, NewWorkConn, Ping};
use frp_stream::Stream;
use frp_stream::message::{MessageReader, MessageWriter, control_channel, read_message, write_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::{TOKEN, Transport};

/// A login takes no longer, however busy the machine.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// frpc's own default without multiplexing; with it none are sent.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What one client is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) transport: Transport,
    pub(crate) port: u16,
    /// Work connections that the server is to keep ready.
    pub(crate) pool_count: i64,
    /// Part of the proxy's name.
    pub(crate) number: usize,
}

/// A client that serves its proxy until it is dropped.
#[derive(Debug)]
pub(crate) struct Client {
    /// Public port of its proxy.
    pub(crate) port: u16,
    _session: JoinSet<()>,
}

/// Where streams come from.
struct Connector {
    options: Options,
    session: Option<frp_mux::Session>,
}

impl Client {
    /// Logs in and starts the proxy.
    ///
    /// # Errors
    /// The server does not agree, or not in time.
    pub(crate) async fn start(options: Options) -> Result<Self> {
        timeout(LOGIN_TIMEOUT, Self::log_in(options)).await.context("no login in time")?
    }

    async fn log_in(options: Options) -> Result<Self> {
        let mut tasks = JoinSet::new();
        let mut connector = Connector { options, session: None };
        if options.transport.mux {
            let config = frp_mux::Config { inbound_limit: 0, ..frp_mux::Config::default() };
            let (session, driver) = frp_mux::Session::client(connector.dial().await?, config);
            tasks.spawn(async move { drop(driver.await) });
            connector.session = Some(session);
        }
        let mut stream = connector.open().await?;
        let (run_id, key) = exchange(&mut stream, options.pool_count).await?;
        let (mut reader, mut writer) = control_channel(stream, &key);
        let proxy = NewProxy {
            proxy_name: format!("c{}", options.number),
            proxy_type: "tcp".to_owned(),
            ..NewProxy::default()
        };
        writer.send(&proxy.into()).await?;
        let mut wanted = 0;
        let address = loop {
            match reader.next().await? {
                Message::NewProxyResp(answer) if answer.error.is_empty() => break answer.remote_addr,
                Message::NewProxyResp(answer) => bail!("new proxy: {}", answer.error),
                Message::ReqWorkConn(_) => wanted += 1,
                other => bail!("{} from the server", other.kind().name()),
            }
        };
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        let serve = Serve { connector: Arc::new(connector), run_id };
        tasks.spawn(serve.run(reader, writer, wanted));
        Ok(Self { port: port.context("no public port")?, _session: tasks })
    }
}

impl Connector {
    async fn dial(&self) -> Result<Stream> {
        // Not bound to an address: a port that is bound serves one connection, else one to each destination.
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.options.port)).await?;
        tcp.set_nodelay(true)?;
        let mut stream = Stream::from(tcp);
        if !self.options.transport.tls {
            return Ok(stream);
        }
        write_marker(&mut stream).await?;
        // Made anew for each connection, as frpc does for each login: nothing is resumed.
        let options = ClientTlsOptions { server_name: "127.0.0.1".to_owned(), ..ClientTlsOptions::default() };
        Ok(ClientTls::new(&options)?.connect(stream).await?)
    }

    async fn open(&self) -> Result<Stream> {
        match &self.session {
            Some(session) => Ok(Stream::boxed(session.open().await?)),
            None => self.dial().await,
        }
    }
}

/// The login itself: its run id, and the key of what follows.
async fn exchange(stream: &mut Stream, pool_count: i64) -> Result<(String, frp_proto::crypto::Key)> {
    let timestamp = 1_700_000_000;
    let login = Login {
        version: frpc::COMPATIBLE_VERSION.to_owned(),
        hostname: "scale".to_owned(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        privilege_key: digest::auth_key(TOKEN.as_bytes(), timestamp),
        timestamp,
        pool_count,
        ..Login::default()
    };
    let (mut login, bytes) = ClientLogin::start(login, TOKEN.as_bytes())?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    let mut buffer = [0; 512];
    loop {
        let wanted = login.wanted()?.min(buffer.len());
        let read = stream.read(buffer.get_mut(..wanted).unwrap_or_default()).await?;
        ensure!(read > 0, "closed during the login");
        if let (_, Some(done)) = login.receive(buffer.get(..read).unwrap_or_default())? {
            let Channel::V1 { key } = done.channel else { bail!("another channel") };
            return Ok((done.response.run_id, key));
        }
    }
}

/// A logged-in session.
struct Serve {
    connector: Arc<Connector>,
    run_id: String,
}

impl Serve {
    /// Opens work connections when asked, and pings where frpc does. `wanted` were asked for already.
    async fn run(self, mut reader: MessageReader, mut writer: MessageWriter, wanted: usize) {
        let mut work = JoinSet::new();
        let mut pings = interval(HEARTBEAT);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pinging = !self.connector.options.transport.mux;
        (0..wanted).for_each(|_| self.work_connection(&mut work));
        loop {
            tokio::select! {
                message = reader.next() => match message {
                    Ok(Message::ReqWorkConn(_)) => self.work_connection(&mut work),
                    Ok(_) => {}
                    Err(_) => return,
                },
                _ = pings.tick(), if pinging => {
                    if writer.send(&Ping::default().into()).await.is_err() {
                        return;
                    }
                }
                Some(_) = work.join_next() => {}
            }
        }
    }

    fn work_connection(&self, work: &mut JoinSet<()>) {
        let connector = Arc::clone(&self.connector);
        let message = NewWorkConn { run_id: self.run_id.clone(), ..NewWorkConn::default() };
        work.spawn(async move {
            // A user that is not served is noticed where the user is.
            let _ = echo(&connector, message).await;
        });
    }
}

/// One work connection, whose user gets back what it sends.
async fn echo(connector: &Connector, message: NewWorkConn) -> Result<()> {
    let mut stream = connector.open().await?;
    write_message(&mut stream, &message.into()).await?;
    let Message::StartWorkConn(start) = read_message(&mut stream).await? else { bail!("not started") };
    ensure!(start.error.is_empty(), "{}", start.error);
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::io::copy(&mut read, &mut write).await?;
    write.shutdown().await?;
    Ok(())
}
