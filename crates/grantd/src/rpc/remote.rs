//! The services of another process, over TCP.
//!
//! Connects when the first call is made, and again after every failure, so that facade and token service may start in any
//! order and restart at any time.

use std::time::Duration;

use grantd_proto::{Transport, TransportError};
use grantd_telemetry::GrpcClientTrace;
use http::{HeaderValue, Uri, header::AUTHORIZATION};
use tonic::transport::Endpoint;
use tower::{ServiceBuilder, ServiceExt as _};

use crate::{
    config::{Config, Secret},
    error::Error,
    rpc::tls,
};

/// The token service that the configuration names, with its service key.
pub(crate) async fn transport(config: &Config) -> Result<Transport, Error> {
    let settings = &config.token_service;
    let what = || format!("token_service.url: {} cannot be used", settings.url);
    let origin = settings.url.parse::<Uri>().map_err(Error::because(what()))?;
    // The connector speaks TLS by itself; to the channel the address is a plain one, and requests name the real one.
    let (address, is_tls) = match settings.url.strip_prefix("https://") {
        Some(rest) => (format!("http://{rest}"), true),
        None => (settings.url.clone(), false),
    };
    let endpoint = Endpoint::from_shared(address)
        .map_err(Error::because(what()))?
        // Below the facade's deadline for a call: an address that swallows packets must not use it up.
        .connect_timeout(Duration::from_secs(2))
        .timeout(config.facade.call_timeout())
        // Finds a connection that died in silence, also while only a stream is open on it.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .origin(origin);
    let channel = if is_tls {
        endpoint.connect_with_connector_lazy(tls::connector(settings.tls.files()).await?)
    } else {
        endpoint.connect_lazy()
    };
    let authorization = settings.key.as_ref().map(bearer).transpose()?;
    let channel = ServiceBuilder::new()
        // Outermost: the span covers the wait for a connection.
        .layer(GrpcClientTrace)
        .map_request(move |mut request: http::Request<tonic::body::Body>| {
            if let Some(authorization) = &authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            request
        })
        .service(channel);
    Ok(Transport::new(channel.map_err(TransportError::from)))
}

fn bearer(key: &Secret) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
        .map_err(|_| Error::Usage("token_service.key: a service key has printable ASCII characters only".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
