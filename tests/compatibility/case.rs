//! The clients, and what each was measured to leave to the person.

use std::path::Path;

use serde_json::Value;

use super::rmcp;
use crate::harness::{
    PASSWORD,
    programs::{attempt, output_dir},
};

/// How a client says who it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Registration,
    Document,
}

impl Identity {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Document => "document",
        }
    }
}

/// How grantd runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Embedded,
    Redis,
}

impl Shape {
    pub(super) const BOTH: [Self; 2] = [Self::Embedded, Self::Redis];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "Redis",
        }
    }
}

/// What befalls a client, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    FirstConnect,
    Reconnect,
    /// Started anew, with an access token that is no longer valid.
    ExpiredToken,
    /// The same while it runs; only where the client's library can be told so.
    ExpiredWhileRunning,
    /// All of grantd was killed and started again.
    Restart,
    RevokedGrant,
    LostRegistration,
}

impl Flow {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FirstConnect => "first connect",
            Self::Reconnect => "reconnect",
            Self::ExpiredToken => "expired token",
            Self::ExpiredWhileRunning => "expired while running",
            Self::Restart => "restart of grantd",
            Self::RevokedGrant => "revoked grant",
            Self::LostRegistration => "lost registration",
        }
    }
}

/// What is left to the person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Nothing.
    GoesOn,
    /// To sign in; the client keeps its id.
    SignsIn,
    /// To sign in; before that the client has registered anew by itself.
    RegistersAgain,
    /// To remove the server from the client and add it again, as they are told. That works.
    AddsAgain,
}

impl Outcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GoesOn => "goes on",
            Self::SignsIn => "signs in",
            Self::RegistersAgain => "registers again, signs in",
            Self::AddsAgain => "told to add it again",
        }
    }
}

/// What a run is to find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    AsItIs,
    Expired,
    ExpiresMidway,
}

enum Program {
    /// A script below `tests/clients`, with what tells the version apart.
    Script(&'static str, &'static [&'static str]),
    Rmcp,
}

/// A client.
pub(super) struct Case {
    /// As the page names it.
    pub(super) name: &'static str,
    program: Program,
    /// Whether its document must be at its vendor's own URL.
    pub(super) vendor_document: Option<&'static str>,
    /// Whether it can be told, while it runs, that its token has expired.
    pub(super) midway: bool,
    expired: Outcome,
    revoked: Outcome,
    lost: Outcome,
    lost_document: Outcome,
}

/// A client that heals by itself wherever that is possible.
const HEALS: Case = Case {
    name: "",
    program: Program::Rmcp,
    vendor_document: None,
    midway: false,
    expired: Outcome::GoesOn,
    revoked: Outcome::SignsIn,
    lost: Outcome::RegistersAgain,
    lost_document: Outcome::SignsIn,
};

pub(super) const TYPESCRIPT_1: Case = Case {
    name: "TypeScript SDK 1.x",
    program: Program::Script("clients/typescript.mjs", &["--v1", "--tool", "whoami"]),
    midway: true,
    ..HEALS
};

pub(super) const TYPESCRIPT_2: Case = Case {
    name: "TypeScript SDK 2.x",
    program: Program::Script("clients/typescript.mjs", &["--tool", "whoami"]),
    ..TYPESCRIPT_1
};

/// It does not keep when its token expires, and answers any 401 with the whole flow. It never registers a second time.
pub(super) const PYTHON_1: Case = Case {
    name: "Python SDK 1.x",
    program: Program::Script("clients/python.py", &["--v1", "--tool", "whoami"]),
    midway: true,
    expired: Outcome::SignsIn,
    lost: Outcome::AddsAgain,
    ..HEALS
};

pub(super) const PYTHON_2: Case =
    Case { name: "Python SDK 2.x", program: Program::Script("clients/python.py", &["--tool", "whoami"]), ..PYTHON_1 };

/// It registers for every authorization, and takes a refresh that is refused with `invalid_client` for a failure.
pub(super) const RMCP: Case = Case {
    name: "rmcp",
    midway: true,
    revoked: Outcome::RegistersAgain,
    lost: Outcome::AddsAgain,
    lost_document: Outcome::AddsAgain,
    ..HEALS
};

pub(super) const MCP_REMOTE: Case =
    Case { name: "mcp-remote", program: Program::Script("clients/mcp-remote.mjs", &["--tool", "whoami"]), ..HEALS };

pub(super) const INSPECTOR: Case = Case {
    name: "MCP Inspector CLI",
    program: Program::Script("clients/inspector.mjs", &["--tool", "whoami"]),
    ..HEALS
};

pub(super) const CLAUDE_CODE: Case = Case {
    name: "Claude Code",
    program: Program::Script("clients/claude-code.py", &[]),
    vendor_document: Some("https://claude.ai/oauth/claude-code-client-metadata"),
    ..HEALS
};

pub(super) const CLAUDE_CODE_2_1_197: Case =
    Case { program: Program::Script("clients/claude-code.py", &["--package", "claude-code-2.1.197"]), ..CLAUDE_CODE };

impl Case {
    /// What was measured.
    pub(super) fn expected(&self, flow: Flow, identity: Identity) -> Outcome {
        match (flow, identity) {
            (Flow::FirstConnect, _) => Outcome::SignsIn,
            (Flow::Reconnect | Flow::ExpiredWhileRunning | Flow::Restart, _) => Outcome::GoesOn,
            (Flow::ExpiredToken, _) => self.expired,
            (Flow::RevokedGrant, Identity::Registration) => self.revoked,
            (Flow::RevokedGrant, Identity::Document) => Outcome::SignsIn,
            (Flow::LostRegistration, Identity::Registration) => self.lost,
            (Flow::LostRegistration, Identity::Document) => self.lost_document,
        }
    }

    /// Starts the client, which connects and, but for Claude Code, calls `whoami`. `Err` says how it failed.
    pub(super) async fn run(
        &self,
        url: &str,
        state: &Path,
        document: Option<&str>,
        token: Token,
    ) -> Result<Value, String> {
        let (path, more) = match self.program {
            Program::Script(path, more) => (path, more),
            Program::Rmcp => return rmcp::run(url, state, document, token).await,
        };
        let mut args = vec!["--url", url, "--user", "owner", "--password", PASSWORD];
        args.extend(["--state", state.to_str().unwrap()]);
        args.extend(more);
        if let (Some(document), None) = (document, self.vendor_document) {
            args.extend(["--client-metadata-url", document]);
        }
        match token {
            Token::AsItIs => {}
            Token::Expired => args.push("--expire-access"),
            Token::ExpiresMidway => args.push("--expire-midway"),
        }
        let (done, body, log) = attempt(path, &args).await;
        if done { Ok(body) } else { Err(format!("{body}\n{log}")) }
    }
}

/// Where the records go.
pub(super) fn records() -> std::path::PathBuf {
    output_dir("compatibility")
}
