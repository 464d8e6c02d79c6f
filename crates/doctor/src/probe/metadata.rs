//! The metadata documents, at every place where clients look for them.

use http::{HeaderName, Method, header};
use url::Url;

use super::{Doctor, ORIGIN, mcp::preflight};
use crate::{Step, challenge::Challenge, exchange::Ask};

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn document(url: Url) -> Ask {
    let ask = Ask { follow: true, ..Ask::new(Method::GET, url) };
    ask.header(header::ACCEPT, "application/json")
        .header(header::ORIGIN, ORIGIN)
        .header(HeaderName::from_static("mcp-protocol-version"), "2025-06-18")
}

/// A well-known path inserted between the origin and the path of an address (RFC 8414 §3, RFC 9728 §3.1).
fn inserted(url: &Url, well_known: &str) -> Url {
    let mut at = url.clone();
    at.set_path(&format!("{well_known}{}", url.path().trim_end_matches('/')));
    at.set_query(None);
    at.set_fragment(None);
    at
}

/// The same appended to the path (OpenID Connect Discovery §4).
fn appended(url: &Url, well_known: &str) -> Url {
    let mut at = url.clone();
    at.set_path(&format!("{}{well_known}", url.path().trim_end_matches('/')));
    at.set_query(None);
    at.set_fragment(None);
    at
}

impl Doctor {
    pub(super) async fn ask_metadata(&mut self) {
        let url = self.visit.url.clone();
        let at_path = inserted(&url, RESOURCE);
        let mut at_root = at_path.clone();
        at_root.set_path(RESOURCE);
        let challenge = self
            .visit
            .answer(Step::McpInitialize)
            .map(|(_, answer)| Challenge::read(answer.header(header::WWW_AUTHENTICATE)));
        // Clients that do not insist on an absolute address read it relative to the endpoint.
        let named = challenge.and_then(|challenge| url.join(challenge.get("resource_metadata")?).ok());
        let named =
            named.filter(|named| *named != at_path && *named != at_root && matches!(named.scheme(), "http" | "https"));
        if let Some(named) = named {
            self.ask(Step::ResourceAtHeader, document(named)).await;
        }
        self.ask(Step::ResourceAtPath, document(at_path.clone())).await;
        if at_root != at_path {
            self.ask(Step::ResourceAtRoot, document(at_root.clone())).await;
        }
        let found = self.visit.resource_metadata().map(|(observation, _)| observation.url.clone());
        if let Some(found) = found {
            self.ask(Step::ResourcePreflight, preflight(found, "GET", &["mcp-protocol-version"])).await;
        }
        let mut unknown = at_root;
        unknown.set_path("/.well-known/grantd-doctor-asks-for-what-is-not-there");
        self.ask(Step::UnknownWellKnown, document(unknown)).await;

        let Ok(issuer) = Url::parse(&self.visit.issuer()) else { return };
        if !matches!(issuer.scheme(), "http" | "https") || !issuer.has_host() {
            return;
        }
        let oauth = inserted(&issuer, OAUTH);
        self.ask(Step::ServerOauth, document(oauth.clone())).await;
        self.ask(Step::ServerOpenid, document(inserted(&issuer, OPENID))).await;
        if issuer.path() != "/" {
            self.ask(Step::ServerOpenidAppended, document(appended(&issuer, OPENID))).await;
        }
        let at_resource = inserted(&url, OAUTH);
        if issuer.origin() == url.origin() && at_resource != oauth {
            self.ask(Step::ServerAtResource, document(at_resource)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_clients_look() {
        for (url, at) in [
            ("https://a.example", "https://a.example/.well-known/x"),
            ("https://a.example/", "https://a.example/.well-known/x"),
            ("https://a.example/b/", "https://a.example/.well-known/x/b"),
            ("https://a.example/b?c=d#e", "https://a.example/.well-known/x/b"),
        ] {
            assert_eq!(inserted(&Url::parse(url).unwrap(), "/.well-known/x").as_str(), at);
        }
        let url = Url::parse("https://a.example/b/").unwrap();
        assert_eq!(appended(&url, "/.well-known/x").as_str(), "https://a.example/b/.well-known/x");
    }
}
