//! The store is away at any one moment of any call: the caller is told to try again, and the call sent again is answered
//! as if nothing had been.

use grantd_proto::{Role, v1};
use tonic::{Code, Status};

use crate::support::{Party, Rig, reason};

/// Sends a fresh request for each operation of the store that it takes, with that one failing.
macro_rules! endures {
    ($rig:expr, $name:literal, $fresh:expr, $call:expr $(,)?) => {
        for (bad, happens) in [(1, false), (1, true), (2, false), (2, true)] {
            for nth in 0.. {
                let request = $fresh.await;
                $rig.faults.fail_any(nth, bad, happens);
                let cut = $call(request.clone()).await;
                let was_hit = $rig.faults.heal() < bad;
                let at = format!("{} {nth} {bad} {happens}", $name);
                if let Err(status) = &cut {
                    is_away(status, &at);
                }
                let again = $call(request.clone()).await;
                let again = again.unwrap_or_else(|status| unreachable!("{at}: {status:?}")).into_inner();
                if let Ok(first) = cut {
                    assert_eq!(first.into_inner(), again, "{at}");
                }
                assert_eq!($call(request).await.unwrap().into_inner(), again, "{at}");
                if !was_hit {
                    assert!(nth > 0, "{at}: it asks the store for nothing");
                    break;
                }
            }
        }
    };
}

fn is_away(status: &Status, at: &str) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::Unavailable, "temporarily_unavailable"), "{at}");
    // What is wrong with the store is for the log.
    assert!(!status.message().contains("the test says so"), "{at}");
}

#[tokio::test]
async fn while_a_client_signs_in() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let mut tokens = rig.tokens(Role::Admin);
    endures!(rig, "register", async { rig.registration() }, async |r| tokens.register_client(r).await);
    endures!(rig, "begin", async { rig.begin(&party) }, async |r| tokens.begin_authorization(r).await);
    let approve = async || rig.approve(&party, &rig.ticket(&party).await);
    endures!(rig, "approve", approve(), async |r| tokens.approve_authorization(r).await);
    let deny = async || rig.deny(&party, &rig.ticket(&party).await);
    endures!(rig, "deny", deny(), async |r| tokens.deny_authorization(r).await);
    let exchange = async || rig.exchange(&party, &rig.code(&party).await);
    endures!(rig, "exchange", exchange(), async |r| tokens.issue_token(r).await);
    let refresh = async || rig.refresh(&party, &rig.pair(&party).await.refresh_token);
    endures!(rig, "refresh", refresh(), async |r| tokens.issue_token(r).await);
}

#[tokio::test]
async fn while_something_is_taken_back() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let mut tokens = rig.tokens(Role::Admin);
    let revoke = async || rig.revoke(&party, &rig.pair(&party).await.refresh_token);
    endures!(rig, "revoke by refresh token", revoke(), async |r| tokens.revoke_token(r).await);
    let revoke = async || rig.revoke(&party, &rig.pair(&party).await.access_token);
    endures!(rig, "revoke by access token", revoke(), async |r| tokens.revoke_token(r).await);
    let revoke = async || v1::RevokeGrantRequest {
        request_id: rig.id(),
        grant_id: rig.grant_of(&rig.pair(&party).await.access_token).await,
    };
    endures!(rig, "revoke grant", revoke(), async |r| tokens.revoke_grant(r).await);
    let remove = async || {
        let party = Party { client_id: rig.register().await, session: party.session.clone() };
        rig.pair(&party).await;
        v1::DeleteClientRequest { request_id: rig.id(), client_id: party.client_id, ..Default::default() }
    };
    endures!(rig, "delete client", remove(), async |r| tokens.delete_client(r).await);
}

#[tokio::test]
async fn while_people_come_and_go() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let (mut identity, mut tokens) = (rig.identity(Role::Admin), rig.tokens(Role::Admin));
    let fresh = |rig: &Rig| rig.id().iter().map(|byte| format!("{byte:x}")).collect::<String>();
    let create = async || rig.user(&fresh(&rig));
    endures!(rig, "create user", create(), async |r| identity.create_user(r).await);
    let sign_in = async || v1::SignInRequest { remote_address: fresh(&rig), ..rig.sign_in() };
    endures!(rig, "sign in", sign_in(), async |r| identity.sign_in(r).await);
    let sign_out = async || {
        let sign_in = v1::SignInRequest { remote_address: fresh(&rig), ..rig.sign_in() };
        let session_secret = rig.identity(Role::Flow).sign_in(sign_in).await.unwrap().into_inner().session_secret;
        v1::SignOutRequest { request_id: rig.id(), session_secret }
    };
    endures!(rig, "sign out", sign_out(), async |r| identity.sign_out(r).await);
    let update = async || v1::UpdateClientRequest {
        request_id: rig.id(),
        client_id: party.client_id.clone(),
        metadata: rig.registration().metadata,
        ..Default::default()
    };
    endures!(rig, "update client", update(), async |r| tokens.update_client(r).await);
    rig.person("alice", &party.client_id).await;
    let set_password = async || v1::SetPasswordRequest {
        request_id: rig.id(),
        username: "alice".into(),
        password: "another good password".into(),
    };
    endures!(rig, "set password", set_password(), async |r| identity.set_password(r).await);
}

#[tokio::test]
async fn a_question_is_not_answered_without_the_store() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let pair = rig.pair(&party).await;
    let grant_id = rig.grant_of(&pair.access_token).await;
    let (mut tokens, mut identity) = (rig.tokens(Role::Admin), rig.identity(Role::Admin));
    macro_rules! away {
        ($($client:ident.$name:ident($request:expr)),+ $(,)?) => {$({
            rig.faults.fail_any(0, usize::MAX, false);
            let status = $client.$name($request).await.err();
            rig.faults.heal();
            is_away(&status.unwrap_or_else(|| unreachable!(stringify!($name))), stringify!($name));
        })+};
    }
    let token = pair.access_token.clone();
    let verify = v1::VerifyTokenRequest { access_token: token.clone(), ..v1::VerifyTokenRequest::default() };
    away!(
        tokens.verify_token(verify),
        tokens.verify_grant(v1::VerifyGrantRequest { grant_id: grant_id.clone(), ..v1::VerifyGrantRequest::default() }),
        tokens.introspect_token(v1::IntrospectTokenRequest { token, ..Default::default() }),
        tokens.introspect_token(v1::IntrospectTokenRequest { token: pair.refresh_token.clone(), ..Default::default() }),
        tokens.get_client(v1::GetClientRequest { client_id: party.client_id.clone(), ..Default::default() }),
        tokens.get_grant(v1::GetGrantRequest { grant_id }),
        tokens.list_clients(v1::ListClientsRequest::default()),
        tokens.list_grants(v1::ListGrantsRequest::default()),
        identity.list_users(v1::ListUsersRequest::default()),
        identity.get_session(v1::GetSessionRequest { session_secret: party.session.clone() }),
    );
    assert!(rig.accepts(&pair.access_token).await);
}
