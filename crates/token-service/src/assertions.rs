//! Who a client is that calls: by its secret, by an assertion (`private_key_jwt`: RFC 7521 §4.2, RFC 7523 §3), or by its word.
//!
//! 1. An assertion says whose it is. That client's record has the keys that were kept of its document.
//! 2. Claims first, then the signature: what is plainly not for us, or not for now, costs no arithmetic and asks nobody.
//! 3. A key that is not known is looked for once, by a fetch every twenty seconds at most for each client. Keys that have grown old serve on, and
//!    are fetched behind the answer: so a client's site that is away signs nobody out.
//! 4. The grant is looked at only then, and the record of the client once more, together with it.
//! 5. An assertion is used up by the request that it was good for, just before that commits, under the request's own id: the
//!    same call sent again is the same use, and any other finds the record of the first, at every replica. One that yields
//!    nothing is not used up, so nobody without a grant makes the store grow.
//!
//! The text of an assertion is kept, logged and traced nowhere.

use grantd_client_metadata::{ASSERTION_TYPE, Algorithm, Assertion, AssertionError, VerifyError};
use grantd_core::{
    Draw, Event, RecordKey, Timestamp,
    records::{Client, ClientKeys, UsedAssertion},
    register::{self, Credentials},
};
use grantd_oauth_types::{ClientId, OAuthError, OAuthErrorCode};
use grantd_proto::v1;
use grantd_store::CommitOutcome;
use tonic::Status;

use crate::{
    Service,
    documents::key_set,
    errors,
    events::{self, About},
    trace,
};

/// What a client showed, as far as it does not depend on a secret that its record holds.
pub(crate) enum Shown {
    /// A secret; empty when none was sent.
    Secret(String),
    /// An assertion that its keys made.
    Assertion(Verified),
}

/// An assertion that is good, if nobody used it before.
pub(crate) struct Verified {
    epoch: u64,
    jti: String,
    is_over_at: Timestamp,
}

impl Shown {
    /// As the rules take it.
    pub(crate) fn credentials(&self) -> Credentials<'_> {
        match self {
            Self::Secret(secret) => Credentials::Secret(secret),
            Self::Assertion(Verified { epoch, .. }) => Credentials::Assertion { epoch: *epoch },
        }
    }

    /// Whether it is good for one request only.
    pub(crate) fn is_used_up(&self) -> bool {
        matches!(self, Self::Assertion(_))
    }
}

fn refused(description: impl AsRef<str>) -> Status {
    errors::oauth(&OAuthError::new(OAuthErrorCode::InvalidClient, description))
}

fn bad(why: AssertionError) -> Status {
    refused(format!("the client_assertion is not good: {why}"))
}

impl Service {
    /// Reads what a client showed. What [`register::authenticate`] says of it is still to be asked.
    pub(crate) async fn shown(&self, sent: v1::ClientAuthentication) -> Result<(ClientId, Shown), Status> {
        let v1::ClientAuthentication { client_id, client_secret, client_assertion_type, client_assertion } = sent;
        if client_assertion.is_empty() && client_assertion_type.is_empty() {
            let id = ClientId::parse(&client_id).ok_or_else(|| refused(register::UNKNOWN_CLIENT))?;
            trace::client_id(&id);
            return Ok((id, Shown::Secret(client_secret)));
        }
        if !client_secret.is_empty() {
            return Err(refused("send either a client_assertion or a client_secret, not both"));
        }
        if client_assertion_type != ASSERTION_TYPE {
            return Err(refused(format!("the client_assertion_type must be {ASSERTION_TYPE}")));
        }
        let assertion = Assertion::parse(&client_assertion).map_err(bad)?;
        let id = ClientId::parse(assertion.subject()).ok_or_else(|| bad(AssertionError::Issuer))?;
        if !client_id.is_empty() && client_id != id.as_str() {
            return Err(bad(AssertionError::Issuer));
        }
        trace::client_id(&id);
        self.verified(&id, &assertion).await.map(|verified| (id, Shown::Assertion(verified)))
    }

    async fn verified(&self, id: &ClientId, assertion: &Assertion) -> Result<Verified, Status> {
        let Some(documents) = &self.0.documents else {
            return Err(refused("this server takes no client_assertion"));
        };
        let key = RecordKey::Client(id.clone());
        let loaded = self.load(vec![key.clone()]).await?;
        let client = loaded.record::<Client>(&key)?.ok_or_else(|| refused("unknown client; authorize again"))?;
        trace::client(&client);
        let Some(keys) = &client.keys else {
            return Err(refused("this client has no keys for a client_assertion in its metadata document"));
        };
        let now = loaded.now;
        assertion.check(id.as_str(), &documents.audiences, now.as_secs()).map_err(bad)?;
        if !keys.algorithm.is_empty() && Algorithm::parse(&keys.algorithm) != Some(assertion.algorithm()) {
            return Err(bad(AssertionError::Algorithm));
        }
        let verify = |keys: &ClientKeys| match key_set(keys) {
            Some(set) => assertion.verify(&set),
            None => Err(AssertionError::Signature(VerifyError::UnknownKey)),
        };
        match verify(keys) {
            Err(AssertionError::Signature(VerifyError::UnknownKey)) if register::may_ask_for_keys(keys, now) => {
                let newer = self.fetch_keys(&client).await?;
                let newer = newer.ok_or_else(|| refused("this client has no keys any more"))?;
                verify(&newer).map_err(bad)?;
            }
            verified => {
                verified.map_err(bad)?;
                if !now.is_before(keys.fresh_until) {
                    self.fetch_keys_behind(&client);
                }
            }
        }
        let is_over_at = Timestamp::from_secs(assertion.is_over_at());
        Ok(Verified { epoch: client.epoch, jti: assertion.id().to_owned(), is_over_at })
    }

    /// Uses up what was shown, if it can be used once only: for a request that will be granted.
    pub(crate) async fn use_up(&self, id: &ClientId, shown: &Shown, draw: &Draw) -> Result<(), Status> {
        let Shown::Assertion(Verified { jti, is_over_at, .. }) = shown else { return Ok(()) };
        let (key, change) = register::use_assertion(id, jti, *is_over_at);
        let commit = draw.commit_id("assertion");
        let loaded = self.load(vec![key.clone()]).await?;
        if loaded.written_by(&key, commit) {
            return Ok(());
        }
        // The commit demands that nothing is there. Should somebody else be first, it conflicts.
        let is_used = loaded.record::<UsedAssertion>(&key)?.is_some();
        if !is_used && self.commit(&loaded, change, commit).await? == CommitOutcome::Committed {
            return Ok(());
        }
        events::log(Event::AssertionReplayed, &About { client_id: Some(id), ..About::default() });
        Err(refused("this client_assertion was used before; make a new one for each request"))
    }
}
