//! What ends when. The clock is the store's.

use grantd_core::OnReplay;
use grantd_proto::{
    Role,
    v1::{self, token_denied::Reason, verify_token_response::Result as Verdict},
};
use tonic::Code;

use crate::support::{RESOURCE, Rig, reason};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

#[tokio::test]
async fn the_whole_way() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let first = rig.pair(&party).await;
    assert_eq!((first.token_type.as_str(), first.expires_in, first.scope.as_str()), ("Bearer", 3600, "read write"));
    let Verdict::Allowed(allowed) = rig.verify(&first.access_token).await else { unreachable!("it is good") };
    assert_eq!((allowed.username.as_str(), allowed.client_id.as_str()), ("owner", party.client_id.as_str()));
    assert_eq!((allowed.groups, allowed.expires_in), (vec!["owner".to_owned()], 3600));
    let second = rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap();
    assert!(rig.accepts(&second.access_token).await && !rig.accepts(&first.access_token).await);
}

#[tokio::test]
async fn each_thing_lives_as_long_as_it_says() {
    // A consent page.
    let rig = Rig::new().await;
    let party = rig.party().await;
    for (age, good) in [(599, true), (600, false)] {
        let ticket = rig.ticket(&party).await;
        rig.clock.advance(age);
        let answer = rig.tokens(Role::Flow).approve_authorization(rig.approve(&party, &ticket)).await;
        assert_eq!(answer.map_err(|status| reason(&status)).err(), (!good).then(|| "ticket_expired".into()), "{age}");
    }
    // A code.
    for (age, good) in [(599, true), (600, false)] {
        let code = rig.code(&party).await;
        rig.clock.advance(age);
        let answer = rig.issued(rig.exchange(&party, &code)).await;
        assert_eq!(answer.map_err(|status| reason(&status)).err(), (!good).then(|| "invalid_grant".into()), "{age}");
    }
    // An access token, and what is left of it.
    let pair = rig.pair(&party).await;
    rig.clock.advance(HOUR - 1);
    let Verdict::Allowed(allowed) = rig.verify(&pair.access_token).await else { unreachable!("it is good") };
    assert_eq!(allowed.expires_in, 1);
    rig.clock.advance(1);
    assert!(!rig.accepts(&pair.access_token).await);
    // A refresh token, from its last use.
    rig.clock.advance(30 * DAY - HOUR - 1);
    let pair = rig.issued(rig.refresh(&party, &pair.refresh_token)).await.unwrap();
    rig.clock.advance(30 * DAY);
    let status = rig.issued(rig.refresh(&party, &pair.refresh_token)).await.unwrap_err();
    assert_eq!(reason(&status), "invalid_grant");
}

#[tokio::test]
async fn a_session_ends() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let session = v1::GetSessionRequest { session_secret: party.session.clone() };
    rig.clock.advance(12 * HOUR - 1);
    let known = rig.identity(Role::Flow).get_session(session.clone()).await.unwrap().into_inner();
    assert_eq!((known.user.unwrap().username.as_str(), known.expires_in), ("owner", 1));
    rig.clock.advance(1);
    let status = rig.identity(Role::Flow).get_session(session).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "login_required"));
}

#[tokio::test]
async fn a_registration_lives_by_being_used() {
    let rig = Rig::new().await;
    let (used, unused) = (rig.party().await, rig.register().await);
    let mut pair = rig.pair(&used).await;
    for _ in 0..20 {
        rig.clock.advance(20 * DAY);
        pair = rig.issued(rig.refresh(&used, &pair.refresh_token)).await.unwrap();
        // The renewal is written behind the answer.
        let renewed = || async {
            let question = v1::GetClientRequest { client_id: used.client_id.clone(), ..Default::default() };
            let known = rig.tokens(Role::Flow).get_client(question).await.unwrap().into_inner();
            known.expires_in > i64::try_from(364 * DAY).unwrap()
        };
        while !renewed().await {
            tokio::task::yield_now().await;
        }
    }
    let status = rig
        .tokens(Role::Flow)
        .get_client(v1::GetClientRequest { client_id: unused, ..Default::default() })
        .await
        .unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "invalid_client"));
}

#[tokio::test]
async fn refusals_say_why() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let pair = rig.pair(&party).await;
    let ask = async |access: &str, resource: &str, scopes: &[&str]| {
        let question = v1::VerifyTokenRequest {
            access_token: access.into(),
            resource: resource.into(),
            required_scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        rig.tokens(Role::Verify).verify_token(question).await.unwrap().into_inner().result.unwrap()
    };
    let unknown = format!("{}{}", &pair.access_token[..40], "A".repeat(pair.access_token.len() - 40));
    for (access, resource, scopes, why, union) in [
        ("x", RESOURCE, &[][..], Reason::Malformed, ""),
        (pair.refresh_token.as_str(), RESOURCE, &[], Reason::Malformed, ""),
        (unknown.as_str(), RESOURCE, &[], Reason::Inactive, ""),
        (pair.access_token.as_str(), "https://other.example/mcp", &[], Reason::WrongResource, ""),
        (pair.access_token.as_str(), RESOURCE, &["admin", "read"], Reason::InsufficientScope, "admin read write"),
    ] {
        let Verdict::Denied(denied) = ask(access, resource, scopes).await else { unreachable!("{why:?}") };
        assert_eq!((denied.reason(), denied.scope.as_str()), (why, union));
    }
}

#[tokio::test]
async fn a_contested_grant_ends_at_the_next_consent() {
    let rig = Rig::with(|policy| policy.on_replay = OnReplay::Contest).await;
    let party = rig.party().await;
    let first = rig.pair(&party).await;
    let second = rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap();
    let third = rig.issued(rig.refresh(&party, &second.refresh_token)).await.unwrap();
    rig.clock.advance(HOUR);
    assert_eq!(reason(&rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap_err()), "invalid_grant");
    let fourth = rig.issued(rig.refresh(&party, &third.refresh_token)).await.unwrap();
    assert!(rig.accepts(&fourth.access_token).await, "refused only, for now");
    let party = crate::support::Party { session: rig.party().await.session, ..party };
    let fresh = rig.pair(&party).await;
    while rig.accepts(&fourth.access_token).await {
        tokio::task::yield_now().await;
    }
    assert!(rig.accepts(&fresh.access_token).await);
}
