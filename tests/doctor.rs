//! `grantd doctor`, the command: it finds nothing wrong with grantd itself, in either shape, and says what it finds
//! elsewhere. That it finds each fault is tested in its own crate.

use std::process::Stdio;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::Command,
};
use url::Url;

use crate::{
    client_metadata::ClientSite,
    harness::{Client, Deployment, Options, PASSWORD, Process, client::param, http, programs::Upstream},
    telemetry::{Collector, exporting},
};

struct Outcome {
    code: i32,
    out: String,
    log: String,
}

impl Outcome {
    fn report(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}\n{}", self.out, self.log))
    }

    /// Nothing at all.
    fn is_clean(&self) -> Value {
        let report = self.report();
        assert_eq!(report["findings"], serde_json::json!([]), "{report:#}");
        assert_eq!((self.code, &report["breaks"]), (0, &Value::Bool(false)), "{}", self.log);
        report
    }
}

/// Runs it; where it prints an address to open, `person` opens it.
async fn doctor(args: &[&str], person: impl AsyncFnOnce(Url)) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
    command.arg("doctor").args(args).env_clear().kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut stdout = child.stdout.take().unwrap();
    let out = tokio::spawn(async move {
        let mut out = String::new();
        stdout.read_to_string(&mut out).await.map(|_| out)
    });
    let (mut log, mut person) = (String::new(), Some(person));
    while let Some(line) = lines.next_line().await.unwrap() {
        if let (Ok(url), true) = (Url::parse(line.trim()), line.trim().starts_with("http"))
            && let Some(person) = person.take()
        {
            person(url).await;
        }
        log.push_str(&line);
        log.push('\n');
    }
    let status = child.wait().await.unwrap();
    Outcome { code: status.code().unwrap(), out: out.await.unwrap().unwrap(), log }
}

async fn looked(args: &[&str]) -> Outcome {
    doctor(args, async |_| panic!("nobody was to sign in")).await
}

/// Signs in as the owner, agrees, and takes the answer to the listener.
async fn agrees(url: Url) {
    let base = url.as_str().split("/oauth/").next().unwrap().to_owned();
    let client = Client { base, id: String::new(), secret: None, registration: String::new(), http: http() };
    let signed_in = client.sign_in_at(url.as_str(), "owner", PASSWORD).await;
    let page = client.consent_page_after(signed_in).await;
    let approved = client.follow(&page, &page.approve).await;
    let location = approved.headers()["location"].to_str().unwrap().to_owned();
    let arrived = http().get(location).send().await.unwrap();
    assert!(arrived.status().is_success());
}

#[tokio::test]
async fn nothing_is_wrong_with_grantd() {
    for (path, config) in [
        ("", ""),
        ("/base", ""),
        ("", "[facade]\niss_parameter = false\n"),
        (
            "",
            "[[resource]]\npaths = [\"/:billing/mcp\", \"/messages\"]\nupstream = \"UPSTREAM\"\nscopes = [\"pay\"]\n[scopes]\npay = \"Pay\"\n",
        ),
    ] {
        let options = Options { path: path.into(), config: config.into(), ..Options::default() };
        Deployment::each(options, async |deployment| {
            let url = if config.contains("billing") {
                format!("{}/:billing/mcp", deployment.issuer())
            } else {
                deployment.resource()
            };
            let report = looked(&[&url, "--json"]).await.is_clean();
            assert!(report["requests"].as_u64().unwrap() < 60, "{report:#}");
            assert!(report.get("client_left_behind").is_none(), "{report:#}");
            let role = if deployment.redis.is_some() { "token-service" } else { "serve" };
            let data = deployment.dir.path().join(role);
            let listed = crate::binary::ran(&["client", "list"], data.to_str().unwrap()).await;
            assert!(!listed.contains("grantd doctor"), "its registration is gone: {listed}");
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_is_wrong_with_grantd_when_somebody_signs_in() {
    let upstream = Upstream::typescript().await;
    for path in ["", "/base"] {
        let options = Options { upstream: upstream.url.clone(), path: path.into(), ..Options::default() };
        Deployment::each(options, async |deployment| {
            let outcome = doctor(&[&deployment.resource(), "--json", "--sign-in"], agrees).await;
            let report = outcome.is_clean();
            assert_eq!(report["complete"], true, "{report:#}");
            for secret in ["gda_", "gdr_", "gdc_"] {
                assert!(!outcome.out.contains(secret) && !outcome.log.contains(secret), "{}", outcome.out);
            }
        })
        .await;
    }
}

#[tokio::test]
async fn metadata_documents_are_tried_where_they_are_let_in() {
    let site = ClientSite::start().await;
    let options = site.options();
    Deployment::each(options, async |deployment| {
        let document = site.site.url("/client.json");
        let resource = deployment.resource();
        looked(&[&resource, "--json", "--client-document", &document]).await.is_clean();
        // One that cannot be had is a fault of the deployment, as far as a client can see.
        let missing = site.site.url("/missing");
        let outcome = looked(&[&resource, "--json", "--client-document", &missing]).await;
        assert_eq!(outcome.report()["findings"][0]["code"], "authorize_document_refused");
        assert_eq!(outcome.code, 1);
    })
    .await;
}

/// Its whole run is one trace at the server, where a refusal has the same word for its reason.
#[tokio::test]
async fn the_server_traces_the_same_reason() {
    let (collector, endpoint) = Collector::start().await;
    let mut options = exporting(endpoint);
    options.config = "[tokens]\nendpoint_auth_methods = [\"client_secret_basic\", \"client_secret_post\"]\n".into();
    let mut deployment = Deployment::distributed(options).await;
    let outcome = looked(&[&deployment.resource(), "--json"]).await;
    let report = outcome.report();
    let finding = report["findings"].as_array().unwrap().iter().find(|f| f["code"] == "registration_refuses_public");
    let error = finding.unwrap_or_else(|| panic!("{report:#}"))["error"].as_str().unwrap();
    assert_eq!(error, "invalid_client_metadata");
    for process in deployment.processes.iter_mut().rev() {
        process.signal("TERM").await;
        assert!(process.wait().await.success(), "{}", process.output());
    }
    let spans = collector.spans();
    let trace: Vec<_> =
        spans.iter().filter(|span| crate::telemetry::hex(&span.trace_id) == report["trace_id"]).collect();
    let reasons: Vec<_> = trace.iter().filter(|span| span.name == "facade.register").collect();
    let has_reason = |span: &&&opentelemetry_proto::tonic::trace::v1::Span| {
        crate::telemetry::attribute(span, "error.type").as_deref() == Some(error)
    };
    assert!(reasons.iter().any(has_reason), "{reasons:?}");
    for name in ["POST /mcp", "GET /oauth/authorize", "POST /oauth/token"] {
        assert!(trace.iter().any(|span| span.name == name), "{name}");
    }
}

#[tokio::test]
async fn the_exit_code_says_whether_a_client_breaks() {
    let deployment = Deployment::embedded(Options::default()).await;
    // A warning breaks nobody: text for a person.
    let outcome = looked(&[&format!("{}/", deployment.resource())]).await;
    assert_eq!(outcome.code, 0, "{}\n{}", outcome.out, outcome.log);
    assert!(outcome.out.contains("NOTE    url_has_slash") && outcome.out.contains("trace id"), "{}", outcome.out);
    // Nothing is there.
    let outcome = looked(&[&format!("{}/nothing", deployment.issuer()), "--timeout", "5"]).await;
    assert_eq!(outcome.code, 1);
    assert!(outcome.out.contains("BREAKS  first_answer_not_401"), "{}", outcome.out);
    for args in [
        &["mcp.example.com"][..],
        &[],
        &["http://localhost/", "--timeout", "0"],
        &["http://localhost/", "--ca-file", "/nonexistent"],
    ] {
        let outcome = looked(args).await;
        assert_eq!((outcome.code, outcome.out.as_str()), (64, ""), "{args:?}: {}", outcome.log);
    }
    // A person who refuses.
    let outcome = doctor(&[&deployment.resource(), "--json", "--sign-in"], async |url| {
        let refused = format!("{}?error=access_denied", param(url.as_str(), "redirect_uri").unwrap());
        http().get(refused).send().await.unwrap();
    })
    .await;
    let report = outcome.report();
    let codes: Vec<_> = report["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert_eq!((outcome.code, report["complete"].as_bool()), (1, Some(false)));
    assert!(codes.contains(&"sign_in_refused"), "{codes:?}");
}

/// Whoever is interrupted leaves nothing behind.
#[tokio::test]
async fn an_interrupted_run_deletes_its_registration() {
    let deployment = Deployment::embedded(Options::default()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
    command.args(["doctor", &deployment.resource(), "--sign-in"]).env_clear();
    let mut process = Process::start("doctor", &mut command);
    process.until_output("Open this address").await;
    let data = deployment.dir.path().join("serve");
    let data = data.to_str().unwrap();
    assert!(crate::binary::ran(&["client", "list"], data).await.contains("grantd doctor"));
    process.signal("INT").await;
    assert_eq!(process.wait().await.code(), Some(1), "{}", process.output());
    assert!(!crate::binary::ran(&["client", "list"], data).await.contains("grantd doctor"));
    assert!(process.output().contains("interrupted") && process.output().contains("trace id"), "{}", process.output());
}

/// Over TLS, with an authority of one's own.
#[tokio::test]
async fn an_authority_of_ones_own_is_believed() {
    let site = ClientSite::start().await;
    let url = site.site.url("/client.json");
    let codes = async |args: &[&str]| {
        let report = looked(args).await.report();
        let codes = report["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap().to_owned());
        codes.collect::<Vec<_>>()
    };
    assert_eq!(codes(&[&url, "--json"]).await, ["tls_failed"]);
    let authority = site.site.authority.to_str().unwrap();
    // It answers everybody: no token is wanted there.
    assert!(codes(&[&url, "--json", "--ca-file", authority]).await.contains(&"open_server".to_owned()));
}
