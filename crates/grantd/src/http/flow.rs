//! One id for what one client does on its way in, from its first 401 to its first answered call.
//!
//! 1. A client that has no id yet is known by its address and what it calls itself (`User-Agent`): the flow id is a digest of
//!    both, so every facade and gate gives the same one, and nothing is remembered for it.
//! 2. It goes on the request's span, and with the request to the facade, which gives it to the registration.
//! 3. From then on TokenService finds it at the client, and puts it on its own spans: the person's browser has another
//!    address.
//!
//! It is a label to search traces by, and nothing is decided by it. Clients that share an address and a name share a flow id;
//! once they are registered `grantd.client.id` tells them apart.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request},
    middleware::Next,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};
use tracing::Span;

/// By which the facade learns it. Whatever a client sends under this name is replaced.
const HEADER: &str = "x-grantd-flow-id";

/// For [`axum::middleware::from_fn`].
pub(crate) async fn label(mut request: Request, next: Next) -> Response {
    let flow = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| id(&info.0.ip().to_canonical().to_string(), request.headers()));
    request.headers_mut().remove(HEADER);
    if let Some(flow) = flow {
        if !is_for_people(request.uri().path()) {
            Span::current().record("grantd.flow.id", &flow);
        }
        if let Ok(value) = HeaderValue::try_from(flow) {
            request.headers_mut().insert(HEADER, value);
        }
    }
    next.run(request).await
}

/// Where a browser asks, and not the client.
fn is_for_people(path: &str) -> bool {
    ["authorize", "sign-in", "sign-out", "approve", "deny"].iter().any(|page| path.contains(page))
}

fn id(address: &str, headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
    let digest = Sha256::new().chain_update(address).chain_update(b"\n").chain_update(agent).finalize();
    let short: Vec<u8> = digest.into_iter().take(9).collect();
    URL_SAFE_NO_PAD.encode(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_known_by_address_and_name() {
        let named = |name: &'static str| HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(name))]);
        let one = id("203.0.113.9", &named("a"));
        assert_eq!(one, id("203.0.113.9", &named("a")));
        assert_eq!(one.len(), 12);
        for other in [id("203.0.113.8", &named("a")), id("203.0.113.9", &named("b")), id("", &HeaderMap::new())] {
            assert_ne!(one, other);
        }
    }
}
