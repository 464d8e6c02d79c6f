//! Authenticates callers on a TCP listener, by service key or by the certificate of their connection.
//!
//! 1. [`CallerKeys`] holds the digest, name and role of every configured key.
//! 2. [`AuthLayer`] reads `authorization: Bearer <key>`, finds the key in constant time, and puts the [`Caller`] into the
//!    request. Without a key it takes the caller of the connection's certificate ([`CertifiedCaller`]). Without either the
//!    call is refused before any service sees it; so is a wrong key, whatever the certificate.
//!
//! `grpc.health.v1.Health` alone is let through: an orchestrator's probe cannot send metadata, and the answer tells
//! nothing but whether the service is up. In-process calls and the admin socket bring their caller along and do not pass
//! here.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::{Either, Ready, ready};
use grantd_oauth_types::Digest;
use grantd_proto::{Caller, Role, error::Word};

/// The configured keys. Only digests are kept.
#[derive(Debug, Clone, Default)]
pub struct CallerKeys(Arc<Vec<(Digest, Caller)>>);

impl CallerKeys {
    /// From name, role and key.
    pub fn new(keys: impl IntoIterator<Item = (String, Role, String)>) -> Self {
        Self(Arc::new(
            keys.into_iter().map(|(name, role, key)| (Digest::of(key.as_bytes()), Caller { name, role })).collect(),
        ))
    }

    /// Whose key this is. Looks at every key, whatever it finds.
    pub fn find(&self, key: &[u8]) -> Option<&Caller> {
        let digest = Digest::of(key);
        self.0.iter().fold(None, |found, (known, caller)| if known.matches(&digest) { Some(caller) } else { found })
    }
}

/// Who showed a client certificate on the connection of a request, as the listener found out. An extension of the request;
/// what a caller sends cannot make one.
#[derive(Debug, Clone, Default)]
pub struct CertifiedCaller(pub Option<Caller>);

/// Puts a [`Caller`] into every request of a known one; refuses the others.
#[derive(Debug, Clone)]
pub struct AuthLayer(CallerKeys);

impl AuthLayer {
    /// For these keys.
    pub fn new(keys: CallerKeys) -> Self {
        Self(keys)
    }
}

impl<S> tower::Layer<S> for AuthLayer {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticated { keys: self.0.clone(), inner }
    }
}

/// See [`AuthLayer`].
#[derive(Debug, Clone)]
pub struct Authenticated<S> {
    keys: CallerKeys,
    inner: S,
}

impl<S, B> tower::Service<http::Request<B>> for Authenticated<S>
where
    S: tower::Service<http::Request<B>, Response = http::Response<tonic::body::Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Self::Response, Self::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        // What a client sends cannot be an extension, but a layer before this one could leave one.
        request.extensions_mut().remove::<Caller>();
        if request.uri().path().starts_with("/grpc.health.v1.Health/") {
            return Either::Left(self.inner.call(request));
        }
        let key = request
            .headers()
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
            .map(|(_, key)| key);
        let caller = match key {
            Some(key) => self.keys.find(key).cloned(),
            None => request.extensions().get::<CertifiedCaller>().and_then(|certified| certified.0.clone()),
        };
        match caller {
            Some(caller) => {
                request.extensions_mut().insert(caller);
                request.headers_mut().remove(http::header::AUTHORIZATION);
                Either::Left(self.inner.call(request))
            }
            None => {
                let reason = if key.is_some() { "unknown service key" } else { "no service key" };
                tracing::warn!(event = "caller.refused", reason, "a gRPC call without valid credentials");
                let status = Word::Unauthenticated.status(
                    "send a service key as authorization: Bearer <key>, or connect with a certificate that is configured",
                );
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_caller() {
        let keys = CallerKeys::new([
            ("gate".to_owned(), Role::Verify, "k".repeat(32)),
            ("facade".to_owned(), Role::Flow, "f".repeat(32)),
        ]);
        assert_eq!(keys.find("f".repeat(32).as_bytes()).unwrap().name, "facade");
        assert_eq!(keys.find(b"f"), None);
        assert_eq!(CallerKeys::default().find(b""), None);
        assert!(!format!("{keys:?}").contains("kkk"));
    }
}
