//! PEM files that are read again when they change.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::sync::watch;

use crate::error::Error;

/// How often the files are looked at. Renewals come hours before the old certificate ends.
const LOOK: Duration = Duration::from_secs(5);

/// What is configured: any of the three may be absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) roots: Option<PathBuf>,
}

/// What the files held.
pub(super) struct Pem {
    /// Our certificate chain and its key.
    pub(super) identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Whom we trust.
    pub(super) roots: Option<RootCertStore>,
}

/// The bytes of the three files, to see whether they changed. Holds a private key, so it is never shown.
#[derive(PartialEq, Eq)]
struct Bytes([Option<Vec<u8>>; 3]);

impl Files {
    async fn read(&self) -> Result<Bytes, Error> {
        let mut read = [None, None, None];
        for (path, into) in [&self.certificate, &self.key, &self.roots].into_iter().zip(&mut read) {
            if let Some(path) = path {
                let cannot = || Error::because(format!("cannot read {}", path.display()));
                *into = Some(tokio::fs::read(path).await.map_err(cannot())?);
            }
        }
        Ok(Bytes(read))
    }

    fn parse(&self, Bytes([certificate, key, roots]): &Bytes) -> Result<Pem, Error> {
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let wrong = |path: &Option<PathBuf>, what: &str| Error::failed(format!("{} holds no {what}", shown(path)));
        let certificates =
            |bytes: &[u8], path| match CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>() {
                Ok(certificates) if !certificates.is_empty() => Ok(certificates),
                _ => Err(wrong(path, "PEM certificate")),
            };
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((
                certificates(certificate, &self.certificate)?,
                PrivateKeyDer::from_pem_slice(key).map_err(|_| wrong(&self.key, "PEM private key"))?,
            )),
            _ => None,
        };
        let roots = match roots {
            Some(bytes) => {
                let mut store = RootCertStore::empty();
                for certificate in certificates(bytes, &self.roots)? {
                    store.add(certificate).map_err(|_| wrong(&self.roots, "usable certificate"))?;
                }
                Some(store)
            }
            None => None,
        };
        Ok(Pem { identity, roots })
    }

    /// Builds something from the files, now and whenever they change. Fails only now; later the old one stays.
    pub(super) async fn keep<T: Send + Sync + 'static>(
        self,
        build: impl Fn(Pem) -> Result<T, Error> + Send + 'static,
    ) -> Result<watch::Receiver<Arc<T>>, Error> {
        let mut current = self.read().await?;
        let (sender, receiver) = watch::channel(Arc::new(build(self.parse(&current)?)?));
        tokio::spawn(async move {
            let mut complained: Option<Bytes> = None;
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
                let found = match self.read().await {
                    Ok(found) if found != current && complained.as_ref() != Some(&found) => found,
                    // Unchanged, known to be wrong, or just being replaced.
                    _ => continue,
                };
                match self.parse(&found).and_then(&build) {
                    Ok(built) => {
                        tracing::info!(event = "tls.reloaded", "the TLS certificates changed and are in force");
                        let _ = sender.send(Arc::new(built));
                        (current, complained) = (found, None);
                    }
                    Err(error) => {
                        tracing::error!(event = "tls.not_reloaded", %error, "changed TLS certificates cannot be used; the old ones stay in force");
                        complained = Some(found);
                    }
                }
            }
        });
        Ok(receiver)
    }
}
