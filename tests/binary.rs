//! The command line: first start, users, configuration errors, ports, signals.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Output, Stdio},
};

use reqwest::StatusCode;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::harness::{Client, Deployment, Options, Process, client::refused, free_port, http};

pub(crate) async fn grantd(args: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
    command.args(args).env_clear().envs(env.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads nothing may have gone already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn the_first_start_makes_the_owner_and_its_password_file() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("http://localhost:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
    command.args([
        "serve",
        "--public-url",
        &url,
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--upstream",
        "http://127.0.0.1:9/mcp",
        "--data-dir",
    ]);
    command.arg(dir.path().join("data")).env_clear();
    let mut process = Process::start("serve", &mut command);
    process
        .until("readiness", || async {
            http().get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
    let file = dir.path().join("data/owner-password");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let password = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(!process.output().contains(&password), "printed on a terminal only");
    let client = Client::register(&url).await;
    let page = client.consent_page_as(&[], "owner", &password).await;
    assert_eq!(client.follow(&page, &page.approve).await.status(), 302);

    // The file does not go on saying what is no longer right.
    let data = dir.path().join("data");
    let arguments = ["user", "passwd", "Owner", "--password-stdin", "--data-dir", data.to_str().unwrap()];
    let changed = grantd(&arguments, &[], "a better one\n").await;
    assert!(changed.status.success() && !file.exists(), "{}", stderr(&changed));
}

#[tokio::test]
async fn users_are_managed_through_the_running_process() {
    let deployment = Deployment::embedded(Options::default()).await;
    let data = deployment.dir.path().join("serve");
    let data = data.to_str().unwrap();
    let added = grantd(
        &[
            "user",
            "add",
            "alice",
            "--email",
            "alice@example.com",
            "--group",
            "owner",
            "--password-stdin",
            "--data-dir",
            data,
        ],
        &[],
        "alice password\n",
    )
    .await;
    assert!(added.status.success(), "{}", stderr(&added));
    let listed = stdout(&grantd(&["user", "list", "--data-dir", data], &[], "").await);
    assert!(listed.contains("alice") && listed.contains("owner"), "{listed}");
    let twice =
        grantd(&["user", "add", "Alice", "--password-stdin", "--data-dir", data], &[], "alice password\n").await;
    assert!(!twice.status.success() && stderr(&twice).contains("already"), "{}", stderr(&twice));

    let client = Client::register(deployment.issuer()).await;
    let page = client.consent_page_as(&[], "alice", "alice password").await;
    let approved = client.follow(&page, &page.approve).await;
    let code = crate::harness::client::param(approved.headers()["location"].to_str().unwrap(), "code").unwrap();
    let tokens = crate::harness::client::pair(client.exchange(&code).await).await;

    let changed =
        grantd(&["user", "passwd", "alice", "--password-stdin", "--data-dir", data], &[], "another password\n").await;
    assert!(changed.status.success(), "{}", stderr(&changed));
    // A changed password ends the grants.
    assert_eq!(client.refresh(&tokens.refresh).await.status(), 400);
    client.consent_page_as(&[], "alice", "another password").await;

    let removed = grantd(&["user", "remove", "alice", "--data-dir", data], &[], "").await;
    assert!(removed.status.success(), "{}", stderr(&removed));
    let query = client.authorize_query(&[]);
    assert_eq!(client.sign_in(&query, "alice", "another password").await.status(), 403);
    assert!(!grantd(&["user", "remove", "alice", "--data-dir", data], &[], "").await.status.success());
}

#[tokio::test]
async fn users_are_managed_in_the_file_when_nothing_runs() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let added = grantd(&["user", "add", "bob", "--password-stdin", "--data-dir", data], &[], "bob's password\n").await;
    assert!(added.status.success(), "{}", stderr(&added));
    assert!(stdout(&grantd(&["user", "list", "--data-dir", data], &[], "").await).contains("bob"));
}

/// Somebody forgot to say where grantd keeps its state: every command must fail, and none may make a store that nobody uses.
#[tokio::test]
async fn a_command_in_the_wrong_folder_fails_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["user", "add", "bob", "--password-stdin"][..],
        &["user", "list"],
        &["grant", "revoke", "--all"],
        &["client", "list"],
        &["backup", "copy.redb"],
        &["backup", "-"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
        let output = command.args(args).env_clear().current_dir(&dir).stdin(Stdio::null()).output().await.unwrap();
        assert!(!output.status.success(), "{args:?}");
        assert!(stderr(&output).contains("--data-dir"), "{args:?}: {}", stderr(&output));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "{args:?}");
    }
}

#[tokio::test]
async fn bad_configuration_exits_64_and_says_what_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("grantd.toml");
    for (config, env, says) in [
        ("[tokens]\nacces_ttl = \"1h\"", vec![], "access_ttl"),
        ("[tokens]\naccess_ttl = \"5m\"", vec![], "access_ttl"),
        ("[tokens]\naccess_ttl = \"soon\"", vec![], "access_ttl"),
        ("public_url = \"http://mcp.example.com\"", vec![], "https"),
        ("public_url = [", vec![], "grantd.toml"),
        ("", vec![("GRANTD_TOKENS__ACCES_TTL", "1h")], "ACCESS_TTL"),
        ("", vec![("GRANTD_TOKENS__ACCESS_TTL", "1m")], "access_ttl"),
    ] {
        std::fs::write(&file, config).unwrap();
        for args in [&["config", "check", "--config"][..], &["serve", "--config"]] {
            let output = grantd(&[args, &[file.to_str().unwrap()]].concat(), &env, "").await;
            assert_eq!(output.status.code(), Some(64), "{config} {env:?} {args:?}: {}", stderr(&output));
            assert!(stderr(&output).to_lowercase().contains(&says.to_lowercase()), "{config}: {}", stderr(&output));
        }
    }
    let missing = grantd(&["serve", "--config", "/no/such/file.toml"], &[], "").await;
    assert_eq!(missing.status.code(), Some(64));
    std::fs::write(&file, "[tokens]\naccess_ttl = \"2h\"").unwrap();
    let good = grantd(&["config", "check", "--config", file.to_str().unwrap()], &[], "").await;
    assert!(good.status.success(), "{}", stderr(&good));
}

/// It says no to what the commands say no to, and says which.
#[tokio::test]
async fn config_check_says_for_what_a_configuration_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("grantd.toml");
    let data = format!("data_dir = \"{}\"\n", dir.path().join("data").display());
    let upstream = "upstream = \"http://127.0.0.1:9/mcp\"\n";
    let open = "[token_service]\nlisten = \"0.0.0.0:8081\"\n";
    let key = ("GRANTD_SERVICE_KEY", "an-example-of-a-key-that-is-long-enough");
    let (serve, token_service, facade) = ("serve", "token-service", "facade");
    let check = async |config: &str, env: &[(&str, &str)], more: &[&str]| {
        std::fs::write(&file, format!("{data}{config}")).unwrap();
        grantd(&[&["config", "check", "--config", file.to_str().unwrap()], more].concat(), env, "").await
    };
    for (config, env, good) in [
        (String::new(), vec![key], vec![token_service]),
        (upstream.to_owned(), vec![], vec![serve]),
        (upstream.to_owned(), vec![key], vec![serve, token_service, facade]),
        (format!("{upstream}{open}"), vec![key], vec![serve, facade]),
        (open.to_owned(), vec![key], vec![]),
        (String::new(), vec![("GRANTD_SERVICE_KEY", "short")], vec![]),
        (format!("{upstream}[log]\nfilter = \"grantd=loud\"\n"), vec![key], vec![]),
        (
            format!("{upstream}[gate]\nallowed_origins = [\"nonsense\", \"https://app.example.com/\"]\n"),
            vec![key],
            vec![],
        ),
        (format!("{upstream}[store]\nurl = \"redis://a?node=b:1\"\n"), vec![key], vec![]),
        (upstream.to_owned(), vec![key, ("GRANTD_OWNER_PASSWORD", "short")], vec![facade]),
        (upstream.to_owned(), vec![key, ("RUST_LOG", "grantd=loud")], vec![]),
    ] {
        for command in [serve, token_service, facade] {
            let exact = check(&config, &env, &["--for", command]).await;
            let expected = if good.contains(&command) { 0 } else { 64 };
            assert_eq!(exact.status.code(), Some(expected), "{command} {config} {env:?}: {}", stderr(&exact));
            if expected == 64 {
                // The command itself says the same.
                let ran = grantd(&[command, "--config", file.to_str().unwrap()], &env, "").await;
                assert_eq!((ran.status.code(), stderr(&ran)), (Some(64), stderr(&exact)), "{command} {config} {env:?}");
            }
        }
    }

    let some = check(&format!("{upstream}{open}"), &[], &[]).await;
    let said = stdout(&some);
    assert!(said.contains("# The configuration is good for `grantd serve`.\n"), "{said}");
    assert!(
        said.contains("# The configuration is good for `grantd facade`, once GRANTD_SERVICE_KEY is set.\n"),
        "{said}"
    );
    assert!(said.contains("# Not for `grantd token-service`: ") && said.contains("in the clear"), "{said}");
    said.parse::<toml::Table>().expect("what it prints is a configuration");
    let none = check(open, &[], &[]).await;
    assert_eq!(none.status.code(), Some(64));
    for says in
        ["for `grantd serve`: where is your MCP server?", "for `grantd token-service`: ", "for `grantd facade`: "]
    {
        assert!(stderr(&none).contains(says), "{}", stderr(&none));
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_or_port_says_so() {
    let deployment = Deployment::embedded(Options::default()).await;
    let data = deployment.dir.path().join("serve");
    let port = free_port();
    let second = grantd(
        &[
            "serve",
            "--public-url",
            &format!("http://localhost:{port}"),
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--upstream",
            "http://127.0.0.1:9/mcp",
            "--data-dir",
            data.to_str().unwrap(),
        ],
        &[],
        "",
    )
    .await;
    assert!(!second.status.success());
    assert!(stderr(&second).contains("another"), "{}", stderr(&second));

    let taken = url::Url::parse(deployment.issuer()).unwrap().port().unwrap();
    let other = tempfile::tempdir().unwrap();
    let second = grantd(
        &[
            "serve",
            "--public-url",
            deployment.issuer(),
            "--listen",
            &format!("127.0.0.1:{taken}"),
            "--upstream",
            "http://127.0.0.1:9/mcp",
            "--data-dir",
            other.path().to_str().unwrap(),
        ],
        &[],
        "",
    )
    .await;
    assert!(!second.status.success());
    assert!(stderr(&second).contains(&taken.to_string()), "{}", stderr(&second));
}

#[tokio::test]
async fn sigterm_drains() {
    let mut deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    client.pair().await;
    deployment.processes[0].signal("TERM").await;
    let status = deployment.processes[0].wait().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn the_service_port_lets_nobody_in_without_a_key() {
    let deployment = Deployment::distributed(Options::default()).await;
    let config = std::fs::read_to_string(deployment.dir.path().join("token-service.toml")).unwrap();
    let url =
        crate::harness::between(&config, "url = \"http://127", "\"").map(|rest| format!("http://127{rest}")).unwrap();
    let channel = tonic::transport::Channel::from_shared(url).unwrap().connect().await.unwrap();
    let mut client = grantd_proto::v1::token_service_client::TokenServiceClient::new(channel);
    let verify = grantd_proto::v1::VerifyTokenRequest::default();
    let status = client.verify_token(verify.clone()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    let mut request = tonic::Request::new(verify);
    request.metadata_mut().insert("authorization", "Bearer wrong".parse().unwrap());
    assert_eq!(client.verify_token(request).await.unwrap_err().code(), tonic::Code::Unauthenticated);
    // The facade's key is no admin's.
    let mut request = tonic::Request::new(grantd_proto::v1::ListGrantsRequest::default());
    request.metadata_mut().insert("authorization", "Bearer service-key-of-the-tests-0123456789".parse().unwrap());
    assert_eq!(client.list_grants(request).await.unwrap_err().code(), tonic::Code::PermissionDenied);
}

#[tokio::test]
async fn help_teaches() {
    for (args, says) in
        [(&["--help"][..], "demo"), (&["serve", "--help"], "--upstream"), (&["user", "--help"], "passwd")]
    {
        let output = grantd(args, &[], "").await;
        assert!(output.status.success());
        assert!(stdout(&output).contains(says), "{args:?}: {}", stdout(&output));
    }
    assert!(!grantd(&[], &[], "").await.status.success());
}

/// What trusted proxies say of a client's address is believed, and nobody else.
#[tokio::test]
async fn a_clients_address_comes_from_trusted_proxies_only() {
    for (config, address) in [("", "127.0.0.1"), ("[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n", "203.0.113.9")] {
        let options = Options { config: config.to_owned(), ..Options::default() };
        let mut deployment = Deployment::embedded(options).await;
        let answer = http()
            .post(format!("{}/oauth/register", deployment.issuer()))
            .header("x-forwarded-for", "198.51.100.7, 203.0.113.9")
            .json(&json!({"redirect_uris": ["http://localhost/cb"]}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
        deployment.processes[0].until_output("client.registered").await;
        let logs = deployment.logs();
        let line = logs.lines().find(|line| line.contains("client.registered")).unwrap();
        assert!(line.contains(&format!("\"remote_address\":\"{address}\"")), "{line}");
    }
}

pub(crate) async fn ran(args: &[&str], data: &str) -> String {
    let output = grantd(&[args, &["--data-dir", data]].concat(), &[], "").await;
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

#[tokio::test]
async fn the_operator_sees_and_takes_back_grants_and_clients() {
    let deployment =
        Deployment::embedded(Options { config: "[gate]\ncache_max_age = \"0s\"".into(), ..Options::default() }).await;
    let data = deployment.dir.path().join("serve");
    let data = data.to_str().unwrap();
    let (one, two) = (Client::register(deployment.issuer()).await, Client::register(deployment.issuer()).await);
    let pairs = [one.pair().await, one.pair().await, two.pair().await];

    let shown = ran(&["client", "show", &one.id], data).await;
    assert!(shown.contains("Tests") && shown.contains("http://localhost:3118/callback"), "{shown}");
    let clients = ran(&["client", "list"], data).await;
    assert_eq!(clients.lines().count(), 1 + 2, "{clients}");
    for client in [&one, &two] {
        assert!(clients.lines().any(|line| line.contains(&client.id) && line.contains("Tests")), "{clients}");
    }
    let listed = ran(&["grant", "list"], data).await;
    assert_eq!(listed.lines().count(), 1 + 3, "{listed}");
    let of_two = ran(&["grant", "list", "--client", &two.id], data).await;
    let id = of_two.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(ran(&["grant", "show", &id], data).await.contains("in force"));
    assert_eq!(ran(&["grant", "list", "--user", "owner"], data).await.lines().count(), 1 + 3);

    assert!(ran(&["grant", "revoke", &id], data).await.contains(&id));
    assert!(!two.is_accepted(&pairs[2].access).await && one.is_accepted(&pairs[0].access).await);
    assert!(ran(&["grant", "show", &id], data).await.contains("revoked"));
    assert!(ran(&["grant", "revoke", "--client", &one.id], data).await.contains("2 grants"));
    assert!(!one.is_accepted(&pairs[0].access).await && !one.is_accepted(&pairs[1].access).await);
    let (third, fourth) = (one.pair().await, two.pair().await);
    assert!(ran(&["grant", "revoke", "--user", "owner"], data).await.contains("2 grants"));
    assert!(!one.is_accepted(&third.access).await && !two.is_accepted(&fourth.access).await);
    let fifth = one.pair().await;
    assert!(ran(&["grant", "revoke", "--all"], data).await.contains("Revoked"));
    assert!(!one.is_accepted(&fifth.access).await);
    assert!(ran(&["grant", "revoke", "--all"], data).await.contains("nothing to revoke"));

    // A client goes with all it was granted, and nobody else's.
    let (of_one, of_two) = (one.pair().await, two.pair().await);
    ran(&["client", "remove", &one.id], data).await;
    assert!(!one.is_accepted(&of_one.access).await && two.is_accepted(&of_two.access).await);
    refused(one.refresh(&of_one.refresh).await, StatusCode::UNAUTHORIZED, "invalid_client").await;
    let clients = ran(&["client", "list"], data).await;
    assert!(!clients.contains(&one.id) && clients.contains(&two.id), "{clients}");

    for (args, says) in [
        (&["grant", "revoke"][..], "required"),
        (&["grant", "revoke", "--all", "--user", "owner"], "cannot be used with"),
        (&["grant", "revoke", "--user", "nobody"], "no user nobody"),
        (&["grant", "show", "x"], "no such grant"),
        (&["client", "show", "x"], "unknown client"),
    ] {
        let output = grantd(&[args, &["--data-dir", data]].concat(), &[], "").await;
        assert!(!output.status.success() && stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn a_backup_of_a_running_grantd_is_one_to_go_back_to() {
    let deployment = Deployment::embedded(Options::default()).await;
    let data = deployment.dir.path().join("serve");
    let data = data.to_str().unwrap();
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    let copy = deployment.dir.path().join("copy.redb");
    let file = copy.to_str().unwrap();
    assert!(ran(&["backup", file], data).await.contains("records"));
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let again = grantd(&["backup", file, "--data-dir", data], &[], "").await;
    assert!(!again.status.success() && stderr(&again).contains("copy.redb"), "{}", stderr(&again));

    // In another place, with nothing running there.
    let elsewhere = deployment.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(&copy, elsewhere.join("grantd.redb")).unwrap();
    let listed = ran(&["grant", "list"], elsewhere.to_str().unwrap()).await;
    assert!(listed.contains(&client.id), "{listed}");
    let from_rest = deployment.dir.path().join("rest.redb");
    assert!(ran(&["backup", from_rest.to_str().unwrap()], elsewhere.to_str().unwrap()).await.contains("records"));
    assert!(client.is_accepted(&tokens.access).await);

    // Out of a container that holds no other program.
    let before = std::fs::read_dir(data).unwrap().count();
    let passed_on = grantd(&["backup", "-", "--data-dir", data], &[], "").await;
    assert!(passed_on.status.success(), "{}", stderr(&passed_on));
    assert_eq!(std::fs::read_dir(data).unwrap().count(), before, "nothing is left beside the store");
    let third = deployment.dir.path().join("third");
    std::fs::create_dir(&third).unwrap();
    std::fs::write(third.join("grantd.redb"), passed_on.stdout).unwrap();
    let listed = ran(&["grant", "list"], third.to_str().unwrap()).await;
    assert!(listed.contains(&client.id), "{listed}");
}

#[tokio::test]
async fn health_is_told_by_the_exit_code() {
    let deployment = Deployment::embedded(Options::default()).await;
    let ready = format!("{}/readyz", deployment.issuer());
    let answer = grantd(&["health", &ready], &[], "").await;
    assert!(answer.status.success() && stdout(&answer).contains("ready"), "{answer:?}");
    let other = grantd(&["health", &format!("{}/nothing", deployment.issuer())], &[], "").await;
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    assert!(stderr(&other).contains("404"), "{other:?}");
    let nobody = grantd(&["health", &format!("http://127.0.0.1:{}/readyz", free_port())], &[], "").await;
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    // Whoever accepts and says nothing is not well either.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/readyz", silent.local_addr().unwrap());
    let late = grantd(&["health", &url, "--timeout", "1"], &[], "").await;
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    for wrong in ["127.0.0.1:8080/readyz", "https://127.0.0.1/readyz"] {
        let refused = grantd(&["health", wrong], &[], "").await;
        assert_eq!(refused.status.code(), Some(64), "{refused:?}");
    }
}
