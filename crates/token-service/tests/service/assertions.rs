//! Client assertions (`private_key_jwt`), the clock driven: good once, for as long as they say, and sent again whatever was
//! lost.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use grantd_core::{
    Record, RecordKey, Timestamp,
    records::{Client, ClientKeys},
    register::{self, Documented, Registration},
};
use grantd_oauth_types::ClientId;
use grantd_proto::{Role, v1};
use grantd_store::{Batch, CommitId, Put, Store as _, codec};
use grantd_store_embedded::Clock as _;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use tonic::Code;

use crate::support::{AUDIENCE, CALLBACK, Party, Rig, reason};

const ID: &str = "https://client.example/c";

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()
}

fn assertion(rig: &Rig, jti: &str, life: u64) -> v1::ClientAuthentication {
    let encode = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    let exp = rig.clock.now().as_secs() + life;
    let claims = json!({"iss": ID, "sub": ID, "aud": AUDIENCE, "exp": exp, "jti": jti}).to_string();
    let message = format!("{}.{}", encode(br#"{"alg":"EdDSA"}"#), encode(claims.as_bytes()));
    let signature = encode(key().sign(message.as_bytes()).as_ref());
    v1::ClientAuthentication {
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into(),
        client_assertion: format!("{message}.{signature}"),
        ..v1::ClientAuthentication::default()
    }
}

/// A client whose document was fetched a moment ago, with its key in it, and a person who is signed in.
async fn party(rig: &Rig) -> Party {
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(key().public_key())}]});
    let now = rig.clock.now();
    let keys = ClientKeys {
        is_required: true,
        algorithm: String::new(),
        uri: String::new(),
        jwks: jwks.to_string(),
        fetched_at: now,
        fresh_until: Timestamp(u64::MAX / 2),
    };
    let metadata = Registration { redirect_uris: vec![CALLBACK.into()], ..Registration::default() };
    let fresh_for = std::time::Duration::from_secs(365 * 24 * 3600);
    let sent = Documented { metadata, keys: Some(keys), fresh_for };
    let id = ClientId::parse(ID).unwrap();
    let (client, _): (Client, _) = register::from_document(&rig.policy, id.clone(), sent, None, now).unwrap();
    let expires_at = Some(client.expires_at);
    let put = Put {
        key: codec::key(&RecordKey::Client(id)),
        value: codec::encode(Record::Client(client)).unwrap(),
        expires_at,
    };
    let batch =
        Batch { id: CommitId([1; 16]), preconditions: vec![], puts: vec![put], deletes: vec![], announce: vec![] };
    rig.raw.commit(batch).await.unwrap();
    Party { client_id: ID.into(), ..rig.party().await }
}

fn with(mut request: v1::IssueTokenRequest, client: v1::ClientAuthentication) -> v1::IssueTokenRequest {
    request.client = Some(client);
    request
}

#[tokio::test]
async fn a_call_with_an_assertion_can_be_sent_again_whatever_was_lost() {
    // The use of the assertion is the first commit, and the tokens are the second.
    for (nth, bad, happens) in [
        (0, 1, false),
        (0, 1, true),
        (0, 2, false),
        (0, 2, true),
        (1, 1, false),
        (1, 1, true),
        (1, 2, false),
        (1, 2, true),
    ] {
        let rig = Rig::with_documents().await;
        let party = party(&rig).await;
        let code = rig.code(&party).await;
        let mut answers = Vec::new();
        let first = with(rig.exchange(&party, &code), assertion(&rig, "1", 60));
        let mut held = None;
        for (name, request) in [("exchange", Some(first)), ("refresh", None)] {
            let request = request.unwrap_or_else(|| {
                let held: &v1::IssueTokenResponse = held.as_ref().unwrap();
                with(rig.refresh(&party, &held.refresh_token), assertion(&rig, "2", 60))
            });
            rig.fail(nth, bad, happens);
            let mut answer = rig.issued(request.clone()).await;
            for _ in 0..3 {
                match &answer {
                    Err(status) if status.code() == Code::Unavailable => answer = rig.issued(request.clone()).await,
                    _ => break,
                }
            }
            rig.fail(0, 0, false);
            let answer = answer.unwrap_or_else(|status| unreachable!("{name} {nth} {bad} {happens}: {status}"));
            assert_eq!(rig.issued(request).await.unwrap(), answer, "the same request id gets the same answer");
            answers.push(answer.clone());
            held = Some(answer);
        }
        // Another request with one of them is no repetition.
        let replayed = with(rig.refresh(&party, &answers[1].refresh_token), assertion(&rig, "2", 60));
        let status = rig.issued(replayed).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "invalid_client"));
        assert!(rig.accepts(&answers[1].access_token).await);
    }
}

#[tokio::test]
async fn an_assertion_is_remembered_for_as_long_as_it_could_be_used() {
    let rig = Rig::with_documents().await;
    let party = party(&rig).await;
    let shown = assertion(&rig, "1", 60);
    let code = rig.code(&party).await;
    let held = rig.issued(with(rig.exchange(&party, &code), shown.clone())).await.unwrap();
    for (later, why) in [(0, "was used before"), (89, "was used before"), (1, "expired")] {
        rig.clock.advance(later);
        let status = rig.issued(with(rig.refresh(&party, &held.refresh_token), shown.clone())).await.unwrap_err();
        assert_eq!(reason(&status), "invalid_client");
        assert!(status.message().contains(why), "{later}: {}", status.message());
    }
    // Its id is free again then; and another client may have the same.
    let again = assertion(&rig, "1", 60);
    rig.issued(with(rig.refresh(&party, &held.refresh_token), again)).await.unwrap();
}

#[tokio::test]
async fn the_client_comes_before_the_grant_and_its_word_is_not_enough() {
    let rig = Rig::with_documents().await;
    let party = party(&rig).await;
    let code = rig.code(&party).await;
    let by_its_word = rig.exchange(&party, &code);
    for request in [by_its_word, rig.exchange(&party, "x"), rig.refresh(&party, "x")] {
        assert_eq!(reason(&rig.issued(request).await.unwrap_err()), "invalid_client");
    }
    for request in [rig.exchange(&party, "x"), rig.refresh(&party, "x")] {
        let status = rig.issued(with(request, assertion(&rig, "kept", 60))).await.unwrap_err();
        assert_eq!(reason(&status), "invalid_grant");
    }
    let mut tokens = rig.tokens(Role::Flow);
    let nothing = v1::IssueTokenRequest { grant: None, ..with(rig.exchange(&party, ""), assertion(&rig, "kept", 60)) };
    assert_eq!(reason(&tokens.issue_token(nothing).await.unwrap_err()), "unsupported_grant_type");
    // Nothing of this used the code or the assertion up.
    rig.issued(with(rig.exchange(&party, &code), assertion(&rig, "kept", 60))).await.unwrap();
    // Where documents are not let in, neither are assertions.
    let plain = Rig::new().await;
    let status = plain.issued(with(plain.refresh(&party, "x"), assertion(&plain, "1", 60))).await.unwrap_err();
    assert_eq!(reason(&status), "invalid_client");
}
