//! What start refuses, and what the refusals do not show; TLS.

#![expect(clippy::expect_used, reason = "helpers of tests")]

mod support;

use std::{process::Command, time::Duration};

use grantd_store::Store as _;
use grantd_store_redis::{ClientIdentity, ClockOffset, ConnectError, RedisConfig, RedisStore};
use support::{PATIENCE, Server, certificates::Certificates, free_port};
use tempfile::TempDir;
use tokio::time::Instant;

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
        "redis-sentinel://user:PASSWORD@localhost:26379",
        "redis-sentinel://localhost?sentinelServiceName=x&sentinelpassword=PASSWORD",
        "redis-cluster://user:PASSWORD@localhost/1",
        "redis-cluster://user:PASSWORD@localhost?node=PASSWORD",
        "rediss+cluster://user:PASSWORD@localhost",
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

/// A server with a TLS port beside its port, that shows a certificate for `localhost`.
fn with_tls(certificates: &Certificates, asks: bool) -> (Server, u16) {
    let identity = certificates.issue("server", false);
    let server = Server::start_with(|_, _| {
        let port = ["--tls-port".to_owned(), free_port().to_string(), "--save".to_owned(), String::new()];
        [&port[..], &certificates.arguments(&identity, asks)].concat()
    });
    let port = server.cli(&["CONFIG", "GET", "tls-port"]).lines().nth(1).and_then(|port| port.parse().ok());
    (server, port.expect("a port"))
}

#[test]
fn tls_is_used_and_certificates_are_checked() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (_server, port) = with_tls(&certificates, false);
    let child = |url: String, authority: &Certificates| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_child", "--nocapture"])
            .env(URL, url)
            .env("SSL_CERT_FILE", authority.authority())
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let answer = child(format!("rediss://localhost:{port}"), &certificates);
    assert!(answer.contains("connected: true"), "{answer}");
    // Another name than the certificate's; an authority that is not known; no TLS to a TLS port.
    for (url, authority) in [
        (format!("rediss://127.0.0.1:{port}"), &certificates),
        (format!("rediss://localhost:{port}"), &others),
        (format!("redis://localhost:{port}"), &certificates),
    ] {
        let answer = child(url, authority);
        assert!(answer.contains("refused: "), "{answer}");
    }
}

#[tokio::test]
async fn files_say_who_is_trusted_and_what_is_shown() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (_server, port) = with_tls(&certificates, true);
    let config = |authority: &Certificates, identity: Option<ClientIdentity>| {
        let mut config = RedisConfig::new(format!("rediss://localhost:{port}"));
        (config.ca_file, config.client_identity) = (Some(authority.authority()), identity);
        config
    };
    let identity = certificates.issue("grantd", false);
    let good = config(&certificates, Some(identity.clone()));
    RedisStore::connect(good.clone(), ClockOffset::default()).await.unwrap().ping().await.unwrap();

    // Nobody known, nothing shown, something shown that is not believed.
    for bad in [
        config(&others, Some(identity.clone())),
        config(&certificates, None),
        config(&certificates, Some(others.issue("grantd", false))),
    ] {
        let error = refusal(bad).await;
        assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
    }
    let mut missing = good.clone();
    missing.ca_file = Some("/nowhere/ca.crt".into());
    let mut swapped = good.clone();
    swapped.client_identity =
        Some(ClientIdentity { cert_file: identity.key_file.clone(), key_file: identity.cert_file.clone() });
    let mut plain = good;
    plain.url = format!("redis://localhost:{port}");
    for (config, says) in [(missing, "/nowhere/ca.crt"), (swapped, "grantd.crt"), (plain, "rediss")] {
        let error = refusal(config).await;
        assert!(matches!(&error, ConnectError::Tls(why) if why.contains(says)), "{error}");
    }
}

#[tokio::test]
async fn renewed_certificates_are_used_from_the_next_connection_on() {
    let (old, new) = (Certificates::new(), Certificates::new());
    let folder = TempDir::new().unwrap();
    let at = |file: &str| folder.path().join(file);
    let put = |certificates: &Certificates| {
        std::fs::copy(certificates.authority(), at("ca.crt")).unwrap();
        for name in ["server", "grantd"] {
            let issued = certificates.issue(name, false);
            std::fs::copy(issued.cert_file, at(&format!("{name}.crt"))).unwrap();
            std::fs::copy(issued.key_file, at(&format!("{name}.key"))).unwrap();
        }
    };
    put(&old);
    let (tls_port, text) = (free_port(), |file: &str| at(file).to_str().unwrap().to_owned());
    let mut server = Server::start_with(|_, _| {
        let pairs = [
            ["--tls-port", &tls_port.to_string()],
            ["--tls-cert-file", &text("server.crt")],
            ["--tls-key-file", &text("server.key")],
            ["--tls-ca-cert-file", &text("ca.crt")],
            ["--tls-auth-clients", "yes"],
            ["--save", ""],
        ];
        pairs.as_flattened().iter().map(|&argument| argument.to_owned()).collect()
    });
    let mut config = RedisConfig::new(format!("rediss://localhost:{tls_port}"));
    config.ca_file = Some(at("ca.crt"));
    config.client_identity = Some(ClientIdentity { cert_file: at("grantd.crt"), key_file: at("grantd.key") });
    let store = RedisStore::connect(config, ClockOffset::default()).await.unwrap();
    store.ping().await.unwrap();

    // Half of a renewal: what cannot be read does no harm beyond its time.
    std::fs::write(at("ca.crt"), "soon").unwrap();
    server.stop();
    assert!(store.ping().await.is_err());
    put(&new);
    server.start_again();
    let begin = Instant::now();
    while store.ping().await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "nothing is believed any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn sentinels_and_servers_have_tls_and_a_password_each() {
    let certificates = Certificates::new();
    let tls = certificates.arguments(&certificates.issue("server", true), false);
    let (tls_port, sentinel_port) = (free_port().to_string(), free_port().to_string());
    let _server = Server::start_with(|_, _| {
        let own = ["--save", "", "--tls-port", &tls_port, "--requirepass", "of-redis"].map(str::to_owned);
        [&own[..], &tls].concat()
    });
    let _sentinel = Server::start_with(|_, folder| {
        let file = folder.join("sentinel.conf");
        let text = format!(
            "requirepass of-sentinel\nsentinel monitor main 127.0.0.1 {tls_port} 1\nsentinel auth-pass main of-redis\n"
        );
        std::fs::write(&file, text).unwrap();
        let own = ["--sentinel", "--tls-port", &sentinel_port, "--tls-replication", "yes"].map(str::to_owned);
        [&[file.to_str().unwrap().to_owned()], &own[..], &tls].concat()
    });
    let config = |redis: &str, sentinel: &str| {
        let mut config = RedisConfig::new(format!(
            "rediss-sentinel://:{redis}@127.0.0.1:{sentinel_port}?sentinelServiceName=main&sentinelPassword={sentinel}"
        ));
        config.ca_file = Some(certificates.authority());
        config
    };
    let good = RedisStore::connect(config("of-redis", "of-sentinel"), ClockOffset::default()).await.unwrap();
    good.ping().await.unwrap();
    drop(good.watch().await.unwrap());
    for wrong in [config("of-redis", PASSWORD), config(PASSWORD, "of-sentinel")] {
        let error = refusal(wrong).await;
        assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
    }
}
