//! The histories that have a name.

use std::time::Duration;

use grantd_core::{Event, OnReplay, revoke, verify};

use crate::world::{HOUR, World};

#[test]
fn a_code_yields_tokens_once_and_its_replay_revokes() {
    let mut world = World::new(Duration::from_secs(HOUR));
    let pair = world.exchange(1).answer.unwrap().pair;
    assert!(world.accepts(&pair));
    let replayed = world.exchange(2);
    assert!(replayed.answer.is_err());
    assert_eq!(replayed.event, Some(Event::CodeReplayed));
    assert!(!world.accepts(&pair));
    assert!(world.refresh(&pair.refresh, 3).answer.is_err());
}

#[test]
fn a_code_replayed_after_its_life_is_only_refused() {
    let mut world = World::new(Duration::from_secs(HOUR));
    let pair = world.exchange(1).answer.unwrap().pair;
    world.now = world.now.plus(Duration::from_secs(600));
    let late = world.exchange(2);
    assert!(late.answer.is_err() && late.change.is_empty());
    assert!(world.accepts(&pair));
}

#[test]
fn a_lost_reply_is_answered_after_the_overlap_and_a_used_successor_is_not() {
    for used in [false, true] {
        let mut world = World::new(Duration::from_secs(HOUR));
        let first = world.exchange(1).answer.unwrap().pair;
        let lost = world.refresh(&first.refresh, 2).answer.unwrap().pair;
        if used {
            world.use_access(&lost);
        }
        world.now = world.now.plus(Duration::from_secs(2 * HOUR));
        let outcome = world.refresh(&first.refresh, 3);
        assert_eq!(outcome.answer.is_ok(), !used);
        assert_eq!(outcome.event, Some(if used { Event::RefreshReplayed } else { Event::ReplyLost }));
        if let Ok(tokens) = outcome.answer {
            assert!(world.accepts(&tokens.pair), "a fresh access token, on the presenter's behalf");
        }
    }
}

#[test]
fn two_lost_writes_are_repaired_and_siblings_still_agree() {
    for lost in 1..=2 {
        let mut world = World::new(Duration::from_secs(HOUR));
        let first = world.exchange(1).answer.unwrap().pair;
        let saved = world.store.clone();
        let mut ahead = first.clone();
        for n in 0..lost {
            ahead = world.refresh(&ahead.refresh, 10 + n).answer.unwrap().pair;
        }
        world.store = saved;
        let repaired = world.refresh(&ahead.refresh, 50);
        assert_eq!(repaired.event, Some(Event::RollbackRepaired));
        let repaired = repaired.answer.unwrap().pair;
        let sibling = world.refresh(&first.refresh, 51).answer.unwrap().pair;
        assert_eq!(sibling, repaired);
        assert!(world.accepts(&repaired));
    }
}

#[test]
fn an_access_token_of_a_lost_write_is_repaired_once() {
    let mut world = World::new(Duration::from_secs(HOUR));
    let first = world.exchange(1).answer.unwrap().pair;
    let saved = world.store.clone();
    let ahead = world.refresh(&first.refresh, 10).answer.unwrap().pair;
    world.store = saved;
    assert!(!world.accepts(&ahead));
    let repair = |world: &World| {
        verify::repair(
            &world.policy,
            world.grant().as_ref(),
            Some(&world.client),
            Some(&world.user),
            &ahead.access,
            world.now,
        )
    };
    let (_, change) = repair(&world).unwrap();
    world.commit(change, 100);
    assert!(world.accepts(&ahead));
    assert!(repair(&world).is_none(), "once");
    // A revocation finds it.
    let change = revoke::revoke(&world.grant().unwrap(), world.now);
    world.commit(change, 100);
    assert!(!world.accepts(&ahead) && !world.accepts(&first));
}

#[test]
fn strict_means_strict() {
    let mut world = World::new(Duration::ZERO);
    let first = world.exchange(1).answer.unwrap().pair;
    let second = world.refresh(&first.refresh, 2).answer.unwrap().pair;
    let replayed = world.refresh(&first.refresh, 3);
    assert_eq!(replayed.event, Some(Event::RefreshReplayed));
    assert!(!world.accepts(&second));
}

/// The answer was lost between our own processes, and the call is sent again.
#[test]
fn a_call_that_is_sent_again_gets_the_answer_of_the_first() {
    for overlap in [0, HOUR] {
        let mut world = World::new(Duration::from_secs(overlap));
        let first = world.exchange(1).answer.unwrap().pair;
        let lost = world.refresh(&first.refresh, 2).answer.unwrap().pair;
        let again = world.refresh(&first.refresh, 2);
        assert!(again.change.is_empty());
        assert_eq!(again.answer.unwrap().pair, lost);
        assert!(world.accepts(&lost));
    }
}

/// A call may be under way in two processes at once. The slower one comes to decide when the pair is in use.
#[test]
fn a_call_that_is_decided_again_after_its_pair_was_used_revokes_nothing() {
    for overlap in [0, HOUR] {
        let mut world = World::new(Duration::from_secs(overlap));
        let first = world.exchange(1).answer.unwrap().pair;
        world.use_access(&first);
        let again = world.exchange(1);
        assert!(again.change.is_empty() && again.event.is_none());
        assert_eq!(again.answer.unwrap().pair, first);

        let second = world.refresh(&first.refresh, 2).answer.unwrap().pair;
        world.use_access(&second);
        let again = world.refresh(&first.refresh, 2);
        assert!(again.change.is_empty());
        // A strict store has forgotten by then how to answer; whoever uses the pair has heard the answer.
        assert_eq!(again.answer.ok().map(|tokens| tokens.pair), (overlap > 0).then(|| second.clone()));
        let late = world.exchange(1);
        assert!(late.answer.is_err() && late.change.is_empty(), "its pair was refreshed, so it had arrived");
        assert!(world.accepts(&second));
    }
}

/// What a refused request wrote does not make it the one that rotated.
#[test]
fn a_contested_replay_that_is_sent_again_is_refused_again() {
    let mut world = World::new(Duration::ZERO);
    world.policy.on_replay = OnReplay::Contest;
    let first = world.exchange(1).answer.unwrap().pair;
    world.refresh(&first.refresh, 2).answer.unwrap();
    for _ in 0..2 {
        assert!(world.refresh(&first.refresh, 3).answer.is_err());
    }
    assert!(world.grant().unwrap().live().unwrap().contested);
}

#[test]
fn a_repaired_access_token_that_is_superseded_ends_after_the_drain() {
    let mut world = World::new(Duration::from_secs(HOUR));
    world.policy.lifetimes.access_drain = Duration::from_secs(120);
    let first = world.exchange(1).answer.unwrap().pair;
    let saved = world.store.clone();
    let lost = world.refresh(&first.refresh, 10).answer.unwrap().pair;
    world.store = saved;
    let (grant, client, user) = (world.grant(), world.client.clone(), world.user.clone());
    let (_, change) =
        verify::repair(&world.policy, grant.as_ref(), Some(&client), Some(&user), &lost.access, world.now).unwrap();
    world.commit(change, 11);
    let next = world.refresh(&lost.refresh, 12).answer.unwrap().pair;
    for (later, accepted) in [(119, true), (1, false)] {
        world.now = world.now.plus(Duration::from_secs(later));
        assert_eq!(world.accepts(&lost), accepted);
        assert!(world.accepts(&next));
    }
}
