//! The agent that works on an agent's node: the one it names, or a fallback.

use std::borrow::Cow;

use serde_json::Value;

use crate::agent::{AgentTask, context, primary_language};
use crate::fault::{Fault, code};
use crate::graph::node::AgentNode;
use crate::model::ToolOffer;
use crate::run::address::NodeAddress;
use crate::run::decide::RunDraft;
use crate::run::event::RunEvent;
use crate::run::scope_view::ScopeView;
use crate::run::state::NodeActivity;
use baton_expr::{EvalContext as _, EvalError};

/// Returns the task of the first agent that is healthy and may run; if none is healthy, of the first that may run.
///
/// # Errors
/// The reason why the node's own agent may not run, if no agent may.
pub fn choose(draft: &RunDraft<'_>, at: &NodeAddress, agent: &AgentNode) -> Result<AgentTask, Fault> {
    let unwell = |one: &&AgentNode| draft.run.advice.failing.contains(&one.agent.name);
    let well = candidates(agent).filter(|one| !unwell(one));
    first_available(draft, at, agent, well.chain(candidates(agent).filter(unwell)))
}

/// Starts the next agent in the place of one that gave up; returns whether there was one. An agent that may have
/// changed something is not replaced, since the next one would repeat the change.
pub fn fall_back(draft: &mut RunDraft<'_>, at: &NodeAddress, agent: &AgentNode, fault: &Fault) -> bool {
    let Some(NodeActivity::Agent { task, acted: false, .. }) = draft.run.activity(at) else { return false };
    let behind = candidates(agent).skip_while(|one| one.agent.name != task.agent.name).skip(1);
    let Ok(task) = first_available(draft, at, agent, behind) else { return false };
    let Some(gave_up) = draft.run.agent_work(at, draft.now) else { return false };
    draft.emit(RunEvent::AgentReplaced { node: at.clone(), gave_up, task: Box::new(task), fault: fault.clone() });
    true
}

fn candidates(agent: &AgentNode) -> impl Iterator<Item = &AgentNode> {
    std::iter::once(agent).chain(&agent.fallbacks)
}

fn first_available<'a>(
    draft: &RunDraft<'_>,
    at: &NodeAddress,
    agent: &AgentNode,
    candidates: impl Iterator<Item = &'a AgentNode>,
) -> Result<AgentTask, Fault> {
    let mut refused = None;
    for candidate in candidates {
        match task_of(draft, at, candidate, agent.only_selects_tools) {
            Ok(task) => return Ok(task),
            Err(fault) => refused = refused.or(Some(fault)),
        }
    }
    Err(refused.unwrap_or_else(|| Fault::new(code::AGENT_GAVE_UP, "nobody stands in for the agent")))
}

/// Returns the agent's task at this node, within the tenant's limits.
fn task_of(draft: &RunDraft<'_>, at: &NodeAddress, persona: &AgentNode, selects: bool) -> Result<AgentTask, Fault> {
    let view = draft.view(&at.scope);
    let unwritten = |what: &str, error: &EvalError| prompt_fault(at, &persona.agent.name, what, error);
    let prompt = persona.prompt.render(&view).map_err(|error| unwritten("prompt", &error))?;
    let language = language(&view);
    let system = persona.system_by_language.get(&primary_language(&language)).unwrap_or(&persona.system);
    let system = system.render(&view).map_err(|error| unwritten("system prompt", &error))?;
    let offered = persona.tools.iter().filter(|(name, _)| persona.offers(name)).map(|(name, facts)| ToolOffer {
        name: name.clone(),
        description: facts.description.clone(),
        parameters: facts.parameters.clone(),
        strict: None,
    });
    // Memory tools that are only called for context do not count towards the tier's limit.
    let (lent, mut tools): (Vec<ToolOffer>, Vec<ToolOffer>) =
        offered.partition(|offer| context::is_context_only(&persona.agent, &offer.name));
    let mut agent = persona.agent.clone();
    if let Some(tier) = &draft.run.advice.tier {
        tier.enforce(&mut agent, &mut tools)?;
    }
    tools.extend(lent);
    Ok(AgentTask { agent, system, prompt, tools, selects, language })
}

/// Returns the fault for a prompt that cannot be rendered here; the error contains the name and the known names.
fn prompt_fault(at: &NodeAddress, agent: &str, what: &str, error: &EvalError) -> Fault {
    let message =
        format!("agent `{agent}`: its {what} at node `{}` cannot be written: {error} ({})", at.node, error.code);
    Fault::new(code::PROMPT_FAILED, message)
}

/// Returns the customer's language: the name `language`, otherwise `context.language`, otherwise the caller's.
fn language(view: &ScopeView<'_>) -> String {
    let said = |value: Option<Cow<'_, Value>>| value.and_then(|value| value.as_str().map(str::to_owned));
    let context = view.lookup("context").and_then(|context| context.get("language").cloned().map(Cow::Owned));
    let of_caller = || view.caller().and_then(|caller| caller.language.clone());
    said(view.lookup("language")).or_else(|| said(context)).or_else(of_caller).unwrap_or_default()
}
