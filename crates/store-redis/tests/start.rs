//! What start refuses, and what the refusals do not show; TLS.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod support;

use std::{process::Command, time::Duration};

use grantd_store::Store as _;
use grantd_store_redis::{ClockOffset, ConnectError, RedisConfig, RedisStore};
use support::Server;

const PASSWORD: &str = "correct-horse-battery-staple";

async fn refusal(config: RedisConfig) -> ConnectError {
    let shown = format!("{config:?}");
    let connected = RedisStore::connect(config, ClockOffset::default()).await;
    let error = connected.expect_err("this Redis should be refused");
    for text in [shown, error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    error
}

#[tokio::test]
async fn an_evicting_redis_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let server = Server::start(&["--maxmemory-policy", policy]);
        let error = refusal(server.config()).await;
        assert!(matches!(&error, ConnectError::Evicts(found) if found == policy), "{error}");
        assert!(error.to_string().contains("noeviction"), "{error}");
    }
}

#[tokio::test]
async fn urls_that_are_not_ours_are_refused_without_showing_them() {
    for url in [
        "http://user:PASSWORD@localhost",
        "redis-sentinel://user:PASSWORD@localhost:26379?sentinelServiceName=x",
        "redis-cluster://user:PASSWORD@localhost",
        "user:PASSWORD@localhost",
        "redis://user:PASSWORD@",
        "redis://user:PASSWORD@localhost:notaport",
        "redis://user:PASSWORD@localhost/notadatabase",
        "PASSWORD",
        "",
    ] {
        let error = refusal(RedisConfig::new(url.replace("PASSWORD", PASSWORD))).await;
        assert!(matches!(error, ConnectError::Url(_)), "{url}: {error}");
    }
}

#[tokio::test]
async fn passwords_work_and_are_not_shown_when_they_do_not() {
    let server = Server::start(&["--requirepass", "right"]);
    let url = |credentials: &str| RedisConfig::new(format!("redis://{credentials}127.0.0.1:{}", server.port));
    for wrong in ["", &format!(":{PASSWORD}@"), &format!("nobody:{PASSWORD}@"), &format!("{PASSWORD}@")] {
        let error = refusal(url(wrong)).await;
        assert!(matches!(error, ConnectError::Unreachable(_)), "{wrong}: {error}");
    }
    for right in [":right@", "default:right@"] {
        RedisStore::connect(url(right), ClockOffset::default()).await.unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn nobody_there_is_said_quickly() {
    let mut server = Server::start(&[]);
    let config = server.config();
    server.stop();
    let begin = tokio::time::Instant::now();
    let error = refusal(config).await;
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_careful_acl_is_enough_and_what_it_lacks_is_named() {
    let server = Server::start(&[]);
    let acl = |user: &str, rules: &[&str]| {
        let on = ["ACL", "SETUSER", user, "on", ">secret", "~oauth:*", "&oauth:*", "-@all"];
        assert_eq!(server.cli(&[&on[..], rules].concat()), "OK");
        RedisConfig::new(format!("redis://{user}:secret@127.0.0.1:{}", server.port))
    };
    // What the scripts call, how they are called, and what a connection says of itself.
    let needed = "+get +getrange +set +del +publish +subscribe +time +zadd +zrem +zrange +zrangebyscore +zrangebylex \
                  +zmscore +pexpire +persist +evalsha +eval +ping +info +hello +auth";
    let needed: Vec<_> = needed.split_whitespace().collect();
    let store = RedisStore::connect(acl("careful", &needed), ClockOffset::default()).await.unwrap();
    store.ping().await.unwrap();
    drop(store.watch().await.unwrap());
    let at = Some(store.get(&[]).await.unwrap().now.plus(Duration::from_secs(60)));
    for expires_at in [at, None] {
        store.index_add(&grantd_store::Index::users(), "a", expires_at).await.unwrap();
    }
    store.index_list(&grantd_store::Index::users(), None, 5).await.unwrap();

    let without: Vec<_> = needed.iter().copied().filter(|command| *command != "+info").collect();
    let error = refusal(acl("blind", &without)).await;
    assert!(matches!(error, ConnectError::InfoDenied), "{error}");
    assert!(error.to_string().contains("+info"), "{error}");
}

const URL: &str = "GRANTD_TEST_CHILD_URL";

/// Run again by the test below, with the certificate authority in the environment.
#[tokio::test]
async fn the_child() {
    let Ok(url) = std::env::var(URL) else { return };
    match RedisStore::connect(RedisConfig::new(url), ClockOffset::default()).await {
        Ok(store) => println!("connected: {:?}", store.ping().await.is_ok()),
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn tls_is_used_and_certificates_are_checked() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &str| {
        let arguments = arguments.replace("FOLDER", folder.path().to_str().unwrap());
        let output = Command::new("openssl").args(arguments.split_whitespace()).output();
        let output = output.expect("cannot run openssl; this test needs it: apt-get install -y openssl");
        assert!(output.status.success(), "openssl {arguments}: {output:?}");
    };
    std::fs::write(path("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-ca -keyout FOLDER/ca.key -out FOLDER/ca.pem",
    );
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout FOLDER/server.key -out FOLDER/server.csr",
    );
    openssl(
        "x509 -req -in FOLDER/server.csr -CA FOLDER/ca.pem -CAkey FOLDER/ca.key -CAcreateserial -days 2 -extfile FOLDER/names -out FOLDER/server.pem",
    );

    let tls_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (certificate, key, authority) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let arguments = [
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ];
    let _server = Server::start(&arguments);
    let child = |url: String, authority: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child", "--nocapture"])
            .env(URL, url)
            .env("SSL_CERT_FILE", authority)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let answer = child(format!("rediss://localhost:{tls_port}"), &authority);
    assert!(answer.contains("connected: true"), "{answer}");
    // Another name than the certificate's; an authority that is not known; no TLS to a TLS port.
    let answer = child(format!("rediss://127.0.0.1:{tls_port}"), &authority);
    assert!(answer.contains("refused: "), "{answer}");
    std::fs::copy(path("server.pem"), path("other.pem")).unwrap();
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other -keyout FOLDER/other.key -out FOLDER/other.pem",
    );
    let answer = child(format!("rediss://localhost:{tls_port}"), &path("other.pem"));
    assert!(answer.contains("refused: "), "{answer}");
    let answer = child(format!("redis://localhost:{tls_port}"), &authority);
    assert!(answer.contains("refused: "), "{answer}");
}
