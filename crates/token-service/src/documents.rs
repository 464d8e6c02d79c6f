//! Clients whose id is the URL of their metadata document (draft-ietf-oauth-client-id-metadata-document).
//!
//! 1. An authorization looks at what is kept of the document. While that is as new, nobody is asked.
//! 2. Else the document is fetched. Once somebody is signed in it is kept, as a registration is; before, nothing is written,
//!    because anybody may name a URL.
//! 3. Exchange and refresh read what is kept and never fetch: a client's site that is away signs nobody out.
//! 4. Keys at a `jwks_uri` are fetched behind the authorization, so that the exchange that follows finds them; and again as
//!    `assertions` says. They are kept with the client.
//! 5. A site that is away when a document has grown old is forgiven for a day; a document that has become bad is not.
//!
//! Left to `grantd-client-metadata`: how to fetch from a host that a stranger chose.

use std::time::Duration;

use grantd_client_metadata::{Algorithm, ClientIdUrl, Document, FetchError, Fetched, KeySet, KeySource, Known};
use grantd_core::{
    Change, Draw, RecordKey, Timestamp,
    records::{Client, ClientKeys},
    register,
};
use grantd_oauth_types::{ClientId, OAuthError, OAuthErrorCode};
use grantd_store::Index;
use tonic::Status;

use crate::{Service, errors, limits, tokens::own_request_id, transaction::draw};

/// How long what was kept serves while its site is away.
const FORGIVEN: Duration = Duration::from_secs(24 * 3600);

fn refused(description: impl AsRef<str>) -> Status {
    errors::oauth(&OAuthError::new(OAuthErrorCode::InvalidClient, description))
}

/// A client, and what is to be kept of it when somebody is signed in.
pub(crate) struct Documented {
    pub(crate) client: Client,
    pub(crate) fetched: Option<Fetched<Document>>,
}

impl Service {
    /// The client of an authorization request whose id is a URL, as its document says; `kept` is what is known of it.
    pub(crate) async fn documented(
        &self,
        id: &ClientId,
        kept: Option<Client>,
        remote_address: &str,
        now: Timestamp,
    ) -> Result<Documented, Status> {
        let Some(fetcher) = self.fetcher() else {
            return Err(refused("this server takes no URLs as client ids; the app must register"));
        };
        if let Some(client) = kept.clone().filter(|kept| now.is_before(kept.fresh_until)) {
            return Ok(Documented { client, fetched: None });
        }
        let url = ClientIdUrl::parse(id.as_str()).map_err(|why| refused(why.to_string()))?;
        let known = if kept.is_some() { Known::Kept } else { Known::Stranger };
        // Strangers' URLs are for everybody to name, before anybody is signed in. Who names many waits, and nobody else.
        if known == Known::Stranger
            && !remote_address.is_empty()
            && !self.0.strangers.admits(&limits::network(remote_address))
        {
            return Err(still_good(None, &FetchError::TooMany, now).err().unwrap_or_else(errors::unavailable));
        }
        match fetcher.fetch(&url, known).await {
            Ok(fetched) => {
                let (client, _) = self.read_document(id, &fetched, kept.as_ref(), now)?;
                Ok(Documented { client, fetched: Some(fetched) })
            }
            Err(why) => still_good(kept, &why, now).map(|client| Documented { client, fetched: None }),
        }
    }

    /// Keeps what was fetched, and gives the client as it is kept.
    pub(crate) async fn keep_document(
        &self,
        id: &ClientId,
        fetched: &Fetched<Document>,
        draw: &Draw,
    ) -> Result<Client, Status> {
        let key = RecordKey::Client(id.clone());
        let client = self
            .transact(draw, "document", || async {
                let loaded = self.load(vec![key.clone()]).await?;
                let before = loaded.record::<Client>(&key)?;
                let (client, change) = self.read_document(id, fetched, before.as_ref(), loaded.now)?;
                Ok((loaded, change, client))
            })
            .await?;
        self.index(&Index::clients(), id.as_str(), Some(client.expires_at)).await?;
        if client.keys.as_ref().is_some_and(|keys| keys.jwks.is_empty()) {
            self.fetch_keys_behind(&client);
        }
        Ok(client)
    }

    /// Fetches the keys of a client again, wherever they are, and keeps them.
    pub(crate) async fn fetch_keys(&self, client: &Client) -> Result<Option<ClientKeys>, Status> {
        let (Some(fetcher), Some(keys)) = (self.fetcher(), &client.keys) else { return Ok(None) };
        let parse = |url: &str| ClientIdUrl::parse(url).map_err(|why| refused(why.to_string()));
        if keys.uri.is_empty() {
            let fetched = fetcher
                .fetch(&parse(client.id.as_str())?, Known::Kept)
                .await
                .map_err(|why| not_fetched(client, &why))?;
            let draw = draw(&own_request_id()?)?;
            return Ok(self.keep_document(&client.id, &fetched, &draw).await?.keys);
        }
        let fetched = fetcher.fetch_keys(&parse(&keys.uri)?).await.map_err(|why| not_fetched(client, &why))?;
        let jwks = fetched.content.to_json();
        let draw = draw(&own_request_id()?)?;
        let key = RecordKey::Client(client.id.clone());
        self.transact(&draw, "keys", || async {
            let loaded = self.load(vec![key.clone()]).await?;
            // It may have ended, or have moved its keys, meanwhile.
            let there = loaded.record::<Client>(&key)?.filter(|there| there.epoch == client.epoch);
            let kept = there
                .and_then(|there| register::with_keys(&there, &keys.uri, jwks.clone(), fetched.fresh_for, loaded.now));
            let (client, change) = kept.map_or((None, Change::default()), |(client, change)| (Some(client), change));
            Ok((loaded, change, client.and_then(|client| client.keys)))
        })
        .await
    }

    /// As [`Self::fetch_keys`], behind an answer.
    pub(crate) fn fetch_keys_behind(&self, client: &Client) {
        let client = client.clone();
        self.behind("fetch keys", move |service| async move { service.fetch_keys(&client).await.map(drop) });
    }

    fn read_document(
        &self,
        id: &ClientId,
        fetched: &Fetched<Document>,
        before: Option<&Client>,
        now: Timestamp,
    ) -> Result<(Client, Change), Status> {
        let Fetched { content, fresh_for } = fetched;
        let keys = content.keys.as_ref().map(|keys| {
            let (uri, jwks) = match &keys.source {
                KeySource::Inline(set) => (String::new(), set.to_json()),
                KeySource::Uri(uri) => (uri.to_string(), String::new()),
            };
            // Of those that are elsewhere nothing was fetched yet.
            let (fetched_at, fresh_until) =
                if jwks.is_empty() { Default::default() } else { (now, now.plus(*fresh_for)) };
            ClientKeys {
                is_required: keys.is_required,
                algorithm: keys.algorithm.map(Algorithm::name).unwrap_or_default().to_owned(),
                uri,
                jwks,
                fetched_at,
                fresh_until,
            }
        });
        let metadata = register::Registration {
            redirect_uris: content.redirect_uris.clone(),
            client_name: content.client_name.clone(),
            token_endpoint_auth_method: "none".to_owned(),
            ..register::Registration::default()
        };
        let sent = register::Documented { metadata, keys, fresh_for: *fresh_for };
        register::from_document(self.policy(), id.clone(), sent, before, now)
            .map_err(|error| refused(format!("the client's metadata document: {}", error.description)))
    }
}

/// The keys as they are kept. What cannot be read was written by another version, and is fetched anew.
pub(crate) fn key_set(keys: &ClientKeys) -> Option<KeySet> {
    KeySet::read(keys.jwks.as_bytes()).ok()
}

/// What the failure of a fetch that is needed comes to.
fn not_fetched(client: &Client, why: &FetchError) -> Status {
    tracing::warn!(event = "client_metadata.not_fetched", client_id = %client.id, reason = %why);
    let code = if why.is_passing() { OAuthErrorCode::TemporarilyUnavailable } else { OAuthErrorCode::InvalidClient };
    errors::oauth(&OAuthError::new(code, why.to_string()))
}

/// What a fetch that failed comes to.
fn still_good(kept: Option<Client>, why: &FetchError, now: Timestamp) -> Result<Client, Status> {
    let kept = kept.filter(|kept| now.is_before(kept.fresh_until.plus(FORGIVEN)));
    tracing::warn!(event = "client_metadata.not_fetched", reason = %why, is_kept = kept.is_some());
    match kept {
        Some(kept) if why.is_passing() || matches!(why, FetchError::Unresolved) => Ok(kept),
        _ if !why.is_passing() => Err(refused(why.to_string())),
        _ => Err(errors::oauth(&OAuthError::new(OAuthErrorCode::TemporarilyUnavailable, why.to_string()))),
    }
}
