//! Accepting TLS connections.
//!
//! 1. The handshake runs beside the others, within a time limit; one that fails costs nobody else anything.
//! 2. With roots configured a caller must show a certificate that one of them issued.
//! 3. The names that callers are configured by are looked for in it, with the rules of server names (RFC 6125): the first
//!    that matches is who calls.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _};
use grantd_proto::Caller;
use grantd_token_service::CertifiedCaller;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, ServerName},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::files::{Files, Pem};
use crate::error::Error;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many handshakes may be under way.
const HANDSHAKES: usize = 256;

/// Callers by the name in their certificate.
pub(crate) type Names = Arc<[(ServerName<'static>, Caller)]>;

/// A connection, and who is at its other end.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    caller: CertifiedCaller,
}

fn build(pem: Pem) -> Result<ServerConfig, Error> {
    const UNUSABLE: &str = "the TLS certificate cannot be used";
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::because(UNUSABLE))?;
    let builder = match pem.roots {
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(Error::because(UNUSABLE))?)
        }
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = pem.identity.ok_or_else(|| Error::failed("TLS needs a certificate and its key"))?;
    let mut config = builder.with_single_cert(chain, key).map_err(Error::because(UNUSABLE))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The connections that come in, after their handshake.
pub(crate) async fn incoming(
    listener: TcpListener,
    files: Files,
    names: Names,
) -> Result<impl Stream<Item = io::Result<Connection>> + Send, Error> {
    let config = files.keep(build).await?;
    let (ready, connections) = mpsc::channel(HANDSHAKES);
    tokio::spawn(accept(listener, config, names, ready));
    Ok(ReceiverStream::new(connections).map(Ok))
}

async fn accept(
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
    names: Names,
    ready: mpsc::Sender<Connection>,
) {
    loop {
        // A place first, so that handshakes are bounded; the listener's backlog holds the rest.
        let Ok(place) = ready.clone().reserve_owned().await else { return };
        let stream = tokio::select! {
            () = ready.closed() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let (acceptor, names) = (TlsAcceptor::from(config.borrow().clone()), names.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let caller = caller(stream.get_ref().1.peer_certificates(), &names);
                    place.send(Connection { stream, caller });
                }
                Ok(Err(error)) => tracing::debug!(event = "tls.refused", %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(event = "tls.refused", "a TLS handshake took too long"),
            }
        });
    }
}

fn caller(chain: Option<&[CertificateDer<'static>]>, names: &Names) -> CertifiedCaller {
    let certificate =
        chain.and_then(|chain| chain.first()).and_then(|first| webpki::EndEntityCert::try_from(first).ok());
    let has = |name| {
        certificate.as_ref().is_some_and(|certificate| certificate.verify_is_valid_for_subject_name(name).is_ok())
    };
    CertifiedCaller(names.iter().find(|(name, _)| has(name)).map(|(_, caller)| caller.clone()))
}

impl Connected for Connection {
    type ConnectInfo = CertifiedCaller;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
