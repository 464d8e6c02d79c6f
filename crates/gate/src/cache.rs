//! Positive answers of TokenService, for a few seconds.
//!
//! An answer is trusted for at most `cache_max_age`, counted from before its question was sent, and never beyond the
//! token's own end. Questions about the same token are asked once. An answer is not kept when anything was revoked or
//! superseded after its question was sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use grantd_oauth_types::Digest;
use grantd_proto::v1::TokenAllowed;
use tokio::time::Instant;

/// What an answer is about: the token, and the resource by its place in the configuration (which fixes the scopes).
pub(crate) type Question = (Digest, usize);

/// An answer and how long it may be trusted.
#[derive(Clone)]
pub(crate) struct Trusted {
    pub(crate) allowed: Arc<TokenAllowed>,
    until: Instant,
    /// The count of announcements when the question was sent.
    asked_at: u64,
}

pub(crate) struct Cache {
    answers: moka::future::Cache<Question, Trusted>,
    max_age: Duration,
    announcements: AtomicU64,
}

impl Cache {
    pub(crate) fn new(max_age: Duration, entries: u64) -> Self {
        let answers = moka::future::Cache::builder()
            .max_capacity(entries)
            .time_to_live(max_age.max(Duration::from_millis(1)))
            .support_invalidation_closures()
            .build();
        Self { answers, max_age, announcements: AtomicU64::new(0) }
    }

    /// The answer to a question: trusted, or asked for by `ask`. A refusal is the error.
    pub(crate) async fn answer<E, F>(
        &self,
        question: Question,
        ask: impl FnOnce() -> F,
    ) -> Result<Arc<TokenAllowed>, Arc<E>>
    where
        E: Send + Sync + 'static,
        F: Future<Output = Result<TokenAllowed, E>>,
    {
        if self.max_age.is_zero() {
            return ask().await.map(Arc::new).map_err(Arc::new);
        }
        if let Some(trusted) = self.answers.get(&question).await {
            if Instant::now() < trusted.until {
                return Ok(trusted.allowed);
            }
            self.answers.invalidate(&question).await;
        }
        let asking = async {
            let (asked, asked_at) = (Instant::now(), self.announcements.load(Ordering::Acquire));
            let allowed = ask().await?;
            let left = Duration::from_secs(u64::try_from(allowed.expires_in).unwrap_or(0));
            Ok(Trusted { allowed: Arc::new(allowed), until: asked + self.max_age.min(left), asked_at })
        };
        let trusted = self.answers.try_get_with(question, asking).await?;
        if trusted.asked_at != self.announcements.load(Ordering::Acquire) {
            self.answers.invalidate(&question).await;
        }
        Ok(trusted.allowed)
    }

    /// Something was announced: forget the answers it concerns, and do not keep those that are on their way.
    pub(crate) fn forget(&self, concerns: impl Fn(&TokenAllowed) -> bool + Send + Sync + 'static) {
        self.announcements.fetch_add(1, Ordering::AcqRel);
        // Fails only without `support_invalidation_closures`.
        let _ = self.answers.invalidate_entries_if(move |_, trusted| concerns(&trusted.allowed));
    }
}
