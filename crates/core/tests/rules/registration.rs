//! RFC 7591, and who a client is at the token endpoint.

use grantd_core::{
    Change, Policy, Record, RecordKey, Timestamp,
    records::{Client, ClientKeys},
    register::{self, Credentials, Documented},
};
use grantd_oauth_types::{
    ClientId, ClientSecret, GrantType, OAuthError, OAuthErrorCode, Secret, TokenEndpointAuthMethod,
};

use crate::fixture::{LOOPBACK, NOW, WEB, draw, policy, registration, secs};

#[test]
fn metadata_is_read_with_tolerance() {
    use TokenEndpointAuthMethod::{ClientSecretBasic, ClientSecretPost, None as Public};
    for (method, read) in [
        ("", ClientSecretBasic),
        ("none", Public),
        ("client_secret_basic", ClientSecretBasic),
        ("client_secret_post", ClientSecretPost),
    ] {
        let (client, secret, _) =
            register::register(&policy(), registration(&[LOOPBACK], method), NOW, &draw(1)).unwrap();
        assert_eq!(client.metadata.token_endpoint_auth_method, read, "{method:?}");
        assert_eq!(secret.is_some(), read != Public, "a secret for secret methods only: {method:?}");
        assert_eq!(client.secret.is_some(), read != Public);
    }
    let both = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    for (grant_types, read) in [
        (&[][..], both.clone()),
        (&["authorization_code"], vec![GrantType::AuthorizationCode]),
        (&["refresh_token", "authorization_code", "refresh_token"], both.clone()),
        (&["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"], vec![GrantType::AuthorizationCode]),
        // Nothing that is known is as good as nothing.
        (&["implicit", "password"], both),
    ] {
        let mut sent = registration(&[LOOPBACK], "none");
        sent.grant_types = grant_types.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(register::read_metadata(&policy(), sent).unwrap().grant_types, read, "{grant_types:?}");
    }
    let mut sent = registration(&[LOOPBACK], "none");
    (sent.scope, sent.application_type) = (" openid  read mcp:x read".into(), "hologram".into());
    let read = register::read_metadata(&policy(), sent).unwrap();
    assert_eq!((read.scope.to_string().as_str(), read.application_type), ("read", None));
}

#[test]
fn metadata_that_cannot_be_is_refused() {
    use OAuthErrorCode::{InvalidClientMetadata, InvalidRedirectUri};
    let long = "x".repeat(register::MAX_TEXT + 1);
    let with = |change: &dyn Fn(&mut register::Registration)| {
        let mut sent = registration(&[LOOPBACK, WEB], "none");
        change(&mut sent);
        sent
    };
    let many = |n: usize| (0..n).map(|n| format!("https://app.example/{n}")).collect::<Vec<_>>();
    for (name, sent, code) in [
        ("no redirect URI", with(&|sent| sent.redirect_uris.clear()), InvalidRedirectUri),
        ("one bad among good", with(&|sent| sent.redirect_uris.push("http://a.example/".into())), InvalidRedirectUri),
        ("too many", with(&|sent| sent.redirect_uris = many(register::MAX_REDIRECT_URIS + 1)), InvalidRedirectUri),
        ("a method", with(&|sent| sent.token_endpoint_auth_method = "private_key_jwt".into()), InvalidClientMetadata),
        ("a long name", with(&|sent| sent.client_name = long.clone()), InvalidClientMetadata),
        ("a long home", with(&|sent| sent.client_uri = long.clone()), InvalidClientMetadata),
        ("a long logo", with(&|sent| sent.logo_uri = long.clone()), InvalidClientMetadata),
        ("long terms", with(&|sent| sent.tos_uri = long.clone()), InvalidClientMetadata),
        ("a long policy", with(&|sent| sent.policy_uri = long.clone()), InvalidClientMetadata),
        ("a long id", with(&|sent| sent.software_id = long.clone()), InvalidClientMetadata),
        ("a long version", with(&|sent| sent.software_version = long.clone()), InvalidClientMetadata),
        ("a long contact", with(&|sent| sent.contacts = vec![long.clone()]), InvalidClientMetadata),
        (
            "much of everything",
            with(&|sent| {
                sent.redirect_uris = (0..10).map(|n| format!("https://app.example/{n}{}", "x".repeat(1700))).collect();
            }),
            InvalidClientMetadata,
        ),
        ("many contacts", with(&|sent| sent.contacts = many(101)), InvalidClientMetadata),
    ] {
        let error = register::register(&policy(), sent, NOW, &draw(1)).unwrap_err();
        assert_eq!(error.code, code, "{name}: {error}");
    }
    let most = with(&|sent| sent.redirect_uris = many(register::MAX_REDIRECT_URIS));
    assert!(register::register(&policy(), most, NOW, &draw(1)).is_ok());
}

#[test]
fn a_registration_is_new_its_own_and_repeatable() {
    let register = |n| register::register(&policy(), registration(&[LOOPBACK], ""), NOW, &draw(n)).unwrap();
    let (client, secret, change) = register(1);
    assert_eq!(change.unchanged, [RecordKey::Client(client.id.clone())], "never over another");
    assert_eq!(client.expires_at, NOW.plus(secs(7 * 24 * 3600)), "until it is used");
    let (again, same, _) = register(1);
    assert_eq!((again, same.map(|secret| secret.to_text())), (client.clone(), secret.as_ref().map(|s| s.to_text())));
    let (other, another, _) = register(2);
    assert_ne!(other.id, client.id);
    assert_ne!(another.unwrap().to_text(), secret.unwrap().to_text());
}

#[test]
fn a_client_is_who_has_its_secret() {
    let (public, _, _) = register::register(&policy(), registration(&[LOOPBACK], "none"), NOW, &draw(1)).unwrap();
    let (client, secret, _) = register::register(&policy(), registration(&[LOOPBACK], ""), NOW, &draw(2)).unwrap();
    let secret = secret.unwrap().to_text();
    let foreign = ClientSecret(Secret::new([9; 32])).to_text();
    for (who, sent, good) in [
        (Some(&client), secret.as_str(), true),
        (Some(&client), "", false),
        (Some(&client), "x", false),
        (Some(&client), foreign.as_str(), false),
        (Some(&client), &secret[..secret.len() - 1], false),
        (Some(&public), "", true),
        (Some(&public), "stray", true),
        (None, "", false),
        (None, secret.as_str(), false),
    ] {
        let answer = register::authenticate(who, Credentials::Secret(sent));
        assert_eq!(answer.is_ok(), good, "{sent:?}");
        assert!(answer.is_ok_and(|found| Some(found) == who) || !good);
        if !good {
            assert_eq!(
                register::authenticate(who, Credentials::Secret(sent)).unwrap_err().code,
                OAuthErrorCode::InvalidClient
            );
        }
    }
}

#[test]
fn the_first_use_renews_a_registration_and_then_once_a_day() {
    let (unused, _, _) = register::register(&policy(), registration(&[LOOPBACK], "none"), NOW, &draw(1)).unwrap();
    let Some(Change { puts, .. }) = register::renew(&policy(), &unused, NOW) else { unreachable!("its first use") };
    let [(_, Record::Client(client))] = puts.as_slice() else { unreachable!("the client") };
    let day = 24 * 3600;
    assert_eq!(client.expires_at, NOW.plus(secs(365 * day)));
    for (later, renews) in [(0, false), (day - 1, false), (day, true), (300 * day, true)] {
        let change = register::renew(&policy(), client, NOW.plus(secs(later)));
        assert_eq!(change.is_some(), renews, "{later}");
        if let Some(Change { puts, unchanged, .. }) = change {
            assert_eq!(unchanged, [RecordKey::Client(client.id.clone())]);
            assert_eq!(puts[0].1.expires_at(), Some(NOW.plus(secs(later + 365 * day))));
        }
    }
}

#[test]
fn a_used_registration_outlives_its_grants_however_short_its_life() {
    let day = 24 * 3600;
    for life in [3600, day, 7 * day, 30 * day, 365 * day] {
        let mut policy = policy();
        policy.lifetimes.client = secs(life);
        policy.lifetimes.unused_client = secs(life.min(7 * day));
        let (unused, _, _) = register::register(&policy, registration(&[LOOPBACK], "none"), NOW, &draw(1)).unwrap();
        let pause = register::renewal_pause(secs(life)).as_secs();
        let mut client = unused;
        // Used four times within each pause.
        for n in 1..=200 {
            let now = NOW.plus(secs(n * pause / 4));
            if let Some(Change { puts, .. }) = register::renew(&policy, &client, now) {
                let [(_, Record::Client(renewed))] = puts.as_slice() else { unreachable!("the client") };
                client = renewed.clone();
            }
            assert!(now.until(client.expires_at) >= secs(life - pause), "a life of {life} s, use {n}");
        }
    }
}

#[test]
fn only_methods_that_are_configured_may_be_registered() {
    use TokenEndpointAuthMethod::{ClientSecretBasic, ClientSecretPost, None};
    let strict = Policy { auth_methods: vec![ClientSecretBasic], ..policy() };
    for (sent, allowed) in [("", true), ("client_secret_basic", true), ("client_secret_post", false), ("none", false)] {
        let registered = register::register(&strict, registration(&[LOOPBACK], sent), NOW, &draw(1));
        assert_eq!(registered.is_ok(), allowed, "{sent:?}");
    }
    let open = Policy { auth_methods: vec![None, ClientSecretPost], ..policy() };
    let error = register::register(&open, registration(&[LOOPBACK], ""), NOW, &draw(1)).unwrap_err();
    assert!(error.description.contains("none or client_secret_post"), "{error:?}");
}

fn keys(uri: &str, jwks: &str, is_required: bool) -> ClientKeys {
    let (uri, jwks) = (uri.to_owned(), jwks.to_owned());
    let at = if jwks.is_empty() { Timestamp::default() } else { NOW };
    ClientKeys { is_required, algorithm: String::new(), uri, jwks, fetched_at: at, fresh_until: at }
}

fn documented(policy: &Policy, keys: Option<ClientKeys>, before: Option<&Client>) -> Result<Client, OAuthError> {
    let id = ClientId::parse("https://a.example/c").unwrap();
    let sent = Documented { metadata: registration(&[LOOPBACK], "none"), keys, fresh_for: secs(300) };
    register::from_document(policy, id, sent, before, NOW).map(|(client, _)| client)
}

#[test]
fn a_client_with_keys_shows_them_where_it_must() {
    let here = |keys| documented(&policy(), keys, None).unwrap();
    let (either, must, without) = (here(Some(keys("", "{}", false))), here(Some(keys("", "{}", true))), here(None));
    let assertion = Credentials::Assertion { epoch: either.epoch };
    let of_before = Credentials::Assertion { epoch: either.epoch + 1 };
    for (client, credentials, good, proves) in [
        (&either, Credentials::Secret(""), true, false),
        (&either, assertion, true, true),
        (&either, of_before, false, true),
        (&must, Credentials::Secret(""), false, false),
        (&must, Credentials::Secret("stray"), false, false),
        (&must, assertion, true, true),
        (&without, Credentials::Secret(""), true, false),
        (&without, assertion, false, true),
    ] {
        assert_eq!(register::authenticate(Some(client), credentials).is_ok(), good, "{client:?}");
        assert_eq!(register::is_proof(client, credentials), proves);
    }
    assert!(register::authenticate(None, assertion).is_err());
    // A secret is none of an assertion's business.
    let (secret, ..) = register::register(&policy(), registration(&[LOOPBACK], ""), NOW, &draw(2)).unwrap();
    assert!(register::authenticate(Some(&secret), Credentials::Assertion { epoch: 0 }).is_err());
}

#[test]
fn where_none_is_not_allowed_a_document_needs_keys() {
    let strict = Policy { auth_methods: vec![TokenEndpointAuthMethod::ClientSecretBasic], ..policy() };
    assert!(documented(&strict, None, None).is_err());
    let client = documented(&strict, Some(keys("", "{}", false)), None).unwrap();
    assert!(client.keys.unwrap().is_required);
}

#[test]
fn known_keys_serve_until_others_are_fetched() {
    const URI: &str = "https://a.example/keys";
    let client = documented(&policy(), Some(keys(URI, "", false)), None).unwrap();
    assert!(register::may_ask_for_keys(client.keys.as_ref().unwrap(), NOW));
    assert!(register::with_keys(&client, "https://b.example/keys", "{}".into(), secs(300), NOW).is_none());
    let (client, change) = register::with_keys(&client, URI, "{1}".into(), secs(300), NOW).unwrap();
    assert_eq!(change.unchanged, [RecordKey::Client(client.id.clone())]);
    let known = client.keys.clone().unwrap();
    assert_eq!((known.jwks.as_str(), known.fresh_until), ("{1}", NOW.plus(secs(300))));
    for (later, may) in [(0, false), (19, false), (20, true)] {
        assert_eq!(register::may_ask_for_keys(&known, NOW.plus(secs(later))), may, "{later}");
    }
    // The document is read again: the keys stay, unless they are somewhere else now.
    let again = documented(&policy(), Some(keys(URI, "", true)), Some(&client)).unwrap().keys.unwrap();
    assert_eq!((again.jwks.as_str(), again.fetched_at, again.is_required), ("{1}", NOW, true));
    let moved = documented(&policy(), Some(keys("https://b.example/keys", "", false)), Some(&client)).unwrap();
    assert_eq!(moved.keys.unwrap().jwks, "");
    let inline = documented(&policy(), Some(keys("", "{2}", false)), Some(&client)).unwrap();
    assert_eq!(inline.keys.unwrap().jwks, "{2}");
    assert_eq!(documented(&policy(), None, Some(&client)).unwrap().keys, None);
}

#[test]
fn an_assertion_is_one_of_its_client() {
    let id = |text: &str| ClientId::parse(text).unwrap();
    let (key, change) = register::use_assertion(&id("https://a.example/c"), "1", NOW.plus(secs(60)));
    assert_eq!(change.unchanged, std::slice::from_ref(&key), "nobody may have used it");
    assert_eq!(change.puts[0].1.expires_at(), Some(NOW.plus(secs(60))));
    for (client, jti) in [("https://a.example/c", "2"), ("https://a.example/c1", ""), ("https://a.example/d", "1")] {
        assert_ne!(register::use_assertion(&id(client), jti, NOW).0, key, "{client} {jti}");
    }
}
