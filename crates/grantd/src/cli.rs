//! The command line. `--help` is the manual: every command says what it is for, with an example.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod asking;
mod operating;

pub(crate) use asking::{Doctor, Health};
pub(crate) use operating::{Backup, Client, Grant, User, Which, Whose};

use crate::config::{self, Config, Flag, Input, Purpose, Variables};

/// OAuth 2.1 in front of your MCP server.
#[derive(Debug, Parser)]
#[command(
    name = "grantd",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    long_about = "OAuth 2.1 in front of your MCP server.\n\n\
        grantd signs people in, asks for their consent, issues tokens to MCP clients (Claude, ChatGPT, Cursor, VS Code, \
        the SDKs), checks the token of every MCP request, and forwards it to your server with the person's identity.",
    after_long_help = "Examples:\n  \
        Try it, with a small MCP server built in:\n    grantd demo\n\n  \
        Protect your own:\n    grantd serve --upstream http://localhost:3000/mcp\n\n  \
        Under a public name, behind a proxy that terminates TLS:\n    grantd serve --upstream http://localhost:3000/mcp --public-url https://mcp.example.com\n\n  \
        Let somebody in:\n    grantd user add alice --group owner\n\n\
        Everything can be set in a TOML file (--config), in the environment (GRANTD_TOKENS__ACCESS_TTL=1h) and, for the \
        most common things, by flags; the later is the stronger. config.default.toml documents every key.\n\n\
        Exit codes: 0 done, 64 the command line or the configuration must change, 1 it failed."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Protect an MCP server: everything in one process
    #[command(
        long_about = "Protect an MCP server: everything in one process.\n\n\
            Serves the OAuth endpoints, the pages and /mcp, and keeps its state in one file below --data-dir. The first start \
            creates the user `owner`: with the password in GRANTD_OWNER_PASSWORD, or with one that it makes up and writes \
            to DATA_DIR/owner-password (and shows, on a terminal).",
        after_long_help = "Examples:\n  \
            grantd serve --upstream http://localhost:3000/mcp\n  \
            grantd serve --upstream http://localhost:3000/mcp --public-url https://mcp.example.com\n  \
            grantd serve --config /etc/grantd.toml --store redis://127.0.0.1:6379"
    )]
    Serve(Serve),

    /// Try grantd with a small MCP server built in
    #[command(
        long_about = "Try grantd with a small MCP server built in.\n\n\
            As `grantd serve`, with an upstream of its own that has three tools: whoami, list_articles and \
            publish_article. Says on standard output what to do next.",
        after_long_help = "Example:\n  grantd demo\n  claude mcp add --transport http grantd-demo http://localhost:8080/mcp"
    )]
    Demo(Common),

    /// The gRPC half of grantd, as a process of its own
    #[command(
        long_about = "The gRPC half of grantd, as a process of its own: it owns clients, tokens and people.\n\n\
            Facades and gates call it with a service key: GRANTD_SERVICE_KEY, or one for each caller \
            ([[token_service.caller]]). Several of it share one Redis.",
        after_long_help = "Example:\n  \
            export GRANTD_SERVICE_KEY=$(head -c 32 /dev/urandom | base64)\n  \
            grantd token-service --store redis://127.0.0.1:6379 --listen 127.0.0.1:8081"
    )]
    TokenService(Common),

    /// The HTTP half of grantd (OAuth endpoints, pages, gate), as a process of its own
    #[command(
        long_about = "The HTTP half of grantd, as a process of its own: the OAuth endpoints, the pages, and the gate in \
            front of your MCP server. It keeps nothing, so any number may run side by side.",
        after_long_help = "Example:\n  \
            export GRANTD_SERVICE_KEY=...    # the one the token service knows\n  \
            grantd facade --token-service http://127.0.0.1:8081 --upstream http://localhost:3000/mcp"
    )]
    Facade(Facade),

    /// The people who may sign in
    #[command(
        subcommand,
        long_about = "The people who may sign in: add, set, passwd, list, remove.\n\n\
            Talks to the running grantd through the socket in its data directory, as the user it runs as (or root). Opens \
            the store itself only when nothing runs there."
    )]
    User(User),

    /// The clients that have registered
    #[command(subcommand)]
    Client(Client),

    /// What people have allowed clients to do
    #[command(subcommand)]
    Grant(Grant),

    /// Copy the embedded store into a file, while it runs
    #[command(
        long_about = "Copies the embedded store into a new file, as of one moment, while grantd runs.\n\n\
            To restore it: stop grantd, put the file in place of DATA_DIR/grantd.redb, start it. What was revoked after \
            the backup was taken is valid again then: revoke it once more, or all of it with `grantd grant revoke --all`.",
        after_long_help = "Examples:\n  \
            grantd backup /var/backups/grantd-2026-12-01.redb\n  \
            docker compose exec -T grantd /bin/grantd backup - > grantd-2026-12-01.redb"
    )]
    Backup(Backup),

    /// Ask a running grantd whether it is well
    #[command(
        long_about = "Asks a running grantd whether it is well: exits 0 when the URL answers with success, 1 otherwise.\n\n\
            For healthchecks of containers, as the image holds no other program. /healthz says that the process turns, \
            /readyz that it reaches its store.",
        after_long_help = "Example:\n  grantd health http://127.0.0.1:8080/readyz"
    )]
    Health(Health),

    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),

    /// Look at a running deployment as MCP clients do, and say what would break which client
    #[command(
        long_about = "Look at a running deployment as MCP clients do, and say what would break which client.\n\n\
            Asks for the metadata, registers a client (and deletes it again where that is offered), and tries the endpoints \
            with good and bad requests: some forty, one after the other. The deployment need not be a grantd. Every finding \
            has a code, which docs/doctor.md explains.",
        after_long_help = "Examples:\n  \
            grantd doctor https://mcp.example.com/mcp\n  \
            grantd doctor https://mcp.example.com/mcp --sign-in\n  \
            grantd doctor https://mcp.example.com/mcp --json | jq -r '.findings[].code'\n\n\
            Exit codes: 0 nothing breaks a client (there may be warnings), 1 something does, 64 the command line must change."
    )]
    Doctor(Doctor),
}

/// Where the configuration comes from, and the keys that most people set.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    /// A configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "GRANTD_CONFIG")]
    config: Option<PathBuf>,
    #[arg(
        long,
        value_name = "URL",
        help = "What clients see, such as https://mcp.example.com [default: http://localhost:8080]"
    )]
    public_url: Option<String>,
    /// Where to listen [default: 127.0.0.1:8080; token-service: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where state is kept [default: ./grantd-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// "embedded:" (one file in the data directory) or a Redis URL [default: embedded:]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

/// `grantd serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    #[arg(long, value_name = "URL", help = "Your MCP server, such as http://localhost:3000/mcp")]
    upstream: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `grantd facade`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Facade {
    #[arg(long, value_name = "URL", help = "Where the token service is [default: http://127.0.0.1:8081]")]
    token_service: Option<String>,
    #[command(flatten)]
    serve: Serve,
}

/// `grantd config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration, and print what is in force (without secrets)
    #[command(
        long_about = "Checks the configuration, and prints what is in force (without secrets).\n\n\
            Each command needs other parts of a configuration. Without --for it is good when one of `grantd serve`, \
            `grantd token-service` and `grantd facade` would start with it, and for each of the others the output says \
            what is missing; a service key may still be missing, as it comes from the environment. With --for it is judged as \
            that command judges it, with this environment.\n\n\
            Nothing is connected to, and certificates are not read: they may be elsewhere.",
        after_long_help = "Examples:\n  \
            grantd config check --config /etc/grantd.toml\n  \
            grantd config check --config /etc/grantd.toml --for facade\n\n\
            Exit codes: 0 it is good, 64 it must change."
    )]
    Check(Check),
}

/// `grantd config check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Check {
    /// The command that is to start with it
    #[arg(long = "for", value_name = "COMMAND")]
    pub(crate) command: Option<Server>,
    #[command(flatten)]
    common: Common,
}

/// The commands that serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    /// Everything in one process
    Serve,
    /// The gRPC half
    TokenService,
    /// The HTTP half
    Facade,
}

impl Server {
    /// What it needs of a configuration.
    pub(crate) fn purpose(self) -> Purpose {
        match self {
            Self::Serve => Purpose::Serve,
            Self::TokenService => Purpose::TokenService,
            Self::Facade => Purpose::Facade,
        }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Serve => "grantd serve",
            Self::TokenService => "grantd token-service",
            Self::Facade => "grantd facade",
        })
    }
}

impl Check {
    /// Loads the configuration as a command would, with these variables.
    pub(crate) fn load(&self, purpose: Purpose, variables: &Variables) -> Result<Config, config::ConfigError> {
        self.common.clone().load_from(purpose, Vec::new(), variables)
    }
}

impl Common {
    /// Loads the configuration.
    pub(crate) fn load(self, purpose: Purpose) -> Result<Config, config::ConfigError> {
        let more = Vec::new();
        self.load_with(purpose, more)
    }

    fn load_with(
        self,
        purpose: Purpose,
        more: Vec<(&'static str, &'static str, Option<String>)>,
    ) -> Result<Config, config::ConfigError> {
        self.load_from(purpose, more, &Variables::of_process())
    }

    fn load_from(
        self,
        purpose: Purpose,
        more: Vec<(&'static str, &'static str, Option<String>)>,
        variables: &Variables,
    ) -> Result<Config, config::ConfigError> {
        let listen = if purpose == Purpose::TokenService { "token_service.listen" } else { "listen" };
        let ours = [
            ("--public-url", "public_url", self.public_url),
            ("--listen", listen, self.listen),
            ("--data-dir", "data_dir", self.data_dir),
            ("--store", "store.url", self.store),
        ];
        let flags = ours
            .into_iter()
            .chain(more)
            .filter_map(|(name, key, value)| Some(Flag { name, key, value: value? }))
            .collect();
        config::load(Input { file: self.config.as_deref(), variables: Some(variables), flags }, purpose)
    }
}

impl Serve {
    /// Loads the configuration.
    pub(crate) fn load(self) -> Result<Config, config::ConfigError> {
        self.common.load_with(Purpose::Serve, vec![("--upstream", "upstream", self.upstream)])
    }
}

impl Facade {
    /// Loads the configuration.
    pub(crate) fn load(self) -> Result<Config, config::ConfigError> {
        let more = vec![
            ("--upstream", "upstream", self.serve.upstream),
            ("--token-service", "token_service.url", self.token_service),
        ];
        self.serve.common.load_with(Purpose::Facade, more)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_set_about_somebody_is_said_once() {
        let parse = |more: &[&str]| Cli::try_parse_from([&["grantd", "user", "set", "alice"], more].concat());
        for args in
            [&[][..], &["--email", "a@example.com", "--no-email"], &["--group", "a", "--no-groups"], &["--groups", "a"]]
        {
            assert!(parse(args).is_err(), "{args:?}");
        }
        for args in
            [&["--no-email", "--group", "a", "--group", "b"][..], &["--email", "a@example.com"], &["--no-groups"]]
        {
            assert!(parse(args).is_ok(), "{args:?}");
        }
    }

    #[test]
    fn no_password_fits_on_the_command_line() {
        for args in [
            &["grantd", "user", "add", "alice", "--password", "x"][..],
            &["grantd", "user", "passwd", "alice", "secret"],
            &["grantd", "user", "set", "alice", "--password", "x"],
            &["grantd", "demo", "--upstream", "http://a/"],
        ] {
            assert!(Cli::try_parse_from(args).is_err(), "{args:?}");
        }
    }
}
