//! Tools of an MCP server: `kind: mcp`. The server is a program that is started here, or an address that speaks
//! streamable HTTP. Each tool that it lists becomes a tool; a call of one is a call to the server.
//!
//! The list is data ([`McpToolListing`]): the code that reads files stores it, so that the tools exist while the
//! server is down. A connection is made when the first call needs one, and kept. If it breaks, it is made again, with
//! a growing delay.

mod connection_pool;
mod content;
mod definition;
mod elicitation;
mod listing;
mod output_schema;
mod process;
mod progress;
mod questions;
mod session;
pub mod supervisor;
mod tools;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::ContentHash;
use baton_core::tool::EffectClass;
use serde_json::Value;

pub(crate) use connection_pool::McpConnectionPool;
pub use listing::McpToolListing;
pub(crate) use output_schema::OutputSchema;

use crate::config::ToolsConfig;
use crate::definition::{DefinitionDiagnostic, ToolDefinition, ToolProfile};
use crate::launch::LaunchCommand;
use crate::openapi::ImportDiagnostic;
use crate::outbound::{OutboundClient, display_url};
use crate::validation_warning::ValidationWarning;
use definition::{ServerLocation, ToolOverride};

/// Time-out of connecting, including the start of a program.
const OPEN_LIMIT: Duration = Duration::from_secs(20);

/// A server as a definition describes it, and the supervisor that ends it when this process ends.
#[derive(Clone, Debug)]
pub struct McpSource(Arc<McpSourceSettings>, Option<LaunchCommand>);

#[derive(Debug)]
struct McpSourceSettings {
    profile: ToolProfile,
    place: ServerLocation,
    /// The prefix of its tools' names.
    prefix: String,
    include: Vec<String>,
    exclude: Vec<String>,
    /// Whether a person vouches that its tools do what they say.
    trusted: bool,
    /// How long people have to answer its questions.
    answer_within: Option<Duration>,
    /// By the server's own name of a tool.
    tools: BTreeMap<String, ToolOverride>,
    /// A hash of where the server is and how it is started: a stored list belongs to one such identity.
    identity: ContentHash,
}

impl McpSource {
    pub(crate) fn read(
        profile: ToolProfile,
        fields: serde_json::Map<String, Value>,
    ) -> Result<Self, DefinitionDiagnostic> {
        definition::read(profile, fields).map(|parts| Self(Arc::new(parts), None))
    }

    /// Returns the same source, supervised if it is a program: `attendant` must run [`supervisor::supervise`] with
    /// the program and its arguments. An unsupervised program may outlive this process if this process is killed.
    #[must_use]
    pub fn with_supervisor(self, attendant: LaunchCommand) -> Self {
        Self(self.0, Some(attendant))
    }

    pub fn name(&self) -> &str {
        &self.0.profile.name
    }

    /// Identifies the server: stored data about the server belongs to this identity.
    pub fn identity(&self) -> &str {
        self.0.identity.as_str()
    }

    /// The address without private parts; `None` if the server is a program.
    pub fn address(&self) -> Option<String> {
        match &self.0.place {
            ServerLocation::Address { url, .. } => Some(display_url(url)),
            ServerLocation::Program { .. } => None,
        }
    }

    /// Asks the server for its tools, on a connection of its own.
    ///
    /// # Errors
    /// The reason in words, without secrets.
    pub async fn list(&self, config: &ToolsConfig) -> Result<McpToolListing, String> {
        self.list_within(config, OPEN_LIMIT).await
    }

    async fn list_within(&self, config: &ToolsConfig, limit: Duration) -> Result<McpToolListing, String> {
        let outbound = OutboundClient::new(config.outbound.clone());
        let asked = async { session::McpSession::open(self, &config.secrets, &outbound, None).await?.list().await };
        match tokio::time::timeout(limit, asked).await {
            // A server may repeat what it was sent.
            Ok(listed) => listed.map_err(|reason| {
                let secrets = config.secrets.values().map(|secret| secret.redaction_text().to_owned());
                crate::outbound::SecretRedactor::new(secrets).redact(reason)
            }),
            Err(_elapsed) => Err(format!("no list of tools within {} s", limit.as_secs())),
        }
    }

    /// Converts a list to tools, and reports the parts that cannot be used.
    pub fn tools(&self, listing: &McpToolListing) -> (Vec<ToolDefinition>, Vec<ImportDiagnostic>) {
        tools::tools(self, listing)
    }

    /// Warns about tools that the definition names and the list does not contain.
    pub fn warnings(&self, listing: &McpToolListing) -> Vec<ValidationWarning> {
        tools::warnings(self, listing)
    }

    /// How questions during a call of a tool are handled. `tool` is the server's own name. A call with side effects
    /// is only repeated if a person vouches that it did nothing before it asked: with the answer it is another call.
    fn question_policy(&self, tool: &str, class: EffectClass) -> elicitation::QuestionPolicy {
        let said = self.0.tools.get(tool);
        let again = !class.has_side_effects() || self.asks_first(tool);
        let seconds = said.and_then(|said| said.questions.answer_within_seconds);
        let own = seconds.map(|seconds| Duration::from_secs(seconds.get()));
        elicitation::QuestionPolicy { resumable: again, time_limit: own.or(self.0.answer_within) }
    }

    fn asks_first(&self, tool: &str) -> bool {
        self.0.tools.get(tool).is_some_and(|said| said.questions.asks_first)
    }

    /// Returns whether a tool of this name may belong to the server.
    pub(crate) fn may_provide(&self, tool: &str) -> bool {
        tool.strip_prefix(self.0.prefix.as_str()).is_some_and(|rest| rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests;
