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
