//! Users, passwords, sessions.

use grantd_core::{RecordKey, approve::signed_in, users};

use crate::fixture::{NOW, draw, policy, secs, user};

#[test]
fn user_names_have_one_form() {
    for (text, name) in [
        ("owner", Some("owner")),
        ("  Alice ", Some("alice")),
        ("alice@example.com", Some("alice@example.com")),
        ("J\u{d6}RG", Some("j\u{f6}rg")),
        ("", None),
        ("   ", None),
        ("a b", None),
        ("a\nb", None),
        ("a\0", None),
        // Redis takes braces for its hash tag.
        ("a}b", None),
        ("{a", None),
    ] {
        assert_eq!(users::username(text).ok().as_deref(), name, "{text:?}");
    }
    assert!(users::username(&"x".repeat(128)).is_ok());
    assert!(users::username(&"x".repeat(129)).is_err());
}

#[test]
fn passwords_have_bounds() {
    for (length, good) in [(0, false), (7, false), (8, true), (1024, true), (1025, false)] {
        assert_eq!(users::check_password(&"x".repeat(length)).is_ok(), good, "{length}");
    }
}

#[test]
fn a_session_is_of_a_person_as_they_were() {
    let policy = policy();
    let person = user("owner", &["owner"]);
    let (secret, session, change) = users::open_session(&policy, &person, NOW, &draw(1));
    assert_eq!(change.unchanged, [RecordKey::Session(secret.digest())]);
    assert_eq!(session.expires_at, NOW.plus(secs(12 * 3600)));
    assert_eq!(signed_in(Some(&session), Some(&person)), Some(&person));
    assert_eq!(signed_in(None, Some(&person)), None);
    assert_eq!(signed_in(Some(&session), None), None);

    let (_, change) = users::set_password(&person, "new hash".into());
    let [(_, grantd_core::Record::User(changed))] = change.puts.as_slice() else { unreachable!("one user") };
    assert_eq!((changed.epoch, changed.password_hash.as_str()), (1, "new hash"));
    assert_eq!(signed_in(Some(&session), Some(changed)), None, "sessions of the old password end");

    // Somebody who is created anew under the name is somebody else.
    let (anew, change) = users::create("owner".into(), String::new(), vec![], "h".into(), NOW, &draw(2));
    assert_eq!(change.unchanged, [RecordKey::User("owner".into())]);
    assert_ne!(anew.subject, person.subject);
    assert_eq!(signed_in(Some(&session), Some(&anew)), None);
    assert_eq!(users::remove(&person).deletes, [RecordKey::User("owner".into())]);
}

#[test]
fn a_change_names_what_differs_and_writes_nothing_otherwise() {
    let person = user("owner", &["owner", "staff"]);
    let groups = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let email = |text: &str| Some(text.to_owned());
    for (email, groups, fields, has_less) in [
        (None, None, &[][..], false),
        (email(""), groups(&["owner", "staff"]), &[], false),
        (email("a@example.com"), None, &["email"], false),
        (None, groups(&["owner", "staff", "more"]), &["groups"], false),
        (None, groups(&["staff", "owner"]), &["groups"], false),
        (email("a@example.com"), groups(&["owner"]), &["email", "groups"], true),
        (None, groups(&[]), &["groups"], true),
    ] {
        let update = users::Update { email: email.clone(), groups: groups.clone() };
        let (updated, change) = users::update(&person, &update);
        assert_eq!((updated.fields.as_slice(), updated.has_less), (fields, has_less), "{update:?}");
        let user = &updated.user;
        assert_eq!((&user.subject, &user.password_hash, user.epoch), (&person.subject, &person.password_hash, 0));
        assert_eq!(user.email, email.unwrap_or_default());
        assert_eq!(user.groups, groups.unwrap_or_else(|| person.groups.clone()));
        if fields.is_empty() {
            assert!(change.is_empty() && user.revision == 0);
            continue;
        }
        let key = RecordKey::User("owner".into());
        assert_eq!(change.unchanged, std::slice::from_ref(&key), "two operators at once lose nothing");
        assert_eq!(change.puts, [(key, grantd_core::Record::User(user.clone()))]);
        assert_eq!(user.revision, 1);
    }
}

#[test]
fn addresses_and_groups_have_bounds() {
    for (email, good) in [("", true), ("j\u{f6}rg@example.com", true), ("a b", false), ("a\n", false)] {
        assert_eq!(users::check_email(email).is_ok(), good, "{email:?}");
    }
    assert!(users::check_email(&"x".repeat(321)).is_err());
    for (group, good) in [("staff", true), ("sales, Berlin", true), ("", false), (" ", false), ("a\nb", false)] {
        assert_eq!(users::check_groups(&[group.to_owned()]).is_ok(), good, "{group:?}");
    }
    assert!(users::check_groups(&vec!["x".to_owned(); 257]).is_err());
    assert!(users::check_groups(&["x".repeat(257)]).is_err());
}
