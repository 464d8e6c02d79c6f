//! Commands of the operator, about the people, clients and grants of a grantd that runs or could.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Common;
use crate::config::{self, Config, Purpose};

/// Which grantd a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// A configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "GRANTD_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory of the running grantd [default: ./grantd-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl Target {
    /// Loads the configuration.
    pub(crate) fn load(self) -> Result<Config, config::ConfigError> {
        Common { config: self.config, data_dir: self.data_dir, ..Common::default() }.load(Purpose::Tool)
    }
}

/// `grantd user`.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add somebody
    #[command(after_long_help = "Examples:\n  grantd user add alice --email alice@example.com --group owner\n  \
        pass show alice | grantd user add alice --group owner --password-stdin")]
    Add {
        /// What they type to sign in
        name: String,
        /// Passed to the MCP server as X-Forwarded-Email
        #[arg(long, default_value = "")]
        email: String,
        /// A group, for allow_groups; may be repeated. Resources admit the group `owner` unless configured otherwise
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Read the password from standard input instead of asking
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Change somebody's address or groups; their sessions and grants live on
    #[command(
        long_about = "Change somebody's address or groups. What is not named stays; --group names all groups from then on.\n\n\
            They keep their stable id (X-Forwarded-User), their password, sessions and grants. The next call of every client \
            of theirs goes with the new address and groups, and without the scopes that needed a group they have lost; what \
            was under way with such a group is cut. A grant for a resource that admits none of their groups any more is \
            revoked.",
        after_long_help = "Examples:\n  grantd user set alice --group owner --group staff\n  \
            grantd user set alice --no-groups\n  grantd user set alice --email alice@example.com"
    )]
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
    Set {
        /// Who
        name: String,
        /// Passed to the MCP server as X-Forwarded-Email
        #[arg(long, group = "what", conflicts_with = "no_email")]
        email: Option<String>,
        /// No address is known
        #[arg(long, group = "what")]
        no_email: bool,
        /// A group they are in from now on, instead of those they are in; may be repeated
        #[arg(long = "group", value_name = "GROUP", group = "what", conflicts_with = "no_groups")]
        groups: Vec<String>,
        /// In no group
        #[arg(long, group = "what")]
        no_groups: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Change a password; sessions and grants of that person end
    Passwd {
        /// Whose
        name: String,
        /// Read the password from standard input instead of asking
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        target: Target,
    },
    /// List everybody
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Remove somebody; their sessions and grants end
    Remove {
        /// Who
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

/// `grantd client`.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// List the registered clients
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Show what a client registered
    Show {
        /// Its client_id
        client_id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a client; its grants end
    Remove {
        /// Its client_id
        client_id: String,
        #[command(flatten)]
        target: Target,
    },
}

/// `grantd grant`.
#[derive(Debug, Subcommand)]
pub(crate) enum Grant {
    /// List the grants that live
    List {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        target: Target,
    },
    /// Show a grant
    Show {
        /// Its id, from `grantd grant list`
        grant_id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Revoke grants: their tokens fail at once
    #[command(after_long_help = "Examples:\n  grantd grant revoke uYfhiwORMIdc_LTk-7X7VA\n  \
        grantd grant revoke --user alice\n  grantd grant revoke --all")]
    Revoke {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
}

/// Whose grants.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub(crate) struct Whose {
    /// Those of a person
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Those of a client
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) client: Option<String>,
}

/// Which grants; one must be said.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// One, by its id from `grantd grant list`
    pub(crate) grant_id: Option<String>,
    /// Those of a person
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Those of a client
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) client: Option<String>,
    /// Every one: everybody must sign in again
    #[arg(long)]
    pub(crate) all: bool,
}

/// `grantd backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write, where nothing may be yet; `-` for standard output
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
}
