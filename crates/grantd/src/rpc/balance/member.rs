//! One token service: its channel, and how it is.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use tokio::{task::AbortHandle, time::Instant};
use tonic::{Code, body::Body, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tower::ServiceExt as _;

/// How long who failed a call is left alone, if others are well.
const REST: Duration = Duration::from_secs(2);
/// Who has not answered by the time a caller gives up has failed, if that took as long.
const SLOW: Duration = Duration::from_secs(2);
/// Between two attempts to hear of somebody's health.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A token service at one address.
pub(super) struct Member {
    /// The name it was found by.
    pub(super) host: String,
    pub(super) address: SocketAddr,
    channel: Channel,
    calls: AtomicUsize,
    rests_until: Mutex<Option<Instant>>,
    /// What it says of itself, or what its silence says. Until it is asked, nothing is known against it.
    says: Arc<Health>,
    asking: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct Health {
    is_away: AtomicBool,
}

impl Member {
    pub(super) fn new(host: String, address: SocketAddr, channel: Channel) -> Self {
        Self {
            host,
            address,
            channel,
            calls: AtomicUsize::new(0),
            rests_until: Mutex::new(None),
            says: Arc::default(),
            asking: Mutex::new(None),
        }
    }

    /// How many calls are under way.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Whether a call has a good chance.
    pub(super) fn is_well(&self) -> bool {
        !self.says.is_away.load(Ordering::Relaxed) && self.rest().is_none_or(|until| until <= Instant::now())
    }

    fn rest(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // Holds a plain value: whoever panicked left it whole.
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a call, and notes how that went.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, tonic::transport::Error> {
        let mut call = Call::begin(self);
        let answer = self.channel.clone().oneshot(request).await;
        call.is_answered = true;
        let failed = match &answer {
            Ok(response) => response.headers().get("grpc-status").is_some_and(|code| code == "14"),
            Err(_) => true,
        };
        *self.rest() = failed.then(|| Instant::now() + REST);
        answer
    }

    /// Begins to ask for its health, or ends it.
    pub(super) fn watch_health(&self, wanted: bool) {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*asking, wanted) {
            (None, true) => {
                let task = tokio::spawn(hear(self.channel.clone(), self.says.clone(), self.address));
                *asking = Some(task.abort_handle());
            }
            (Some(task), false) => {
                task.abort();
                *asking = None;
                self.says.is_away.store(false, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.watch_health(false);
    }
}

/// A call under way.
struct Call<'a> {
    member: &'a Member,
    since: Instant,
    is_answered: bool,
}

impl<'a> Call<'a> {
    fn begin(member: &'a Member) -> Self {
        member.calls.fetch_add(1, Ordering::Relaxed);
        Self { member, since: Instant::now(), is_answered: false }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.member.calls.fetch_sub(1, Ordering::Relaxed);
        if !self.is_answered && self.since.elapsed() >= SLOW {
            *self.member.rest() = Some(Instant::now() + REST);
        }
    }
}

/// Hears from a token service whether it serves, for as long as it is a member. Its silence is an answer as well: the
/// connection asks by itself whether the other end is there.
async fn hear(channel: Channel, says: Arc<Health>, address: SocketAddr) {
    let (shortest, longest) = PAUSES;
    let mut pause = shortest;
    loop {
        // The empty name is the whole server.
        let mut client = HealthClient::new(channel.clone());
        match client.watch(HealthCheckRequest::default()).await {
            Ok(stream) => {
                let mut stream = stream.into_inner();
                while let Ok(Some(health)) = stream.message().await {
                    set(&says, health.status() != ServingStatus::Serving, address);
                    pause = shortest;
                }
            }
            // It cannot say. Then calls will tell.
            Err(status) if status.code() == Code::Unimplemented => return set(&says, false, address),
            Err(_) => {}
        }
        set(&says, true, address);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

fn set(says: &Health, is_away: bool, address: SocketAddr) {
    if says.is_away.swap(is_away, Ordering::Relaxed) == is_away {
        return;
    }
    if is_away {
        tracing::warn!(event = "token_service.away", %address, "this token service does not serve; calls go to others");
    } else {
        tracing::info!(event = "token_service.back", %address, "this token service serves again");
    }
}
