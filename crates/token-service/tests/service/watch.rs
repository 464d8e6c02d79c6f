//! What a watcher is told, and that it is told while nothing happens.

use futures::StreamExt as _;
use grantd_proto::{
    Role,
    v1::{self, revocation_event::Event},
};
use tonic::{Code, Streaming};

use crate::support::{Rig, reason};

async fn watch(rig: &Rig) -> Streaming<v1::RevocationEvent> {
    rig.tokens(Role::Verify).watch_revocations(v1::WatchRevocationsRequest {}).await.unwrap().into_inner()
}

async fn next(stream: &mut Streaming<v1::RevocationEvent>) -> Option<Event> {
    stream.next().await.map(|event| event.unwrap().event.unwrap())
}

/// The next that is not a heartbeat.
async fn news(stream: &mut Streaming<v1::RevocationEvent>) -> Event {
    loop {
        match next(stream).await.unwrap() {
            Event::Heartbeat(_) => {}
            news => return news,
        }
    }
}

#[tokio::test]
async fn a_stream_opens_with_a_heartbeat_and_they_go_on() {
    let rig = Rig::new().await;
    let mut stream = watch(&rig).await;
    tokio::time::pause();
    for _ in 0..5 {
        assert_eq!(next(&mut stream).await, Some(Event::Heartbeat(v1::Heartbeat {})));
    }
}

#[tokio::test]
async fn every_way_to_take_back_is_told_by_each_grant() {
    for way in ["grant", "token", "client", "user", "password", "replay"] {
        let rig = Rig::new().await;
        let party = rig.party().await;
        let (one, code) = (rig.pair(&party).await, rig.code(&party).await);
        let two = rig.issued(rig.exchange(&party, &code)).await.unwrap();
        let mut ids = vec![rig.grant_of(&one.access_token).await, rig.grant_of(&two.access_token).await];
        let mut stream = watch(&rig).await;
        let (mut tokens, mut identity) = (rig.tokens(Role::Admin), rig.identity(Role::Admin));
        let (request_id, client_id, username) = (rig.id(), party.client_id.clone(), String::from("owner"));
        match way {
            "grant" => {
                ids.truncate(1);
                let request = v1::RevokeGrantRequest { request_id, grant_id: ids[0].clone() };
                tokens.revoke_grant(request).await.map(drop).unwrap();
            }
            "token" => {
                ids.truncate(1);
                tokens.revoke_token(rig.revoke(&party, &one.refresh_token)).await.map(drop).unwrap();
            }
            "replay" => {
                ids.remove(0);
                rig.issued(rig.exchange(&party, &code)).await.unwrap_err();
            }
            "client" => {
                tokens
                    .delete_client(v1::DeleteClientRequest { request_id, client_id, ..Default::default() })
                    .await
                    .map(drop)
                    .unwrap();
            }
            "user" => {
                identity.delete_user(v1::DeleteUserRequest { request_id, username }).await.map(drop).unwrap();
            }
            _ => {
                let password = "another good password".into();
                let request = v1::SetPasswordRequest { request_id, username, password };
                identity.set_password(request).await.map(drop).unwrap();
            }
        }
        let mut told = Vec::new();
        while told.len() < ids.len() {
            let Event::RevokedGrant(id) = news(&mut stream).await else { unreachable!("{way}") };
            told.push(id);
        }
        ids.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, ids, "{way}");
    }
}

#[tokio::test]
async fn a_rotation_is_told_and_a_converged_answer_is_not() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let first = rig.pair(&party).await;
    let id = rig.grant_of(&first.access_token).await;
    let mut stream = watch(&rig).await;
    rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap();
    assert_eq!(news(&mut stream).await, Event::SupersededGrant(id.clone()));
    rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap();
    let revoke = v1::RevokeGrantRequest { request_id: rig.id(), grant_id: id.clone() };
    rig.tokens(Role::Admin).revoke_grant(revoke).await.unwrap();
    assert_eq!(news(&mut stream).await, Event::RevokedGrant(id));
}

#[tokio::test]
async fn a_gap_ends_the_stream_so_that_the_watcher_knows() {
    let rig = Rig::new().await;
    let mut stream = watch(&rig).await;
    assert_eq!(next(&mut stream).await, Some(Event::Heartbeat(v1::Heartbeat {})));
    rig.gap();
    let status = loop {
        if let Err(status) = stream.next().await.unwrap() {
            break status;
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "temporarily_unavailable"));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn closing_the_service_ends_the_streams_and_calls_go_on() {
    let rig = Rig::new().await;
    let mut stream = watch(&rig).await;
    rig.service.close();
    while let Some(event) = next(&mut stream).await {
        assert_eq!(event, Event::Heartbeat(v1::Heartbeat {}));
    }
    rig.register().await;
}
