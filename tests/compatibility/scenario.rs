//! One client through all flows, against the real binary.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::Value;

use super::{
    case::{Case, Flow, Identity, Outcome, Shape, Token},
    document::Documents,
    record,
};
use crate::{
    binary::ran,
    harness::{Client, Deployment, Options, programs::Upstream},
};

/// Takes a client through the flows, in each of `shapes`, and asserts what is measured.
pub(super) async fn through(case: &Case, identity: Identity, shapes: &[Shape]) {
    let upstream = Upstream::typescript().await;
    let documents = match (identity, case.vendor_document) {
        (Identity::Registration, _) => None,
        (Identity::Document, None) => Some(Documents::on_localhost().await),
        (Identity::Document, Some(_)) if !rustix::process::geteuid().is_root() => {
            let why = "its document is at its vendor's URL, and only root can put another site there";
            shapes.iter().for_each(|shape| record::not_run(case, identity, *shape, why));
            return;
        }
        (Identity::Document, Some(client_id)) => Some(Documents::in_place_of(client_id).await),
    };
    for shape in shapes {
        eprintln!("== {} with a {}, {}", case.name, identity.name(), shape.name());
        let options = Options { upstream: upstream.url.clone(), ..Options::default() };
        let options = documents.as_ref().map_or(options.clone(), |documents| documents.let_in(options));
        let deployment = match shape {
            Shape::Embedded => Deployment::embedded(options).await,
            Shape::Redis => Deployment::distributed(options).await,
        };
        let dir = tempfile::tempdir().unwrap();
        let mut scenario = Scenario {
            case,
            identity,
            document: documents.as_ref().map(|documents| documents.client_id.as_str()),
            deployment,
            state: &dir.path().join("state"),
            client_id: String::new(),
            version: String::new(),
            upstream: &upstream,
        };
        let flows = scenario.all().await;
        record::seen(case, &scenario.version, identity, *shape, &flows);
    }
}

struct Scenario<'a> {
    case: &'a Case,
    identity: Identity,
    document: Option<&'a str>,
    deployment: Deployment,
    state: &'a Path,
    client_id: String,
    version: String,
    upstream: &'a Upstream,
}

impl Scenario<'_> {
    async fn all(&mut self) -> Vec<(Flow, Outcome)> {
        let mut flows = vec![
            self.flow(Flow::FirstConnect, Token::AsItIs).await,
            self.flow(Flow::Reconnect, Token::AsItIs).await,
            self.flow(Flow::ExpiredToken, Token::Expired).await,
        ];
        // Who signs in above has not refreshed yet, and still must be able to after the restart.
        let refreshes = if self.case.midway { Token::ExpiresMidway } else { Token::Expired };
        if self.case.midway {
            flows.push(self.flow(Flow::ExpiredWhileRunning, refreshes).await);
        }
        self.deployment.restart_all().await;
        flows.push(self.flow(Flow::Restart, refreshes).await);
        self.manage(&["grant", "revoke", "--all"]).await;
        flows.push(self.flow(Flow::RevokedGrant, Token::AsItIs).await);
        let client_id = self.client_id.clone();
        self.manage(&["client", "remove", &client_id]).await;
        flows.push(self.flow(Flow::LostRegistration, Token::AsItIs).await);
        flows
    }

    async fn manage(&self, args: &[&str]) {
        let role = if self.deployment.redis.is_some() { "token-service" } else { "serve" };
        ran(args, self.deployment.dir.path().join(role).to_str().unwrap()).await;
        self.until_every_gate_knows().await;
    }

    /// A revocation reaches warm gates some milliseconds after it was acknowledged, which is as long as a client in Rust takes
    /// to connect. What is announced later arrives later: another grant is taken back, and both gates must have heard of it.
    async fn until_every_gate_knows(&self) {
        let witness = Client::register(self.deployment.issuer()).await;
        let pair = witness.pair().await;
        for facade in &self.deployment.facades {
            assert_ne!(witness.at(facade).call(&pair.access).await.status(), StatusCode::UNAUTHORIZED);
        }
        let form = [("token", pair.refresh.as_str()), ("client_id", &witness.id)];
        let revoked = witness.http.post(format!("{}/oauth/revoke", witness.base)).form(&form).send().await.unwrap();
        assert_eq!(revoked.status(), StatusCode::OK);
        for facade in &self.deployment.facades {
            while witness.at(facade).call(&pair.access).await.status() != StatusCode::UNAUTHORIZED {}
        }
    }

    /// Runs the client once, and compares what was left to the person with what is measured.
    async fn flow(&mut self, flow: Flow, token: Token) -> (Flow, Outcome) {
        let expected = self.case.expected(flow, self.identity);
        let told = match self.case.run(&self.deployment.resource(), self.state, self.document, token).await {
            Ok(body) => {
                let outcome = self.judge(&body).await;
                assert_eq!(outcome, expected, "{flow:?}: {body}");
                if outcome == Outcome::GoesOn && token != Token::AsItIs {
                    assert_ne!(body["refreshes"], 0, "{flow:?} went on without a refresh: {body}");
                }
                return (flow, outcome);
            }
            Err(told) => told,
        };
        assert_eq!(expected, Outcome::AddsAgain, "{flow:?}: {told}");
        assert!(told.contains("add it again"), "{flow:?}: the person is not told what to do: {told}");
        // What they are told to do works.
        if self.state.is_dir() {
            std::fs::remove_dir_all(self.state).unwrap();
        } else {
            std::fs::remove_file(self.state).unwrap();
        }
        self.client_id.clear();
        let added = self.case.run(&self.deployment.resource(), self.state, self.document, Token::AsItIs).await;
        assert_eq!(self.judge(&added.unwrap()).await, Outcome::SignsIn, "{flow:?}");
        (flow, Outcome::AddsAgain)
    }

    async fn judge(&mut self, body: &Value) -> Outcome {
        assert!(body["connected"] == true || body["result"].to_string().contains("owner"), "{body}");
        self.version = body["version"].as_str().unwrap().to_owned();
        // As whom it came is what the upstream was told, whatever the client has kept.
        let seen = self.upstream.seen().await;
        let last = seen.last().unwrap_or_else(|| panic!("nothing reached the upstream: {body}"));
        assert_eq!(last["headers"]["x-forwarded-preferred-username"], "owner", "{last}");
        let client_id = last["headers"]["x-grantd-client-id"].as_str().unwrap().to_owned();
        if let Some(document) = self.document {
            assert_eq!(client_id, document, "it has registered instead: {body}");
        }
        let before = std::mem::replace(&mut self.client_id, client_id);
        let same = before.is_empty() || before == self.client_id;
        match (body["authorizations"].as_u64().unwrap(), same) {
            (0, true) => Outcome::GoesOn,
            (1, true) => Outcome::SignsIn,
            (1, false) => Outcome::RegistersAgain,
            _ => panic!("the person was sent to authorize more than once, or another client went on: {body}"),
        }
    }
}
