//! One call from outside, as a run of its own: checked, approved, kept from happening twice, audited and undone as any other.

use std::borrow::Cow;

use anyhow::Context;
use baton_core::bundle::Hash;
use baton_core::definition::{self, SINGLE_CALL};
use baton_core::id::{ID_BYTES_MAX, RunId};
use baton_core::run::Run;
use baton_core::tool::{Caller, Envelope};
use baton_engine::Start;
use baton_ports::registry::{Registry as _, Version};
use baton_ports::tools::Tools as _;
use serde_json::{Map, Value, json};

use crate::wire::System;

/// Its node that calls.
const NODE: &str = "call";

/// What is asked, and on whose behalf.
pub struct OneCall {
    /// Chosen by whoever asks: the same id is accepted once, by whichever process is first.
    pub run: RunId,
    /// One that the system knows.
    pub tool: String,
    pub arguments: Map<String, Value>,
    pub context: Value,
    pub caller: Caller,
}

impl OneCall {
    /// The run that makes it, and its version.
    pub async fn begin(self, system: &System) -> anyhow::Result<(Start, Version)> {
        let version = save(system, &self.tool).await?;
        let start = Start {
            run: self.run,
            tenant: system.tenant.clone(),
            workflow: version.workflow.clone(),
            bundle: version.bundle.clone(),
            input: json!({"requests": [{"tool": self.tool, "arguments": self.arguments}]}),
            caller: self.caller,
            context: self.context,
        };
        Ok((start, version))
    }
}

/// The workflow that calls this tool and does nothing else; unchanged, it keeps its revision. Arguments come with the
/// input and not within it, so nothing in them is taken for a template.
async fn save(system: &System, tool: &str) -> anyhow::Result<Version> {
    let definition = json!({
        "name": name_of(tool),
        "nodes": [
            {"id": "ask", "type": "transform", "set": {"tool_requests": "{{ input.requests }}"}},
            {"id": NODE, "type": "tool", "from": "tool_requests", "tools": [tool]},
        ],
        "edges": [{"from": "ask", "to": NODE}],
    });
    let mut catalog = Cow::Borrowed(&system.catalog);
    if !catalog.tools.contains_key(tool)
        && let Some(facts) = system.tools.facts(tool)
    {
        // A hook of the settings, which nobody else may name.
        catalog.to_mut().tools.insert(tool.to_owned(), facts);
    }
    let checked = definition::check_single_call(&definition, &catalog);
    let (workflow, bundle) = checked.ready().with_context(|| {
        let first = checked.diagnostics.first().map(|found| found.message.clone()).unwrap_or_default();
        format!("`{tool}` cannot be called by itself: {first}")
    })?;
    let (text, hash) = bundle.seal()?;
    let (name, label, now) = (&workflow.name, &workflow.version, system.clock.now());
    Ok(system.store.save(&system.tenant, name, label, text.into(), &hash, now).await?)
}

/// A tool's name may be as long as a workflow's: then its hash stands for it.
fn name_of(tool: &str) -> String {
    let name = format!("{SINGLE_CALL}{tool}");
    if name.len() <= ID_BYTES_MAX { name } else { format!("{SINGLE_CALL}{}", Hash::of(tool.as_bytes()).as_str()) }
}

/// What such a run's call came to, once it has.
pub fn envelope(run: &Run, tool: &str) -> Option<Envelope> {
    let results = run.outputs().remove(NODE)?;
    serde_json::from_value(results.get(tool)?.clone()).ok()
}
