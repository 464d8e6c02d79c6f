//! Password hashing (Argon2id, RFC 9106) that an attacker cannot use to exhaust this process.
//!
//! 1. Attempts are slowed per account and address together, so that guessing is slow and nobody can lock somebody else
//!    out from elsewhere; and per address, so that one address cannot try many accounts.
//! 2. At most a few hashes are computed at once, each on a blocking thread; the rest wait in a line of bounded length, for a
//!    bounded time.
//! 3. An unknown user costs the same time as a wrong password.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use grantd_proto::error::Word;
use tokio::sync::Semaphore;
use tonic::Status;
use zeroize::Zeroizing;

use crate::{
    errors,
    limits::{self, Limit},
};

/// How long an attempt waits in line.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many may wait, for each that is computed: about as many as are done within that time.
const LINE: usize = 64;

pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    /// Those that wait, and those that are computed.
    line: Arc<Semaphore>,
    per_account: Limit<(String, String)>,
    per_address: Limit<String>,
    /// Verified against when there is no such user.
    decoy: tokio::sync::OnceCell<String>,
}

impl Passwords {
    pub(crate) fn new(parallel: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(parallel.max(1))),
            line: Arc::new(Semaphore::new(parallel.max(1).saturating_mul(LINE))),
            per_account: Limit::new(30, Duration::from_secs(3)),
            per_address: Limit::new(100, Duration::from_secs(1)),
            decoy: tokio::sync::OnceCell::new(),
        }
    }

    /// Slows attempts on `username` from `address`.
    pub(crate) fn admit(&self, username: &str, address: &str) -> Result<(), Status> {
        let network = limits::network(address);
        // The address first: who is refused here adds no account to the table.
        if self.per_address.admits(&network) && self.per_account.admits(&(username.to_owned(), network)) {
            return Ok(());
        }
        Err(Word::SlowDown.status("Too many attempts. Wait a minute and try again."))
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
        let Ok(_place) = self.line.clone().try_acquire_owned() else { return Err(errors::unavailable()) };
        let permit = tokio::time::timeout(PATIENCE, self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(errors::unavailable()) };
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|_| errors::defect("the hashing task ended"))
    }

    /// The PHC string of a password.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Status> {
        let password = Zeroizing::new(password);
        let hashed = self
            .blocking(move || {
                Argon2::default().hash_password(password.as_bytes()).map(|hash: PasswordHash| hash.to_string())
            })
            .await?;
        hashed.map_err(|_| errors::defect("hashing failed"))
    }

    /// Whether this is the password of `hash`; with no hash it takes as long and is wrong.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Status> {
        let password = Zeroizing::new(password);
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.decoy.get_or_try_init(|| self.hash("decoy".to_owned())).await?.clone(),
        };
        let right = self.blocking(move || {
            PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        Ok(right.await? && known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By counting places, not by time: whoever names somebody unknown stands in the same line, waits for the same place, and
    /// is answered when it is free.
    #[tokio::test]
    async fn an_unknown_user_costs_a_hash_too() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash("right".to_owned()).await.ok();
        assert!(passwords.verify("right".to_owned(), hash.clone()).await.is_ok_and(|right| right));
        // The first one makes the decoy as well.
        assert!(passwords.verify("decoy".to_owned(), None).await.is_ok_and(|right| !right));
        for hash in [hash, None] {
            let taken = passwords.permits.clone().acquire_owned().await;
            let free = passwords.line.available_permits();
            let mut attempt = std::pin::pin!(passwords.verify("wrong".to_owned(), hash.clone()));
            assert!(futures::poll!(&mut attempt).is_pending(), "it was answered without a hash: {hash:?}");
            assert_eq!(passwords.line.available_permits(), free - 1);
            drop(taken);
            assert!(attempt.await.is_ok_and(|right| !right));
            assert_eq!(passwords.line.available_permits(), free);
        }
    }
}
