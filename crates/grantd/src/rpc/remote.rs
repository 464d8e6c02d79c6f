//! The services of other processes, over TCP.
//!
//! 1. Each URL of the configuration is a place: a name, whose addresses are looked up, or an address.
//! 2. Calls are spread over all addresses ([`super::balance`]).
//! 3. A connection is made when the first call is, and again after every failure, so that facade and token service may
//!    start in any order and restart at any time.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use grantd_proto::{Transport, TransportError};
use grantd_telemetry::GrpcClientTrace;
use http::{HeaderValue, Uri, header::AUTHORIZATION};
use rustls::pki_types::ServerName;
use tonic::transport::{Channel, Endpoint};
use tower::{ServiceBuilder, ServiceExt as _};

use super::{
    balance::{Balanced, Place, SystemResolver},
    dial::{self, Tls},
};
use crate::{
    config::{Config, Secret},
    error::Error,
    rpc::tls::TlsClient,
};

/// The token services that the configuration names, with its service key. Must be called within a Tokio runtime.
pub(crate) async fn transport(config: &Config) -> Result<Transport, Error> {
    let settings = &config.token_service;
    let places = settings.url.0.iter().map(|url| place(url)).collect::<Result<Vec<_>, Error>>()?;
    let tls = match places.iter().any(|place| place.origin.scheme_str() == Some("https")) {
        true => Some(TlsClient::new(settings.tls.files()).await?),
        false => None,
    };
    let call_timeout = config.facade.call_timeout();
    let connect = move |place: &Place, address: SocketAddr| channel(place, address, tls.clone(), call_timeout);
    let balanced = Balanced::start(places, SystemResolver, connect);
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
        .service(balanced);
    Ok(Transport::new(channel.map_err(TransportError::from)))
}

fn place(url: &str) -> Result<Place, Error> {
    let what = || format!("token_service.url: {url} cannot be used");
    let origin = url.parse::<Uri>().map_err(Error::because(what()))?;
    let host = origin.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = origin.port_u16().unwrap_or(if origin.scheme_str() == Some("https") { 443 } else { 80 });
    let name = ServerName::try_from(host.clone()).map_err(Error::because(what()))?;
    Ok(Place { host, port, origin, name: Arc::new(name) })
}

/// A channel to one address of a place. Connects when it is used.
fn channel(place: &Place, address: SocketAddr, tls: Option<TlsClient>, call_timeout: Duration) -> Channel {
    // The address is the connector's business, and so is TLS; requests name the place.
    Endpoint::from(Uri::from_static("http://token-service"))
        .timeout(call_timeout)
        // Finds a connection that died in silence, also while only a stream is open on it.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .origin(place.origin.clone())
        .connect_with_connector_lazy(dial::connector(
            address,
            tls.map(|client| Tls { client, name: place.name.clone() }),
        ))
}

fn bearer(key: &Secret) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
        .map_err(|_| Error::Usage("token_service.key: a service key has printable ASCII characters only".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
