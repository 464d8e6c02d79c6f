//! What an operator sees with `redis-cli`: the key schema, the times to live, and no secret.

use crate::harness::{
    Client, Deployment, Options,
    client::{VERIFIER, pair},
};

/// The time to live of the only key of a pattern, in seconds.
async fn ttl(deployment: &Deployment, pattern: &str) -> i64 {
    let redis = deployment.redis.as_ref().unwrap();
    let keys = redis.keys(pattern).await;
    assert_eq!(keys.len(), 1, "{pattern}: {keys:?}");
    redis.cli(&["--raw", "TTL", &keys[0]]).await.parse().unwrap()
}

#[tokio::test]
async fn keys_times_to_live_and_no_secret() {
    const DAY: i64 = 24 * 3600;
    let deployment = Deployment::distributed(Options::default()).await;
    let redis = deployment.redis.as_ref().unwrap();
    let client = Client::register(deployment.issuer()).await;
    let unused = ttl(&deployment, "oauth:client:*").await;
    assert!((7 * DAY - 60..=7 * DAY).contains(&unused), "{unused}");

    // Nothing is written before sign-in.
    let before = redis.keys("*").await;
    client.get_authorize(&client.authorize_query(&[]), "").await;
    assert_eq!(redis.keys("*").await, before);

    let page = client.consent_page(&[]).await;
    assert!((540..=600).contains(&ttl(&deployment, "oauth:request:*").await));
    assert!((12 * 3600 - 60..=12 * 3600).contains(&ttl(&deployment, "oauth:session:*").await));
    let user = redis.keys("oauth:user:*").await;
    assert_eq!(redis.cli(&["--raw", "TTL", &user[0]]).await, "-1");
    let session = page.cookie.split_once('=').unwrap().1.to_owned();
    let ticket = crate::harness::client::param(&page.approve, "ticket").unwrap();

    let approved = client.follow(&page, &page.approve).await;
    let code = crate::harness::client::param(approved.headers()["location"].to_str().unwrap(), "code").unwrap();
    assert!((540..=600).contains(&ttl(&deployment, "oauth:code:*").await));
    assert!(redis.keys("oauth:request:*").await.is_empty());

    let first = pair(client.exchange(&code).await).await;
    assert!(redis.keys("oauth:code:*").await.is_empty());
    assert!((3540..=3600).contains(&ttl(&deployment, "oauth:access:*").await));
    assert!((30 * DAY - 60..=30 * DAY).contains(&ttl(&deployment, "oauth:refresh:*").await));
    assert!((30 * DAY - 60..=30 * DAY).contains(&ttl(&deployment, "oauth:grant:*").await));

    let used = ttl(&deployment, "oauth:client:*").await;
    assert!((365 * DAY - 60..=365 * DAY).contains(&used), "{used}");

    let old = [redis.keys("oauth:access:*").await, redis.keys("oauth:refresh:*").await].concat();
    let second = pair(client.refresh(&first.refresh).await).await;
    let new = [redis.keys("oauth:access:*").await, redis.keys("oauth:refresh:*").await].concat();
    assert_eq!(new.len(), 2, "{new:?}");
    assert!(old.iter().all(|key| !new.contains(key)), "the old pair's keys are gone");

    // Everything of one grant is in one slot.
    let tags: std::collections::HashSet<_> = [new.clone(), redis.keys("oauth:grant:*").await]
        .concat()
        .iter()
        .map(|key| crate::harness::between(key, "{", "}").unwrap().to_owned())
        .collect();
    assert_eq!(tags.len(), 1);

    // No key and no value holds anything that would let anybody in.
    let registration = &client.registration;
    let secrets =
        [&first.access, &first.refresh, &second.access, &second.refresh, &code, &ticket, &session, registration];
    let mut dump = String::new();
    for key in redis.keys("*").await {
        dump.push_str(&key);
        dump.push('\n');
        if redis.cli(&["--raw", "TYPE", &key]).await == "string" {
            dump.push_str(&redis.cli(&["--raw", "GET", &key]).await);
        } else {
            dump.push_str(&redis.cli(&["--raw", "ZRANGE", &key, "0", "-1"]).await);
        }
        dump.push('\n');
    }
    assert!(dump.len() > 2000, "the dump holds something");
    for secret in secrets {
        // The grant id at the front of a token is no secret; what follows is.
        let tail = &secret[secret.len() - 30..];
        assert!(!dump.contains(tail), "a secret is stored");
    }
    assert!(!dump.contains(VERIFIER) && !dump.contains(crate::harness::PASSWORD));
}
