use std::time::Duration;

use grantd_core::{
    Draw, Timestamp,
    ratchet::{Ratchet, SpentCode, Timing},
    records::{Consent, GrantState},
};
use grantd_oauth_types::{ClientId, CodeVerifier, GrantId, RedirectUri, ResourceUri, ScopeSet, Secret};

use super::*;

fn live_grant() -> Grant {
    let id = GrantId::new([3; 16]);
    let verifier = CodeVerifier::parse(&"v".repeat(43)).unwrap();
    let code = Secret::new([4; 32]);
    let timing = Timing {
        now: Timestamp(1_000),
        overlap: Duration::from_secs(60),
        drain: Duration::from_secs(5),
        access_expires_at: Timestamp(9_000_000),
    };
    let spent = SpentCode { digest: code.digest(), challenge: verifier.challenge(), expires_at: Timestamp(600_000) };
    let draw = Draw::from_request_id(&[5; 32]).unwrap();
    let (ratchet, pair) = Ratchet::start(id, &code, &verifier, spent, timing, &draw);
    let (ratchet, _) = ratchet.rotate(&pair.refresh, 1, timing, &draw).unwrap();
    assert!(!ratchet.draining.is_empty() && !ratchet.recent.is_empty());
    Grant {
        id,
        client_id: ClientId::parse("c").unwrap(),
        client_epoch: 0,
        subject: "s".into(),
        username: "u".into(),
        user_epoch: 1,
        resource: ResourceUri::new("https://a.example/mcp"),
        scope: ScopeSet::parse_lenient("a b"),
        created_at: Timestamp(1),
        expires_at: Timestamp(2),
        state: GrantState::Live(ratchet),
    }
}

#[test]
fn a_live_grant_round_trips_and_so_does_a_tombstone() {
    let grant = live_grant();
    assert_eq!(Grant::decode(&grant.clone().encode().unwrap()).unwrap(), grant);
    let grant = Grant { state: GrantState::Revoked { at: Timestamp(7) }, ..grant };
    assert_eq!(Grant::decode(&grant.clone().encode().unwrap()).unwrap(), grant);
}

#[test]
fn a_code_with_and_without_state_round_trips() {
    for state in [None, Some(String::new()), Some("a+/=\u{1F600}".to_owned())] {
        let code = CodeRecord {
            consent: Consent {
                client_id: ClientId::parse("c").unwrap(),
                client_epoch: 0,
                subject: "s".into(),
                username: "u".into(),
                user_epoch: 0,
                redirect_uri: RedirectUri::parse("http://localhost:1/cb").unwrap(),
                state,
                code_challenge: CodeVerifier::parse(&"v".repeat(43)).unwrap().challenge(),
                resource: ResourceUri::new("https://a.example/mcp"),
                scope: ScopeSet::default(),
            },
            session: grantd_oauth_types::Digest::of(b"s"),
            expires_at: Timestamp(5),
        };
        assert_eq!(CodeRecord::decode(&code.clone().encode().unwrap()).unwrap(), code);
    }
}

#[test]
fn a_newer_schema_and_damage_are_told_apart() {
    let text = String::from_utf8(live_grant().encode().unwrap().to_vec()).unwrap();
    assert!(text.starts_with("{\"schema\":1,"), "{text}");
    let newer = text.replacen("\"schema\":1", "\"schema\":2", 1);
    let message = Grant::decode(newer.as_bytes()).unwrap_err().to_string();
    assert!(message.contains("schema 2") && message.contains("upgrade"), "{message}");
    let newer_shape = b"{\"schema\":3,\"grant\":{\"other\":1}}";
    assert!(Grant::decode(newer_shape).unwrap_err().to_string().contains("schema 3"));
    for damaged in [&text.as_bytes()[..40], b"", b"\xff\xff", b"{\"schema\":1}"] {
        assert!(Grant::decode(damaged).unwrap_err().to_string().contains("damaged"));
    }
}
