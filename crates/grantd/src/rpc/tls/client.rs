//! Connecting to the token service over TLS.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, sync::watch};
use tokio_rustls::{TlsConnector, client::TlsStream};

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

/// For asking servers that are not ours: the usual authorities, and those of a file if one is given, with the key that names it.
pub(crate) fn public_client(authorities: Option<(&Path, &str)>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some((file, key)) = authorities {
        let what = format!("{key}: {} cannot be used as a certificate authority", file.display());
        let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = read.map_err(Error::because(what.clone()))?;
        if certificates.is_empty() {
            return Err(Error::failed(format!("{what}: there is no PEM certificate in it")));
        }
        for certificate in certificates {
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

/// Speaks TLS on connections to the token service, with the certificates that are current then. Cheap to clone.
#[derive(Clone)]
pub(crate) struct TlsClient(watch::Receiver<Arc<ClientConfig>>);

impl TlsClient {
    /// Reads the files, and again whenever they change.
    pub(crate) async fn new(files: Files) -> Result<Self, Error> {
        files.keep(build).await.map(Self)
    }

    /// The handshake, with a server that must show a certificate for `name`.
    pub(crate) async fn handshake(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.0.borrow().clone());
        connector.connect(name, stream).await
    }
}
