//! A person's address and groups change under their grants.

use grantd_core::{Announce, Change, Event, Record, RecordKey, follow, records::AccessRecord, users::Update};

use crate::fixture::{Issued, NOW, access_of, policy, scopes, user};

fn groups(names: &[&str]) -> Update {
    Update { groups: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..Update::default() }
}

/// The access record of the current token.
fn access(issued: &Issued) -> (RecordKey, AccessRecord) {
    let key = RecordKey::Access(issued.head.id, issued.pair.access.digest());
    let outcome = issued.refresh(&issued.pair.refresh, 77);
    let next = RecordKey::Access(issued.head.id, outcome.answer.as_ref().unwrap().pair.access.digest());
    // Issued to the same person with the same scope.
    (key, access_of(&outcome, &next).unwrap())
}

fn changed(issued: &Issued, update: &Update) -> (Change, Option<Event>, bool) {
    let (updated, _) = grantd_core::users::update(&issued.user, update);
    let has_less = updated.has_less;
    let (change, event) =
        follow::follow(&issued.policy, &issued.head, &updated.user, vec![access(issued)], has_less, NOW);
    (change, event, has_less)
}

#[test]
fn a_token_says_who_the_person_is_now() {
    let issued = Issued::new(policy());
    for (update, announced) in [
        (Update { email: Some("a@example.com".into()), ..Update::default() }, Announce::Superseded(issued.head.id)),
        (groups(&["owner", "staff"]), Announce::Superseded(issued.head.id)),
        (groups(&["owner"]), Announce::Superseded(issued.head.id)),
    ] {
        let (change, event, has_less) = changed(&issued, &update);
        assert!(!has_less && event.is_none());
        assert_eq!(change.announce, [announced]);
        let [(head, Record::Grant(_)), (token, Record::Access(record))] = change.puts.as_slice() else {
            unreachable!("the head, although nothing in it differs, and the token: {change:?}")
        };
        assert_eq!(change.unchanged, [head.clone(), token.clone()], "what it rests on");
        assert_eq!(record.identity.email, update.email.unwrap_or_default());
        assert_eq!(record.identity.groups, update.groups.unwrap_or_else(|| vec!["owner".into()]));
        assert_eq!(record.identity.subject, issued.user.subject);
        assert_eq!(record.scope, scopes("read write"));
        assert!(change.deletes.is_empty());
    }
}

#[test]
fn what_needed_a_group_goes_with_it() {
    let mut all = policy();
    all.scopes.iter_mut().filter(|(scope, _)| scope.to_string() == "write").for_each(|(_, rule)| {
        rule.allow_groups = vec!["writers".into()];
    });
    let mut issued = Issued::new(policy());
    issued.policy = all;
    issued.user = user("owner", &["owner", "writers"]);
    let (change, event, has_less) = changed(&issued, &groups(&["owner"]));
    assert!(has_less && event.is_none());
    assert_eq!(change.announce, [Announce::Changed(issued.head.id)]);
    let Some((_, Record::Access(record))) = change.puts.last() else { unreachable!("{change:?}") };
    assert_eq!(record.scope, scopes("read"));

    // A resource that admits nobody like them any more: as at the next refresh.
    let (change, event, _) = changed(&issued, &groups(&[]));
    assert_eq!(event, Some(Event::GrantOrphaned));
    assert_eq!(change.announce, [Announce::Revoked(issued.head.id)]);
    assert!(change.deletes.contains(&RecordKey::Access(issued.head.id, issued.pair.access.digest())));
}

#[test]
fn what_does_not_rest_on_the_person_is_left_alone() {
    let issued = Issued::new(policy());
    let of = |person| follow::follow(&issued.policy, &issued.head, person, vec![access(&issued)], true, NOW);
    let mut other = issued.user.clone();
    other.subject = "somebody else of that name".into();
    assert_eq!(of(&other), (Change::default(), None));
    let mut later = issued.user.clone();
    later.epoch += 1;
    assert_eq!(of(&later), (Change::default(), None));
}

#[test]
fn whether_a_token_is_current_is_known() {
    let issued = Issued::new(policy());
    let (_, record) = access(&issued);
    assert!(follow::is_current(&issued.policy, &issued.head, &issued.user, &record));
    for update in [groups(&["owner", "staff"]), Update { email: Some("a@example.com".into()), ..Update::default() }] {
        let (updated, _) = grantd_core::users::update(&issued.user, &update);
        assert!(!follow::is_current(&issued.policy, &issued.head, &updated.user, &record));
    }
}
