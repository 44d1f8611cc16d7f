//! Tools that a project defines in `tools/*.yaml`: scripts, HTTP request templates, OpenAPI documents, MCP servers.
//! The app reads the files; this module receives them as JSON.

mod arguments;
mod hook;
mod http;
mod profile;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::canonical::{self, ListPart};
use baton_core::friendly_error::friendly_at;
use baton_expr::{ParamsDialect, ParamsTemplate, nearest};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use hook::{HookForm, NotificationHook};
pub(crate) use http::{ErrorRule, HttpDefinition, HttpLookup, HttpTemplate, OPEN_NAMES, PathSegment, check_class};
pub use profile::FIELDS;
pub(crate) use profile::{ProfileDefaults, ToolProfile};
pub(crate) use script::{
    NAMES as SCRIPT_NAMES, RuleCondition, ScriptDefinition, ScriptReply, ScriptedFault, ToolScriptRule, mark_scripted,
};

use crate::error::ToolSetupError;
use crate::mcp::McpSource;
use crate::openapi::{self, ImportDiagnostic, OpenApiOperation};
use crate::validation_warning::ValidationWarning;

/// Maximum number of tools in one document.
const TOOLS_MAX: usize = 1_000;

/// A tool, checked as far as possible before a call.
#[derive(Clone, Debug)]
pub struct ToolDefinition {
    pub(crate) profile: ToolProfile,
    pub(crate) kind: ToolKind,
    /// SHA-256 of everything that defines it. `None` if not all of that is in the project's files.
    pub(crate) digest: Option<[u8; 32]>,
}

#[derive(Clone, Debug)]
pub(crate) enum ToolKind {
    /// Canned results.
    Script(ScriptDefinition),
    /// An HTTP request template.
    Http(Box<HttpDefinition>),
    /// An operation of an OpenAPI document.
    Operation(Box<OpenApiOperation>),
    /// A tool of an MCP server: the server, the server's own name for the tool, and the declared output schema.
    Remote { source: McpSource, tool: String, output: Option<Arc<Value>> },
}

/// The content of a document of definitions.
#[derive(Clone, Debug, Default)]
pub struct ParsedDefinitions {
    pub tools: Vec<ToolDefinition>,
    /// Parts of OpenAPI documents that became no tool, or only a partial one.
    pub unsupported: Vec<ImportDiagnostic>,
    /// By definition name: references to things that the definition's OpenAPI document does not contain.
    pub warnings: Vec<(String, ValidationWarning)>,
    /// MCP servers, whose tools must be listed by asking them.
    pub sources: Vec<McpSource>,
    /// OpenAPI documents, with the names of the tools from each.
    pub documents: Vec<OpenApiDocument>,
}

/// An OpenAPI document among definitions.
#[derive(Clone, Debug, Default)]
pub struct OpenApiDocument {
    /// The definition's name.
    pub name: String,
    pub tools: Vec<String>,
    pub unsupported: Vec<ImportDiagnostic>,
    /// By the name the tool would have: why an operation is not a tool.
    pub excluded: BTreeMap<String, String>,
}

impl ToolDefinition {
    /// Reads one tool, a list of them, or `{tools: [...]}`.
    ///
    /// # Errors
    /// Names the tool, the place in its definition and the reason: an unknown field, an expression that does not
    /// parse, or a class that the tool cannot keep.
    pub fn parse(document: Value) -> Result<ParsedDefinitions, ToolSetupError> {
        let tools = match document {
            Value::Array(tools) => tools,
            Value::Object(mut fields) if fields.len() == 1 && fields.get("tools").is_some_and(Value::is_array) => {
                match fields.remove("tools") {
                    Some(Value::Array(tools)) => tools,
                    _ => Vec::new(),
                }
            }
            one => vec![one],
        };
        if tools.len() > TOOLS_MAX {
            let reason = format!("a document holds {} tools and may hold {TOOLS_MAX}", tools.len());
            return Err(ToolSetupError::Definition { tool: String::new(), place: "tools".to_owned(), reason });
        }
        let mut parsed = ParsedDefinitions::default();
        tools.into_iter().try_for_each(|tool| Self::read(tool, &mut parsed))?;
        Ok(parsed)
    }

    pub fn name(&self) -> &str {
        &self.profile.name
    }

    /// Returns why every call would be refused because of its address, if that is known in advance: another party's
    /// document names the server, and such a server may not be at that address.
    pub fn outbound_violation(&self, outbound: &crate::outbound::OutboundConfig) -> Option<String> {
        match &self.kind {
            ToolKind::Operation(operation) if !operation.is_trusted => outbound.static_violation(&operation.origin),
            ToolKind::Operation(_) | ToolKind::Script(_) | ToolKind::Http(_) | ToolKind::Remote { .. } => None,
        }
    }

    fn read(tool: Value, parsed: &mut ParsedDefinitions) -> Result<(), ToolSetupError> {
        let digest = Some(canonical::digest_of_list([ListPart::Value(&tool)]));
        let Value::Object(mut fields) = tool else {
            let reason = "a tool is an object with `name` and `kind`".to_owned();
            return Err(ToolSetupError::Definition { tool: String::new(), place: String::new(), reason });
        };
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let wrong = |mistake: DefinitionDiagnostic| ToolSetupError::Definition {
            tool: name.clone(),
            place: mistake.place,
            reason: mistake.reason,
        };
        let misspelt = arguments::warnings(&fields);
        parsed.warnings.extend(misspelt.into_iter().map(|doubt| (name.clone(), doubt)));
        let kind = fields.remove("kind");
        let profile = ToolProfile::extract(&mut fields).map_err(wrong)?;
        match kind.as_ref().and_then(Value::as_str) {
            Some("script") => {
                let script = ScriptDefinition::read(fields, &profile).map_err(wrong)?;
                let profile = script.complete(profile);
                profile.check_outage_policy().map_err(wrong)?;
                parsed.tools.push(Self { profile, kind: ToolKind::Script(script), digest });
            }
            Some("http") => {
                let http = HttpDefinition::read(fields).map_err(wrong)?;
                let profile = http.complete(profile).map_err(wrong)?;
                profile.check_outage_policy().map_err(wrong)?;
                parsed.tools.push(Self { profile, kind: ToolKind::Http(Box::new(http)), digest });
            }
            Some("openapi") => {
                let found = openapi::read(&profile, fields).map_err(wrong)?;
                let tools = found.tools.iter().map(|tool| tool.name().to_owned()).collect();
                let unsupported = found.unsupported.clone();
                parsed.documents.push(OpenApiDocument {
                    name: name.clone(),
                    tools,
                    unsupported,
                    excluded: found.excluded,
                });
                parsed.tools.extend(found.tools.into_iter().map(|tool| Self { digest, ..tool }));
                parsed.unsupported.extend(found.unsupported);
                parsed.warnings.extend(found.warnings.into_iter().map(|doubt| (name.clone(), doubt)));
            }
            Some("mcp") => parsed.sources.push(McpSource::read(profile, fields).map_err(wrong)?),
            Some(other) => {
                let reason = format!("`{other}` is no kind; there are `script`, `http`, `openapi` and `mcp`");
                return Err(wrong(DefinitionDiagnostic::at("kind", reason)));
            }
            None => {
                let reason = "say `kind: script`, `kind: http`, `kind: openapi` or `kind: mcp`";
                return Err(wrong(DefinitionDiagnostic::at("kind", reason)));
            }
        }
        Ok(())
    }
}

/// The reason why a definition is invalid, and the place in it.
#[derive(Debug)]
pub(crate) struct DefinitionDiagnostic {
    place: String,
    reason: String,
}

impl std::fmt::Display for DefinitionDiagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let between = if self.place.is_empty() { "" } else { ": " };
        write!(f, "{}{between}{}", self.place, self.reason)
    }
}

impl DefinitionDiagnostic {
    pub(crate) fn at(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }

    pub(crate) fn within(self, place: &str) -> Self {
        let dot = if self.place.is_empty() { "" } else { "." };
        Self { place: format!("{place}{dot}{}", self.place), ..self }
    }
}

/// Reads a part of a definition. Unknown fields are refused by name.
pub(crate) fn read<T: DeserializeOwned>(place: &str, fields: Map<String, Value>) -> Result<T, DefinitionDiagnostic> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let (path, reason) = friendly_at(&error.path().to_string(), &error.inner().to_string());
        let mistake = DefinitionDiagnostic::at(path, reason);
        if place.is_empty() { mistake } else { mistake.within(place) }
    })
}

/// Compiles templates, which may only name values that a call provides.
pub(crate) fn template(place: &str, source: &Value, known: &[&str]) -> Result<ParamsTemplate, DefinitionDiagnostic> {
    let params = parse(place, source)?;
    check_roots(place, params.roots(), known)?;
    Ok(params)
}

fn parse(place: &str, source: &Value) -> Result<ParamsTemplate, DefinitionDiagnostic> {
    ParamsTemplate::parse(source, ParamsDialect::Edges).map_err(|error| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        DefinitionDiagnostic::at(place, format!("{}{hint}", error.message))
    })
}

fn check_roots(place: &str, roots: &BTreeSet<String>, known: &[&str]) -> Result<(), DefinitionDiagnostic> {
    let Some(unknown) = roots.iter().find(|root| !known.contains(&root.as_str())) else { return Ok(()) };
    let hint = match nearest(unknown, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are `{}`", known.join("`, `")),
    };
    Err(DefinitionDiagnostic::at(place, format!("unknown name `{unknown}`; {hint}")))
}

#[cfg(test)]
mod tests;
