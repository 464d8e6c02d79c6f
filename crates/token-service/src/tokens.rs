//! The token endpoint: authenticate the client, then exchange or refresh; and revocation by token (RFC 7009).

use grantd_core::{
    Change, Draw, Event, RecordKey,
    exchange::{self, CodeGrant, Outcome, Tokens},
    records::{Client, CodeRecord, Grant, User},
    refresh, register,
};
use grantd_oauth_types::{
    AccessToken, AuthorizationCode, ClientId, CodeVerifier, GrantId, OAuthError, OAuthErrorCode, RefreshToken,
};
use grantd_proto::v1::{self, issue_token_request::Grant as Sent};
use tonic::Status;
use tracing::{field::Empty, instrument};

use crate::{
    Service,
    assertions::Shown,
    convert, errors,
    events::{self, About},
    profile::Settled,
    trace,
    transaction::{Loaded, draw, to_its_end},
};

const INVALID_GRANT: &str = "the code or token is unknown, expired, revoked or was used already; sign in again";

fn invalid_grant() -> Status {
    errors::oauth(&OAuthError::new(OAuthErrorCode::InvalidGrant, INVALID_GRANT))
}

fn authenticated(client: Option<&Client>, shown: &Shown) -> Result<Client, Status> {
    register::authenticate(client, shown.credentials()).cloned().map_err(|error| errors::oauth(&error))
}

/// A decided token request, with what its answer and its log line need.
struct Decided {
    answer: Result<(Tokens, i64), OAuthError>,
    event: Option<Event>,
    grant_id: GrantId,
    client: Client,
    person: Option<(String, String)>,
    revoked: bool,
}

impl Service {
    /// Runs to its end even if the caller hangs up: a rotation once begun is finished.
    #[instrument(
        name = "token_service.issue",
        skip_all,
        fields(grantd.client.id = Empty, grantd.flow.id = Empty, grantd.grant.id = Empty)
    )]
    pub(crate) async fn do_issue(&self, sent: v1::IssueTokenRequest) -> Result<v1::IssueTokenResponse, Status> {
        let service = self.clone();
        to_its_end(async move { service.issue(sent).await }).await
    }

    async fn issue(&self, sent: v1::IssueTokenRequest) -> Result<v1::IssueTokenResponse, Status> {
        let draw = draw(&sent.request_id)?;
        let (client_id, shown) = self.shown(sent.client.unwrap_or_default()).await?;
        let decided = match sent.grant {
            Some(Sent::AuthorizationCode(grant)) => {
                self.exchange_code(client_id, &shown, grant, sent.resource, &draw).await?
            }
            Some(Sent::RefreshToken(grant)) => {
                self.refresh_token(client_id, &shown, &grant, &sent.resource, &draw).await?
            }
            None => {
                self.authenticate(&RecordKey::Client(client_id), &shown).await?;
                let error =
                    OAuthError::new(OAuthErrorCode::UnsupportedGrantType, "use authorization_code or refresh_token");
                return Err(errors::oauth(&error));
            }
        };
        trace::client(&decided.client);
        trace::grant(decided.grant_id);
        if let Some(event) = decided.event {
            let (subject, username) =
                decided.person.as_ref().map_or(("", ""), |(subject, username)| (subject, username));
            let about = About {
                grant_id: Some(decided.grant_id),
                client_id: Some(&decided.client.id),
                subject,
                username,
                remote_address: &sent.remote_address,
                revoked: decided.revoked,
            };
            events::log(event, &about);
        }
        let (tokens, expires_in) = decided.answer.map_err(|error| errors::oauth(&error))?;
        self.renew(decided.client).await;
        Ok(v1::IssueTokenResponse {
            access_token: tokens.pair.access.to_text(),
            token_type: "Bearer".to_owned(),
            expires_in,
            refresh_token: tokens.pair.refresh.to_text(),
            scope: tokens.scope.to_string(),
        })
    }

    async fn exchange_code(
        &self,
        client_id: ClientId,
        shown: &Shown,
        sent: v1::AuthorizationCodeGrant,
        resource: Vec<String>,
        draw: &Draw,
    ) -> Result<Decided, Status> {
        let client_key = RecordKey::Client(client_id);
        let parsed = AuthorizationCode::parse(&sent.code).zip(CodeVerifier::parse(&sent.code_verifier));
        let Some((code, verifier)) = parsed else {
            // The client is authenticated before the grant is looked at.
            self.authenticate(&client_key, shown).await?;
            return Err(if sent.code_verifier.is_empty() {
                errors::invalid_request("code_verifier is missing")
            } else {
                invalid_grant()
            });
        };
        let id = code.grant_id;
        let (code_key, grant_key) = (RecordKey::Code(id, code.digest()), RecordKey::Grant(id));
        let request = CodeGrant {
            code,
            redirect_uri: (!sent.redirect_uri.is_empty()).then_some(sent.redirect_uri),
            verifier,
            resource,
        };
        let label = |decided: &Decided| if decided.answer.is_ok() { "exchange" } else { "exchange refused" };
        let decided = self
            .transact_as(draw, label, || async {
                let mut loaded = self.load(vec![client_key.clone(), code_key.clone(), grant_key.clone()]).await?;
                let client = loaded.record::<Client>(&client_key)?;
                let client = authenticated(client.as_ref(), shown)?;
                let code = loaded.record::<CodeRecord>(&code_key)?;
                let grant = loaded.record::<Grant>(&grant_key)?;
                let person = code
                    .as_ref()
                    .map(|code| (code.consent.subject.clone(), code.consent.username.clone()))
                    .or_else(|| grant.as_ref().map(|grant| (grant.subject.clone(), grant.username.clone())));
                let user = self.person(&mut loaded, person.as_ref().map(|(_, username)| username.as_str())).await?;
                let facts = exchange::Loaded {
                    client: &client,
                    code: code.as_ref(),
                    grant: grant.as_ref(),
                    user: user.as_ref(),
                };
                let outcome = exchange::exchange(self.policy(), facts, &request, loaded.now, draw);
                if outcome.answer.is_ok() {
                    self.use_up(&client.id, shown, draw).await?;
                }
                if outcome.answer.is_ok()
                    && let Some((subject, _)) = &person
                {
                    let expires_at = loaded.now.plus(self.policy().lifetimes.refresh);
                    self.index_grant(id, &client.id, subject, expires_at).await?;
                }
                Ok(decided(loaded, outcome, id, client, person))
            })
            .await?;
        if decided.answer.is_ok() && self.settle(id, draw).await? == Settled::Orphaned {
            self.revoke_one(id, draw).await?;
            return Err(invalid_grant());
        }
        Ok(decided)
    }

    async fn refresh_token(
        &self,
        client_id: ClientId,
        shown: &Shown,
        sent: &v1::RefreshTokenGrant,
        resource: &[String],
        draw: &Draw,
    ) -> Result<Decided, Status> {
        let client_key = RecordKey::Client(client_id);
        let Some(token) = RefreshToken::parse(&sent.refresh_token) else {
            self.authenticate(&client_key, shown).await?;
            return Err(invalid_grant());
        };
        let id = token.grant_id;
        let grant_key = RecordKey::Grant(id);
        let label = |decided: &Decided| if decided.answer.is_ok() { "refresh" } else { "refresh refused" };
        let decided = self
            .transact_as(draw, label, || async {
                let mut loaded = self.load(vec![client_key.clone(), grant_key.clone()]).await?;
                let client = loaded.record::<Client>(&client_key)?;
                let client = authenticated(client.as_ref(), shown)?;
                let grant = loaded.record::<Grant>(&grant_key)?;
                let person = grant.as_ref().map(|grant| (grant.subject.clone(), grant.username.clone()));
                let user = self.person(&mut loaded, person.as_ref().map(|(_, username)| username.as_str())).await?;
                let facts = refresh::Loaded { client: &client, grant: grant.as_ref(), user: user.as_ref() };
                let outcome = refresh::refresh(self.policy(), facts, &token, resource, loaded.now, draw);
                if outcome.answer.is_ok() {
                    self.use_up(&client.id, shown, draw).await?;
                }
                Ok(decided(loaded, outcome, id, client, person))
            })
            .await?;
        if decided.event == Some(Event::Refreshed)
            && let Some((subject, _)) = decided.person.clone()
        {
            let client = decided.client.id.clone();
            self.behind("index grant", move |service| async move {
                let now = service.load(Vec::new()).await?.now;
                service.index_grant(id, &client, &subject, now.plus(service.policy().lifetimes.refresh)).await
            });
        }
        Ok(decided)
    }

    pub(crate) async fn authenticate(&self, key: &RecordKey, shown: &Shown) -> Result<Client, Status> {
        let loaded = self.load(vec![key.clone()]).await?;
        let client = loaded.record::<Client>(key)?;
        if let Some(client) = &client {
            trace::client(client);
        }
        authenticated(client.as_ref(), shown)
    }

    /// A person whose name follows from what was loaded.
    pub(crate) async fn person(&self, loaded: &mut Loaded, username: Option<&str>) -> Result<Option<User>, Status> {
        let Some(username) = username else { return Ok(None) };
        let key = RecordKey::User(username.to_owned());
        self.load_more(loaded, vec![key.clone()]).await?;
        loaded.record(&key)
    }

    /// Renews a registration in use. Its first use before the answer, because a registration that was never used goes
    /// early; later ones behind it.
    async fn renew(&self, client: Client) {
        let is_first = client.renewed_at == client.created_at;
        let renewal = move |service: Self| async move {
            let key = RecordKey::Client(client.id.clone());
            let loaded = service.load(vec![key.clone()]).await?;
            let Some(client) = loaded.record::<Client>(&key)? else { return Ok(()) };
            let Some(change) = register::renew(service.policy(), &client, loaded.now) else { return Ok(()) };
            let expires_at = loaded.now.plus(service.policy().lifetimes.client);
            service.index(&grantd_store::Index::clients(), client.id.as_str(), Some(expires_at)).await?;
            // Somebody else may renew it just now; then there is nothing left to do.
            service.commit(&loaded, change, own_commit_id()?).await.map(|_| ())
        };
        if is_first {
            // The tokens are issued; should this fail, the next use tries again.
            let _: Result<(), Status> = renewal(self.clone()).await;
        } else {
            self.behind("renew client", renewal);
        }
    }

    /// Writes behind an answer: bounded, and lost without harm.
    pub(crate) fn behind<F, R>(&self, what: &'static str, work: F)
    where
        F: FnOnce(Self) -> R + Send + 'static,
        R: Future<Output = Result<(), Status>> + Send,
    {
        let Ok(permit) = self.0.background.clone().try_acquire_owned() else { return };
        let service = self.clone();
        tokio::spawn(tracing::Instrument::in_current_span(async move {
            if let Err(status) = work(service).await {
                tracing::debug!(what, code = ?status.code(), "a write behind an answer failed; the next use tries again");
            }
            drop(permit);
        }));
    }

    pub(crate) async fn do_revoke_token(&self, sent: v1::RevokeTokenRequest) -> Result<(), Status> {
        let draw = draw(&sent.request_id)?;
        let (client_id, shown) = self.shown(sent.client.unwrap_or_default()).await?;
        let client = self.authenticate(&RecordKey::Client(client_id), &shown).await?;
        // Unknown tokens are no error (RFC 7009 §2.2); a guess must revoke nothing.
        let (id, is_its) = if let Some(token) = AccessToken::parse(&sent.token) {
            let key = RecordKey::Access(token.grant_id, token.digest());
            let record = self.load(vec![key.clone()]).await?.record::<grantd_core::records::AccessRecord>(&key)?;
            (token.grant_id, record.is_some_and(|record| record.client_id == client.id))
        } else if let Some(token) = RefreshToken::parse(&sent.token) {
            let key = RecordKey::Grant(token.grant_id);
            let loaded = self.load(vec![key.clone()]).await?;
            let grant = loaded.record::<Grant>(&key)?.filter(|grant| grant.client_id == client.id);
            let overlap = self.policy().lifetimes.refresh_overlap;
            let issued = grant.as_ref().and_then(Grant::live).is_some_and(|ratchet| {
                ratchet.standing(&token, loaded.now, overlap) != grantd_core::ratchet::Standing::Forged
            });
            (token.grant_id, issued)
        } else {
            return Ok(());
        };
        if is_its {
            self.use_up(&client.id, &shown, &draw).await?;
            self.revoke_one(id, &draw).await?;
        }
        Ok(())
    }
}

fn random<const N: usize>() -> Result<[u8; N], Status> {
    let mut bytes = [0; N];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes)
        .map_err(|_| errors::defect("the system gave no randomness"))?;
    Ok(bytes)
}

/// A commit id for a write that no request repeats.
pub(crate) fn own_commit_id() -> Result<[u8; 16], Status> {
    random()
}

/// A request id for what this process does by itself.
pub(crate) fn own_request_id() -> Result<Vec<u8>, Status> {
    random::<32>().map(Vec::from)
}

fn decided(
    loaded: Loaded,
    outcome: Outcome,
    grant_id: GrantId,
    client: Client,
    person: Option<(String, String)>,
) -> (Loaded, Change, Decided) {
    let now = loaded.now;
    let revoked = Service::revokes(&outcome.change);
    let answer = outcome.answer.map(|tokens| {
        let expires_in = convert::remaining(now, tokens.pair.access_expires_at);
        (tokens, expires_in)
    });
    (loaded, outcome.change, Decided { answer, event: outcome.event, grant_id, client, person, revoked })
}
