//! The official conformance suite for authorization servers of MCP: no failure, and no warning.

use crate::harness::{Deployment, Options, PASSWORD, programs::run};

/// The suite wants to see that metadata documents are understood.
const DOCUMENTS: &str = "[client_metadata]\nenabled = true\n";

async fn conforms(options: Options, more: &[&str]) {
    let options = Options { config: format!("{}{DOCUMENTS}", options.config), ..options };
    Deployment::each(options, async |deployment| {
        let (issuer, resource) = (deployment.issuer(), deployment.resource());
        let args = ["--issuer", issuer, "--resource", &resource, "--user", "owner", "--password", PASSWORD];
        let report = run("clients/conformance.mjs", &[&args[..], more].concat()).await;
        let checks = report["checks"].as_array().unwrap();
        assert!(checks.len() >= 2, "{report}");
        for check in checks {
            assert!(["SUCCESS", "INFO"].contains(&check["status"].as_str().unwrap()), "{check}");
        }
        assert_eq!(report["exit"], 0, "{report}");
    })
    .await;
}

#[tokio::test]
async fn with_a_public_client() {
    conforms(Options::default(), &[]).await;
}

/// The suite keeps its secret to itself wherever `none` is allowed; so here it is not.
#[tokio::test]
async fn with_a_client_that_has_a_secret() {
    let config = "[tokens]\nendpoint_auth_methods = [\"client_secret_basic\", \"client_secret_post\"]\n".into();
    conforms(Options { config, ..Options::default() }, &["--secret"]).await;
}

#[tokio::test]
async fn with_an_issuer_that_has_a_path() {
    conforms(Options { path: "/base".into(), ..Options::default() }, &[]).await;
}
