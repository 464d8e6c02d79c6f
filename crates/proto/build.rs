//! Compiles `proto/` with protox, so that nobody needs `protoc`.
//!
//! A message with a secret in it does not show what it holds: its `Debug` is not derived but written here, and says the
//! name of the type only.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

use prost::Message as _;
use tonic_prost_build::FileDescriptorSet;

/// The package that is generated.
const PACKAGE: &str = "grantd.v1";

/// The fields that hold secrets, whichever message they are in. What is random in an answer follows from its `request_id`.
/// A test reads the contract for fields that look like one and are not here.
const SECRETS: [&str; 12] = [
    "access_token",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "password",
    "refresh_token",
    "registration_access_token",
    "request_id",
    "session_secret",
    "ticket",
    "token",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files =
        ["grantd/v1/token_service.proto", "grantd/v1/identity_service.proto", "grantd/v1/operator_service.proto"];
    println!("cargo:rerun-if-changed={}", root.display());

    let descriptors = protox::compile(files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("grantd_descriptor.bin"), descriptors.encode_to_vec())?;
    let Shown { redacted, code } = shown(&descriptors)?;
    fs::write(out.join("grantd_debug.rs"), code)?;
    tonic_prost_build::configure().skip_debug(redacted).compile_fds(descriptors)?;
    Ok(())
}

/// How messages are shown.
#[derive(Default)]
struct Shown {
    /// The messages for which no `Debug` is to be derived.
    redacted: Vec<String>,
    /// Their `Debug`; and, for the tests, how each message of the package is shown.
    code: String,
}

fn shown(descriptors: &FileDescriptorSet) -> Result<Shown, Box<dyn Error>> {
    let mut shown = Shown::default();
    let mut all = String::new();
    let ours = descriptors.file.iter().filter(|file| file.package() == PACKAGE);
    for message in ours.flat_map(|file| &file.message_type) {
        let name = message.name();
        if !message.nested_type.is_empty() {
            return Err(
                format!("{name} has a message within it, which is not looked at for secrets; put it beside").into()
            );
        }
        writeln!(
            all,
            "    (\"{name}\", |bytes| Ok(format!(\"{{:?}}\", <{name} as prost::Message>::decode(bytes)?))),"
        )?;
        if !message.field.iter().any(|field| SECRETS.contains(&field.name())) {
            continue;
        }
        shown.redacted.push(format!(".{PACKAGE}.{name}"));
        redact(&mut shown.code, name, name)?;
        // What a `oneof` holds is a type of its own, and has lost its `Debug` with the message.
        for (at, oneof) in message.oneof_decl.iter().enumerate() {
            let optional = message.field.iter().any(|field| {
                field.proto3_optional() && field.oneof_index.is_some_and(|index| usize::try_from(index) == Ok(at))
            });
            if !optional {
                redact(&mut shown.code, &format!("{}::{}", snake(name), camel(oneof.name())), &camel(oneof.name()))?;
            }
        }
    }
    writeln!(
        shown.code,
        "#[cfg(test)]\npub(crate) const SHOWN: &[(&str, fn(&[u8]) -> Result<String, prost::DecodeError>)] = &[\n{all}];"
    )?;
    Ok(shown)
}

fn redact(code: &mut String, path: &str, name: &str) -> std::fmt::Result {
    writeln!(
        code,
        "impl std::fmt::Debug for {path} {{\n    \
             fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        \
                 f.debug_struct(\"{name}\").finish_non_exhaustive()\n    \
             }}\n\
         }}"
    )
}

/// `IssueTokenRequest` as the module that prost makes for its `oneof`s.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `grant` as the type that prost makes of it.
fn camel(name: &str) -> String {
    let capital =
        |word: &str| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect::<String>();
    name.split('_').map(capital).collect()
}
