//! Many presenters, one pair; and what happens to a token that comes too late.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use reqwest::StatusCode;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::harness::{
    Client, Deployment, Options,
    client::{pair, refused},
    http,
};

#[tokio::test]
async fn twelve_at_once_get_one_pair() {
    Deployment::each(Options::default(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let first = client.pair().await;
        let at_once = (0..12).map(|n| {
            let client = client.at(&deployment.facades[n % deployment.facades.len()]);
            let token = first.refresh.clone();
            async move { pair(client.refresh(&token).await).await }
        });
        let pairs = join_all(at_once).await;
        let distinct: HashSet<_> = pairs.iter().map(|pair| (&pair.access, &pair.refresh)).collect();
        assert_eq!(distinct.len(), 1, "{} different pairs", distinct.len());
        for facade in &deployment.facades {
            assert!(client.at(facade).is_accepted(&pairs[0].access).await);
        }
        assert!(deployment.logs().contains("refresh.converged"));
    })
    .await;
}

#[tokio::test]
async fn a_token_two_rotations_old_but_seconds_old_gets_the_current_pair() {
    Deployment::each(Options::default(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let first = client.pair().await;
        let second = pair(client.refresh(&first.refresh).await).await;
        let third = pair(client.refresh(&second.refresh).await).await;
        let late = pair(client.at(deployment.other()).refresh(&first.refresh).await).await;
        assert_eq!((late.access, late.refresh), (third.access.clone(), third.refresh));
        assert!(client.is_accepted(&third.access).await);
    })
    .await;
}

fn strict() -> Options {
    Options {
        config: "[tokens]\nrefresh_overlap = \"0s\"\n[gate]\ncache_max_age = \"0s\"".into(),
        ..Options::default()
    }
}

#[tokio::test]
async fn without_overlap_twelve_at_once_are_a_replay() {
    Deployment::each(strict(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let first = client.pair().await;
        let answers = join_all((0..12).map(|_| client.refresh(&first.refresh))).await;
        let good = answers.iter().filter(|answer| answer.status() == StatusCode::OK).count();
        assert_eq!(good, 1, "one presenter is first");
        for answer in answers {
            if answer.status() == StatusCode::OK {
                let winner = pair(answer).await;
                assert!(!client.is_accepted(&winner.access).await);
                refused(client.refresh(&winner.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
            } else {
                refused(answer, StatusCode::BAD_REQUEST, "invalid_grant").await;
            }
        }
        assert!(deployment.logs().contains("refresh.replayed"));
    })
    .await;
}

#[tokio::test]
async fn without_overlap_an_old_token_is_a_replay_and_revokes() {
    Deployment::each(strict(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let first = client.pair().await;
        let second = pair(client.refresh(&first.refresh).await).await;
        let third = pair(client.refresh(&second.refresh).await).await;
        assert!(client.is_accepted(&third.access).await);
        refused(client.refresh(&first.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        for facade in &deployment.facades {
            assert!(!client.at(facade).is_accepted(&third.access).await);
        }
        refused(client.refresh(&third.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    })
    .await;
}

#[tokio::test]
async fn a_forged_or_foreign_token_harms_nobody() {
    Deployment::each(strict(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let other = Client::register(deployment.issuer()).await;
        let tokens = client.pair().await;
        let mut forged = tokens.refresh.clone().into_bytes();
        forged[60] = if forged[60] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        refused(client.refresh(&forged).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        refused(other.refresh(&tokens.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        refused(client.refresh("gdr_nonsense").await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        assert!(client.is_accepted(&tokens.access).await);
        pair(client.refresh(&tokens.refresh).await).await;
    })
    .await;
}

#[tokio::test]
async fn scope_and_resource_at_refresh_change_nothing() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let first = client.pair().await;
    let resource = deployment.resource();
    let sent = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.refresh.as_str()),
        ("scope", "read:articles admin"),
        ("resource", resource.as_str()),
        ("resource", resource.as_str()),
    ];
    let second = pair(client.token(&sent).await).await;
    assert_eq!(second.scope, first.scope);
}

#[tokio::test]
async fn tokens_survive_a_kill_and_a_restart() {
    let mut deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    let tokens = pair(client.refresh(&tokens.refresh).await).await;
    deployment.processes[0].kill().await;
    deployment.restart_embedded().await;
    assert!(client.is_accepted(&tokens.access).await);
    pair(client.refresh(&tokens.refresh).await).await;
}

/// Whoever hangs up has begun a rotation all the same, and it is finished: siblings converge on its pair, and no sibling has
/// to rotate again.
#[tokio::test]
async fn a_client_that_hangs_up_leaves_a_whole_rotation() {
    const ROUNDS: usize = 30;
    Deployment::each(Options::default(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let mut held = client.pair().await;
        for n in 0..ROUNDS {
            let body = format!("grant_type=refresh_token&client_id={}&refresh_token={}", client.id, held.refresh);
            let head = "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\n\
                        Content-Type: application/x-www-form-urlencoded\r\nContent-Length";
            let address = deployment.facades[n % deployment.facades.len()].trim_start_matches("http://");
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
            // At once, or somewhere on the way.
            tokio::time::sleep(Duration::from_millis(u64::try_from(n % 6).unwrap())).await;
            drop(socket);
            let sibling = pair(client.at(deployment.other()).refresh(&held.refresh).await).await;
            assert!(client.is_accepted(&sibling.access).await, "{n}");
            held = sibling;
        }
        // Each token was rotated once, by whoever came first.
        let count = |event: &str| deployment.logs().matches(&format!("\"event\":\"{event}\"")).count();
        let begin = tokio::time::Instant::now();
        while count("refresh.rotated") < ROUNDS {
            assert!(begin.elapsed() < Duration::from_secs(30), "{}", count("refresh.rotated"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(count("refresh.rotated"), ROUNDS);
        assert!(count("refresh.converged") > 0, "nobody who hung up was first");
    })
    .await;
}

/// A thief who follows inside the overlap looks like a sibling and is not caught; but each answer is an event with its
/// address.
#[tokio::test]
async fn whoever_follows_inside_the_overlap_is_seen() {
    let config = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n".to_owned();
    let mut deployment = Deployment::embedded(Options { config, ..Options::default() }).await;
    let client = Client::register(deployment.issuer()).await;
    let first = client.pair().await;
    let owners = pair(client.refresh(&first.refresh).await).await;
    for n in 0..100 {
        let followed = http()
            .post(format!("{}/oauth/token", deployment.issuer()))
            .header("x-forwarded-for", format!("203.0.113.{n}"))
            .form(&[("grant_type", "refresh_token"), ("client_id", &client.id), ("refresh_token", &first.refresh)])
            .send()
            .await
            .unwrap();
        assert_eq!(pair(followed).await.access, owners.access);
    }
    deployment.processes[0].until_output("203.0.113.99").await;
    let logs = deployment.logs();
    let seen = |n: usize| {
        let address = format!("\"remote_address\":\"203.0.113.{n}\"");
        logs.lines().any(|line| line.contains("\"event\":\"refresh.converged\"") && line.contains(&address))
    };
    assert_eq!((0..100).filter(|n| seen(*n)).count(), 100);
}
