//! An MCP client that is a web page on another origin, in a real Chromium: everything it must read, it can.

use serde_json::{Value, json};

use crate::harness::{
    Deployment, Options, PASSWORD,
    programs::{Upstream, run},
};

/// Resolved to this machine by the browser of the test alone.
const STRANGER: &str = "stranger.example";

#[tokio::test]
async fn a_web_page_goes_the_whole_way() {
    let upstream = Upstream::typescript().await;
    let config = "[gate]\ncache_max_age = \"0s\"".to_owned();
    let options = Options { upstream: upstream.url.clone(), config, ..Options::default() };
    Deployment::each(options, async |deployment| {
        let resource = deployment.resource();
        let args = ["--url", &resource, "--user", "owner", "--password", PASSWORD, "--stranger", STRANGER];
        let Value::Object(seen) = run("clients/web-client.mjs", &args).await else { panic!("no object") };
        let steps = &seen["steps"];
        for (step, expected) in [
            ("unauthorized", json!(401)),
            ("registered", json!(201)),
            ("page", json!("hidden")),
            ("refused", json!([401, "invalid_client"])),
            ("issued", json!(200)),
            ("initialized", json!(200)),
            ("session", json!(true)),
            ("noted", json!(202)),
            ("standing", json!(200)),
            ("ended", json!(200)),
            ("refreshed", json!(200)),
            ("managed", json!(200)),
        ] {
            assert_eq!(steps[step], expected, "{step}: {steps}");
        }
        assert!(steps["challenge"].as_str().unwrap().starts_with("Bearer "), "{steps}");
        assert!(steps["answer"].as_str().unwrap().contains("owner"), "{steps}");
        // The session is over, so what answers is the upstream: the page was let through.
        assert!(![401, 403].contains(&steps["own"].as_i64().unwrap()), "{steps}");
        assert_eq!((&steps["revoked"][0], &steps["revoked"][1]), (&json!(200), &json!(401)), "{steps}");
        assert!(steps["revoked"][2].as_str().unwrap().contains("invalid_token"), "{steps}");
        // A page that may not call hears why, and its good token is of no use to it.
        assert_eq!(seen["stranger"][0], 403, "{seen:?}");
    })
    .await;
}
