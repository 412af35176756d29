//! Visitors: local ports that lead to a proxy of another client (upstream `client/visitor`).
//!
//! | module | holds |
//! | --- | --- |
//! | `spec` | from a configured visitor to what is run, and starting it |
//! | `dial` | a stream to the visited proxy, through the server |
//! | `stcp` | users of a TCP port, each with a stream of its own |
//! | `sudp` | users of a UDP port, all on one stream |
//!
//! The visitors of a session live and die with it, as upstream has them: their ports are closed while there is no
//! session. Users who are joined with their service belong to the client, so that a lost session does not cut them
//! (with multiplexing they end with the mux session all the same). A visitor that cannot be started, as its port is
//! taken, is tried again every [`RETRY`].

mod dial;
mod spec;
mod stcp;
mod sudp;

use std::sync::Arc;
use std::time::Duration;

use frp_proto::wire::Framing;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, warn};

pub(crate) use self::spec::{Common, VisitorSpec};
use crate::client::Shared;
use crate::connector::Connection;

/// How often visitors that do not run are started again, upstream's number.
const RETRY: Duration = Duration::from_secs(10);

/// What visitors need of the session that they belong to.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) run_id: String,
    /// How datagrams look on their streams.
    pub(crate) payload_framing: Framing,
    /// Ends the visitors.
    pub(crate) stop: CancellationToken,
}

/// The visitors of one session. Dropping them ends them, too.
pub(crate) struct Visitors {
    stop: CancellationToken,
    keeper: JoinSet<()>,
}

impl Visitors {
    /// Starts what is configured, and keeps it running until the session's token is cancelled.
    pub(crate) fn start(specs: &[Arc<VisitorSpec>], session: Session) -> Self {
        let stop = session.stop.clone();
        let mut keeper = JoinSet::new();
        if !specs.is_empty() {
            let specs = specs.iter().map(|spec| Place { spec: Arc::clone(spec), task: None });
            let kept = Keeper { places: specs.collect(), session: Arc::new(session), tasks: JoinSet::new() };
            keeper.spawn(kept.run().in_current_span());
        }
        Self { stop, keeper }
    }

    /// Ends the visitors and waits until their ports are free.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        while self.keeper.join_next().await.is_some() {}
    }
}

/// Starts visitors, again where that fails, and owns their tasks.
struct Keeper {
    places: Vec<Place>,
    session: Arc<Session>,
    tasks: JoinSet<()>,
}

/// A configured visitor, and its task where it has been started.
struct Place {
    spec: Arc<VisitorSpec>,
    task: Option<AbortHandle>,
}

impl Keeper {
    async fn run(mut self) {
        let stop = self.session.stop.clone();
        stop.run_until_cancelled(self.keep_running()).await;
        while self.tasks.join_next().await.is_some() {}
    }

    async fn keep_running(&mut self) {
        for place in &mut self.places {
            place.start(&self.session, &mut self.tasks).await;
        }
        let mut names: Vec<_> = self.places.iter().map(|place| place.spec.name.as_str()).collect();
        names.sort_unstable();
        info!("visitor added: [{}]", names.join(" "));

        let mut ticks = interval_at(Instant::now() + RETRY, RETRY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // None ends by itself but by a panic, which is told elsewhere.
            while self.tasks.try_join_next().is_some() {}
            for place in self.places.iter_mut().filter(|place| place.is_missing()) {
                info!("try to start visitor [{}]", place.spec.name);
                place.start(&self.session, &mut self.tasks).await;
            }
        }
    }
}

impl Place {
    fn is_missing(&self) -> bool {
        self.spec.is_runnable() && self.task.as_ref().is_none_or(AbortHandle::is_finished)
    }

    async fn start(&mut self, session: &Arc<Session>, tasks: &mut JoinSet<()>) {
        match self.spec.start(session).await {
            Ok(visitor) => {
                self.task = Some(tasks.spawn(visitor));
                info!("start visitor success");
            }
            Err(error) => warn!("{error}"),
        }
    }
}
