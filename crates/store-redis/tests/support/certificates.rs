//! A certificate authority of the test's own.

use std::{net::Ipv4Addr, path::PathBuf};

use grantd_store_redis::ClientIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use tempfile::TempDir;

/// Files `ca.crt` and, for each that was issued, `NAME.crt` and `NAME.key`.
pub(crate) struct Certificates {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// One for `localhost`, and for the address as well if that is asked for.
    pub(crate) fn issue(&self, name: &str, address: bool) -> ClientIdentity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if address {
            params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        // OpenSSL takes a certificate that bears its issuer's name for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |ending: &str| self.folder.path().join(format!("{name}.{ending}"));
        std::fs::write(file("crt"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        ClientIdentity { cert_file: file("crt"), key_file: file("key") }
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// The arguments by which a `redis-server` shows a certificate, and asks for one if `asks`.
    pub(crate) fn arguments(&self, shows: &ClientIdentity, asks: bool) -> Vec<String> {
        let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let (certificate, key, authority) = (text(&shows.cert_file), text(&shows.key_file), text(&self.authority()));
        [
            ["--tls-cert-file", &certificate],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", &authority],
            ["--tls-auth-clients", if asks { "yes" } else { "no" }],
        ]
        .as_flattened()
        .iter()
        .map(|&argument| argument.to_owned())
        .collect()
    }
}
