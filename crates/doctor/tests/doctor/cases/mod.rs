//! Servers with one fault: a table for each topic.

use grantd_doctor::Code::*;
use serde_json::{Value, json};

use crate::{Case, server::Person};

const PRM: &str = "/.well-known/oauth-protected-resource";
const AS: &str = "/.well-known/oauth-authorization-server";

/// A change of the server's metadata, wherever it is served.
macro_rules! metadata {
    ($change:expr) => {
        |ask, reply, _| {
            if ask.starts(AS) {
                let change: fn(&mut Value, &str) = $change;
                reply.json(|body| change(body, &ask.base));
            }
        }
    };
}

/// A change of the resource metadata.
macro_rules! resource {
    ($change:expr) => {
        |ask, reply, _| {
            if ask.starts(PRM) && reply.status == 200 {
                let change: fn(&mut Value, &str) = $change;
                reply.json(|body| change(body, &ask.base));
            }
        }
    };
}

/// Another challenge, made of the right one.
macro_rules! challenge {
    ($change:expr) => {
        |ask, reply, _| {
            if ask.is_mcp() && reply.status == 401 && ask.header("authorization").is_empty() {
                let change: fn(String) -> String = $change;
                reply.set("www-authenticate", &change(reply.header("www-authenticate")));
            }
        }
    };
}

/// A change of the answer to a registration.
macro_rules! registered {
    ($change:expr) => {
        |ask, reply, _| {
            if ask.is("POST /register") {
                let change: fn(&mut Value) = $change;
                reply.json(change);
            }
        }
    };
}

/// A change of every token response.
macro_rules! issued {
    ($change:expr) => {
        |ask, reply, _| {
            if ask.is("POST /token") && reply.status == 200 {
                let change: fn(&mut Value) = $change;
                reply.json(change);
            }
        }
    };
}

/// A change of what is sent to the client.
macro_rules! sent {
    ($change:expr) => {
        |ask, reply, _| {
            if ask.is("GET /authorize") && reply.status == 302 {
                let change: fn(String, &str) -> String = $change;
                reply.set("location", &change(reply.header("location"), &ask.base));
            }
        }
    };
}

mod authorize;
mod mcp;
mod registration;
mod resource;
mod server;
mod sign_in;
mod token;

pub(crate) use authorize::AUTHORIZE;
pub(crate) use mcp::MCP;
pub(crate) use registration::REGISTRATION;
pub(crate) use resource::RESOURCE;
pub(crate) use server::SERVER;
pub(crate) use sign_in::SIGN_IN;
pub(crate) use token::TOKEN;

fn remove(body: &mut Value, name: &str) {
    body.as_object_mut().unwrap().remove(name).unwrap();
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
