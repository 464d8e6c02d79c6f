//! A refresh token for the current pair, in every standing it can have; and bearer checks.

use grantd_core::{
    Event, OnReplay, Policy, RecordKey,
    exchange::Outcome,
    records::{AccessRecord, Grant},
    refresh, revoke,
    verify::{self, Denied},
};
use grantd_oauth_types::{OAuthErrorCode, RefreshToken, ResourceUri, ScopeSet, Secret};

use crate::fixture::{Issued, MCP, NOW, OTHER, WEB, access_of, client, draw, head_of, policy, scopes, secs};

const HOUR: u64 = 3600;

fn with(change: impl Fn(&mut Policy)) -> Issued {
    let mut policy = policy();
    change(&mut policy);
    Issued::new(policy)
}

fn seen(head: &Grant, n: u64) -> Grant {
    let mut head = head.clone();
    if let grantd_core::records::GrantState::Live(ratchet) = &mut head.state {
        ratchet.seen = n;
    }
    head
}

#[test]
fn who_is_crowded_out_is_no_thief() {
    let mut issued = Issued::new(policy());
    let mut pairs = vec![issued.pair.clone()];
    for n in 0..50 {
        pairs.push(issued.rotate(n));
        issued.wait(1);
    }
    let is = |issued: &Issued, generation: usize| {
        let outcome = issued.refresh(&pairs[generation - 1].refresh, 99);
        (outcome.event.unwrap(), outcome.change.is_empty(), outcome.answer.is_ok())
    };
    // 51 is current and 32 are kept: 19..=50.
    for generation in 1..=51 {
        let expected = match generation {
            1..19 => (Event::RefreshCrowded, true, false),
            19..51 => (Event::Converged, true, true),
            _ => (Event::Refreshed, false, true),
        };
        let (event, unchanged, answered) = is(&issued, generation);
        assert_eq!((event, answered), (expected.0, expected.2), "{generation}");
        assert!(unchanged == expected.1 || event == Event::Converged, "{generation}");
    }
    issued.head = seen(&issued.head, 51);
    issued.wait(HOUR);
    for generation in 1..=50 {
        assert_eq!(is(&issued, generation).0, Event::RefreshReplayed, "{generation}");
    }
}

#[test]
fn a_thief_does_not_hide_behind_a_client_that_rotates_without_end() {
    let mut issued = Issued::new(policy());
    let mut pairs = vec![issued.pair.clone()];
    // Every ten seconds for three hours; each pair arrives, as the next rotation comes with it.
    for n in 0..1080_u64 {
        pairs.push(issued.rotate(u8::try_from(n % 250).unwrap()));
        issued.wait(10);
        let crowded = issued.head.live().unwrap().crowded.len();
        assert!(crowded <= 11, "{crowded} steps are kept");
    }
    for (behind, event) in [
        (1, Event::Converged),
        (32, Event::Converged),
        (33, Event::RefreshCrowded),
        (359, Event::RefreshCrowded),
        // Between one overlap and an eighth more it may be taken for younger than it is.
        (420, Event::RefreshReplayed),
        (1080, Event::RefreshReplayed),
    ] {
        let outcome = issued.refresh(&pairs[1080 - behind].refresh, 251);
        assert_eq!(outcome.event, Some(event), "{behind} rotations behind");
        assert_eq!(outcome.answer.is_ok(), event == Event::Converged);
    }
}

#[test]
fn every_standing_has_its_answer() {
    // Two rotations, an hour of overlap; the third pair was used or not; how much later; what a token of the first, second
    // and third generation comes to.
    use Event::{Converged, RefreshReplayed, Refreshed, ReplyLost};
    for (third_arrived, later, events) in [
        (true, 0, [Converged, Converged, Refreshed]),
        (false, 0, [Converged, Converged, Refreshed]),
        (true, HOUR - 61, [Converged, Converged, Refreshed]),
        // The first was superseded a minute earlier than the second.
        (true, HOUR - 60, [RefreshReplayed, Converged, Refreshed]),
        (true, HOUR, [RefreshReplayed, RefreshReplayed, Refreshed]),
        // The second pair arrived: it was presented. The third never did.
        (false, HOUR, [RefreshReplayed, ReplyLost, Refreshed]),
        (false, 20 * 24 * HOUR, [RefreshReplayed, ReplyLost, Refreshed]),
    ] {
        let mut issued = Issued::new(policy());
        let first = issued.pair.clone();
        let second = issued.rotate(20);
        issued.wait(60);
        let third = issued.rotate(21);
        if third_arrived {
            issued.head = seen(&issued.head, 3);
        }
        issued.wait(later);
        for (pair, event) in [&first, &second, &third].into_iter().zip(events) {
            let outcome = issued.refresh(&pair.refresh, 30);
            assert_eq!(outcome.event, Some(event), "arrived: {third_arrived}, {later} s, {}", pair.refresh.generation);
            match (event, outcome.answer) {
                (RefreshReplayed, answer) => assert_eq!(answer.unwrap_err().code, OAuthErrorCode::InvalidGrant),
                (Refreshed, answer) => assert_eq!(answer.unwrap().pair.refresh.generation, 4),
                // A fresh access token, should the current one be about to end.
                (_, answer) => assert!(answer.unwrap().pair.refresh.generation >= 3),
            }
        }
    }
}

#[test]
fn who_slept_as_long_as_the_lost_reply_is_answered_too() {
    let mut issued = Issued::new(policy());
    let spent = issued.pair.clone();
    issued.rotate(20);
    issued.wait(7 * HOUR);
    // Two siblings wake with the same token, and the first uses what it got before the second asks.
    let outcome = issued.refresh(&spent.refresh, 30);
    assert_eq!(outcome.event, Some(Event::ReplyLost));
    let pair = issued.commit(outcome);
    issued.head = seen(&issued.head, pair.refresh.generation);
    issued.wait(HOUR - 1);
    let outcome = issued.refresh(&spent.refresh, 31);
    assert_eq!(outcome.event, Some(Event::Converged));
    let pair = issued.commit(outcome);
    issued.head = seen(&issued.head, pair.refresh.generation);
    // No longer than that.
    issued.wait(1);
    assert_eq!(issued.refresh(&spent.refresh, 32).event, Some(Event::RefreshReplayed));
}

#[test]
fn a_forged_token_changes_nothing() {
    let mut issued = Issued::new(policy());
    let spent = issued.pair.refresh.clone();
    issued.rotate(20);
    let stranger = client(7, &[WEB]);
    let token = &issued.pair.refresh;
    let forged = |change: &dyn Fn(&mut RefreshToken)| {
        let mut token = token.clone();
        change(&mut token);
        token
    };
    for (name, token) in [
        ("another secret", forged(&|token| token.secret = Secret::new([0; 32]))),
        ("another mark", forged(&|token| token.mark[0] ^= 1)),
        ("an earlier generation", forged(&|token| token.generation -= 1)),
        ("a later generation", forged(&|token| token.generation += 1)),
        ("the last generation", forged(&|token| token.generation = u64::MAX)),
        ("generation zero", forged(&|token| token.generation = 0)),
        ("the mark of another generation", forged(&|token| token.mark = spent.mark)),
    ] {
        let outcome = issued.refresh(&token, 30);
        assert_eq!((outcome.event, outcome.change.is_empty()), (Some(Event::RefreshForged), true), "{name}");
        assert_eq!(outcome.answer.unwrap_err().code, OAuthErrorCode::InvalidGrant, "{name}");
    }
    // A right token in the wrong hands, current or spent, harms nobody either.
    for token in [&issued.pair.refresh, &spent] {
        let facts = refresh::Loaded { client: &stranger, grant: Some(&issued.head), user: Some(&issued.user) };
        let outcome = refresh::refresh(&issued.policy, facts, token, &[], issued.now, &draw(30));
        assert!(outcome.change.is_empty());
        assert_eq!(outcome.answer.unwrap_err().code, OAuthErrorCode::InvalidGrant);
    }
}

#[test]
fn a_replay_does_what_is_configured() {
    for on_replay in [OnReplay::Revoke, OnReplay::Contest, OnReplay::Refuse] {
        let mut issued = with(|policy| policy.on_replay = on_replay);
        let spent = issued.pair.refresh.clone();
        issued.rotate(20);
        issued.head = seen(&issued.head, 2);
        issued.wait(HOUR);
        let outcome = issued.refresh(&spent, 30);
        assert_eq!(outcome.event, Some(Event::RefreshReplayed), "{on_replay:?}");
        assert!(outcome.answer.is_err());
        let after = head_of(&outcome);
        match on_replay {
            OnReplay::Revoke => {
                assert!(after.unwrap().live().is_none());
                let gone = RecordKey::Access(issued.head.id, issued.pair.access.digest());
                assert!(outcome.change.deletes.contains(&gone));
            }
            OnReplay::Contest => {
                let contested = after.unwrap();
                assert!(contested.live().unwrap().contested && outcome.change.deletes.is_empty());
                // Once is enough: the second replay writes nothing, and the owner goes on.
                issued.head = contested;
                assert!(issued.refresh(&spent, 31).change.is_empty());
                assert!(issued.refresh(&issued.pair.refresh, 32).answer.is_ok());
            }
            OnReplay::Refuse => assert!(outcome.change.is_empty()),
        }
    }
}

#[test]
fn what_a_grant_rests_on_must_stand() {
    let issued = Issued::new(policy());
    let mut other_password = issued.user.clone();
    other_password.epoch += 1;
    let namesake = grantd_core::records::User { subject: "another".into(), ..issued.user.clone() };
    let mut left = issued.user.clone();
    left.groups = vec!["guests".into()];
    let mut client_anew = issued.client.clone();
    client_anew.epoch += 1;
    let mut unprotected = issued.policy.clone();
    unprotected.resources.remove(0);
    for (name, policy, client, user) in [
        ("the person is gone", &issued.policy, &issued.client, None),
        ("a new password", &issued.policy, &issued.client, Some(&other_password)),
        ("a person of the same name", &issued.policy, &issued.client, Some(&namesake)),
        ("no group any more", &issued.policy, &issued.client, Some(&left)),
        ("the client began anew", &issued.policy, &client_anew, Some(&issued.user)),
        ("the resource is gone", &unprotected, &issued.client, Some(&issued.user)),
    ] {
        let facts = refresh::Loaded { client, grant: Some(&issued.head), user };
        let outcome = refresh::refresh(policy, facts, &issued.pair.refresh, &[], NOW, &draw(30));
        assert_eq!(outcome.event, Some(Event::GrantOrphaned), "{name}");
        assert!(outcome.answer.is_err() && head_of(&outcome).unwrap().live().is_none(), "{name}");
    }
    // Whoever may have less of it now gets less.
    let mut less = issued.policy.clone();
    less.resources[0].scopes = scopes("read");
    let facts = refresh::Loaded { client: &issued.client, grant: Some(&issued.head), user: Some(&issued.user) };
    let outcome = refresh::refresh(&less, facts, &issued.pair.refresh, &[], NOW, &draw(30));
    assert_eq!(outcome.answer.unwrap().scope, scopes("read"));
    for (resource, error) in [(MCP, None), ("", None), (OTHER, Some(OAuthErrorCode::InvalidTarget))] {
        let sent = [resource.to_owned()];
        let outcome = refresh::refresh(&issued.policy, facts, &issued.pair.refresh, &sent, NOW, &draw(30));
        assert_eq!(outcome.answer.err().map(|error| error.code), error, "{resource}");
    }
}

#[test]
fn a_grant_ends_by_idleness_or_by_age() {
    let day = 24 * HOUR;
    let mut issued = with(|policy| policy.lifetimes.grant_max_age = Some(secs(40 * day)));
    assert_eq!(issued.head.expires_at, NOW.plus(secs(30 * day)));
    issued.wait(20 * day);
    let pair = issued.rotate(20);
    assert_eq!(issued.head.expires_at, NOW.plus(secs(40 * day)), "not beyond its age");
    issued.wait(20 * day - 60);
    let last = issued.rotate(21);
    assert_eq!(last.access_expires_at, NOW.plus(secs(40 * day)), "nor does its access token live longer");
    assert!(pair.access_expires_at < last.access_expires_at);
}

#[test]
fn a_superseded_access_token_ends_at_once_or_drains() {
    for drain in [0, 60] {
        let mut issued = with(|policy| policy.lifetimes.access_drain = secs(drain));
        let old = RecordKey::Access(issued.head.id, issued.pair.access.digest());
        issued.wait(100);
        let outcome: Outcome = issued.refresh(&issued.pair.refresh, 20);
        assert_eq!(outcome.change.deletes.contains(&old), drain == 0);
        let drained = access_of(&outcome, &old);
        assert_eq!(drained.map(|record| record.expires_at), (drain > 0).then(|| issued.now.plus(secs(drain))));
        // A revocation finds it.
        let change = revoke::revoke(&head_of(&outcome).unwrap(), issued.now);
        assert_eq!(change.deletes.contains(&old), drain > 0);
    }
}

#[test]
fn an_answer_never_holds_an_access_token_that_is_about_to_end() {
    let mut issued = with(|policy| policy.lifetimes.refresh_overlap = secs(2 * HOUR));
    let first = issued.pair.clone();
    let second = issued.rotate(20);
    for (later, rotates) in [(HOUR - 301, false), (HOUR - 300, false), (HOUR - 299, true), (HOUR + 1, true)] {
        let mut at = Issued::new(issued.policy.clone());
        (at.head, at.now) = (issued.head.clone(), NOW.plus(secs(later)));
        let outcome = at.refresh(&first.refresh, 30);
        let pair = outcome.answer.unwrap().pair;
        assert_eq!(pair.refresh.generation, if rotates { 3 } else { 2 }, "{later}");
        assert_eq!(pair == second, !rotates);
        assert!(at.now.until(pair.access_expires_at) >= secs(300));
    }
}

fn access(issued: &Issued) -> AccessRecord {
    let outcome = issued.refresh(&issued.pair.refresh, 20);
    let pair = outcome.answer.as_ref().unwrap().pair.clone();
    access_of(&outcome, &RecordKey::Access(issued.head.id, pair.access.digest())).unwrap()
}

#[test]
fn a_bearer_check_looks_at_time_resource_and_scope() {
    let issued = Issued::new(policy());
    let record = access(&issued);
    let (mcp, other) = (ResourceUri::new(MCP), ResourceUri::new(OTHER));
    let none = ScopeSet::default();
    let end = record.expires_at;
    for (name, record, resource, required, now, expected) in [
        ("good", Some(&record), &mcp, &none, NOW, Ok(())),
        ("its last moment", Some(&record), &mcp, &none, grantd_core::Timestamp(end.0 - 1), Ok(())),
        ("its end", Some(&record), &mcp, &none, end, Err(Denied::Inactive)),
        ("unknown", None, &mcp, &none, NOW, Err(Denied::Inactive)),
        ("another resource", Some(&record), &other, &none, NOW, Err(Denied::WrongResource)),
        ("a scope it has", Some(&record), &mcp, &scopes("read"), NOW, Ok(())),
        (
            "a scope it lacks",
            Some(&record),
            &mcp,
            &scopes("admin read"),
            NOW,
            Err(Denied::InsufficientScope(scopes("admin read write"))),
        ),
    ] {
        assert_eq!(verify::verify(&policy(), record, resource, required, now).map(drop), expected, "{name}");
    }
    // `write` implies `admin` here: the token may do more than it holds, and the record stays as it is.
    let mut policy = policy();
    let write = scopes("write").iter().next().unwrap().clone();
    policy.scopes.get_mut(&write).unwrap().implies = scopes("admin");
    let (found, scope) = verify::verify(&policy, Some(&record), &mcp, &scopes("admin"), NOW).unwrap();
    assert_eq!((&found.scope, scope), (&scopes("read write"), scopes("admin read write")));
}

#[test]
fn a_stream_is_judged_by_its_grant() {
    let issued = Issued::new(policy());
    let (mcp, other, none) = (ResourceUri::new(MCP), ResourceUri::new(OTHER), ScopeSet::default());
    let mut revoked = issued.head.clone();
    revoked.state = grantd_core::records::GrantState::Revoked { at: NOW };
    let namesake = grantd_core::records::User { subject: "another".into(), ..issued.user.clone() };
    let judge = |head: Option<&Grant>, person, resource, required, now| {
        verify::grant(&issued.policy, head, Some(&issued.client), person, resource, required, now)
            .map(|(_, scope)| scope)
    };
    let (head, person) = (Some(&issued.head), Some(&issued.user));
    assert_eq!(judge(head, person, &mcp, &none, NOW), Ok(scopes("read write")));
    assert_eq!(judge(None, person, &mcp, &none, NOW), Err(Denied::Inactive));
    assert_eq!(judge(Some(&revoked), person, &mcp, &none, NOW), Err(Denied::Inactive));
    assert_eq!(judge(head, person, &mcp, &none, issued.head.expires_at), Err(Denied::Inactive));
    assert_eq!(judge(head, None, &mcp, &none, NOW), Err(Denied::Inactive));
    assert_eq!(judge(head, Some(&namesake), &mcp, &none, NOW), Err(Denied::Inactive));
    assert_eq!(judge(head, person, &other, &none, NOW), Err(Denied::WrongResource));
    assert_eq!(
        judge(head, person, &mcp, &scopes("admin"), NOW),
        Err(Denied::InsufficientScope(scopes("admin read write")))
    );
}
