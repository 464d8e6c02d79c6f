//! No message shows a secret: each is filled, field by field as the contract has them, and looked at.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};

use crate::{FILE_DESCRIPTOR_SET, v1::SHOWN};

/// A field whose name has one of these in it may hold a secret.
const SUSPECT: [&str; 11] = [
    "assertion",
    "code",
    "credential",
    "hash",
    "key",
    "password",
    "request_id",
    "secret",
    "ticket",
    "token",
    "verifier",
];

/// What only looks like it, and why not.
const PUBLIC: [&str; 7] = [
    // Names of methods and kinds.
    "client_assertion_type",
    "code_challenge_method",
    "token_endpoint_auth_method",
    "token_type",
    "token_use",
    // A digest that goes through the browser's address bar (RFC 7636 §4.3).
    "code_challenge",
    // The name of the last entry of a list; whoever may list may see it.
    "page_token",
];

fn is_secret(field: &str) -> bool {
    let name = field.strip_prefix("next_").unwrap_or(field);
    SUSPECT.iter().any(|word| name.contains(word)) && !PUBLIC.contains(&name)
}

fn messages() -> BTreeMap<String, DescriptorProto> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let ours = set.file.into_iter().filter(|file| file.package() == "grantd.v1");
    ours.flat_map(|file| file.message_type).map(|message| (message.name().to_owned(), message)).collect()
}

/// A message with a text of its own in every field, and the fields that were filled. Of each `oneof` it has the `nth`.
fn filled(
    all: &BTreeMap<String, DescriptorProto>,
    name: &str,
    nth: usize,
    depth: usize,
    fields: &mut Vec<(String, String)>,
) -> Vec<u8> {
    let message = &all[name];
    let mut bytes = Vec::new();
    for (at, field) in message.field.iter().enumerate() {
        let beside =
            |other: &&FieldDescriptorProto| other.oneof_index.is_some() && other.oneof_index == field.oneof_index;
        let members = message.field.iter().filter(beside).count();
        let before = message.field.iter().take(at).filter(beside).count();
        if members > 1 && before != nth % members {
            continue;
        }
        let value = match field.r#type() {
            Type::String | Type::Bytes => {
                let marker = format!("<{name}.{}>", field.name());
                fields.push((field.name().to_owned(), marker.clone()));
                marker.into_bytes()
            }
            Type::Message if depth > 0 => match field.type_name().strip_prefix(".grantd.v1.") {
                Some(inner) => filled(all, inner, nth, depth - 1, fields),
                None => continue,
            },
            _ => continue,
        };
        let tag = u64::from(field.number().unsigned_abs()) << 3 | 2;
        prost::encoding::encode_varint(tag, &mut bytes);
        prost::encoding::encode_varint(u64::try_from(value.len()).unwrap(), &mut bytes);
        bytes.extend(value);
    }
    bytes
}

/// Whether a text stands in what was shown, also as bytes.
fn shows(shown: &str, marker: &str) -> bool {
    let bytes = format!("{:?}", marker.as_bytes());
    shown.contains(marker) || shown.contains(bytes.trim_matches(['[', ']']))
}

#[test]
fn no_message_shows_a_secret() {
    let all = messages();
    assert_eq!(SHOWN.len(), all.len(), "every message is looked at");
    let (mut secrets, mut others) = (0, 0);
    for (name, show) in SHOWN {
        for nth in 0..4 {
            let mut fields = Vec::new();
            let bytes = filled(&all, name, nth, 4, &mut fields);
            let shown = show(&bytes).unwrap();
            for (field, marker) in fields {
                if is_secret(&field) {
                    secrets += 1;
                    assert!(
                        !shows(&shown, &marker),
                        "{marker} is shown: name `{field}` in build.rs, or say above why it is none\n{shown}"
                    );
                } else {
                    others += usize::from(shows(&shown, &marker));
                }
            }
        }
    }
    assert!(secrets > 100 && others > 100, "the messages were filled: {secrets}, {others}");
}
