//! What a call that is sent again finds, when the world went on in between.

use grantd_core::OnReplay;
use grantd_proto::{
    Role,
    v1::{self, begin_authorization_response::Next},
};
use tonic::Code;

use crate::support::{CALLBACK, PASSWORD, Party, Rig, reason};

async fn consent(rig: &Rig, request: v1::BeginAuthorizationRequest) -> v1::ConsentRequired {
    let answer = rig.tokens(Role::Flow).begin_authorization(request).await.unwrap().into_inner();
    let Some(Next::Consent(consent)) = answer.next else { unreachable!("signed in") };
    consent
}

#[tokio::test]
async fn what_is_left_of_a_lifetime_is_told_and_not_renewed() {
    let rig = Rig::new().await;
    let (registration, sign_in) = (rig.registration(), rig.sign_in());
    let register = async || rig.tokens(Role::Flow).register_client(registration.clone()).await.unwrap().into_inner();
    let signed_in = async || rig.identity(Role::Flow).sign_in(sign_in.clone()).await.unwrap().into_inner();
    let (client, session) = (register().await, signed_in().await);
    let party =
        Party { client_id: client.client.as_ref().unwrap().client_id.clone(), session: session.session_secret.clone() };
    let begin = rig.begin(&party);
    let asked = consent(&rig, begin.clone()).await;
    rig.clock.advance(100);

    let mut expected = client.clone();
    expected.client.as_mut().unwrap().expires_in -= 100;
    assert_eq!(register().await, expected);
    assert_eq!(signed_in().await, v1::SignInResponse { expires_in: session.expires_in - 100, ..session });
    let again = consent(&rig, begin).await;
    assert_eq!(again, v1::ConsentRequired { expires_in: 500, client: again.client.clone(), ..asked.clone() });
    // And it is true.
    rig.clock.advance(500);
    let status = rig.tokens(Role::Flow).approve_authorization(rig.approve(&party, &asked.ticket)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "ticket_expired"));
}

#[tokio::test]
async fn a_registration_that_comes_again_late_changes_nothing() {
    let rig = Rig::new().await;
    let registration = rig.registration();
    let mut tokens = rig.tokens(Role::Admin);
    let client_id = tokens.register_client(registration.clone()).await.unwrap().into_inner().client.unwrap().client_id;
    let session = rig.party().await.session;
    // Its use renews it, and the operator changes it.
    rig.pair(&Party { client_id: client_id.clone(), session }).await;
    let mut metadata = registration.metadata.clone().unwrap();
    metadata.client_name = "Renamed".into();
    let update = v1::UpdateClientRequest {
        request_id: rig.id(),
        client_id: client_id.clone(),
        metadata: Some(metadata),
        ..Default::default()
    };
    let known = tokens.update_client(update).await.unwrap().into_inner();

    let again = tokens.register_client(registration).await.unwrap().into_inner();
    assert_eq!(again.client, Some(known.clone()));
    let read = tokens.get_client(v1::GetClientRequest { client_id, ..Default::default() }).await.unwrap().into_inner();
    assert_eq!(read, known);
}

/// A facade that lost the answer sends the call again: nobody guesses, so no limit and no line of password hashes counts it.
#[tokio::test]
async fn a_sign_in_that_comes_again_costs_nothing() {
    let rig = Rig::new().await;
    let sign_in = rig.sign_in();
    let first = rig.identity(Role::Flow).sign_in(sign_in.clone()).await.unwrap().into_inner();
    for _ in 0..200 {
        let again = rig.identity(Role::Flow).sign_in(sign_in.clone()).await.unwrap().into_inner();
        assert_eq!(again, first);
    }
    rig.identity(Role::Flow).sign_in(rig.sign_in()).await.unwrap();
}

#[tokio::test]
async fn a_request_id_stands_for_one_request() {
    let rig = Rig::new().await;
    let (party, other) = (rig.party().await, rig.party().await);
    let mut tokens = rig.tokens(Role::Flow);

    // The first registration stands, and the answer tells it.
    let registration = rig.registration();
    let first = tokens.register_client(registration.clone()).await.unwrap().into_inner();
    let mut changed = registration.clone();
    changed.metadata.as_mut().unwrap().redirect_uris = vec!["https://evil.example/cb".into()];
    assert_eq!(tokens.register_client(changed.clone()).await.unwrap().into_inner(), first);
    let read =
        v1::GetClientRequest { client_id: first.client.as_ref().unwrap().client_id.clone(), ..Default::default() };
    let read = tokens.get_client(read).await.unwrap().into_inner();
    assert_eq!(read.metadata.unwrap().redirect_uris, [CALLBACK]);
    // No secret for a client that has none.
    changed.metadata.as_mut().unwrap().token_endpoint_auth_method = "client_secret_basic".into();
    let status = tokens.register_client(changed).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_request"));

    // What the consent page says is what would be granted.
    let begin = rig.begin(&party);
    let asked = consent(&rig, begin.clone()).await;
    let narrower = consent(&rig, v1::BeginAuthorizationRequest { scope: "read".into(), ..begin.clone() }).await;
    assert_eq!(narrower, asked);
    for changed in [
        v1::BeginAuthorizationRequest { client_id: other.client_id.clone(), ..begin.clone() },
        v1::BeginAuthorizationRequest { session_secret: other.session.clone(), ..begin },
    ] {
        let status = tokens.begin_authorization(changed).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_request"));
    }

    // Nobody is given the session of somebody else.
    rig.person("alice", &party.client_id).await;
    let sign_in = rig.sign_in();
    rig.identity(Role::Flow).sign_in(sign_in.clone()).await.unwrap();
    let changed = v1::SignInRequest { username: "alice".into(), ..sign_in };
    let status = rig.identity(Role::Flow).sign_in(changed).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_request"));
}

#[tokio::test]
async fn a_decision_that_was_denied_stays_denied() {
    for (bad, happens) in [(0, false), (1, true), (2, true), (1, false), (2, false)] {
        let rig = Rig::new().await;
        let party = rig.party().await;
        let begin = rig.begin(&party);
        let ticket = consent(&rig, begin.clone()).await.ticket;
        let deny = rig.deny(&party, &ticket);
        let mut tokens = rig.tokens(Role::Flow);
        rig.fail(0, bad, happens);
        let first = tokens.deny_authorization(deny.clone()).await;
        if let Err(status) = &first {
            assert_eq!(status.code(), Code::Unavailable, "{bad} {happens} {status:?}");
        }
        rig.faults.heal();
        let again = tokens.deny_authorization(deny).await.unwrap().into_inner();
        let outcome = v1::authorization_decision::Outcome::Error("access_denied".into());
        assert_eq!((again.state.as_deref(), again.outcome.clone()), (Some("state"), Some(outcome)));
        // The page is used up, and its request does not come back when it is sent again.
        for _ in 0..2 {
            let approved = tokens.approve_authorization(rig.approve(&party, &ticket)).await.unwrap_err();
            assert_eq!(reason(&approved), "ticket_expired");
            // A second click on Deny is a new call, and hears the same; in another session it hears nothing.
            let denied = tokens.deny_authorization(rig.deny(&party, &ticket)).await.unwrap().into_inner();
            assert_eq!(denied, again);
            let elsewhere = rig.deny(&rig.party().await, &ticket);
            let refused = tokens.deny_authorization(elsewhere).await.unwrap_err();
            assert_eq!(reason(&refused), "login_required");
            let begun = tokens.begin_authorization(begin.clone()).await.unwrap_err();
            assert_eq!(begun.code(), Code::InvalidArgument);
        }
    }
}

#[tokio::test]
async fn an_approval_that_was_cut_short_is_finished_when_it_comes_again() {
    for nth in 0..4 {
        for happens in [false, true] {
            let rig = Rig::with(|policy| policy.on_replay = OnReplay::Contest).await;
            let party = rig.party().await;
            let first = rig.pair(&party).await;
            let second = rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap();
            let third = rig.issued(rig.refresh(&party, &second.refresh_token)).await.unwrap();
            rig.clock.advance(3600);
            rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap_err();
            let current = rig.issued(rig.refresh(&party, &third.refresh_token)).await.unwrap();
            let ticket = rig.ticket(&party).await;
            let approve = rig.approve(&party, &ticket);
            rig.fail(nth, 2, happens);
            let mut tokens = rig.tokens(Role::Flow);
            let cut = tokens.approve_authorization(approve.clone()).await;
            rig.faults.heal();
            let again = tokens.approve_authorization(approve).await.unwrap().into_inner();
            if let Ok(first) = cut {
                assert_eq!(first.into_inner(), again);
            }
            assert!(!rig.accepts(&current.access_token).await, "the contested grant ends: {nth} {happens}");
        }
    }
}

#[tokio::test]
async fn removing_a_person_that_was_cut_short_is_finished_when_it_comes_again() {
    let rig = Rig::new().await;
    let client_id = rig.register().await;
    let mut identity = rig.identity(Role::Admin);
    for bad in [1, 2] {
        for happens in [false, true] {
            for nth in 0.. {
                let name = format!("p{bad}{happens}{nth}");
                let party = rig.person(&name, &client_id).await;
                let (one, two) = (rig.pair(&party).await, rig.pair(&party).await);
                let remove = v1::DeleteUserRequest { request_id: rig.id(), username: name.clone() };
                rig.faults.fail_any(nth, bad, happens);
                let cut = identity.delete_user(remove.clone()).await;
                let was_hit = rig.faults.heal() < bad;
                if let Err(status) = cut {
                    assert_eq!(status.code(), Code::Unavailable, "{name} {status:?}");
                    if let Err(status) = identity.delete_user(remove).await {
                        // All that was left to do was to answer.
                        assert_eq!(reason(&status), "unknown_user", "{name}");
                    }
                }
                for pair in [&one, &two] {
                    assert!(!rig.accepts(&pair.access_token).await, "{name}");
                }
                let session = v1::GetSessionRequest { session_secret: party.session.clone() };
                assert_eq!(reason(&identity.get_session(session).await.unwrap_err()), "login_required");
                if !was_hit {
                    break;
                }
            }
        }
    }
    let sign_in = v1::SignInRequest { username: "p2true0".into(), ..rig.sign_in() };
    assert_eq!(reason(&identity.sign_in(sign_in).await.unwrap_err()), "invalid_credentials");
    let left = identity.list_users(v1::ListUsersRequest::default()).await.unwrap().into_inner().users;
    assert_eq!(left.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["owner"]);
}

#[tokio::test]
async fn an_owner_that_never_came_to_be_is_created_after_all() {
    let rig = Rig::new().await;
    let mut identity = rig.identity(Role::Admin);
    identity.delete_user(v1::DeleteUserRequest { request_id: rig.id(), username: "owner".into() }).await.unwrap();
    assert!(!rig.service.has_users().await.unwrap());
    rig.fail(0, 2, false);
    rig.service.ensure_owner(PASSWORD.into()).await.unwrap_err();
    rig.faults.heal();
    assert!(!rig.service.has_users().await.unwrap());
    let outcome = rig.service.ensure_owner(PASSWORD.into()).await.unwrap();
    assert_eq!(outcome, grantd_token_service::OwnerOutcome::Created);
    rig.identity(Role::Flow).sign_in(rig.sign_in()).await.unwrap();
}

#[tokio::test]
async fn what_has_expired_is_not_brought_back_by_sending_again() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let begin = rig.begin(&party);
    let asked = consent(&rig, begin.clone()).await;
    let approve = rig.approve(&party, &asked.ticket);
    let code = rig.tokens(Role::Flow).approve_authorization(approve.clone()).await.unwrap().into_inner();
    let Some(v1::authorization_decision::Outcome::Code(code)) = code.outcome else { unreachable!("approved") };
    let exchange = rig.exchange(&party, &code);
    let pair = rig.issued(exchange.clone()).await.unwrap();
    // Within the life of the code a lost answer is given again, with what is left of it.
    rig.clock.advance(599);
    let again = rig.issued(exchange.clone()).await.unwrap();
    assert_eq!(again, v1::IssueTokenResponse { expires_in: 3001, ..pair.clone() });
    // After it the code is only unknown: nobody is signed out by a late repetition.
    rig.clock.advance(1);
    assert_eq!(reason(&rig.issued(exchange).await.unwrap_err()), "invalid_grant");
    let approved = rig.tokens(Role::Flow).approve_authorization(approve).await.unwrap_err();
    assert_eq!(reason(&approved), "ticket_expired");
    assert!(rig.accepts(&pair.access_token).await);
    // The page comes again, but its grant is there: it leads to no second one.
    let ticket = consent(&rig, begin).await.ticket;
    assert_eq!(ticket, asked.ticket);
    let status = rig.tokens(Role::Flow).approve_authorization(rig.approve(&party, &ticket)).await.unwrap_err();
    assert_eq!(reason(&status), "ticket_expired");

    let refresh = rig.refresh(&party, &pair.refresh_token);
    let next = rig.issued(refresh.clone()).await.unwrap();
    rig.clock.advance(100);
    let again = rig.issued(refresh.clone()).await.unwrap();
    assert_eq!(again, v1::IssueTokenResponse { expires_in: next.expires_in - 100, ..next });
    rig.clock.advance(30 * 24 * 3600);
    assert_eq!(reason(&rig.issued(refresh).await.unwrap_err()), "invalid_grant");
}
