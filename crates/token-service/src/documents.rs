//! Clients whose id is the URL of their metadata document (draft-ietf-oauth-client-id-metadata-document).
//!
//! 1. An authorization looks at what is kept of the document. While that is as new, nobody is asked.
//! 2. Else the document is fetched. Once somebody is signed in it is kept, as a registration is; before, nothing is written,
//!    because anybody may name a URL.
//! 3. Exchange and refresh read what is kept and never fetch: a client's site that is away signs nobody out.
//! 4. A site that is away when a document has grown old is forgiven for a day; a document that has become bad is not.
//!
//! Left to `grantd-client-metadata`: how to fetch from a host that a stranger chose.

use std::time::Duration;

use grantd_client_metadata::{ClientIdUrl, FetchError, Fetched};
use grantd_core::{Change, Draw, RecordKey, Timestamp, records::Client, register};
use grantd_oauth_types::{ClientId, OAuthError, OAuthErrorCode};
use grantd_store::Index;
use tonic::Status;

use crate::{Service, errors};

/// How long what was kept serves while its site is away.
const FORGIVEN: Duration = Duration::from_secs(24 * 3600);

fn refused(description: impl AsRef<str>) -> Status {
    errors::oauth(&OAuthError::new(OAuthErrorCode::InvalidClient, description))
}

/// A client, and what is to be kept of it when somebody is signed in.
pub(crate) struct Documented {
    pub(crate) client: Client,
    pub(crate) fetched: Option<Fetched>,
}

impl Service {
    /// The client of an authorization request whose id is a URL, as its document says; `kept` is what is known of it.
    pub(crate) async fn documented(
        &self,
        id: &ClientId,
        kept: Option<Client>,
        now: Timestamp,
    ) -> Result<Documented, Status> {
        let Some(fetcher) = &self.0.documents else {
            return Err(refused("this server takes no URLs as client ids; the app must register"));
        };
        if let Some(client) = kept.clone().filter(|kept| now.is_before(kept.fresh_until)) {
            return Ok(Documented { client, fetched: None });
        }
        let url = ClientIdUrl::parse(id.as_str()).map_err(|why| refused(why.to_string()))?;
        match fetcher.fetch(&url).await {
            Ok(fetched) => {
                let (client, _) = self.read_document(id, &fetched, kept.as_ref(), now)?;
                Ok(Documented { client, fetched: Some(fetched) })
            }
            Err(why) => still_good(kept, &why, now).map(|client| Documented { client, fetched: None }),
        }
    }

    /// Keeps what was fetched, and gives the client as it is kept.
    pub(crate) async fn keep_document(&self, id: &ClientId, fetched: &Fetched, draw: &Draw) -> Result<Client, Status> {
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
        Ok(client)
    }

    fn read_document(
        &self,
        id: &ClientId,
        fetched: &Fetched,
        before: Option<&Client>,
        now: Timestamp,
    ) -> Result<(Client, Change), Status> {
        let Fetched { document, fresh_for } = fetched;
        let sent = register::Registration {
            redirect_uris: document.redirect_uris.clone(),
            client_name: document.client_name.clone(),
            token_endpoint_auth_method: "none".to_owned(),
            ..register::Registration::default()
        };
        register::from_document(self.policy(), id.clone(), sent, *fresh_for, before, now)
            .map_err(|error| refused(format!("the client's metadata document: {}", error.description)))
    }
}

/// What a fetch that failed comes to.
fn still_good(kept: Option<Client>, why: &FetchError, now: Timestamp) -> Result<Client, Status> {
    let kept = kept.filter(|kept| now.is_before(kept.fresh_until.plus(FORGIVEN)));
    tracing::warn!(event = "client_metadata.not_fetched", reason = %why, is_kept = kept.is_some());
    match kept {
        _ if !why.is_passing() => Err(refused(why.to_string())),
        Some(kept) => Ok(kept),
        None => Err(errors::oauth(&OAuthError::new(OAuthErrorCode::TemporarilyUnavailable, why.to_string()))),
    }
}
