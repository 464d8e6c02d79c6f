//! A code for the first pair (RFC 6749 §4.1.3, RFC 7636 §4.6).
//!
//! The client has been authenticated. A failed attempt never consumes the code: real clients try again with another
//! authentication method. A code that was used and comes again *with its verifier* within its life revokes the grant
//! (RFC 6749 §4.1.2); without the verifier it proves nothing, and a guess must log nobody out.

use grantd_oauth_types::{AuthorizationCode, CodeVerifier, OAuthError, OAuthErrorCode, RedirectUri, ScopeSet};

use crate::{
    authorize,
    change::{Change, Record, RecordKey},
    draw::Draw,
    event::Event,
    policy::Policy,
    ratchet::{Pair, Ratchet, SpentCode, Timing},
    records::{AccessRecord, Client, CodeRecord, Grant, GrantState, Identity, RefreshRecord, User},
    revoke,
    time::Timestamp,
};

/// What is loaded to decide.
#[derive(Debug, Clone, Copy)]
pub struct Loaded<'a> {
    /// The authenticated client.
    pub client: &'a Client,
    /// The code's record.
    pub code: Option<&'a CodeRecord>,
    /// The head of the code's grant.
    pub grant: Option<&'a Grant>,
    /// The person of the code's consent (or of the grant).
    pub user: Option<&'a User>,
}

/// The parameters.
#[derive(Debug, Clone)]
pub struct CodeGrant {
    /// `code`.
    pub code: AuthorizationCode,
    /// `redirect_uri`; may be absent (OAuth 2.1), must match when present.
    pub redirect_uri: Option<String>,
    /// `code_verifier`.
    pub verifier: CodeVerifier,
    /// `resource`, as sent.
    pub resource: Vec<String>,
}

/// What a token request comes to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The answer to the client.
    pub answer: Result<Tokens, OAuthError>,
    /// What to write before answering.
    pub change: Change,
    /// For the log.
    pub event: Option<Event>,
}

/// A token response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The pair.
    pub pair: Pair,
    /// What it may do.
    pub scope: ScopeSet,
}

impl Outcome {
    pub(crate) fn refuse(code: OAuthErrorCode, description: &str) -> Self {
        Self { answer: Err(OAuthError::new(code, description)), change: Change::default(), event: None }
    }

    pub(crate) fn with(mut self, change: Change, event: Event) -> Self {
        (self.change, self.event) = (change, Some(event));
        self
    }

    pub(crate) fn noting(mut self, event: Event) -> Self {
        self.event = Some(event);
        self
    }
}

const SPENT: &str = "the code is unknown, expired or was used already";

/// Decides a code exchange.
pub fn exchange(policy: &Policy, loaded: Loaded<'_>, sent: &CodeGrant, now: Timestamp, draw: &Draw) -> Outcome {
    use OAuthErrorCode::{InvalidGrant, InvalidTarget};
    let Loaded { client, code: record, grant, user } = loaded;

    if let Some(grant) = grant {
        return after_exchange(policy, client, grant, sent, now, draw);
    }
    let Some(record) = record else { return Outcome::refuse(InvalidGrant, SPENT) };
    let consent = &record.consent;
    if consent.client_id != client.id {
        return Outcome::refuse(InvalidGrant, SPENT);
    }
    if let Some(sent) = &sent.redirect_uri {
        let same = RedirectUri::parse(sent).is_ok_and(|sent| sent.as_str() == consent.redirect_uri.as_str());
        if !same {
            return Outcome::refuse(InvalidGrant, "redirect_uri is not the one the code was sent to");
        }
    }
    if !consent.code_challenge.verify(&sent.verifier) {
        return Outcome::refuse(InvalidGrant, "code_verifier does not match the code_challenge");
    }
    if sent.resource.iter().any(|sent| !sent.is_empty() && !consent.resource.is_meant_by(sent)) {
        return Outcome::refuse(InvalidTarget, "the code was issued for another resource");
    }
    let Some(user) = user.filter(|user| user.subject == consent.subject && user.epoch == consent.user_epoch) else {
        return Outcome::refuse(InvalidGrant, "the person who agreed is gone or changed the password");
    };
    if consent.client_epoch != client.epoch {
        return Outcome::refuse(InvalidGrant, SPENT);
    }

    let id = sent.code.grant_id;
    let expires_at = head_expiry(policy, now, now);
    let timing = timing(policy, now, expires_at);
    let spent =
        SpentCode { digest: sent.code.digest(), challenge: consent.code_challenge, expires_at: record.expires_at };
    let (ratchet, pair) = Ratchet::start(id, &sent.code.secret, &sent.verifier, spent, timing, draw);
    let head = Grant {
        id,
        client_id: client.id.clone(),
        client_epoch: client.epoch,
        subject: user.subject.clone(),
        username: user.username.clone(),
        user_epoch: user.epoch,
        resource: consent.resource.clone(),
        scope: consent.scope.clone(),
        created_at: now,
        expires_at,
        state: GrantState::Live(ratchet),
    };
    let scope = head.scope.clone();
    let mut change = issue(&head, &pair, scope.clone(), user.identity());
    let code_key = RecordKey::Code(id, sent.code.digest());
    change.unchanged = vec![RecordKey::Grant(id), code_key.clone()];
    change.deletes.push(code_key);
    Outcome { answer: Ok(Tokens { pair, scope }), change, event: Some(Event::TokensIssued) }
}

/// The code's grant exists: the answer was lost, or this is a replay.
fn after_exchange(
    policy: &Policy,
    client: &Client,
    grant: &Grant,
    sent: &CodeGrant,
    now: Timestamp,
    draw: &Draw,
) -> Outcome {
    let refused = Outcome::refuse(OAuthErrorCode::InvalidGrant, SPENT);
    let Some(ratchet) = grant.live().filter(|_| grant.client_id == client.id) else { return refused };
    let Some(code) = &ratchet.code else { return refused };
    let proven = code.digest.matches(&sent.code.digest())
        && code.challenge.verify(&sent.verifier)
        && now.is_before(code.expires_at);
    if !proven {
        return refused;
    }
    if ratchet.is_begun_by(draw) {
        // This very request, which was sent again or is still under way elsewhere. Derived from the request alone, so it is
        // the same pair. Once that was refreshed there is nothing to answer, and nothing was replayed.
        let timing = Timing { access_expires_at: ratchet.access_expires_at, ..timing(policy, now, grant.expires_at) };
        let (again, pair) = Ratchet::start(grant.id, &sent.code.secret, &sent.verifier, code.clone(), timing, draw);
        if !again.refresh.matches(&ratchet.refresh) {
            return refused;
        }
        let scope = grant.scope.clone();
        return Outcome { answer: Ok(Tokens { pair, scope }), change: Change::default(), event: None };
    }
    refused.with(revoke::revoke(grant, now), Event::CodeReplayed)
}

/// When a grant ends that was issued or refreshed now.
pub(crate) fn head_expiry(policy: &Policy, created_at: Timestamp, now: Timestamp) -> Timestamp {
    let end = now.plus(policy.lifetimes.refresh);
    policy.lifetimes.grant_max_age.map_or(end, |age| end.min(created_at.plus(age)))
}

pub(crate) fn timing(policy: &Policy, now: Timestamp, head_expires_at: Timestamp) -> Timing {
    Timing {
        now,
        overlap: policy.lifetimes.refresh_overlap,
        drain: policy.lifetimes.access_drain,
        access_expires_at: now.plus(policy.lifetimes.access).min(head_expires_at),
    }
}

/// Writes a head that was just given a new pair, and the pair's records.
pub(crate) fn issue(head: &Grant, pair: &Pair, scope: ScopeSet, identity: Identity) -> Change {
    let id = head.id;
    let access = AccessRecord {
        generation: pair.refresh.generation,
        client_id: head.client_id.clone(),
        identity,
        resource: head.resource.clone(),
        scope: scope.clone(),
        seen: false,
        expires_at: pair.access_expires_at,
    };
    let refresh = RefreshRecord {
        generation: pair.refresh.generation,
        client_id: head.client_id.clone(),
        scope,
        access: pair.access.digest(),
        expires_at: head.expires_at,
    };
    Change {
        unchanged: vec![RecordKey::Grant(id)],
        puts: vec![
            (RecordKey::Grant(id), Record::Grant(Box::new(head.clone()))),
            (RecordKey::Access(id, pair.access.digest()), Record::Access(access)),
            (RecordKey::Refresh(id, pair.refresh.digest()), Record::Refresh(refresh)),
        ],
        deletes: Vec::new(),
        announce: Vec::new(),
    }
}

/// What a person with these groups may still have of a grant's scope; `None` when nothing may be left to them.
pub(crate) fn still_granted(policy: &Policy, grant: &Grant, user: &User) -> Option<ScopeSet> {
    let resource = policy.resources.iter().find(|resource| resource.identifier == grant.resource)?;
    if !authorize::may_use(resource, &user.groups) {
        return None;
    }
    let scope = authorize::grantable(policy, resource, &grant.scope, &user.groups);
    (!scope.is_empty() || grant.scope.is_empty()).then_some(scope)
}
