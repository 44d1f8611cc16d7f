//! One call from outside, as a run of its own: checked, approved, kept from happening twice, audited and undone as any other.

use std::borrow::Cow;

use anyhow::Context;
use baton_core::bundle::Hash;
use baton_core::definition::{self, SINGLE_CALL};
use baton_core::id::{ID_BYTES_MAX, RunId};
use baton_core::run::{Run, State};
use baton_core::tool::{Caller, Envelope};
use baton_engine::Start;
use baton_ports::registry::{Registry as _, Version};
use baton_ports::tools::Tools as _;
use serde_json::{Map, Value, json};

use crate::print;
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

/// What the call of such a run came to, once it has; nothing of a run of any other kind.
pub fn envelope(run: &Run) -> Option<Envelope> {
    let is_one = run.workflow().is_some_and(|workflow| workflow.name.starts_with(SINGLE_CALL));
    let results = run.outputs().remove(NODE).filter(|_| is_one)?;
    // One call was asked for, so there is one result.
    let result = results.as_object()?.values().next()?;
    serde_json::from_value(result.clone()).ok()
}

/// How the call of such a run failed, where it has. The run itself completes: it did what it was there for, which was to
/// ask and to hear the answer.
pub fn failure(run: &Run) -> Option<Envelope> {
    envelope(run).filter(|envelope| run.state() == State::Completed && !envelope.success)
}

/// Why a call failed, in a line.
pub fn reason(failed: &Envelope) -> String {
    let code = failed.error_code.as_deref().unwrap_or_default();
    let details = failed.error_details.as_deref().or(failed.error.as_deref()).unwrap_or_default();
    format!("{code}: {details}")
}

/// That a call failed, why, and the way out where one is known.
pub fn tell_failure(failed: &Envelope) {
    print::line(format_args!("{}: {}", print::paint("31", "the call failed"), reason(failed)));
    if let Some(action) = &failed.suggested_action {
        print::note(format_args!("hint: {action}"));
    }
}
