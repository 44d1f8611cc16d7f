//! The definition of `kind: mcp`.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use baton_core::bundle::ContentHash;
use baton_core::canonical;
use baton_expr::ParamsTemplate;
use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::McpSourceSettings;
use crate::definition::{DefinitionDiagnostic, ToolProfile, read as read_fields, template};
use crate::kinds::http_request::FORBIDDEN_HEADERS;

const ARGUMENTS_MAX: usize = 100;
/// Maximum size of the prefix of tool names, in bytes: models accept names of 64 bytes in all.
const PREFIX_BYTES_MAX: usize = 32;

/// The location of a server.
#[derive(Clone, Debug)]
pub(super) enum ServerLocation {
    Program { command: String, arguments: Vec<String>, environment: BTreeMap<String, ParamsTemplate> },
    Address { url: Url, headers: Vec<(HeaderName, ParamsTemplate)> },
}

/// What a definition says about one tool, overriding what the server says.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolOverride {
    pub(super) profile: ToolProfile,
    pub(super) questions: QuestionSettings,
}

/// Fields that only the tools of a server have.
const PER_TOOL_FIELDS: &[&str] = &["asks_first", "answer_within_seconds"];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct QuestionSettings {
    /// The tool does nothing before it has the answer to its question, and nothing if the question is cancelled.
    pub(super) asks_first: bool,
    pub(super) answer_within_seconds: Option<NonZeroU64>,
}

impl ToolOverride {
    fn read(tool: &str, fields: Map<String, Value>) -> Result<Self, DefinitionDiagnostic> {
        let place = format!("tools.{tool}");
        if let Some(name) = ["name", "parameters"].into_iter().find(|name| fields.contains_key(*name)) {
            return Err(DefinitionDiagnostic::at(
                format!("{place}.{name}"),
                "is what the server says; nothing else can be said here",
            ));
        }
        // The server's own name of it may not be a valid tool name.
        let (profile, asked) = ToolProfile::read_override(&place, "tool", fields, PER_TOOL_FIELDS)?;
        Ok(Self { profile, questions: asked })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct McpFields {
    #[serde(default)]
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Map<String, Value>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    trusted: bool,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    answer_within_seconds: Option<NonZeroU64>,
    #[serde(default)]
    tools: BTreeMap<String, Map<String, Value>>,
}

pub(super) fn read(
    profile: ToolProfile,
    fields: Map<String, Value>,
) -> Result<McpSourceSettings, DefinitionDiagnostic> {
    if let Some(name) = profile.per_tool_field() {
        return Err(DefinitionDiagnostic::at(
            name,
            match name {
                "parameters" => "is what the server says of each tool; nothing else can be said here".to_owned(),
                name => format!("is said of one tool: write it under `tools.NAME.{name}`"),
            },
        ));
    }
    let written: McpFields = read_fields("", fields)?;
    let identity = json!({
        "command": written.command, "args": written.args, "env": written.env, "url": written.url,
        "headers": written.headers,
    });
    let place = match (written.command, written.url) {
        (Some(command), None) if written.headers.is_empty() => program(command, written.args, &written.env)?,
        (None, Some(url)) if written.args.is_empty() && written.env.is_empty() => address(&url, &written.headers)?,
        (Some(_), None) => return Err(DefinitionDiagnostic::at("headers", "are for a server with a `url`")),
        (None, Some(_)) => {
            return Err(DefinitionDiagnostic::at("args", "and `env` are for a server that is started by `command`"));
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(DefinitionDiagnostic::at("command", "say either `command`, a program to start, or `url`"));
        }
    };
    let tools = written.tools.into_iter().map(|(name, said)| Ok((name.clone(), ToolOverride::read(&name, said)?)));
    let tools = tools.collect::<Result<_, DefinitionDiagnostic>>()?;
    let prefix = written.prefix.unwrap_or_else(|| profile.name.clone());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX || !prefix.bytes().all(is_plain) {
        let reason = format!("`{prefix}` is not 1 to {PREFIX_BYTES_MAX} letters, digits, `_` and `-`; say `prefix`");
        return Err(DefinitionDiagnostic::at("prefix", reason));
    }
    Ok(McpSourceSettings {
        profile,
        place,
        prefix,
        include: written.include,
        exclude: written.exclude,
        trusted: written.trusted,
        answer_within: written.answer_within_seconds.map(|seconds| Duration::from_secs(seconds.get())),
        tools,
        identity: ContentHash::of(canonical::text(&identity).as_bytes()),
    })
}

fn program(
    command: String,
    arguments: Vec<String>,
    environment: &Map<String, Value>,
) -> Result<ServerLocation, DefinitionDiagnostic> {
    if command.is_empty() || arguments.len() > ARGUMENTS_MAX {
        return Err(DefinitionDiagnostic::at("command", format!("is a program, with at most {ARGUMENTS_MAX} `args`")));
    }
    let environment = environment.iter().map(|(name, value)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(DefinitionDiagnostic::at("env", format!("`{name}` is no variable's name")));
        }
        Ok((name.clone(), template(&format!("env.{name}"), value, &["secrets"])?))
    });
    Ok(ServerLocation::Program { command, arguments, environment: environment.collect::<Result<_, _>>()? })
}

fn address(url: &str, headers: &Map<String, Value>) -> Result<ServerLocation, DefinitionDiagnostic> {
    let wrong = || {
        DefinitionDiagnostic::at(
            "url",
            "is an address such as `https://mcp.example.com/mcp`, without user and password",
        )
    };
    let url: Url = url.parse().map_err(|_| wrong())?;
    let is_plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if !is_plain {
        return Err(wrong());
    }
    let headers = headers.iter().map(|(name, value)| {
        let place = format!("headers.{name}");
        let parsed: HeaderName = name.parse().map_err(|_| DefinitionDiagnostic::at(&place, "is no header's name"))?;
        if FORBIDDEN_HEADERS.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-") {
            return Err(DefinitionDiagnostic::at(&place, "is set by the connection"));
        }
        Ok((parsed, template(&place, value, &["secrets"])?))
    });
    Ok(ServerLocation::Address { url, headers: headers.collect::<Result<_, _>>()? })
}
