//! Converts a server's description of a tool to the tool's contract.

use std::collections::BTreeSet;
use std::sync::Arc;

use baton_core::tool::EffectClass;
use serde_json::Value;

use super::definition::ToolOverride;
use super::listing::{LISTING_BYTES_MAX, McpListedTool, McpToolListing, TOOLS_MAX};
use super::{McpSource, output_schema};
use crate::catalogue::ToolRisk;
use crate::definition::{ProfileDefaults, ToolDefinition, ToolKind};
use crate::openapi::{ImportDiagnostic, free_name, is_wanted};
use crate::validation_warning::{ValidationWarning, suggestion, unmatched_patterns};
use crate::value_size::json_size;

/// Maximum size of one schema, in bytes: models receive all of it at each step.
const SCHEMA_BYTES_MAX: usize = 64 << 10;

pub(super) fn tools(source: &McpSource, listing: &McpToolListing) -> (Vec<ToolDefinition>, Vec<ImportDiagnostic>) {
    let parts = &source.0;
    let (mut tools, mut unsupported, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    let note = |place: String, reason: String| ImportDiagnostic { place, reason };
    for listed in &listing.tools {
        if !is_wanted(&parts.include, &parts.exclude, &listed.name) {
            continue;
        }
        let place = format!("tools.{}", listed.name);
        if listed.schema.get("type").and_then(Value::as_str) != Some("object") {
            unsupported.push(note(place, "its schema of arguments is not that of an object".to_owned()));
            continue;
        }
        let bytes = json_size(&listed.schema);
        if bytes > SCHEMA_BYTES_MAX {
            let reason = format!("its schema of arguments has {bytes} bytes and may have {SCHEMA_BYTES_MAX}");
            unsupported.push(note(place, reason));
            continue;
        }
        let name = free_name(&parts.prefix, &listed.name, &names);
        names.insert(name.clone());
        let said = parts.tools.get(&listed.name).cloned().unwrap_or_default();
        let output = listed.output.as_ref().filter(|output| match check_output_schema(output) {
            Ok(()) => true,
            Err(reason) => {
                let reason = format!("{reason}; its answers are not checked");
                unsupported.push(note(format!("{place}.outputSchema"), reason));
                false
            }
        });
        let (class, risk) = class_and_risk(listed, &said, parts.trusted);
        // A definition that declares the output overrides the server's schema.
        let checked = output.filter(|_| !said.profile.has_output_schema()).cloned().map(Arc::new);
        let profile =
            said.profile.with_name(name).with_source_fallback(&parts.profile).with_defaults(ProfileDefaults {
                description: listed.description.clone(),
                category: None,
                class,
                risk,
                parameters: listed.schema.clone(),
                output_schema: output.map(|output| Arc::new(output_schema::envelope(output))),
                version: listing.version.clone(),
                timeout_ms: None,
                irreversible: "its server does not say how it is undone",
            });
        let kind = ToolKind::Remote { source: source.clone(), tool: listed.name.clone(), output: checked };
        tools.push(ToolDefinition { profile, kind, digest: None });
    }
    if listing.truncated {
        let reason =
            format!("it has more than {TOOLS_MAX} tools or {LISTING_BYTES_MAX} bytes of them; the rest is left out");
        unsupported.push(note("tools".to_owned(), reason));
    }
    (tools, unsupported)
}

/// Checks that results can be validated against a schema; the error says why not.
fn check_output_schema(output: &Value) -> Result<(), String> {
    let bytes = json_size(output);
    if bytes > SCHEMA_BYTES_MAX {
        return Err(format!("its schema of answers has {bytes} bytes and may have {SCHEMA_BYTES_MAX}"));
    }
    output_schema::is_schema(output).map_err(|reason| format!("its schema of answers is none: {reason}"))
}

/// Warns about tools that the definition names and the server does not list. Nothing is known about a server that
/// never listed any.
pub(super) fn warnings(source: &McpSource, listing: &McpToolListing) -> Vec<ValidationWarning> {
    let parts = &source.0;
    if listing.is_empty() || listing.truncated {
        return Vec::new();
    }
    let names = listing.tools.iter().map(|listed| listed.name.as_str());
    let patterns =
        |field, patterns: &[String]| unmatched_patterns(field, patterns, names.clone(), "tool of the server");
    let of_tools = parts.tools.keys().filter_map(|name| {
        let place = format!("tools.{name}");
        if !names.clone().any(|listed| listed == name) {
            let message = format!("the server has no tool `{name}`, so this holds for none");
            return Some(ValidationWarning { place, message, hint: suggestion(name, names.clone()) });
        }
        let message = format!("`{name}` is left out by `include` or `exclude`, so this holds for none");
        let hint = "take it in there, or leave this out".to_owned();
        (!is_wanted(&parts.include, &parts.exclude, name)).then_some(ValidationWarning { place, message, hint })
    });
    let of_patterns = [patterns("include", &parts.include), patterns("exclude", &parts.exclude)].concat();
    of_patterns.into_iter().chain(of_tools).collect()
}

/// A server's annotations count only if a person vouches for it. Otherwise its tools count as `once` acts.
fn class_and_risk(listed: &McpListedTool, said: &ToolOverride, trusted: bool) -> (EffectClass, ToolRisk) {
    let class = match (trusted, listed.read_only, listed.idempotent) {
        (true, true, _) => EffectClass::Read,
        // Repeating the call with the same arguments has no further effect.
        (true, false, true) => EffectClass::Keyed,
        (true, false, false) | (false, ..) => EffectClass::Once,
    };
    let class = said.profile.class.unwrap_or(class);
    let risk = match (trusted, class.has_side_effects(), listed.destructive) {
        (true, false, _) => ToolRisk::Low,
        (true, true, false) => ToolRisk::Medium,
        (true, true, true) | (false, ..) => ToolRisk::High,
    };
    (class, risk)
}
