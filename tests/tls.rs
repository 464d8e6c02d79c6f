//! TLS between facade and token service: who is let in, and certificates that are renewed while everything runs.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use reqwest::StatusCode;

use super::harness::{Client, Options, Process, client::pair, deployment::start, free_port, http};

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes `NAME.crt` and `NAME.key`, issued for a DNS name.
pub(crate) fn issue(dir: &Path, name: &str, dns: &str, issuer: &Authority) {
    let mut params = CertificateParams::new(vec![dns.to_owned()]).unwrap();
    // Readers that others wrote take a certificate that bears its issuer's name for one that is signed by itself.
    params.distinguished_name.push(DnType::CommonName, dns);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    std::fs::write(dir.join(format!("{name}.crt")), certificate.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

struct Halves {
    dir: tempfile::TempDir,
    issuer: String,
    grpc: u16,
    service: Process,
}

impl Halves {
    /// A token service that accepts certificates of `callers.crt`, and knows the caller `facade.test`.
    async fn start() -> (Self, Authority, Authority) {
        let (servers, callers) = (authority(), authority());
        let dir = tempfile::tempdir().unwrap();
        for (name, issuer) in [("servers", &servers), ("callers", &callers)] {
            std::fs::write(dir.path().join(format!("{name}.crt")), issuer.pem()).unwrap();
        }
        issue(dir.path(), "service", "localhost", &servers);
        issue(dir.path(), "facade", "facade.test", &callers);
        let grpc = free_port();
        let issuer = format!("http://localhost:{}", free_port());
        let config = format!(
            "public_url = \"{issuer}\"\n[token_service]\nlisten = \"127.0.0.1:{grpc}\"\n{}\n\
             [[token_service.caller]]\nname = \"facade\"\nrole = \"flow\"\ncertificate = \"facade.test\"\n",
            tls(dir.path(), "service", "callers")
        );
        let options = Options { keyless: true, ..Options::default() };
        let mut service = start(dir.path(), "token-service", &config, 0, &options).await;
        service.until_output("the token service is ready").await;
        (Self { dir, issuer, grpc, service }, servers, callers)
    }

    /// A facade that shows the certificate of this name, or none, and trusts these issuers.
    async fn facade(&self, certificate: Option<&str>, trusts: &str, key: bool) -> (Process, String) {
        let port = free_port();
        let base = format!("http://localhost:{port}");
        let files = match certificate {
            Some(name) => tls(self.dir.path(), name, trusts),
            None => format!(
                "[token_service.tls]\nca_file = \"{}\"",
                self.dir.path().join(format!("{trusts}.crt")).display()
            ),
        };
        let config = format!(
            "public_url = \"{}\"\nupstream = \"http://127.0.0.1:{}/mcp\"\n\
             [token_service]\nurl = \"https://localhost:{}\"\n{files}\n",
            self.issuer,
            free_port(),
            self.grpc
        );
        let options = Options { keyless: !key, ..Options::default() };
        let mut process = start(self.dir.path(), "facade", &config, port, &options).await;
        process.until_output("the facade listens").await;
        (process, base)
    }
}

fn tls(dir: &Path, name: &str, trusts: &str) -> String {
    let path = |file: String| dir.join(file).display().to_string();
    format!(
        "[token_service.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\nca_file = \"{}\"",
        path(format!("{name}.crt")),
        path(format!("{name}.key")),
        path(format!("{trusts}.crt"))
    )
}

async fn readiness(base: &str) -> StatusCode {
    http().get(format!("{base}/readyz")).send().await.unwrap().status()
}

#[tokio::test]
async fn a_facade_is_known_by_its_certificate() {
    let (halves, _, callers) = Halves::start().await;
    let (_process, base) = halves.facade(Some("facade"), "servers", false).await;
    let client = Client::register(&base).await;
    let first = client.pair().await;
    let second = pair(client.refresh(&first.refresh).await).await;
    assert!(client.is_accepted(&second.access).await && !client.is_accepted(&first.access).await);

    // A name that is not configured, though its issuer is trusted.
    issue(halves.dir.path(), "other", "other.test", &callers);
    let (_process, base) = halves.facade(Some("other"), "servers", false).await;
    assert_eq!(readiness(&base).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(halves.service.output().contains("caller.refused"));
}

#[tokio::test]
async fn strangers_are_let_in_at_neither_end() {
    let (halves, servers, _) = Halves::start().await;
    // The right name, from an issuer that the service does not trust.
    issue(halves.dir.path(), "stranger", "facade.test", &servers);
    for (certificate, trusts, key) in [
        (Some("stranger"), "servers", false),
        // No certificate, even with a service key.
        (None, "servers", true),
        // The service's certificate is from an issuer that the facade does not trust.
        (Some("facade"), "callers", false),
    ] {
        let (_process, base) = halves.facade(certificate, trusts, key).await;
        assert_eq!(readiness(&base).await, StatusCode::SERVICE_UNAVAILABLE, "{certificate:?} {trusts}");
        let metadata = http().get(format!("{base}/.well-known/oauth-authorization-server")).send().await.unwrap();
        assert_eq!(metadata.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn certificates_are_renewed_while_everything_runs() {
    let (mut halves, _, callers) = Halves::start().await;
    let (_process, base) = halves.facade(Some("facade"), "servers", false).await;
    assert_eq!(readiness(&base).await, StatusCode::OK);

    // What cannot be used leaves the old one in force.
    std::fs::write(halves.dir.path().join("service.crt"), "no certificate").unwrap();
    halves.service.until_output("tls.not_reloaded").await;
    let (_process, another) = halves.facade(Some("facade"), "servers", false).await;
    assert_eq!(readiness(&another).await, StatusCode::OK);

    // From another issuer, so that it shows which one is in force.
    issue(halves.dir.path(), "service", "localhost", &callers);
    halves.service.until_output("tls.reloaded").await;
    let (_process, renewed) = halves.facade(Some("facade"), "callers", false).await;
    assert_eq!(readiness(&renewed).await, StatusCode::OK);
    assert_eq!(readiness(&base).await, StatusCode::OK, "open connections go on");
}
