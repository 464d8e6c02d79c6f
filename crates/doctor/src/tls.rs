//! Whom to believe: the usual authorities, those of this machine, and one more if that is given.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject as _};

/// Why the doctor cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The file of `--ca-file` holds no certificate that can be used.
    #[error("{0} cannot be used as a certificate authority")]
    Authority(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// What was typed is no address of an MCP endpoint.
    #[error("{0:?} is no address: give the whole of it, such as https://mcp.example.com/mcp")]
    Url(String),
    /// Nothing can listen for the answer of a sign-in.
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] std::io::Error),
    /// The system gives no randomness.
    #[error("the system gave no randomness")]
    Random,
}

/// The TLS configuration of a client.
pub(crate) fn config(authority: Option<&Path>) -> Result<ClientConfig, SetUpError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // What of the machine's store cannot be read is left out: it is an addition.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = authority {
        let unusable =
            |error: Box<dyn std::error::Error + Send + Sync>| SetUpError::Authority(file.display().to_string(), error);
        let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = read.map_err(|error| unusable(error.into()))?;
        if certificates.is_empty() {
            return Err(unusable("it has no certificate in PEM form".into()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(error.into()))?;
        }
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SetUpError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
