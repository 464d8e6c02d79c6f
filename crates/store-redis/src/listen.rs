//! The task that listens for announcements, and knows when it may miss some.
//!
//! 1. [`Ears::begin`] subscribes at one primary, and publishes a heartbeat through each of them, on a channel of its own.
//!    It listens when all of them have arrived: from then on it hears what any primary announces.
//! 2. Every second a heartbeat goes through every primary. One that does not come back within [`LATE`] means that
//!    announcements may not either: the connection is dead, or the way between two nodes of a Cluster is.
//! 3. Every few seconds a Cluster is asked for its primaries, since new ones announce too.
//! 4. Whatever is not as it should be ends the hearing: watchers are told, and it begins again on a new connection.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fred::{
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, ClusterInterface as _, EventInterface as _, PubsubInterface as _},
    types::{Message, Value, cluster::ClusterRouting, config::Server},
};
use futures::future::try_join_all;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, MissedTickBehavior, timeout},
};

use crate::{
    line::{self, Connected, Line},
    startup,
    watch::{CHANNEL, Told},
};

const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a heartbeat may take.
const LATE: Duration = Duration::from_secs(3);

/// After how many heartbeats a Cluster is asked for its primaries.
const ASK: u32 = 5;

/// The listener's task.
pub(crate) struct Ears {
    line: Line,
    told: Told,
    patience: Duration,
}

/// One connection that listens.
pub(crate) struct Hearing {
    connected: Connected,
    messages: Receiver<Message>,
    primaries: Vec<Primary>,
    /// The channel of its heartbeats.
    channel: String,
}

struct Primary {
    /// `None` where there is but one.
    server: Option<Server>,
    /// When the heartbeat went out that has not come back.
    asked: Option<Instant>,
}

impl Ears {
    /// `patience` is for one command.
    pub(crate) fn new(line: Line, told: Told, patience: Duration) -> Self {
        Self { line, told, patience }
    }

    /// Listens for ever.
    pub(crate) async fn listen(self, mut hearing: Hearing) {
        loop {
            let why = self.hear(&mut hearing).await;
            self.told.lost(why);
            hearing = self.begin_again(hearing).await;
            self.told.back();
            self.told.gather(hearing.connected.client.clone(), self.patience);
            startup::look_again(hearing.connected.client.clone());
        }
    }

    async fn begin_again(&self, lost: Hearing) -> Hearing {
        let mut than = lost.connected.client.id().to_owned();
        drop(lost);
        loop {
            // Where the connection has ended already, this does nothing more.
            self.line.replace();
            match self.begin(&than).await {
                Ok(hearing) => return hearing,
                Err(cause) => tracing::debug!(%cause, "cannot listen for announcements yet"),
            }
            if let Some(connected) = self.line.connected() {
                connected.client.id().clone_into(&mut than);
            }
        }
    }

    /// Subscribes on a connection other than the one of this id, and waits until everything is heard.
    pub(crate) async fn begin(&self, than: &str) -> Result<Hearing, Error> {
        let connected = self.line.next(than).await;
        let client = connected.client.clone();
        let primaries = line::primaries(&client);
        let mut hearing = Hearing {
            messages: client.message_rx(),
            primaries: primaries
                .iter()
                .cloned()
                .map(|server| Primary { server, asked: Some(Instant::now()) })
                .collect(),
            channel: format!("oauth:heartbeat:{}", client.id()),
            connected,
        };
        let home = client.with_options(&line::at(spread(&primaries)));
        home.subscribe(vec![CHANNEL.to_owned(), hearing.channel.clone()]).await?;
        // fred answers a subscription when it was written, not when Redis replied; but Redis works through a connection
        // in order.
        home.ping::<Value>(None).await?;
        try_join_all((0..primaries.len()).map(|place| hearing.beat(place))).await?;
        let all = async {
            while hearing.primaries.iter().any(|primary| primary.asked.is_some()) {
                let message = hearing.messages.recv().await;
                self.take(&mut hearing, message).map_err(|why| Error::new(ErrorKind::Unknown, why))?;
            }
            Ok(())
        };
        match timeout(LATE, all).await {
            Ok(heard) => heard.map(|()| hearing),
            Err(_) => Err(Error::new(ErrorKind::Timeout, "what is published through a primary does not arrive")),
        }
    }

    /// Listens until something may be missed, and says what.
    async fn hear(&self, hearing: &mut Hearing) -> &'static str {
        let mut tick = tokio::time::interval(HEARTBEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks: u32 = 0;
        loop {
            tokio::select! {
                // What was heard counts, before it is asked what was not.
                biased;
                message = hearing.messages.recv() => {
                    if let Err(why) = self.take(hearing, message) {
                        return why;
                    }
                }
                () = hearing.connected.ended() => return "the connection that listens for announcements was lost",
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    if hearing.beat_all() {
                        return "what is announced through a primary does not arrive";
                    }
                    if ticks.is_multiple_of(ASK) && !self.same_primaries(hearing).await {
                        return "the Cluster has other primaries now";
                    }
                }
            }
        }
    }

    fn take(&self, hearing: &mut Hearing, message: Result<Message, RecvError>) -> Result<(), &'static str> {
        match message {
            Ok(message) if message.channel == CHANNEL => self.told.pass_on(message.value.as_str().as_deref()),
            Ok(message) if message.channel == hearing.channel => {
                let place = message.value.as_str().and_then(|place| place.parse::<usize>().ok());
                if let Some(primary) = place.and_then(|place| hearing.primaries.get_mut(place)) {
                    primary.asked = None;
                }
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => self.told.missed("announcements came faster than they were taken"),
            Err(RecvError::Closed) => return Err("the connection that listens for announcements has ended"),
        }
        Ok(())
    }

    /// Whether a Cluster has the primaries that are known. One that does not say so now says so later, or is noticed by
    /// its silence.
    async fn same_primaries(&self, hearing: &Hearing) -> bool {
        let client = &hearing.connected.client;
        let known: Vec<_> = hearing.primaries.iter().map(|primary| primary.server.clone()).collect();
        let Some(asked) = spread(&known) else { return true };
        let host = asked.host.clone();
        let node = client.with_options(&line::at(Some(asked)));
        let Ok(Ok(slots)) = timeout(self.patience, node.cluster_slots::<Value>()).await else { return true };
        let Ok(state) = ClusterRouting::from_cluster_slots(slots, host) else { return true };
        let now = state.unique_primary_nodes();
        now.len() == known.len() && now.into_iter().all(|server| known.contains(&Some(server)))
    }
}

impl Hearing {
    /// Publishes a heartbeat through the primary at this place.
    fn beat(&self, place: usize) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let server = self.primaries.get(place).and_then(|primary| primary.server.clone());
        let (client, channel) = (self.connected.client.clone(), self.channel.clone());
        async move { client.with_options(&line::at(server)).publish(channel, place.to_string()).await }
    }

    /// Publishes the next heartbeats. True when one before is late.
    fn beat_all(&mut self) -> bool {
        for place in 0..self.primaries.len() {
            let beat = self.beat(place);
            let Some(primary) = self.primaries.get_mut(place) else { continue };
            match primary.asked {
                None => {
                    primary.asked = Some(Instant::now());
                    // What becomes of it is heard, or not.
                    tokio::spawn(beat);
                }
                Some(asked) if asked.elapsed() > LATE => return true,
                Some(_) => {}
            }
        }
        false
    }
}

/// One after the other, from somewhere, so that the listeners of many processes are not all at one node.
fn spread(primaries: &[Option<Server>]) -> Option<Server> {
    static NEXT: LazyLock<AtomicUsize> = LazyLock::new(|| AtomicUsize::new(line::draw(usize::from(u16::MAX))));
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    primaries.get(next.checked_rem(primaries.len())?).cloned().flatten()
}
