//! An app on rmcp, the Rust SDK, as its documentation has it: it connects with what it has kept, and authorizes when the
//! SDK says that this is required. Any other error it shows to the person.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rmcp::{
    RoleClient, ServiceExt as _,
    model::CallToolRequestParams,
    service::RunningService,
    transport::{
        AuthClient, AuthorizationManager, StreamableHttpClientTransport,
        auth::{AuthError, AuthorizationRequest, CredentialStore, OAuthState, StoredCredentials},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};

use super::case::Token;
use crate::harness::{PASSWORD, programs::attempt};

/// Nothing listens here: the person does not follow the last redirect.
const REDIRECT_URI: &str = "http://localhost:39997/callback";
const SPOILT: &str = "no-longer-valid";

/// Keeps the credentials in a file.
#[derive(Clone)]
struct FileStore(PathBuf);

impl FileStore {
    fn read(&self) -> Option<Value> {
        std::fs::read(&self.0).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    fn write(&self, credentials: &Value) {
        std::fs::write(&self.0, credentials.to_string()).unwrap();
    }

    /// Makes the stored access token invalid, and one that the client knows to have expired.
    fn expire(&self) {
        let mut credentials = self.read().expect("there is a stored token to expire");
        credentials["token_response"]["access_token"] = SPOILT.into();
        credentials["token_received_at"] = 1.into();
        self.write(&credentials);
    }

    fn access_token(&self) -> Option<Value> {
        Some(self.read()?["token_response"]["access_token"].clone())
    }
}

#[async_trait::async_trait]
impl CredentialStore for FileStore {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.read().map(|value| serde_json::from_value(value).unwrap()))
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.write(&serde_json::to_value(credentials).unwrap());
        Ok(())
    }

    async fn clear(&self) -> Result<(), AuthError> {
        let _ = std::fs::remove_file(&self.0);
        Ok(())
    }
}

/// The whole session; what it gives is as the drivers of the other clients print it.
pub(super) async fn run(url: &str, state: &Path, document: Option<&str>, token: Token) -> Result<Value, String> {
    let store = FileStore(state.to_owned());
    if token == Token::Expired {
        store.expire();
    }
    let mut before = store.access_token();
    let mut authorizations = 0;
    let client = match connect(url, restored(url, &store).await?).await {
        Ok(client) => client,
        Err(error) if error.is_authorization_required() => {
            authorizations += 1;
            let authorized = authorize(url, &store, document, error.auth_challenge()).await?;
            connect(url, authorized).await.map_err(|error| in_full(&error))?
        }
        Err(error) => return Err(in_full(&error)),
    };
    let call = || client.call_tool(CallToolRequestParams::new("whoami"));
    let mut result = call().await.map_err(|error| in_full(&error))?;
    if token == Token::ExpiresMidway {
        store.expire();
        before = store.access_token();
        result = call().await.map_err(|error| in_full(&error))?;
    }
    let _ = client.cancel().await;
    Ok(json!({
        "version": version(),
        "client_id": store.read().unwrap()["client_id"],
        "result": result,
        "authorizations": authorizations,
        "refreshes": u8::from(authorizations == 0 && before != store.access_token()),
    }))
}

async fn manager(url: &str, store: &FileStore) -> Result<AuthorizationManager, String> {
    let mut manager = AuthorizationManager::new(url).await.map_err(|error| in_full(&error))?;
    manager.set_credential_store(store.clone());
    Ok(manager)
}

async fn restored(url: &str, store: &FileStore) -> Result<AuthorizationManager, String> {
    let mut manager = manager(url, store).await?;
    manager.initialize_from_store().await.map_err(|error| in_full(&error))?;
    Ok(manager)
}

/// Sends the person to authorize.
async fn authorize(
    url: &str,
    store: &FileStore,
    document: Option<&str>,
    challenge: Option<&str>,
) -> Result<AuthorizationManager, String> {
    let mut request = AuthorizationRequest::new(REDIRECT_URI).with_client_name("rmcp test client");
    if let Some(document) = document {
        request = request.with_client_metadata_url(document);
    }
    if let Some(challenge) = challenge {
        request = request.with_challenge(challenge);
    }
    let mut state = OAuthState::Unauthorized(manager(url, store).await?);
    state.start_authorization(request).await.map_err(|error| in_full(&error))?;
    let page = state.get_authorization_url().await.map_err(|error| in_full(&error))?;
    let (done, body, log) = attempt("clients/person.mjs", &[&page, "--user", "owner", "--password", PASSWORD]).await;
    let location = body["location"].as_str().filter(|_| done).ok_or_else(|| format!("{body}\n{log}"))?;
    state.handle_callback_url(location).await.map_err(|error| in_full(&error))?;
    Ok(state.into_authorization_manager().unwrap())
}

async fn connect(
    url: &str,
    manager: AuthorizationManager,
) -> Result<RunningService<RoleClient, ()>, rmcp::service::ClientInitializeError> {
    let http = AuthClient::new(reqwest::Client::new(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(Arc::from(url));
    ().serve(StreamableHttpClientTransport::with_client(http, config)).await
}

/// An error with its causes, as an app shows it.
fn in_full(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The version that is built in, by the lock file.
fn version() -> String {
    let lock: toml::Table = include_str!("../../Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let rmcp = packages.iter().find(|package| package["name"].as_str() == Some("rmcp")).unwrap();
    rmcp["version"].as_str().unwrap().to_owned()
}
