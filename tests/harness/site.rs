//! A web site: HTTPS for `localhost`, by an authority of its own, and able to go away.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// A running site.
pub(crate) struct Site {
    pub(crate) port: u16,
    /// The certificate of its authority, a PEM file.
    pub(crate) authority: PathBuf,
    app: Router,
    acceptor: TlsAcceptor,
    running: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Site {
    /// Starts a site; `app` is told its port, because what it serves may name it.
    pub(crate) async fn start(app: impl FnOnce(u16) -> Router) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let authority = dir.path().join("ca.crt");
        std::fs::write(&authority, issuer.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let mut site = Self { port, authority, app: app(port), acceptor, running: None, _dir: dir };
        site.listen(listener);
        site
    }

    fn listen(&mut self, listener: TcpListener) {
        let (app, acceptor) = (self.app.clone(), self.acceptor.clone());
        self.running = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }));
    }

    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        let _ = running.await;
    }

    pub(crate) async fn start_again(&mut self) {
        self.listen(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], self.port))).await.unwrap());
    }

    /// The URL of a path of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Configuration that lets clients in whose documents are here.
    pub(crate) fn client_metadata(&self) -> String {
        format!(
            "[client_metadata]\nenabled = true\ninsecure_allow_private_addresses = true\nca_file = \"{}\"\n",
            self.authority.display()
        )
    }
}
