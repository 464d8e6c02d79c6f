//! Client registration (RFC 7591) and client authentication (RFC 6749 §2.3, RFC 7521 §4.2).
//!
//! Registration is open: anybody may register, and everything a client says of itself is a claim. What is unknown is
//! dropped, never refused, because real clients send scopes, grant types and members of every kind.

use grantd_oauth_types::{
    ApplicationType, ClientId, ClientSecret, Digest, GrantType, OAuthError, OAuthErrorCode, RedirectUri,
    RegistrationAccessToken, ScopeSet, Secret, TokenEndpointAuthMethod,
};

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    change::{Change, Record, RecordKey},
    draw::Draw,
    policy::Policy,
    records::{Client, ClientKeys, ClientMetadata, UsedAssertion},
    time::Timestamp,
};

/// The most redirect URIs of one client.
pub const MAX_REDIRECT_URIS: usize = 100;
/// The longest of the texts a client says of itself, in bytes.
pub const MAX_TEXT: usize = 2048;

/// All metadata of one client together, in bytes. Anybody may register, so this bounds what a stranger can store.
pub const MAX_METADATA: usize = 16 << 10;

/// Metadata as it came.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the members of RFC 7591 §2")]
pub struct Registration {
    pub redirect_uris: Vec<String>,
    pub token_endpoint_auth_method: String,
    pub grant_types: Vec<String>,
    pub client_name: String,
    pub client_uri: String,
    pub logo_uri: String,
    pub scope: String,
    pub contacts: Vec<String>,
    pub tos_uri: String,
    pub policy_uri: String,
    pub software_id: String,
    pub software_version: String,
    pub application_type: String,
    /// Not metadata: a label for traces.
    pub flow_id: String,
}

fn refuse(code: OAuthErrorCode, description: impl AsRef<str>) -> OAuthError {
    OAuthError::new(code, description)
}

/// Reads metadata, fills in defaults, drops what is unknown.
pub fn read_metadata(policy: &Policy, sent: Registration) -> Result<ClientMetadata, OAuthError> {
    use OAuthErrorCode::{InvalidClientMetadata, InvalidRedirectUri};
    if sent.redirect_uris.is_empty() {
        return Err(refuse(InvalidRedirectUri, "redirect_uris must name at least one redirect URI"));
    }
    if sent.redirect_uris.len() > MAX_REDIRECT_URIS {
        return Err(refuse(
            InvalidRedirectUri,
            format!("redirect_uris may name at most {MAX_REDIRECT_URIS} redirect URIs"),
        ));
    }
    let redirect_uris = sent
        .redirect_uris
        .iter()
        .enumerate()
        .map(|(at, text)| {
            RedirectUri::parse(text).map_err(|why| refuse(InvalidRedirectUri, format!("redirect_uris[{at}]: {why}")))
        })
        .collect::<Result<Vec<_>, _>>()?;

    let texts = [
        ("client_name", &sent.client_name),
        ("client_uri", &sent.client_uri),
        ("logo_uri", &sent.logo_uri),
        ("tos_uri", &sent.tos_uri),
        ("policy_uri", &sent.policy_uri),
        ("software_id", &sent.software_id),
        ("software_version", &sent.software_version),
    ];
    for (name, text) in texts.iter().copied().chain(sent.contacts.iter().map(|contact| ("contacts", contact))) {
        if text.len() > MAX_TEXT {
            return Err(refuse(InvalidClientMetadata, format!("{name} may have at most {MAX_TEXT} bytes")));
        }
    }
    let lists = sent.redirect_uris.iter().chain(&sent.contacts).map(String::len);
    let all: usize = texts.iter().map(|(_, text)| text.len()).chain(lists).sum();
    if all > MAX_METADATA {
        return Err(refuse(
            InvalidClientMetadata,
            format!("the metadata may have at most {MAX_METADATA} bytes in all"),
        ));
    }
    if sent.contacts.len() > MAX_REDIRECT_URIS {
        return Err(refuse(InvalidClientMetadata, "too many contacts"));
    }
    let token_endpoint_auth_method = match sent.token_endpoint_auth_method.as_str() {
        "" => TokenEndpointAuthMethod::ClientSecretBasic,
        text => TokenEndpointAuthMethod::parse(text).ok_or_else(|| {
            refuse(
                InvalidClientMetadata,
                "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post",
            )
        })?,
    };
    let mut grant_types: Vec<_> = sent.grant_types.iter().filter_map(|text| GrantType::parse(text)).collect();
    grant_types.sort_unstable();
    grant_types.dedup();
    if grant_types.is_empty() {
        grant_types = GrantType::ALL.to_vec();
    }
    let known: ScopeSet = policy.scopes.keys().cloned().collect();
    Ok(ClientMetadata {
        redirect_uris,
        token_endpoint_auth_method,
        grant_types,
        client_name: sent.client_name,
        client_uri: sent.client_uri,
        logo_uri: sent.logo_uri,
        scope: ScopeSet::parse_lenient(&sent.scope).intersection(&known),
        contacts: sent.contacts,
        tos_uri: sent.tos_uri,
        policy_uri: sent.policy_uri,
        software_id: sent.software_id,
        software_version: sent.software_version,
        application_type: ApplicationType::parse(&sent.application_type),
    })
}

/// A new client, its secret when its method has one, and what to write.
pub fn register(
    policy: &Policy,
    sent: Registration,
    now: Timestamp,
    draw: &Draw,
) -> Result<(Client, Option<ClientSecret>, Change), OAuthError> {
    let flow_id = Some(sent.flow_id.clone()).filter(|id| is_label(id)).unwrap_or_default();
    let metadata = read_metadata(policy, sent)?;
    if !policy.auth_methods.contains(&metadata.token_endpoint_auth_method) {
        let known: Vec<_> = policy.auth_methods.iter().map(|method| method.as_str()).collect();
        let description = format!("token_endpoint_auth_method must be {}", known.join(" or "));
        return Err(refuse(OAuthErrorCode::InvalidClientMetadata, description));
    }
    let text = URL_SAFE_NO_PAD.encode(draw.id("client id"));
    let id = ClientId::parse(&text).ok_or_else(|| refuse(OAuthErrorCode::ServerError, "no client id"))?;
    let secret = match metadata.token_endpoint_auth_method {
        TokenEndpointAuthMethod::None => None,
        TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::ClientSecretPost => {
            Some(ClientSecret(Secret::new(draw.bytes("client secret"))))
        }
    };
    let client = Client {
        id: id.clone(),
        secret: secret.as_ref().map(ClientSecret::digest),
        registration: Some(registration_access_token(draw).digest()),
        keys: None,
        metadata,
        fresh_until: Timestamp::default(),
        flow_id,
        epoch: 0,
        created_at: now,
        renewed_at: now,
        expires_at: now.plus(policy.lifetimes.unused_client.min(policy.lifetimes.client)),
    };
    let change = Change {
        unchanged: vec![RecordKey::Client(id.clone())],
        puts: vec![(RecordKey::Client(id), Record::Client(client.clone()))],
        ..Change::default()
    };
    Ok((client, secret, change))
}

/// What the metadata document of a client says, and for how long it is as new.
#[derive(Debug, Clone)]
pub struct Documented {
    /// Its members.
    pub metadata: Registration,
    /// Its keys, where it may authenticate by them. Of those that are elsewhere nothing is known yet.
    pub keys: Option<ClientKeys>,
    /// How long it need not be fetched again.
    pub fresh_for: Duration,
}

/// The client whose id is the URL of its metadata document, as the document says. What was known of it before stays, but for
/// that: grants live on, because all installs of such a client share it, and what changed counts from the next
/// authorization. A client that was removed comes back as another: its epoch is the time.
pub fn from_document(
    policy: &Policy,
    id: ClientId,
    sent: Documented,
    before: Option<&Client>,
    now: Timestamp,
) -> Result<(Client, Change), OAuthError> {
    let metadata = read_metadata(policy, sent.metadata)?;
    let mut keys = sent.keys;
    if !policy.auth_methods.contains(&TokenEndpointAuthMethod::None) {
        let description =
            "this server lets in no client that proves nothing: the document must have keys for private_key_jwt";
        keys.as_mut().ok_or_else(|| refuse(OAuthErrorCode::InvalidClientMetadata, description))?.is_required = true;
    }
    // Keys that are elsewhere are fetched when they are needed; until then those serve that are known.
    if let Some(keys) = keys.as_mut().filter(|keys| keys.jwks.is_empty())
        && let Some(before) = before.and_then(|before| before.keys.as_ref()).filter(|before| before.uri == keys.uri)
    {
        keys.jwks.clone_from(&before.jwks);
        (keys.fetched_at, keys.fresh_until) = (before.fetched_at, before.fresh_until);
    }
    let unused = now.plus(policy.lifetimes.unused_client.min(policy.lifetimes.client));
    let key = RecordKey::Client(id.clone());
    let client = Client {
        id,
        secret: None,
        registration: None,
        keys,
        metadata,
        fresh_until: now.plus(sent.fresh_for),
        flow_id: String::new(),
        epoch: before.map_or(now.as_secs(), |before| before.epoch),
        created_at: before.map_or(now, |before| before.created_at),
        renewed_at: before.map_or(now, |before| before.renewed_at),
        expires_at: before.map_or(unused, |before| before.expires_at.max(unused)),
    };
    let change =
        Change { unchanged: vec![key.clone()], puts: vec![(key, Record::Client(client.clone()))], ..Change::default() };
    Ok((client, change))
}

/// The client with the keys that were fetched from its `jwks_uri`. `None` when they are somewhere else by now.
pub fn with_keys(
    client: &Client,
    uri: &str,
    jwks: String,
    fresh_for: Duration,
    now: Timestamp,
) -> Option<(Client, Change)> {
    let keys = client.keys.clone().filter(|keys| keys.uri == uri)?;
    let keys = ClientKeys { jwks, fetched_at: now, fresh_until: now.plus(fresh_for), ..keys };
    let client = Client { keys: Some(keys), ..client.clone() };
    let key = RecordKey::Client(client.id.clone());
    let change =
        Change { unchanged: vec![key.clone()], puts: vec![(key, Record::Client(client.clone()))], ..Change::default() };
    Some((client, change))
}

/// How soon the keys of a client may be asked for again because an assertion names one that is not among them.
const KEYS_STAND: Duration = Duration::from_secs(20);

/// Whether keys that do not fit an assertion may be asked for again. Anybody may send one that does not fit.
pub fn may_ask_for_keys(keys: &ClientKeys, now: Timestamp) -> bool {
    keys.jwks.is_empty() || now.since(keys.fetched_at) >= KEYS_STAND
}

/// What says that an assertion was used, and what to write. Nobody may have used it before, so the record is absent.
pub fn use_assertion(client_id: &ClientId, jti: &str, is_over_at: Timestamp) -> (RecordKey, Change) {
    // No client id has a NUL, so no two pairs are one text.
    let digest = Digest::of(&[client_id.as_str().as_bytes(), b"\0", jti.as_bytes()].concat());
    let key = RecordKey::Assertion(digest);
    let used = UsedAssertion { client_id: client_id.clone(), expires_at: is_over_at };
    let change = Change {
        unchanged: vec![key.clone()],
        puts: vec![(key.clone(), Record::Assertion(used))],
        ..Change::default()
    };
    (key, change)
}

fn is_label(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// By which the client that this request registers may manage its registration (RFC 7592 §3).
pub fn registration_access_token(draw: &Draw) -> RegistrationAccessToken {
    RegistrationAccessToken(Secret::new(draw.bytes("registration access token")))
}

/// Whether a token is the one by which this client may manage its registration. What is not there cannot be managed, and
/// the answer does not tell the two apart (RFC 7592 §2).
pub fn may_manage(client: Option<&Client>, token: &str) -> bool {
    let expected = client.and_then(|client| client.registration);
    let sent = RegistrationAccessToken::parse(token).map(|token| token.digest());
    matches!((expected, sent), (Some(expected), Some(sent)) if expected.matches(&sent))
}

/// What a client shows of itself (RFC 6749 §2.3).
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// A secret; empty when none was sent. By which method it came does not matter: real clients use either, whatever they
    /// registered.
    Secret(&'a str),
    /// An assertion that was verified with the keys of the client of this epoch.
    Assertion {
        /// See [`Client::epoch`].
        epoch: u64,
    },
}

/// Authenticates a client at the token endpoint.
pub fn authenticate<'a>(client: Option<&'a Client>, credentials: Credentials<'_>) -> Result<&'a Client, OAuthError> {
    let refused = |why: &str| Err(refuse(OAuthErrorCode::InvalidClient, why));
    let Some(client) = client else { return refused("unknown client; register again") };
    match (credentials, &client.secret) {
        (Credentials::Assertion { epoch }, _) if client.keys.is_some() && client.epoch == epoch => Ok(client),
        (Credentials::Assertion { .. }, _) => refused("the client is another than the assertion's by now"),
        (Credentials::Secret(secret), Some(expected)) => match ClientSecret::parse(secret).map(|sent| sent.digest()) {
            Some(sent) if expected.matches(&sent) => Ok(client),
            _ => refused("the client secret is missing or wrong"),
        },
        (Credentials::Secret(_), None) if client.keys.as_ref().is_some_and(|keys| keys.is_required) => {
            refused("this client must authenticate by private_key_jwt, with a client_assertion")
        }
        // A public client may send a stray secret (some send an empty one); it proves nothing and harms nothing.
        (Credentials::Secret(_), None) => Ok(client),
    }
}

/// Whether such credentials, which were right, prove who the client is. A public client's prove nothing.
pub fn is_proof(client: &Client, credentials: Credentials<'_>) -> bool {
    client.secret.is_some() || matches!(credentials, Credentials::Assertion { .. })
}

/// How long a registration that was renewed is not renewed again: a day, or less where it lives less than ten. It ends no
/// earlier than its life, less this, after its last use.
pub fn renewal_pause(life: Duration) -> Duration {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    DAY.min(life / 10)
}

/// Renews a registration that is in use: at its first use, and then as often as [`renewal_pause`] lets it.
pub fn renew(policy: &Policy, client: &Client, now: Timestamp) -> Option<Change> {
    let life = policy.lifetimes.client;
    let left = now.until(client.expires_at);
    let unused = client.created_at.plus(policy.lifetimes.unused_client.min(life));
    let is_first = client.renewed_at == client.created_at && client.expires_at == unused && left < life;
    (is_first || left.saturating_add(renewal_pause(life)) <= life).then(|| {
        let renewed = Client { renewed_at: now, expires_at: now.plus(life), ..client.clone() };
        let key = RecordKey::Client(client.id.clone());
        Change { unchanged: vec![key.clone()], puts: vec![(key, Record::Client(renewed))], ..Change::default() }
    })
}
