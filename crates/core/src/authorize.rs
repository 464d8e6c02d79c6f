//! The authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2).
//!
//! 1. [`check`] validates the parameters. Until client and redirect URI are known to be good, a fault is for the person
//!    to see ([`Fault::Direct`]); from then on it may be sent to the redirect URI ([`Fault::Redirect`]).
//! 2. When somebody is signed in, [`begin`] decides what they would grant and makes the pending request and its ticket.
//!
//! Who is signed in is found out by the caller. What the person then does is decided in [`crate::approve`].

use grantd_oauth_types::{
    CodeChallenge, Digest, GrantId, OAuthError, OAuthErrorCode, RedirectUri, Scope, ScopeSet, Secret, Ticket,
};

use crate::{
    change::{Change, Record, RecordKey},
    draw::Draw,
    policy::{Policy, ResourcePolicy},
    records::{Client, Consent, PendingRequest, User},
    time::Timestamp,
};

/// The longest `state` that is kept, in bytes.
pub const MAX_STATE: usize = 8192;

/// The parameters as they came; empty means absent, but for `state`.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the parameters of RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2")]
pub struct AuthorizationRequest {
    pub redirect_uri: String,
    pub response_type: String,
    pub scope: String,
    pub state: Option<String>,
    pub code_challenge: String,
    pub code_challenge_method: String,
    pub resource: Vec<String>,
}

/// What is wrong with a request, and who may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Show it to the person; nothing may be redirected.
    Direct(OAuthError),
    /// The redirect URI is the client's: it may be told.
    Redirect(Box<RedirectUri>, OAuthError),
}

/// A request without fault.
#[derive(Debug, Clone)]
pub struct Checked<'a> {
    /// Where the answer goes.
    pub redirect_uri: RedirectUri,
    /// For which resource.
    pub resource: &'a ResourcePolicy,
    /// What the client asked for, known scopes only; the default when it asked for none it knows.
    pub scope: ScopeSet,
    /// PKCE.
    pub code_challenge: CodeChallenge,
    /// To be returned.
    pub state: Option<String>,
}

/// Validates a request.
pub fn check<'a>(
    policy: &'a Policy,
    client: Option<&Client>,
    request: &AuthorizationRequest,
) -> Result<Checked<'a>, Fault> {
    use OAuthErrorCode::{InvalidClient, InvalidRequest, InvalidTarget, UnsupportedResponseType};
    let direct = |code, description: &str| Fault::Direct(OAuthError::new(code, description));

    let client = client.ok_or_else(|| {
        direct(InvalidClient, "This app is not registered here (any more). Remove the server from the app and add it again, so that it registers anew.")
    })?;
    let redirect_uri = redirect_uri(client, &request.redirect_uri).map_err(|why| direct(InvalidRequest, why))?;

    let fault =
        |code, description: &str| Fault::Redirect(Box::new(redirect_uri.clone()), OAuthError::new(code, description));
    if request.state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
        return Err(fault(InvalidRequest, "state is too long"));
    }
    match request.response_type.as_str() {
        "code" => {}
        "" => return Err(fault(InvalidRequest, "response_type is missing; send response_type=code")),
        _ => return Err(fault(UnsupportedResponseType, "only response_type=code is supported")),
    }
    if request.code_challenge.is_empty() {
        return Err(fault(InvalidRequest, "PKCE is required: send code_challenge and code_challenge_method=S256"));
    }
    if request.code_challenge_method != "S256" {
        return Err(fault(InvalidRequest, "code_challenge_method must be S256"));
    }
    let code_challenge = CodeChallenge::parse(&request.code_challenge).ok_or_else(|| {
        fault(InvalidRequest, "code_challenge must be the 43 characters of base64url(SHA-256(code_verifier))")
    })?;
    let resource = resource(policy, &request.resource)
        .ok_or_else(|| fault(InvalidTarget, "this server does not protect that resource"))?;
    let known = ScopeSet::parse_lenient(&request.scope).intersection(&resource.scopes);
    let scope = if known.is_empty() { resource.default_scopes.clone() } else { known };
    Ok(Checked { redirect_uri, resource, scope, code_challenge, state: request.state.clone() })
}

fn redirect_uri(client: &Client, sent: &str) -> Result<RedirectUri, &'static str> {
    let registered = &client.metadata.redirect_uris;
    if sent.is_empty() {
        return match registered.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err("The app did not say where to send the answer (redirect_uri)."),
        };
    }
    RedirectUri::parse(sent)
        .ok()
        .filter(|uri| registered.iter().any(|registered| uri.matches(registered)))
        .ok_or("The app asked to send the answer to an address it did not register (redirect_uri). Remove the server from the app and add it again.")
}

/// The resource that a client means. Several values are fine when they mean the same one.
pub fn resource<'a>(policy: &'a Policy, sent: &[String]) -> Option<&'a ResourcePolicy> {
    let Some(first) = sent.iter().find(|sent| !sent.is_empty()) else { return policy.resources.first() };
    // An exact match wins over a tolerated one: the origin alone is meant by every resource.
    let meant = policy
        .resources
        .iter()
        .find(|resource| resource.identifier.as_str() == first)
        .or_else(|| policy.resources.iter().find(|resource| resource.identifier.is_meant_by(first)))?;
    sent.iter().all(|sent| sent.is_empty() || meant.identifier.is_meant_by(sent)).then_some(meant)
}

/// Whether any of a person's groups is allowed.
fn is_member(groups: &[String], allowed: &[String]) -> bool {
    groups.iter().any(|group| allowed.contains(group))
}

/// Whether this person may approve access to this resource at all.
pub fn may_use(resource: &ResourcePolicy, groups: &[String]) -> bool {
    is_member(groups, &resource.allow_groups)
}

/// What of `scope` a person with these groups may grant at this resource.
pub fn grantable(policy: &Policy, resource: &ResourcePolicy, scope: &ScopeSet, groups: &[String]) -> ScopeSet {
    if !may_use(resource, groups) {
        return ScopeSet::default();
    }
    let allowed = |scope: &Scope| {
        policy
            .scopes
            .get(scope)
            .is_some_and(|rule| rule.allow_groups.is_empty() || is_member(groups, &rule.allow_groups))
    };
    // Nobody grants by implication what they may not grant.
    let allowed_whole = |scope: &&Scope| {
        policy.with_implied(&std::iter::once((*scope).clone()).collect(), resource).iter().all(allowed)
    };
    scope.intersection(&resource.scopes).iter().filter(allowed_whole).cloned().collect()
}

/// A pending request for the person to decide, and its ticket.
pub fn begin(
    policy: &Policy,
    client: &Client,
    checked: &Checked<'_>,
    user: &User,
    session: Digest,
    now: Timestamp,
    draw: &Draw,
) -> Result<(PendingRequest, Ticket, Change), Fault> {
    let scope = grantable(policy, checked.resource, &checked.scope, &user.groups);
    if scope.is_empty() && !(checked.scope.is_empty() && may_use(checked.resource, &user.groups)) {
        return Err(Fault::Redirect(
            Box::new(checked.redirect_uri.clone()),
            OAuthError::new(
                OAuthErrorCode::AccessDenied,
                // Goes to the client, which need not know who is signed in here.
                "this person may not use this server; its operator can add them to a group",
            ),
        ));
    }
    let grant_id = GrantId::new(draw.id("grant id"));
    let ticket = Ticket { grant_id, secret: Secret::new(draw.bytes("ticket")) };
    let pending = PendingRequest {
        grant_id,
        ticket: ticket.digest(),
        session,
        consent: Consent {
            client_id: client.id.clone(),
            client_epoch: client.epoch,
            subject: user.subject.clone(),
            username: user.username.clone(),
            user_epoch: user.epoch,
            redirect_uri: checked.redirect_uri.clone(),
            state: checked.state.clone(),
            code_challenge: checked.code_challenge,
            resource: checked.resource.identifier.clone(),
            scope,
        },
        expires_at: now.plus(policy.lifetimes.request),
    };
    let key = RecordKey::Request(grant_id);
    let change = Change {
        unchanged: vec![key.clone()],
        puts: vec![(key, Record::Request(pending.clone()))],
        ..Change::default()
    };
    Ok((pending, ticket, change))
}
