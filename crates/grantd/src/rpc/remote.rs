//! The services of another process, over TCP.
//!
//! Connects when the first call is made, and again after every failure, so that facade and token service may start in any
//! order and restart at any time.

use std::time::Duration;

use grantd_proto::{Transport, TransportError};
use grantd_telemetry::GrpcClientTrace;
use http::{HeaderValue, header::AUTHORIZATION};
use tonic::transport::{ClientTlsConfig, Endpoint};
use tower::{ServiceBuilder, ServiceExt as _};

use crate::{
    config::{Config, Secret},
    error::Error,
};

/// The token service that the configuration names, with its service key.
pub(crate) fn transport(config: &Config) -> Result<Transport, Error> {
    let settings = &config.token_service;
    let unusable = || Error::because(format!("token_service.url: {} cannot be used", settings.url));
    let mut endpoint = Endpoint::from_shared(settings.url.clone())
        .map_err(unusable())?
        // Below the facade's deadline for a call: an address that swallows packets must not use it up.
        .connect_timeout(Duration::from_secs(2))
        .timeout(config.facade.call_timeout())
        // Finds a connection that died in silence, also while only a stream is open on it.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if settings.url.starts_with("https://") {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_webpki_roots()).map_err(unusable())?;
    }
    let authorization = bearer(settings.key.as_ref())?;
    let channel = ServiceBuilder::new()
        // Outermost: the span covers the wait for a connection.
        .layer(GrpcClientTrace)
        .map_request(move |mut request: http::Request<tonic::body::Body>| {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            request
        })
        .service(endpoint.connect_lazy());
    Ok(Transport::new(channel.map_err(TransportError::from)))
}

fn bearer(key: Option<&Secret>) -> Result<HeaderValue, Error> {
    let key = key.map(Secret::expose).unwrap_or_default();
    let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
        .map_err(|_| Error::Usage("token_service.key: a service key has printable ASCII characters only".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
