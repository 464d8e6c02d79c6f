//! Messages to values and back.

use grantd_core::{
    Timestamp,
    records::{self, ClientMetadata, Grant},
    register::Registration,
};
use grantd_oauth_types::GrantType;
use grantd_proto::v1;

/// Remaining whole seconds.
pub(crate) fn remaining(now: Timestamp, expires_at: Timestamp) -> i64 {
    i64::try_from(now.until(expires_at).as_secs()).unwrap_or(i64::MAX)
}

/// Whole seconds since 1970.
pub(crate) fn unix(at: Timestamp) -> i64 {
    i64::try_from(at.as_secs()).unwrap_or(i64::MAX)
}

pub(crate) fn registration(sent: v1::ClientMetadata) -> Registration {
    Registration {
        redirect_uris: sent.redirect_uris,
        token_endpoint_auth_method: sent.token_endpoint_auth_method,
        grant_types: sent.grant_types,
        client_name: sent.client_name,
        client_uri: sent.client_uri,
        logo_uri: sent.logo_uri,
        scope: sent.scope,
        contacts: sent.contacts,
        tos_uri: sent.tos_uri,
        policy_uri: sent.policy_uri,
        software_id: sent.software_id,
        software_version: sent.software_version,
        application_type: sent.application_type,
        flow_id: String::new(),
    }
}

fn metadata(of: &ClientMetadata) -> v1::ClientMetadata {
    v1::ClientMetadata {
        redirect_uris: of.redirect_uris.iter().map(ToString::to_string).collect(),
        token_endpoint_auth_method: of.token_endpoint_auth_method.as_str().to_owned(),
        grant_types: of.grant_types.iter().map(|grant| grant.as_str().to_owned()).collect(),
        response_types: if of.grant_types.contains(&GrantType::AuthorizationCode) {
            vec!["code".to_owned()]
        } else {
            Vec::new()
        },
        client_name: of.client_name.clone(),
        client_uri: of.client_uri.clone(),
        logo_uri: of.logo_uri.clone(),
        scope: of.scope.to_string(),
        contacts: of.contacts.clone(),
        tos_uri: of.tos_uri.clone(),
        policy_uri: of.policy_uri.clone(),
        software_id: of.software_id.clone(),
        software_version: of.software_version.clone(),
        application_type: of.application_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
    }
}

pub(crate) fn client(of: &records::Client, now: Timestamp) -> v1::Client {
    v1::Client {
        client_id: of.id.to_string(),
        client_id_issued_at: unix(of.created_at),
        metadata: Some(metadata(&of.metadata)),
        expires_in: remaining(now, of.expires_at),
    }
}

pub(crate) fn user(of: &records::User) -> v1::User {
    v1::User {
        subject: of.subject.clone(),
        username: of.username.clone(),
        email: of.email.clone(),
        groups: of.groups.clone(),
        created_at: unix(of.created_at),
    }
}

pub(crate) fn grant(of: &Grant, now: Timestamp) -> v1::Grant {
    v1::Grant {
        grant_id: of.id.to_string(),
        client_id: of.client_id.to_string(),
        subject: of.subject.clone(),
        username: of.username.clone(),
        resource: of.resource.to_string(),
        scope: of.scope.to_string(),
        created_at: unix(of.created_at),
        expires_in: remaining(now, of.expires_at),
        generation: of.live().map_or(0, |ratchet| ratchet.generation),
        revoked: of.live().is_none(),
    }
}

/// The size of a page.
pub(crate) fn page_size(asked: u32) -> usize {
    match asked {
        0 => 100,
        1..=1000 => usize::try_from(asked).unwrap_or(1000),
        _ => 1000,
    }
}
