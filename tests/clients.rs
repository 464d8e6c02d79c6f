//! Real MCP clients that others wrote: what is not one of the flows of `compatibility`.

use crate::harness::{
    Deployment, Options, PASSWORD,
    programs::{Upstream, attempt, run},
};

const OWNER: [&str; 4] = ["--user", "owner", "--password", PASSWORD];

#[tokio::test]
async fn several_claude_codes_share_one_credential() {
    let upstream = Upstream::typescript().await;
    let options = Options { upstream: upstream.url.clone(), ..Options::default() };
    Deployment::each(options, |deployment| async move {
        let home = tempfile::tempdir().unwrap();
        let resource = deployment.resource();
        let args = [&["--url", resource.as_str()], &OWNER[..], &["--state", home.path().to_str().unwrap()]].concat();
        let first = run("clients/claude-code.py", &args).await;
        assert_eq!((&first["connected"], &first["authorizations"]), (&true.into(), &1.into()), "{first}");

        // With one credential that has expired: nobody is signed out, again and again.
        for _ in 0..3 {
            let args = [&args[..], &["--expire-access", "--processes", "3"]].concat();
            let several = run("clients/claude-code.py", &args).await;
            assert_eq!((&several["connected"], &several["authorizations"]), (&true.into(), &0.into()), "{several}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_without_a_person_stays_out() {
    let upstream = Upstream::typescript().await;
    let deployment = Deployment::embedded(Options { upstream: upstream.url.clone(), ..Options::default() }).await;
    let resource = deployment.resource();
    let args = ["--url", resource.as_str(), "--user", "owner", "--password", "wrong"];
    let (connected, body, _) = attempt("clients/typescript.mjs", &args).await;
    assert!(!connected, "{body}");
}
