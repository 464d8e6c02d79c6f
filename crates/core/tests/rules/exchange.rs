//! A code for tokens.

use grantd_core::{
    Event, RecordKey,
    exchange::{self, CodeGrant, Loaded},
};
use grantd_oauth_types::{AuthorizationCode, CodeVerifier, OAuthErrorCode, Secret};

use crate::fixture::{Asked, Issued, MCP, NOW, OTHER, WEB, access_of, client, draw, policy, secs, sent, user};

#[test]
fn a_code_is_for_its_client_its_redirect_uri_and_its_verifier() {
    use OAuthErrorCode::{InvalidGrant, InvalidTarget};
    let asked = Asked::new(policy());
    let (code, record) = asked.approved();
    let (stranger, other) = (client(7, &[WEB]), user("owner", &["owner"]));
    let mut renewed = asked.client.clone();
    renewed.epoch += 1;
    let mut changed = other.clone();
    (changed.subject, changed.epoch) = (asked.user.subject.clone(), 1);
    let namesake = grantd_core::records::User { subject: "another".into(), ..asked.user.clone() };
    let good = Loaded { client: &asked.client, code: Some(&record), grant: None, user: Some(&asked.user) };
    let with = |change: &dyn Fn(&mut CodeGrant)| {
        let mut sent = sent(&code);
        change(&mut sent);
        sent
    };
    let verifier = CodeVerifier::parse("another-verifier-0123456789-0123456789-0123456789").unwrap();
    let rows = [
        ("as it should be", good, sent(&code), None),
        ("without redirect_uri (OAuth 2.1)", good, with(&|sent| sent.redirect_uri = None), None),
        ("the resource", good, with(&|sent| sent.resource = vec![MCP.into(), MCP.into()]), None),
        ("no such code", Loaded { code: None, ..good }, sent(&code), Some(InvalidGrant)),
        ("another client", Loaded { client: &stranger, ..good }, sent(&code), Some(InvalidGrant)),
        ("another redirect URI", good, with(&|sent| sent.redirect_uri = Some(WEB.into())), Some(InvalidGrant)),
        (
            "another port",
            good,
            with(&|sent| sent.redirect_uri = Some("http://localhost:1/callback".into())),
            Some(InvalidGrant),
        ),
        ("no URI", good, with(&|sent| sent.redirect_uri = Some("x".into())), Some(InvalidGrant)),
        ("another verifier", good, with(&|sent| sent.verifier = verifier.clone()), Some(InvalidGrant)),
        ("another resource", good, with(&|sent| sent.resource = vec![OTHER.into()]), Some(InvalidTarget)),
        ("the person is gone", Loaded { user: None, ..good }, sent(&code), Some(InvalidGrant)),
        ("a new password", Loaded { user: Some(&changed), ..good }, sent(&code), Some(InvalidGrant)),
        ("a person of the same name", Loaded { user: Some(&namesake), ..good }, sent(&code), Some(InvalidGrant)),
        ("the client began anew", Loaded { client: &renewed, ..good }, sent(&code), Some(InvalidGrant)),
    ];
    for (name, facts, sent, refused) in rows {
        let outcome = exchange::exchange(&asked.policy, facts, &sent, NOW, &draw(10));
        assert_eq!(outcome.answer.as_ref().err().map(|error| error.code), refused, "{name}");
        // A failed attempt consumes nothing: clients try again with another authentication method.
        assert_eq!(outcome.change.is_empty(), refused.is_some(), "{name}");
    }
}

#[test]
fn what_an_exchange_writes() {
    let asked = Asked::new(policy());
    let (code, record) = asked.approved();
    let facts = Loaded { client: &asked.client, code: Some(&record), grant: None, user: Some(&asked.user) };
    let outcome = exchange::exchange(&asked.policy, facts, &sent(&code), NOW, &draw(10));
    let id = code.grant_id;
    let code_key = RecordKey::Code(id, code.digest());
    assert_eq!(outcome.change.unchanged, [RecordKey::Grant(id), code_key.clone()], "once, and not over another grant");
    assert_eq!(outcome.change.deletes, [code_key]);
    assert_eq!(outcome.event, Some(Event::TokensIssued));
    let pair = &outcome.answer.as_ref().unwrap().pair;
    let access = access_of(&outcome, &RecordKey::Access(id, pair.access.digest())).unwrap();
    assert_eq!((access.expires_at, access.scope.to_string().as_str()), (NOW.plus(secs(3600)), "read write"));
    assert_eq!(access.resource.as_str(), MCP);
    assert!(!access.seen);
    let expiries: Vec<_> = outcome.change.puts.iter().map(|(_, record)| record.expires_at().unwrap()).collect();
    assert_eq!(expiries, [NOW.plus(secs(30 * 86_400)), NOW.plus(secs(3600)), NOW.plus(secs(30 * 86_400))]);
    assert_ne!(pair.refresh.secret.digest(), code.secret.digest(), "the code is not on the chain");
}

#[test]
fn a_used_code_revokes_only_when_it_is_proven() {
    let issued = Issued::new(policy());
    let stranger = client(7, &[WEB]);
    let verifier = CodeVerifier::parse("another-verifier-0123456789-0123456789-0123456789").unwrap();
    let other_code = AuthorizationCode { grant_id: issued.code.grant_id, secret: Secret::new([5; 32]) };
    let good = Loaded { client: &issued.client, code: None, grant: Some(&issued.head), user: Some(&issued.user) };
    let guessed = CodeGrant { verifier, ..sent(&issued.code) };
    for (name, facts, sent, later, revokes) in [
        ("with its verifier", good, sent(&issued.code), 599, true),
        ("after its life", good, sent(&issued.code), 600, false),
        ("a guessed verifier", good, guessed, 0, false),
        ("another code of the grant", good, sent(&other_code), 0, false),
        ("by another client", Loaded { client: &stranger, ..good }, sent(&issued.code), 0, false),
    ] {
        let outcome = exchange::exchange(&issued.policy, facts, &sent, NOW.plus(secs(later)), &draw(11));
        assert_eq!(outcome.answer.unwrap_err().code, OAuthErrorCode::InvalidGrant, "{name}");
        assert_eq!(outcome.event, revokes.then_some(Event::CodeReplayed), "{name}");
        assert_eq!(outcome.change.is_empty(), !revokes, "{name}");
        if revokes {
            let gone = RecordKey::Access(issued.head.id, issued.pair.access.digest());
            assert!(outcome.change.deletes.contains(&gone));
        }
    }
    // Our own call, sent again because its answer was lost.
    let again = exchange::exchange(&issued.policy, good, &sent(&issued.code), NOW.plus(secs(3)), &draw(10));
    assert!(again.change.is_empty() && again.event.is_none());
    assert_eq!(again.answer.unwrap().pair, issued.pair);
    // A call that only says so has another request id, and so another pair.
    let forged = exchange::exchange(&issued.policy, good, &sent(&issued.code), NOW, &draw(12));
    assert_eq!(forged.event, Some(Event::CodeReplayed));
}
