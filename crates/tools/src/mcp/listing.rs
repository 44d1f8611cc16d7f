//! The tools that a server lists.

use rmcp::model::Tool;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::value_size::json_size;

/// Maximum number of tools of one server. A list is read until one of these limits.
pub(super) const TOOLS_MAX: usize = 2_000;
pub(super) const PAGES_MAX: usize = 200;
/// Maximum size of one list, in bytes.
pub(super) const LISTING_BYTES_MAX: usize = 8 << 20;
/// Maximum size of a name, a description and a version, in bytes; longer ones are cut.
const NAME_BYTES_MAX: usize = 200;
const DESCRIPTION_BYTES_MAX: usize = 4_000;
const VERSION_BYTES_MAX: usize = 100;

/// A server's tools. Serialised as JSON, to be stored and read again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct McpToolListing {
    pub(super) tools: Vec<McpListedTool>,
    /// Whether there were more tools than the limits allow.
    #[serde(default)]
    pub(super) truncated: bool,
    /// The server's version, as it states it.
    #[serde(default)]
    pub(super) version: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct McpListedTool {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) schema: Value,
    /// JSON Schema of the structured output, if the server declares it.
    #[serde(default)]
    pub(super) output: Option<Value>,
    /// The server's annotations of the tool, with MCP's defaults for those it does not set.
    pub(super) read_only: bool,
    pub(super) destructive: bool,
    pub(super) idempotent: bool,
}

impl McpToolListing {
    pub(super) fn of_version(version: Option<&str>) -> Self {
        let version = version.filter(|version| !version.is_empty());
        Self { version: version.map(|version| truncate(version.to_owned(), VERSION_BYTES_MAX)), ..Self::default() }
    }

    /// The number of tools.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }
}

impl McpListedTool {
    pub(super) fn from_mcp(tool: Tool) -> Self {
        let annotations = tool.annotations.unwrap_or_default();
        let title = tool.title.or(annotations.title);
        let description = tool.description.map(std::borrow::Cow::into_owned).or(title).unwrap_or_default();
        Self {
            name: truncate(tool.name.into_owned(), NAME_BYTES_MAX),
            description: truncate(description, DESCRIPTION_BYTES_MAX),
            schema: Value::Object(tool.input_schema.as_ref().clone()),
            output: tool.output_schema.map(|schema| Value::Object(schema.as_ref().clone())),
            read_only: annotations.read_only_hint.unwrap_or(false),
            destructive: annotations.destructive_hint.unwrap_or(true),
            idempotent: annotations.idempotent_hint.unwrap_or(false),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.description.len() + json_size(&self.schema) + self.output.as_ref().map_or(0, json_size)
    }
}

fn truncate(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}
