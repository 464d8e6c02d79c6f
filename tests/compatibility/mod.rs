//! Real MCP clients that others wrote, each through the same flows: with registration, and with a metadata document.
//!
//! 1. [`case`] says which clients there are, how each is started, and what is measured to be left to the person.
//! 2. [`scenario`] takes a client through the flows and compares.
//! 3. [`record`] writes down what was seen; `script/compatibility` makes `docs/compatibility.md` of it.
//!
//! [`rmcp`] is the one client that is Rust, so its app is here and not in `tests/clients`. The cheap clients go through
//! both shapes; Inspector and Claude Code, which take seconds to start, through one.

mod case;
mod document;
mod record;
mod rmcp;
mod scenario;

/// Clients that register themselves (RFC 7591).
mod with_registration {
    use super::{
        case::{self, Identity::Registration, Shape},
        scenario::through,
    };

    #[tokio::test]
    async fn typescript_sdk_1() {
        through(&case::TYPESCRIPT_1, Registration, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn typescript_sdk_2() {
        through(&case::TYPESCRIPT_2, Registration, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn python_sdk_1() {
        through(&case::PYTHON_1, Registration, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn python_sdk_2() {
        through(&case::PYTHON_2, Registration, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn rmcp() {
        through(&case::RMCP, Registration, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn mcp_remote() {
        through(&case::MCP_REMOTE, Registration, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn inspector() {
        through(&case::INSPECTOR, Registration, &[Shape::Embedded]).await;
    }

    #[tokio::test]
    async fn claude_code() {
        through(&case::CLAUDE_CODE, Registration, &[Shape::Redis]).await;
    }

    #[tokio::test]
    async fn claude_code_2_1_197() {
        through(&case::CLAUDE_CODE_2_1_197, Registration, &[Shape::Embedded]).await;
    }
}

/// Clients whose id is the URL of a metadata document.
mod with_a_document {
    use super::{
        case::{self, Identity::Document, Shape},
        scenario::through,
    };

    #[tokio::test]
    async fn typescript_sdk_1() {
        through(&case::TYPESCRIPT_1, Document, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn typescript_sdk_2() {
        through(&case::TYPESCRIPT_2, Document, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn python_sdk_1() {
        through(&case::PYTHON_1, Document, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn python_sdk_2() {
        through(&case::PYTHON_2, Document, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn rmcp() {
        through(&case::RMCP, Document, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn mcp_remote() {
        through(&case::MCP_REMOTE, Document, &Shape::BOTH).await;
    }

    #[tokio::test]
    async fn inspector() {
        through(&case::INSPECTOR, Document, &[Shape::Embedded]).await;
    }

    #[tokio::test]
    async fn claude_code() {
        through(&case::CLAUDE_CODE, Document, &[Shape::Redis]).await;
    }

    #[tokio::test]
    async fn claude_code_2_1_197() {
        through(&case::CLAUDE_CODE_2_1_197, Document, &[Shape::Embedded]).await;
    }
}
