//! TLS to Redis: rustls with ring.
//!
//! 1. Trusted are the system's certificate authorities (those of Mozilla where the system has none), and that of
//!    [`RedisConfig::ca_file`].
//! 2. [`RedisConfig::client_identity`] is shown to a Redis that asks for a certificate.
//! 3. The certificate must be for the name by which a server is known: that of the URL, or the one that Sentinel or the
//!    Cluster announces (an address, unless `sentinel announce-hostnames`, `cluster-announce-hostname` and
//!    `cluster-preferred-endpoint-type hostname` say otherwise).
//!
//! The files are read for each new client, so that a new certificate is used from the next connection on. Only at the
//! start they must be readable. The system's authorities are read once: they are some hundred, and what changes there is for
//! the next start. Either is done beside the runtime, as files may be slow and parsing takes a while.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use fred::{
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
    rustls_native_certs::load_native_certs,
    types::config::TlsConnector,
};

use crate::{config::RedisConfig, error::ConnectError};

/// Whom everybody here trusts.
static AUTHORITIES: OnceLock<RootCertStore> = OnceLock::new();

fn authorities() -> &'static RootCertStore {
    AUTHORITIES.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        roots
    })
}

/// With what the files hold now.
pub(crate) async fn connector(config: &RedisConfig) -> Result<TlsConnector, ConnectError> {
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || read(&config)).await;
    read.map_err(|cause| ConnectError::Tls(cause.to_string()))?
}

fn read(config: &RedisConfig) -> Result<TlsConnector, ConnectError> {
    let mut roots = authorities().clone();
    if let Some(file) = &config.ca_file {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(because(file, "is no certificate authority"))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| ConnectError::Tls(cause.to_string()))?
        .with_root_certificates(roots);
    let config = match &config.client_identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_file(&identity.key_file)
                .map_err(because(&identity.key_file, "cannot be read as a private key"))?;
            builder
                .with_client_auth_cert(certificates(&identity.cert_file)?, key)
                .map_err(because(&identity.cert_file, "cannot be used"))?
        }
    };
    Ok(config.into())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(because(file, "cannot be read as certificates"))?;
    if certificates.is_empty() {
        return Err(because(file, "cannot be read as certificates")("there is none in it"));
    }
    Ok(certificates)
}

fn because<E: std::fmt::Display>(file: &Path, what: &str) -> impl FnOnce(E) -> ConnectError {
    move |cause| ConnectError::Tls(format!("{} {what}: {cause}", file.display()))
}
