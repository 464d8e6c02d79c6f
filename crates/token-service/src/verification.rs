//! The bearer check and introspection (RFC 6750, RFC 7662).
//!
//! 1. A token that does not parse is refused without asking the store.
//! 2. One read answers the rest.
//! 3. The first use of a pair is noted behind the answer: see `grantd_core::verify::first_use`.
//! 4. A stream that outlives its token is judged by its grant.
//! 5. Only a token that is not there costs a second read, of its grant: a store that lost a write may know it from ahead.

use grantd_core::{
    Event, RecordKey,
    ratchet::Standing,
    records::{AccessRecord, Client, Grant},
    register,
    verify::{self, Denied},
};
use grantd_oauth_types::{
    AccessToken, ClientId, GrantId, OAuthError, OAuthErrorCode, RefreshToken, ResourceUri, Scope, ScopeSet,
};
use grantd_proto::v1::{self, token_denied::Reason, verify_token_response::Result as Verdict};
use tonic::Status;

use crate::{
    Service,
    assertions::Shown,
    convert, errors,
    events::{self, About},
    tokens::own_commit_id,
    transaction::{Loaded, draw},
};

fn denied(reason: Reason, scope: String) -> v1::VerifyTokenResponse {
    v1::VerifyTokenResponse { result: Some(Verdict::Denied(v1::TokenDenied { reason: reason.into(), scope })) }
}

fn scopes(required: &[String]) -> Result<ScopeSet, Status> {
    let parse = |scope: &String| {
        Scope::parse(scope).ok_or_else(|| errors::invalid_request("required_scopes holds no scope tokens"))
    };
    required.iter().map(parse).collect()
}

fn refused(why: Denied) -> v1::VerifyTokenResponse {
    match why {
        Denied::Inactive => denied(Reason::Inactive, String::new()),
        Denied::WrongResource => denied(Reason::WrongResource, String::new()),
        Denied::InsufficientScope(union) => denied(Reason::InsufficientScope, union.to_string()),
    }
}

impl Service {
    pub(crate) async fn do_verify(&self, sent: v1::VerifyTokenRequest) -> Result<v1::VerifyTokenResponse, Status> {
        let Some(token) = AccessToken::parse(&sent.access_token) else {
            return Ok(denied(Reason::Malformed, String::new()));
        };
        let required = scopes(&sent.required_scopes)?;
        let resource = ResourceUri::new(sent.resource);
        let grant_id = token.grant_id.to_string();
        let (loaded, record) = self.access_record(&token).await?;
        match verify::verify(self.policy(), record.as_ref(), &resource, &required, loaded.now) {
            Ok((record, scope)) => {
                if !record.seen {
                    self.note_first_use(token);
                }
                Ok(v1::VerifyTokenResponse {
                    result: Some(Verdict::Allowed(v1::TokenAllowed {
                        grant_id,
                        client_id: record.client_id.to_string(),
                        subject: record.identity.subject.clone(),
                        username: record.identity.username.clone(),
                        email: record.identity.email.clone(),
                        groups: record.identity.groups.clone(),
                        scope: scope.to_string(),
                        expires_in: convert::remaining(loaded.now, record.expires_at),
                    })),
                })
            }
            Err(why) => Ok(refused(why)),
        }
    }

    pub(crate) async fn do_verify_grant(
        &self,
        sent: v1::VerifyGrantRequest,
    ) -> Result<v1::VerifyTokenResponse, Status> {
        let Some(id) = GrantId::parse(&sent.grant_id) else { return Ok(denied(Reason::Malformed, String::new())) };
        let required = scopes(&sent.required_scopes)?;
        let key = RecordKey::Grant(id);
        let mut loaded = self.load(vec![key.clone()]).await?;
        let Some(grant) = loaded.record::<Grant>(&key)? else { return Ok(refused(Denied::Inactive)) };
        let client_key = RecordKey::Client(grant.client_id.clone());
        let user_key = RecordKey::User(grant.username.clone());
        self.load_more(&mut loaded, vec![client_key.clone(), user_key.clone()]).await?;
        let (client, user) = (loaded.record(&client_key)?, loaded.record(&user_key)?);
        let resource = ResourceUri::new(sent.resource);
        let decided = verify::grant(
            self.policy(),
            Some(&grant),
            client.as_ref(),
            user.as_ref(),
            &resource,
            &required,
            loaded.now,
        );
        let (user, scope) = match decided {
            Ok(stands) => stands,
            Err(why) => return Ok(refused(why)),
        };
        let identity = user.identity();
        Ok(v1::VerifyTokenResponse {
            result: Some(Verdict::Allowed(v1::TokenAllowed {
                grant_id: sent.grant_id,
                client_id: grant.client_id.to_string(),
                subject: identity.subject,
                username: identity.username,
                email: identity.email,
                groups: identity.groups,
                scope: scope.to_string(),
                expires_in: convert::remaining(loaded.now, grant.expires_at),
            })),
        })
    }

    /// The record of an access token, repaired when the store lost it.
    async fn access_record(&self, token: &AccessToken) -> Result<(Loaded, Option<AccessRecord>), Status> {
        let key = RecordKey::Access(token.grant_id, token.digest());
        let mut loaded = self.load(vec![key.clone()]).await?;
        if let Some(record) = loaded.record(&key)? {
            return Ok((loaded, Some(record)));
        }
        let grant_key = RecordKey::Grant(token.grant_id);
        self.load_more(&mut loaded, vec![grant_key.clone()]).await?;
        let grant = loaded.record::<Grant>(&grant_key)?;
        let knows = |grant: &Grant| {
            grant.live().and_then(|ratchet| ratchet.ahead_access).is_some_and(|ahead| ahead.matches(&token.digest()))
        };
        let Some(grant) = grant.filter(knows) else { return Ok((loaded, None)) };

        let client_key = RecordKey::Client(grant.client_id.clone());
        let user_key = RecordKey::User(grant.username.clone());
        self.load_more(&mut loaded, vec![client_key.clone(), user_key.clone()]).await?;
        let (client, user) = (loaded.record(&client_key)?, loaded.record(&user_key)?);
        let Some((record, change)) =
            verify::repair(self.policy(), Some(&grant), client.as_ref(), user.as_ref(), token, loaded.now)
        else {
            return Ok((loaded, None));
        };
        match self.commit(&loaded, change, own_commit_id()?).await? {
            grantd_store::CommitOutcome::Committed => {
                let about = About {
                    grant_id: Some(grant.id),
                    client_id: Some(&grant.client_id),
                    subject: &grant.subject,
                    username: &grant.username,
                    ..About::default()
                };
                events::log(Event::RollbackRepaired, &about);
                Ok((loaded, Some(record)))
            }
            // Somebody repaired or rotated it just now; the token stands or falls by what they wrote.
            grantd_store::CommitOutcome::Conflict => {
                let loaded = self.load(vec![key.clone()]).await?;
                let record = loaded.record(&key)?;
                Ok((loaded, record))
            }
        }
    }

    fn note_first_use(&self, token: AccessToken) {
        self.behind("first use", move |service| async move {
            let keys = vec![RecordKey::Grant(token.grant_id), RecordKey::Access(token.grant_id, token.digest())];
            let loaded = service.load(keys.clone()).await?;
            let [grant, access] = keys.as_slice() else { return Ok(()) };
            let (grant, access) = (loaded.record(grant)?, loaded.record(access)?);
            let Some(change) = verify::first_use(service.policy(), grant.as_ref(), access.as_ref(), &token, loaded.now)
            else {
                return Ok(());
            };
            // On a conflict the next use notes it.
            service.commit(&loaded, change, own_commit_id()?).await.map(|_| ())
        });
    }

    pub(crate) async fn do_introspect(
        &self,
        sent: &v1::IntrospectTokenRequest,
    ) -> Result<v1::IntrospectTokenResponse, Status> {
        // The client first: it learns nothing otherwise.
        let asks = match sent.client.clone() {
            None => None,
            Some(client) => Some(self.client_with_proof(client).await?),
        };
        let answer = self.introspected(&sent.token).await?;
        let Some((client, shown)) = asks else { return Ok(answer) };
        let resource = ResourceUri::new(answer.audience.clone());
        let may = ClientId::parse(&answer.client_id)
            .is_some_and(|id| verify::may_introspect(self.policy(), &client, &id, &resource));
        if !may {
            return Ok(v1::IntrospectTokenResponse::default());
        }
        if shown.is_used_up() {
            self.use_up(&client.id, &shown, &draw(&sent.request_id)?).await?;
        }
        Ok(answer)
    }

    /// Authenticates a client that must prove who it is.
    async fn client_with_proof(&self, sent: v1::ClientAuthentication) -> Result<(Client, Shown), Status> {
        let (id, shown) = self.shown(sent).await?;
        let client = self.authenticate(&RecordKey::Client(id), &shown).await?;
        if !register::is_proof(&client, shown.credentials()) {
            let description = "only a client that proves who it is, by a secret or an assertion, may ask about tokens";
            return Err(errors::oauth(&OAuthError::new(OAuthErrorCode::InvalidClient, description)));
        }
        Ok((client, shown))
    }

    async fn introspected(&self, token: &str) -> Result<v1::IntrospectTokenResponse, Status> {
        if let Some(token) = AccessToken::parse(token) {
            let (loaded, record) = self.access_record(&token).await?;
            let Some(record) = record else { return Ok(v1::IntrospectTokenResponse::default()) };
            let scope = verify::with_implied(self.policy(), &record.scope, &record.resource);
            return Ok(v1::IntrospectTokenResponse {
                active: true,
                scope: scope.to_string(),
                client_id: record.client_id.to_string(),
                username: record.identity.username,
                token_use: "access_token".to_owned(),
                subject: record.identity.subject,
                audience: record.resource.to_string(),
                expires_in: convert::remaining(loaded.now, record.expires_at),
                expires_at: convert::unix(record.expires_at),
                grant_id: token.grant_id.to_string(),
            });
        }
        let Some(token) = RefreshToken::parse(token) else { return Ok(v1::IntrospectTokenResponse::default()) };
        let key = RecordKey::Grant(token.grant_id);
        let loaded = self.load(vec![key.clone()]).await?;
        let Some(grant) = loaded.record::<Grant>(&key)? else { return Ok(v1::IntrospectTokenResponse::default()) };
        let overlap = self.policy().lifetimes.refresh_overlap;
        let works = grant.live().is_some_and(|ratchet| {
            matches!(
                ratchet.standing(&token, loaded.now, overlap),
                Standing::Current | Standing::Recent | Standing::ReplyLost | Standing::Ahead
            )
        });
        if !works {
            return Ok(v1::IntrospectTokenResponse::default());
        }
        let scope = verify::with_implied(self.policy(), &grant.scope, &grant.resource);
        Ok(v1::IntrospectTokenResponse {
            active: true,
            scope: scope.to_string(),
            client_id: grant.client_id.to_string(),
            username: grant.username.clone(),
            token_use: "refresh_token".to_owned(),
            subject: grant.subject.clone(),
            audience: grant.resource.to_string(),
            expires_in: convert::remaining(loaded.now, grant.expires_at),
            expires_at: convert::unix(grant.expires_at),
            grant_id: grant.id.to_string(),
        })
    }
}
