//! The stored shape of every record, field by field. Changing a name or a meaning here needs a new schema version.

use grantd_core::{
    Timestamp,
    ratchet::{Ratchet, Salt, SpentCode, Superseded},
    records::{
        AccessRecord, Client, ClientKeys, ClientMetadata, CodeRecord, Consent, Grant, GrantState, Identity,
        PendingRequest, RefreshRecord, Session, UsedAssertion, User,
    },
};
use grantd_oauth_types::{
    ApplicationType, ClientId, CodeChallenge, Digest, GrantId, GrantType, RedirectUri, ResourceUri, ScopeSet,
    TokenEndpointAuthMethod,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

macro_rules! shape {
    ($shape:ident as $name:literal { $($(#[$meta:meta])* $field:ident: $field_type:ty,)+ }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(remote = $name)]
        pub(super) struct $shape { $($(#[$meta])* $field: $field_type,)+ }
    };
}

shape! { ClientShape as "Client" {
    #[serde(with = "text")] id: ClientId,
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")] secret: Option<Digest>,
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")] registration: Option<Digest>,
    #[serde(with = "keys", default, skip_serializing_if = "Option::is_none")] keys: Option<ClientKeys>,
    #[serde(with = "MetadataShape")] metadata: ClientMetadata,
    #[serde(with = "text::time", default, skip_serializing_if = "text::is_zero")] fresh_until: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")] flow_id: String,
    epoch: u64,
    #[serde(with = "text::time")] created_at: Timestamp,
    #[serde(with = "text::time")] renewed_at: Timestamp,
    #[serde(with = "text::time")] expires_at: Timestamp,
}}

shape! { KeysShape as "ClientKeys" {
    is_required: bool,
    algorithm: String,
    uri: String,
    jwks: String,
    #[serde(with = "text::time")] fetched_at: Timestamp,
    #[serde(with = "text::time")] fresh_until: Timestamp,
}}

shape! { AssertionShape as "UsedAssertion" {
    #[serde(with = "text")] client_id: ClientId,
    #[serde(with = "text::time")] expires_at: Timestamp,
}}

shape! { MetadataShape as "ClientMetadata" {
    #[serde(with = "text::list")] redirect_uris: Vec<RedirectUri>,
    #[serde(with = "text")] token_endpoint_auth_method: TokenEndpointAuthMethod,
    #[serde(with = "text::list")] grant_types: Vec<GrantType>,
    client_name: String,
    client_uri: String,
    logo_uri: String,
    #[serde(with = "text")] scope: ScopeSet,
    contacts: Vec<String>,
    tos_uri: String,
    policy_uri: String,
    software_id: String,
    software_version: String,
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")] application_type: Option<ApplicationType>,
}}

shape! { RequestShape as "PendingRequest" {
    #[serde(with = "text")] grant_id: GrantId,
    #[serde(with = "text")] ticket: Digest,
    #[serde(with = "text")] session: Digest,
    #[serde(with = "ConsentShape")] consent: Consent,
    #[serde(with = "text::time")] expires_at: Timestamp,
}}

shape! { ConsentShape as "Consent" {
    #[serde(with = "text")] client_id: ClientId,
    client_epoch: u64,
    subject: String,
    username: String,
    user_epoch: u64,
    #[serde(with = "text")] redirect_uri: RedirectUri,
    #[serde(default, skip_serializing_if = "Option::is_none")] state: Option<String>,
    #[serde(with = "text")] code_challenge: CodeChallenge,
    #[serde(with = "text")] resource: ResourceUri,
    #[serde(with = "text")] scope: ScopeSet,
}}

shape! { CodeShape as "CodeRecord" {
    #[serde(with = "ConsentShape")] consent: Consent,
    #[serde(with = "text")] session: Digest,
    #[serde(with = "text::time")] expires_at: Timestamp,
}}

shape! { AccessShape as "AccessRecord" {
    generation: u64,
    #[serde(with = "text")] client_id: ClientId,
    #[serde(with = "IdentityShape")] identity: Identity,
    #[serde(with = "text")] resource: ResourceUri,
    #[serde(with = "text")] scope: ScopeSet,
    seen: bool,
    #[serde(with = "text::time")] expires_at: Timestamp,
}}

shape! { IdentityShape as "Identity" {
    subject: String,
    username: String,
    email: String,
    groups: Vec<String>,
}}

shape! { RefreshShape as "RefreshRecord" {
    generation: u64,
    #[serde(with = "text")] client_id: ClientId,
    #[serde(with = "text")] scope: ScopeSet,
    #[serde(with = "text")] access: Digest,
    #[serde(with = "text::time")] expires_at: Timestamp,
}}

shape! { GrantShape as "Grant" {
    #[serde(with = "text")] id: GrantId,
    #[serde(with = "text")] client_id: ClientId,
    client_epoch: u64,
    subject: String,
    username: String,
    user_epoch: u64,
    #[serde(with = "text")] resource: ResourceUri,
    #[serde(with = "text")] scope: ScopeSet,
    #[serde(with = "text::time")] created_at: Timestamp,
    #[serde(with = "text::time")] expires_at: Timestamp,
    #[serde(with = "StateShape")] state: GrantState,
}}

#[derive(Serialize, Deserialize)]
#[serde(remote = "GrantState", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "the shape of GrantState")]
enum StateShape {
    Live(#[serde(with = "RatchetShape")] Ratchet),
    Revoked {
        #[serde(with = "text::time")]
        at: Timestamp,
    },
}

shape! { RatchetShape as "Ratchet" {
    generation: u64,
    #[serde(with = "text")] refresh: Digest,
    #[serde(with = "text")] access: Digest,
    #[serde(with = "text::time")] access_expires_at: Timestamp,
    #[serde(with = "text")] salt: Salt,
    #[serde(with = "text")] next_salt: Salt,
    #[serde(with = "text::digests")] ahead: [Digest; 2],
    #[serde(with = "text::option", default, skip_serializing_if = "Option::is_none")] ahead_access: Option<Digest>,
    #[serde(with = "recent")] recent: Vec<Superseded>,
    #[serde(with = "crowded", default, skip_serializing_if = "Vec::is_empty")] crowded: Vec<(u64, Timestamp)>,
    seen: u64,
    #[serde(with = "text")] mark_key: Salt,
    #[serde(with = "spent", default, skip_serializing_if = "Option::is_none")] code: Option<SpentCode>,
    #[serde(with = "draining", default, skip_serializing_if = "Vec::is_empty")] draining: Vec<(Digest, Timestamp)>,
    contested: bool,
}}

shape! { SupersededShape as "Superseded" {
    generation: u64,
    #[serde(with = "text")] refresh: Digest,
    #[serde(with = "text")] salt: Salt,
    #[serde(with = "text::time")] at: Timestamp,
}}

shape! { SpentShape as "SpentCode" {
    #[serde(with = "text")] digest: Digest,
    #[serde(with = "text")] challenge: CodeChallenge,
    #[serde(with = "text::time")] expires_at: Timestamp,
}}

shape! { SessionShape as "Session" {
    subject: String,
    username: String,
    user_epoch: u64,
    #[serde(with = "text::time")] created_at: Timestamp,
    #[serde(with = "text::time")] expires_at: Timestamp,
}}

shape! { UserShape as "User" {
    subject: String,
    username: String,
    email: String,
    groups: Vec<String>,
    password_hash: String,
    epoch: u64,
    #[serde(default, skip_serializing_if = "text::is_none_yet")] revision: u64,
    #[serde(with = "text::time")] created_at: Timestamp,
}}

mod keys {
    use super::{ClientKeys, Deserialize, Deserializer, KeysShape, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Item(#[serde(with = "KeysShape")] ClientKeys);

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(value: &Option<ClientKeys>, serializer: S) -> Result<S::Ok, S::Error> {
        value.clone().map(Item).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ClientKeys>, D::Error> {
        Ok(Option::<Item>::deserialize(deserializer)?.map(|Item(value)| value))
    }
}

mod recent {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Superseded, SupersededShape};

    #[derive(Serialize, Deserialize)]
    struct Item(#[serde(with = "SupersededShape")] Superseded);

    pub(super) fn serialize<S: Serializer>(values: &[Superseded], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().cloned().map(Item))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Superseded>, D::Error> {
        Ok(Vec::<Item>::deserialize(deserializer)?.into_iter().map(|Item(value)| value).collect())
    }
}

mod crowded {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp, text};

    #[derive(Serialize, Deserialize)]
    struct Item {
        generation: u64,
        #[serde(with = "text::time")]
        at: Timestamp,
    }

    pub(super) fn serialize<S: Serializer>(values: &[(u64, Timestamp)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|(generation, at)| Item { generation: *generation, at: *at }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(u64, Timestamp)>, D::Error> {
        Ok(Vec::<Item>::deserialize(deserializer)?.into_iter().map(|item| (item.generation, item.at)).collect())
    }
}

mod spent {
    use super::{Deserialize, Deserializer, Serialize, Serializer, SpentCode, SpentShape};

    #[derive(Serialize, Deserialize)]
    struct Item(#[serde(with = "SpentShape")] SpentCode);

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(value: &Option<SpentCode>, serializer: S) -> Result<S::Ok, S::Error> {
        value.clone().map(Item).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SpentCode>, D::Error> {
        Ok(Option::<Item>::deserialize(deserializer)?.map(|Item(value)| value))
    }
}

mod draining {
    use super::{Deserialize, Deserializer, Digest, Serialize, Serializer, Timestamp, text};

    #[derive(Serialize, Deserialize)]
    struct Item {
        #[serde(with = "text")]
        access: Digest,
        #[serde(with = "text::time")]
        until: Timestamp,
    }

    pub(super) fn serialize<S: Serializer>(values: &[(Digest, Timestamp)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|(access, until)| Item { access: *access, until: *until }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(Digest, Timestamp)>, D::Error> {
        Ok(Vec::<Item>::deserialize(deserializer)?.into_iter().map(|item| (item.access, item.until)).collect())
    }
}
