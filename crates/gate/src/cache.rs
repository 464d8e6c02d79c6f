//! Positive answers of TokenService, for a few seconds.
//!
//! 1. An answer is trusted for at most `cache_max_age`, counted from before its question was sent, and never beyond the
//!    token's own end. That holds as well for who joined in waiting for it: a slow answer may be old when it comes.
//! 2. Announcements are counted. Each leaves a mark with its number at the grant, person or client that it is about, and
//!    an answer whose question is older than such a mark is trusted no more. That holds for an answer that is still on its
//!    way as well, and costs a few lookups, however many answers are kept.
//! 3. Questions about the same token are asked once, whoever waits for the answer.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::HeaderMap;
use grantd_oauth_types::Digest;
use grantd_proto::v1::TokenAllowed;
use tokio::time::Instant;

use crate::headers;

/// What an answer is about: the token, and the resource by its place in the configuration (which fixes the scopes).
pub(crate) type Question = (Digest, usize);

/// Whom an announcement is about, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Concern {
    Grant(String),
    Subject(String),
    Client(String),
}

impl Concern {
    pub(crate) fn includes(&self, allowed: &TokenAllowed) -> bool {
        match self {
            Self::Grant(id) => *id == allowed.grant_id,
            Self::Subject(id) => *id == allowed.subject,
            Self::Client(id) => *id == allowed.client_id,
        }
    }
}

/// A positive answer, and what follows from it for every call.
pub(crate) struct Allowed {
    token: TokenAllowed,
    /// What the upstream is told of it.
    pub(crate) identity: HeaderMap,
}

impl From<TokenAllowed> for Allowed {
    fn from(token: TokenAllowed) -> Self {
        Self { identity: headers::identity(&token), token }
    }
}

impl Deref for Allowed {
    type Target = TokenAllowed;

    fn deref(&self) -> &TokenAllowed {
        &self.token
    }
}

/// An answer and how long it may be trusted.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) allowed: Arc<Allowed>,
    /// When the question was sent.
    asked: Instant,
    until: Instant,
    /// The number of announcements when the question was sent.
    asked_at: u64,
}

/// The number of the last announcement about each id.
type Marks = moka::sync::Cache<String, u64>;

pub(crate) struct Cache {
    answers: moka::future::Cache<Question, Answer>,
    max_age: Duration,
    announcements: AtomicU64,
    grants: Marks,
    subjects: Marks,
    clients: Marks,
}

impl Cache {
    /// `call_timeout` is how long an answer may take.
    pub(crate) fn new(max_age: Duration, call_timeout: Duration, entries: u64) -> Self {
        // A mark may go when every answer that it concerns has, those on their way included. The newest stay if there are
        // too many: moka would by itself rather keep what is looked up often.
        let marks = || {
            moka::sync::Cache::builder()
                .max_capacity(entries)
                .eviction_policy(moka::policy::EvictionPolicy::lru())
                .time_to_live((max_age + call_timeout) * 2)
                .build()
        };
        Self {
            answers: moka::future::Cache::builder()
                .max_capacity(entries)
                .time_to_live(max_age.max(Duration::from_millis(1)))
                .build(),
            max_age,
            announcements: AtomicU64::new(0),
            grants: marks(),
            subjects: marks(),
            clients: marks(),
        }
    }

    /// The answer to a question: trusted, or asked for by `ask`. A refusal is the error.
    pub(crate) async fn answer<E, F>(&self, question: Question, ask: impl Fn() -> F) -> Result<Answer, Arc<E>>
    where
        E: Send + Sync + 'static,
        F: Future<Output = Result<TokenAllowed, E>>,
    {
        let came = Instant::now();
        if self.max_age.is_zero() {
            return self.ask(&ask).await.map_err(Arc::new);
        }
        if let Some(kept) = self.answers.get(&question).await {
            if self.is_trusted(&kept) {
                return Ok(kept);
            }
            self.answers.invalidate(&question).await;
        }
        let answered = self.answers.try_get_with(question, self.ask(&ask)).await?;
        if self.is_current(&answered) && (came <= answered.asked || Instant::now() < answered.until) {
            return Ok(answered);
        }
        // Something was announced while it was on its way, and whoever waited for it may have come after that. Or somebody
        // else's question took so long that this caller came much later than it was asked.
        self.answers.invalidate(&question).await;
        self.ask(&ask).await.map_err(Arc::new)
    }

    async fn ask<E, F: Future<Output = Result<TokenAllowed, E>>>(&self, ask: impl Fn() -> F) -> Result<Answer, E> {
        let (asked, asked_at) = (Instant::now(), self.announcements.load(Ordering::Acquire));
        let allowed = ask().await?;
        let left = Duration::from_secs(u64::try_from(allowed.expires_in).unwrap_or(0));
        Ok(Answer { allowed: Arc::new(allowed.into()), asked, until: asked + self.max_age.min(left), asked_at })
    }

    fn is_trusted(&self, answer: &Answer) -> bool {
        Instant::now() < answer.until && self.is_current(answer)
    }

    /// Whether nothing was announced about it since its question.
    pub(crate) fn is_current(&self, answer: &Answer) -> bool {
        let allowed = &answer.allowed;
        [(&self.grants, &allowed.grant_id), (&self.subjects, &allowed.subject), (&self.clients, &allowed.client_id)]
            .into_iter()
            .all(|(marks, id)| marks.get(id).is_none_or(|mark| mark <= answer.asked_at))
    }

    /// Something was announced: answers to earlier questions about it are trusted no more.
    pub(crate) fn forget(&self, concern: Concern) {
        // Counted first: a question that is sent once the count has changed is answered by what the announcement is about.
        let number = self.announcements.fetch_add(1, Ordering::AcqRel) + 1;
        match concern {
            Concern::Grant(id) => self.grants.insert(id, number),
            Concern::Subject(id) => self.subjects.insert(id, number),
            Concern::Client(id) => self.clients.insert(id, number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_too_many_marks_the_newest_stay() {
        let cache = Cache::new(Duration::from_secs(60), Duration::from_secs(5), 3);
        let about = async |id: &str| {
            let allowed = TokenAllowed { grant_id: id.to_owned(), expires_in: 60, ..TokenAllowed::default() };
            cache.ask(|| async { Ok::<_, ()>(allowed.clone()) }).await.unwrap()
        };
        let answer = about("grant").await;
        // Marks that are looked up all the time.
        for id in ["a", "b", "c"] {
            let answer = about(id).await;
            cache.forget(Concern::Grant(id.to_owned()));
            for _ in 0..20 {
                cache.grants.run_pending_tasks();
                assert!(!cache.is_current(&answer));
            }
        }
        assert!(cache.is_current(&answer));
        cache.forget(Concern::Grant("grant".to_owned()));
        cache.grants.run_pending_tasks();
        assert!(!cache.is_current(&answer));
    }
}
