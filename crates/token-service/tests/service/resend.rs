//! A call whose answer was lost is sent again with its request id, and gets the answer of the first.

use grantd_proto::{
    Role,
    v1::{self, begin_authorization_response::Next},
};
use tonic::Code;

use crate::support::{Rig, reason};

/// How a commit can fail: before it happened or after, once (the service's own repetition mends that) or for good (the
/// caller hears of it, and sends again).
const FAILURES: [(usize, bool); 4] = [(1, false), (1, true), (2, false), (2, true)];

/// Sends until it is answered, as a facade does.
macro_rules! sent {
    ($call:expr, $request:expr) => {{
        let request = $request;
        let mut answer = $call(request.clone()).await;
        for _ in 0..3 {
            match &answer {
                Err(status) if status.code() == Code::Unavailable => answer = $call(request.clone()).await,
                _ => break,
            }
        }
        let first = answer.unwrap().into_inner();
        // And once more, though nothing was lost.
        let again = $call(request).await.unwrap().into_inner();
        assert_eq!(first, again, "the same request id gets the same answer");
        first
    }};
}

#[tokio::test]
async fn every_mutation_can_be_sent_again_whatever_was_lost() {
    for (bad, happens) in FAILURES {
        let rig = Rig::new().await;
        let (mut tokens, mut identity) = (rig.tokens(Role::Admin), rig.identity(Role::Admin));

        rig.fail(0, bad, happens);
        let registered = sent!(async |r| tokens.register_client(r).await, rig.registration());
        rig.fail(0, bad, happens);
        let signed_in = sent!(async |r| identity.sign_in(r).await, rig.sign_in());
        let party = crate::support::Party {
            client_id: registered.client.unwrap().client_id,
            session: signed_in.session_secret,
        };
        rig.fail(0, bad, happens);
        let begun = sent!(async |r| tokens.begin_authorization(r).await, rig.begin(&party));
        let Some(Next::Consent(consent)) = begun.next else { unreachable!("signed in") };
        rig.fail(0, bad, happens);
        let approved = sent!(async |r| tokens.approve_authorization(r).await, rig.approve(&party, &consent.ticket));
        let Some(v1::authorization_decision::Outcome::Code(code)) = approved.outcome else { unreachable!("approved") };
        rig.fail(0, bad, happens);
        let first = sent!(async |r| tokens.issue_token(r).await, rig.exchange(&party, &code));
        rig.fail(0, bad, happens);
        let second = sent!(async |r| tokens.issue_token(r).await, rig.refresh(&party, &first.refresh_token));
        rig.fail(0, 0, false);
        assert!(rig.accepts(&second.access_token).await, "{bad} {happens}");
        assert!(!rig.accepts(&first.access_token).await);

        let new_user = v1::CreateUserRequest {
            request_id: rig.id(),
            username: "alice".into(),
            password: "a good password".into(),
            groups: vec!["owner".into()],
            ..v1::CreateUserRequest::default()
        };
        rig.fail(0, bad, happens);
        sent!(async |r| identity.create_user(r).await, new_user);
        let changed = v1::UpdateUserRequest {
            request_id: rig.id(),
            username: "owner".into(),
            email: Some("owner@example.com".into()),
            groups: None,
        };
        rig.fail(0, bad, happens);
        sent!(async |r| identity.update_user(r).await, changed);
        let update = v1::UpdateClientRequest {
            request_id: rig.id(),
            client_id: party.client_id.clone(),
            metadata: rig.registration().metadata,
            ..Default::default()
        };
        rig.fail(0, bad, happens);
        sent!(async |r| tokens.update_client(r).await, update);
        rig.fail(0, bad, happens);
        let grant_id =
            tokens.list_grants(v1::ListGrantsRequest::default()).await.unwrap().into_inner().grants[0].grant_id.clone();
        let revoke = v1::RevokeGrantRequest { request_id: rig.id(), grant_id };
        sent!(async |r| tokens.revoke_grant(r).await, revoke);
        rig.fail(0, 0, false);
        assert!(!rig.accepts(&second.access_token).await);
    }
}

#[tokio::test]
async fn without_an_overlap_a_lost_answer_is_still_no_replay() {
    for (bad, happens) in FAILURES {
        let rig = Rig::with(|policy| policy.lifetimes.refresh_overlap = std::time::Duration::ZERO).await;
        let party = rig.party().await;
        let first = rig.pair(&party).await;
        let mut tokens = rig.tokens(Role::Flow);
        rig.fail(0, bad, happens);
        let second = sent!(async |r| tokens.issue_token(r).await, rig.refresh(&party, &first.refresh_token));
        rig.fail(0, 0, false);
        assert!(rig.accepts(&second.access_token).await, "{bad} {happens}");
        // Another request with the old token is one.
        assert_eq!(reason(&rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap_err()), "invalid_grant");
        assert!(!rig.accepts(&second.access_token).await);
    }
}

#[tokio::test]
async fn a_request_id_must_be_secret() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    for id in [vec![], vec![1; 31], vec![1; 65]] {
        let registration = v1::RegisterClientRequest { request_id: id.clone(), ..rig.registration() };
        let status = rig.tokens(Role::Flow).register_client(registration).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_request"));
        let begin = v1::BeginAuthorizationRequest { request_id: id.clone(), ..rig.begin(&party) };
        assert_eq!(rig.tokens(Role::Flow).begin_authorization(begin).await.unwrap_err().code(), Code::InvalidArgument);
        let exchange = v1::IssueTokenRequest { request_id: id.clone(), ..rig.exchange(&party, "x") };
        assert_eq!(rig.issued(exchange).await.unwrap_err().code(), Code::InvalidArgument);
        let sign_in = v1::SignInRequest { request_id: id, ..rig.sign_in() };
        assert_eq!(rig.identity(Role::Flow).sign_in(sign_in).await.unwrap_err().code(), Code::InvalidArgument);
    }
}
