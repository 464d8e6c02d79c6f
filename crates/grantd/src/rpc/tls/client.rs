//! Connecting to the token service over TLS.

use std::{io, path::Path, sync::Arc};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, InvalidDnsNameError, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service;

use super::files::{Files, Pem};
use crate::error::Error;

fn build(pem: Pem) -> Result<ClientConfig, Error> {
    let unusable = || Error::because("the TLS certificate cannot be used");
    let roots = pem.roots.unwrap_or_else(|| RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable())?
        .with_root_certificates(roots);
    let mut config = match pem.identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(unusable())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// For asking servers on the internet: the usual authorities, and one more if that is given.
pub(crate) fn public_client(authority: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = authority {
        let what = format!("{} cannot be used as a certificate authority", file.display());
        let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for certificate in read.map_err(Error::because(what.clone()))? {
            roots.add(certificate).map_err(Error::because(what.clone()))?;
        }
    }
    let unusable = || Error::because("TLS cannot be set up");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Connects to the host and port of a URI, whatever its scheme says, with TLS.
pub(crate) async fn connector(
    files: Files,
) -> Result<
    impl Service<
        Uri,
        Response = TokioIo<TlsStream<TcpStream>>,
        Error = io::Error,
        Future: Future<Output = Result<TokioIo<TlsStream<TcpStream>>, io::Error>> + Send,
    > + Send
    + 'static,
    Error,
> {
    let config = files.keep(build).await?;
    Ok(tower::service_fn(move |uri: Uri| {
        let connector = TlsConnector::from(config.borrow().clone());
        async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(host.clone())
                .map_err(|error: InvalidDnsNameError| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(connector.connect(name, stream).await?))
        }
    }))
}
