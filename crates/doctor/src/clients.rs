//! The clients that a finding is about, in the versions that were measured.

use std::fmt;

/// An MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// `@modelcontextprotocol/sdk`.
    TypeScript1,
    /// `@modelcontextprotocol/client`.
    TypeScript2,
    /// `mcp` of PyPI.
    Python1,
    /// `mcp` of PyPI.
    Python2,
    /// `fastmcp` of PyPI.
    FastMcp,
    /// `mcp-remote` of npm.
    McpRemote,
    /// `@modelcontextprotocol/inspector`.
    Inspector,
    /// `rmcp` of crates.io.
    Rmcp,
    /// The Go SDK.
    Go,
    /// An older Claude Code, built on the TypeScript SDK 1.x.
    ClaudeCode197,
    /// Claude Code.
    ClaudeCode330,
    /// Codex CLI.
    Codex,
    /// Claude on the web, the desktop and the phone.
    ClaudeAi,
    /// ChatGPT connectors.
    ChatGpt,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    VsCode,
    /// Zed.
    Zed,
    /// Gemini CLI.
    Gemini,
    /// The C# SDK.
    CSharp,
    /// GitHub Copilot CLI.
    Copilot,
}

use Client::*;

impl Client {
    /// The clients that were driven against each fault, one at a time.
    pub const MEASURED: [Self; 12] = [
        TypeScript1,
        TypeScript2,
        Python1,
        Python2,
        FastMcp,
        McpRemote,
        Inspector,
        Rmcp,
        Go,
        ClaudeCode197,
        ClaudeCode330,
        Codex,
    ];

    /// What people call it, with the version that was measured.
    pub const fn name(self) -> &'static str {
        match self {
            TypeScript1 => "TypeScript SDK 1.32",
            TypeScript2 => "TypeScript SDK 2.4",
            Python1 => "Python SDK 1.30",
            Python2 => "Python SDK 2.3",
            FastMcp => "FastMCP 4.1",
            McpRemote => "mcp-remote 0.15",
            Inspector => "MCP Inspector 2.12",
            Rmcp => "rmcp 3.11",
            Go => "Go SDK 1.7",
            ClaudeCode197 => "Claude Code 2.1.197",
            ClaudeCode330 => "Claude Code 2.1.330",
            Codex => "Codex CLI 0.169",
            ClaudeAi => "Claude (web, desktop, mobile)",
            ChatGpt => "ChatGPT",
            Cursor => "Cursor",
            VsCode => "VS Code",
            Zed => "Zed",
            Gemini => "Gemini CLI",
            CSharp => "C# SDK",
            Copilot => "Copilot CLI",
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What most clients read with the same schema, which takes a `null` for a fault.
pub(crate) const STRICT_SCHEMA: &[Client] =
    &[TypeScript1, TypeScript2, McpRemote, Inspector, ClaudeCode197, ClaudeCode330];

/// The clients that compare issuers (RFC 9207, RFC 8414 §3.3).
pub(crate) const COMPARE_ISSUERS: &[Client] =
    &[TypeScript2, Python2, FastMcp, McpRemote, Inspector, Rmcp, Go, ClaudeCode330, Codex];
