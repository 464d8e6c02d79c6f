//! What is kept. Records hold digests and salts, never a token, code, ticket, session or client secret.

use grantd_oauth_types::{
    ApplicationType, ClientId, CodeChallenge, Digest, GrantId, GrantType, RedirectUri, ResourceUri, ScopeSet,
    TokenEndpointAuthMethod,
};

use crate::{ratchet::Ratchet, time::Timestamp};

/// A registered client (RFC 7591).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// The digest of its secret; none for public clients.
    pub secret: Option<Digest>,
    /// The digest of the token by which it manages its registration (RFC 7592); none where nobody may.
    pub registration: Option<Digest>,
    /// By which it may authenticate instead (`private_key_jwt`); none for a client that registered.
    pub keys: Option<ClientKeys>,
    /// What it registered.
    pub metadata: ClientMetadata,
    /// Until when what its document said is as new; zero for a client that registered.
    pub fresh_until: Timestamp,
    /// A label for traces; may be empty.
    pub flow_id: String,
    /// Bumped when its grants must end.
    pub epoch: u64,
    /// When it registered.
    pub created_at: Timestamp,
    /// When it was last renewed by use; when it registered, if it never was.
    pub renewed_at: Timestamp,
    /// When the registration ends.
    pub expires_at: Timestamp,
}

/// The public keys of a client, and what its document says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKeys {
    /// Whether it must use them; else it may authenticate by none, too.
    pub is_required: bool,
    /// The one algorithm that it uses; empty: any.
    pub algorithm: String,
    /// Where they are; empty: in the document.
    pub uri: String,
    /// The last that was fetched, a JWK Set; empty: nothing was yet.
    pub jwks: String,
    /// When that was.
    pub fetched_at: Timestamp,
    /// Until when it is as new.
    pub fresh_until: Timestamp,
}

/// That a client assertion was used (RFC 7523 §3, `jti`): for as long as it could be used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedAssertion {
    /// Whose.
    pub client_id: ClientId,
    /// When nobody would take it any more.
    pub expires_at: Timestamp,
}

/// Client metadata (RFC 7591 §2), defaults filled in, unknown values dropped. Everything in it is the client's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMetadata {
    /// At least one.
    pub redirect_uris: Vec<RedirectUri>,
    /// As registered; what it uses in fact may differ.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// Never empty.
    pub grant_types: Vec<GrantType>,
    /// What it calls itself; may be empty, as may the rest.
    pub client_name: String,
    /// Its home page.
    pub client_uri: String,
    /// Its logo; never loaded.
    pub logo_uri: String,
    /// What it registered for, known scopes only; informative.
    pub scope: ScopeSet,
    /// How to reach its makers.
    pub contacts: Vec<String>,
    /// Terms of service.
    pub tos_uri: String,
    /// Privacy policy.
    pub policy_uri: String,
    /// RFC 7591 §2.
    pub software_id: String,
    /// RFC 7591 §2.
    pub software_version: String,
    /// Informative.
    pub application_type: Option<ApplicationType>,
}

/// A pending authorization: a person is reading the consent page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRequest {
    /// The id of the grant to be.
    pub grant_id: GrantId,
    /// The digest of the ticket's secret.
    pub ticket: Digest,
    /// The digest of the session it was made in.
    pub session: Digest,
    /// What would be granted.
    pub consent: Consent,
    /// When the page stops to work.
    pub expires_at: Timestamp,
}

/// What a person is asked to agree to, and where the answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Who asks.
    pub client_id: ClientId,
    /// The client's epoch when it asked.
    pub client_epoch: u64,
    /// The person.
    pub subject: String,
    /// The person's user name.
    pub username: String,
    /// The person's epoch when asked.
    pub user_epoch: u64,
    /// Where the answer goes.
    pub redirect_uri: RedirectUri,
    /// To be returned byte for byte.
    pub state: Option<String>,
    /// PKCE.
    pub code_challenge: CodeChallenge,
    /// For which resource.
    pub resource: ResourceUri,
    /// What is granted.
    pub scope: ScopeSet,
}

/// An authorization code that was not exchanged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRecord {
    /// What the person agreed to.
    pub consent: Consent,
    /// The session it was approved in: a second click on the same page gets the same answer.
    pub session: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// All that a bearer check needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRecord {
    /// The rotation that made it.
    pub generation: u64,
    /// Through which client.
    pub client_id: ClientId,
    /// As which person.
    pub identity: Identity,
    /// For which resource.
    pub resource: ResourceUri,
    /// What it may do.
    pub scope: ScopeSet,
    /// Whether it was seen in use; the first use proves that its pair arrived.
    pub seen: bool,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A person as the upstream learns of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stable id.
    pub subject: String,
    /// What they sign in with.
    pub username: String,
    /// May be empty.
    pub email: String,
    /// Their groups.
    pub groups: Vec<String>,
}

/// The refresh token that is current. For operators to see; the grant's head decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// Its rotation.
    pub generation: u64,
    /// Whose it is.
    pub client_id: ClientId,
    /// What it grants.
    pub scope: ScopeSet,
    /// The access token that goes with it.
    pub access: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The head of a grant: the one record that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// To which client.
    pub client_id: ClientId,
    /// The client's epoch at consent; a later one ends the grant.
    pub client_epoch: u64,
    /// By which person.
    pub subject: String,
    /// Their user name.
    pub username: String,
    /// The person's epoch at consent; a later one ends the grant.
    pub user_epoch: u64,
    /// For which resource.
    pub resource: ResourceUri,
    /// What was granted.
    pub scope: ScopeSet,
    /// When the code was exchanged.
    pub created_at: Timestamp,
    /// When it ends unless refreshed.
    pub expires_at: Timestamp,
    /// The chain of its tokens, or why there is none any more.
    pub state: GrantState,
}

/// Whether a grant is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every grant that is loaded is live")]
pub enum GrantState {
    /// In force.
    Live(Ratchet),
    /// Taken back. Kept as a tombstone until the grant would have ended, without anything to derive from.
    Revoked {
        /// When.
        at: Timestamp,
    },
}

impl Grant {
    /// The chain, when the grant is in force.
    pub fn live(&self) -> Option<&Ratchet> {
        match &self.state {
            GrantState::Live(ratchet) => Some(ratchet),
            GrantState::Revoked { .. } => None,
        }
    }
}

/// A sign-in session of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The person.
    pub subject: String,
    /// Their user name.
    pub username: String,
    /// The person's epoch at sign-in; a later one ends the session.
    pub user_epoch: u64,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A local user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Stable and never reused, unlike the user name.
    pub subject: String,
    /// What they sign in with, in lower case.
    pub username: String,
    /// May be empty.
    pub email: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// Bumped when their sessions and grants must end.
    pub epoch: u64,
    /// Bumped when their address or groups change, which ends nothing.
    pub revision: u64,
    /// When they were added.
    pub created_at: Timestamp,
}

impl User {
    /// The person as tokens carry them.
    pub fn identity(&self) -> Identity {
        Identity {
            subject: self.subject.clone(),
            username: self.username.clone(),
            email: self.email.clone(),
            groups: self.groups.clone(),
        }
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("subject", &self.subject)
            .field("username", &self.username)
            .field("groups", &self.groups)
            .field("epoch", &self.epoch)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
