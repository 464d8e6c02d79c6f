//! Where the clients' metadata documents are: a site on this machine, under the name in the client's id.
//!
//! Most clients are told their id by the app that uses them, so theirs is on `localhost`. Claude Code's is on claude.ai.
//! For it the site listens on port 443 of a loopback address, and grantd is started with an /etc/hosts that says so
//! (`Options::files`): the client and grantd are what their users have, only the network is ours. That needs root.

use std::{net::SocketAddr, path::PathBuf, sync::atomic::AtomicU32};

use axum::{Router, extract::State, http::Uri, response::IntoResponse};
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use crate::harness::{Options, Site};

/// Serves documents while it lives.
pub(super) struct Documents {
    /// The client's id.
    pub(super) client_id: String,
    site: Site,
    hosts: Vec<(PathBuf, &'static str)>,
    _dir: tempfile::TempDir,
}

async fn document(State(origin): State<String>, uri: Uri) -> impl IntoResponse {
    axum::Json(json!({
        "client_id": format!("{origin}{uri}"),
        "client_name": "Documented",
        "redirect_uris": [
            "http://localhost/callback", "http://127.0.0.1/callback",
            "http://localhost/oauth/callback", "http://127.0.0.1/oauth/callback",
        ],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }))
}

impl Documents {
    /// For a client that is told its id.
    pub(super) async fn on_localhost() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client_id = format!("https://localhost:{}/client.json", listener.local_addr().unwrap().port());
        Self::serve(listener, client_id, None)
    }

    /// For a client whose id is built in. Needs root.
    pub(super) async fn in_place_of(client_id: &str) -> Self {
        let listener = own_port_443().await;
        Self::serve(listener, client_id.to_owned(), Some(Url::parse(client_id).unwrap().host_str().unwrap()))
    }

    fn serve(listener: TcpListener, client_id: String, name: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hosts = name.map(|name| {
            let file = dir.path().join("hosts");
            let address = listener.local_addr().unwrap().ip();
            std::fs::write(&file, format!("127.0.0.1 localhost\n{address} {name}\n")).unwrap();
            (file, "/etc/hosts")
        });
        let origin = Url::parse(&client_id).unwrap().origin().ascii_serialization();
        let app = Router::new().fallback(document).with_state(origin);
        let site = Site::start_as(name.unwrap_or("localhost"), listener, |_| app);
        Self { client_id, site, hosts: hosts.into_iter().collect(), _dir: dir }
    }

    /// Lets its clients in.
    pub(super) fn let_in(&self, options: Options) -> Options {
        let config = format!("{}{}", options.config, self.site.client_metadata());
        Options { config, files: self.hosts.clone(), ..options }
    }
}

/// Port 443 of a loopback address that nobody else has.
async fn own_port_443() -> TcpListener {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let [_, b, c, d] = std::process::id().wrapping_mul(97).wrapping_add(next).to_be_bytes();
        if let Ok(listener) = TcpListener::bind(SocketAddr::from(([127, b.max(1), c, d], 443))).await {
            return listener;
        }
    }
}
