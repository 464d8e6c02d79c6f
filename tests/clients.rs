//! Real MCP clients that others wrote: connect, come back without a sign-in, refresh. In both shapes.

use crate::harness::{
    Deployment, Options, PASSWORD,
    programs::{Upstream, attempt, run},
};

const OWNER: [&str; 4] = ["--user", "owner", "--password", PASSWORD];

async fn comes_back(client: &'static str) {
    let upstream = Upstream::typescript().await;
    let options = Options { upstream: upstream.url.clone(), ..Options::default() };
    Deployment::each(options, |deployment| async move {
        let resource = deployment.resource();
        let state = tempfile::NamedTempFile::new().unwrap();
        // The clients make the file themselves.
        let path = state.path().with_extension("json");
        let args =
            [&["--url", resource.as_str()], &OWNER[..], &["--tool", "whoami", "--state-file", path.to_str().unwrap()]]
                .concat();

        let first = run(client, &args).await;
        assert_eq!(first["authorizations"], 1, "{first}");
        let tools = first["tools"].to_string();
        assert!(tools.contains("whoami"), "{tools}");
        assert!(first["result"].to_string().contains("owner"), "{first}");

        let again = run(client, &args).await;
        assert_eq!(again["authorizations"], 0, "signed in again: {again}");
        assert_eq!(again["client_id"], first["client_id"]);

        let refreshed = run(client, &[&args[..], &["--expire-access"]].concat()).await;
        assert_eq!(refreshed["authorizations"], 0, "signed in again: {refreshed}");
        assert_ne!(refreshed["refreshes"], 0, "{refreshed}");

        let midway = run(client, &[&args[..], &["--expire-midway"]].concat()).await;
        assert_eq!(midway["authorizations"], 0, "signed in again: {midway}");
    })
    .await;
}

#[tokio::test]
async fn typescript_client_v2() {
    comes_back("clients/typescript-v2.mjs").await;
}

#[tokio::test]
async fn python_client_v2() {
    comes_back("clients/python_v2.py").await;
}

#[tokio::test]
async fn claude_code() {
    let upstream = Upstream::typescript().await;
    let options = Options { upstream: upstream.url.clone(), ..Options::default() };
    Deployment::each(options, |deployment| async move {
        let home = tempfile::tempdir().unwrap();
        let resource = deployment.resource();
        let args = [&["--url", resource.as_str()], &OWNER[..], &["--home", home.path().to_str().unwrap()]].concat();
        let first = run("clients/claude-code.py", &args).await;
        assert_eq!(first["connected"], true, "{first}");
        assert_eq!(first["logged_in"], true, "{first}");

        let refreshed = run("clients/claude-code.py", &[&args[..], &["--force-refresh"]].concat()).await;
        assert_eq!(refreshed["connected"], true, "{refreshed}");
        assert_eq!(refreshed["logged_in"], false, "{refreshed}");
        assert_eq!(refreshed["refreshed"], true, "{refreshed}");

        // Several at once, with one credential that has expired: nobody is signed out, again and again.
        for _ in 0..3 {
            let args = [&args[..], &["--force-refresh", "--processes", "3"]].concat();
            let several = run("clients/claude-code.py", &args).await;
            assert_eq!((&several["connected"], &several["logged_in"]), (&true.into(), &false.into()), "{several}");
        }
    })
    .await;
}

#[tokio::test]
async fn mcp_remote() {
    let upstream = Upstream::typescript().await;
    let deployment = Deployment::embedded(Options { upstream: upstream.url.clone(), ..Options::default() }).await;
    let resource = deployment.resource();
    let dir = tempfile::tempdir().unwrap();
    let args = [&["--url", resource.as_str()], &OWNER[..], &["--config-dir", dir.path().to_str().unwrap()]].concat();
    let first = run("clients/mcp-remote.mjs", &args).await;
    assert_eq!(first["authorizations"], 1, "{first}");
    let again = run("clients/mcp-remote.mjs", &args).await;
    assert_eq!(again["authorizations"], 0, "{again}");
}

#[tokio::test]
async fn a_client_without_a_person_stays_out() {
    let upstream = Upstream::typescript().await;
    let deployment = Deployment::embedded(Options { upstream: upstream.url.clone(), ..Options::default() }).await;
    let resource = deployment.resource();
    let args = ["--url", resource.as_str(), "--user", "owner", "--password", "wrong"];
    let (connected, body, _) = attempt("clients/typescript-v2.mjs", &args).await;
    assert!(!connected, "{body}");
}
