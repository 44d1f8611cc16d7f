//! How a completed call is undone: rendered when it completes, from its output, and never again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::super::address::{CallRole, EffectId};
use super::super::decide::RunDraft;
use super::super::event::{EffectRequest, UndoAction};
use super::super::refusal::RunRefusal;
use super::super::state::OpenCall;
use crate::fault::{Fault, code};
use crate::graph::GraphNode;
use crate::graph::node::NodeKind;
use crate::tool::{EffectClass, RetryPolicy, ToolContract};
use baton_expr::{ParamsDialect, ParamsTemplate};

/// The time-out of a tool without a description. Its calls are not repeated.
const UNDESCRIBED_TIMEOUT: Duration = Duration::from_secs(30);

impl RunDraft<'_> {
    pub fn undo_of(&self, effect: &EffectId, call: &OpenCall, output: &Arc<Value>) -> Option<Box<UndoAction>> {
        let EffectRequest::Tool { tool, arguments, agent, provider } = &call.request else { return None };
        if !call.class.has_side_effects() || effect.call.role == CallRole::Undo {
            return None;
        }
        let at = &effect.call.node;
        let Some((graph, place)) = self.node(at) else {
            let message = format!("`{at}` is not in this version any more, so nobody knows how `{tool}` is undone");
            return Some(Box::new(UndoAction::Broken { fault: Fault::new(code::EXPRESSION, message) }));
        };
        let node = graph.node(place);
        let all = match &node.kind {
            NodeKind::Tool(tool) => &tool.facts,
            NodeKind::Agent(agent) => &agent.tools,
            _ => return None,
        };
        let facts = all.get(tool).map(|facts| facts.for_arguments(arguments));
        let Some((name, parameters)) = compensation(node, facts, agent.is_some()) else {
            let reason = facts.and_then(|facts| facts.irreversible.clone());
            let reason = reason.unwrap_or_else(|| format!("`{tool}` names no compensation"));
            return Some(Box::new(UndoAction::Irreversible { reason }));
        };
        let view = self.view(&at.scope).with_own(&node.id, output.clone()).with("arguments", arguments.clone());
        let rendered = parameters.and_then(|params| params.render(&view).map_err(|error| error.to_string()));
        Some(Box::new(match rendered {
            Ok(arguments) => {
                let facts = all.get(&name).map(|facts| facts.for_arguments(&arguments));
                UndoAction::Call {
                    tool: name,
                    class: facts.map_or(EffectClass::Once, |facts| facts.class),
                    timeout: facts.map_or(UNDESCRIBED_TIMEOUT, |facts| facts.timeout),
                    retry: facts.map_or(RetryPolicy::NONE, |facts| facts.retry.clone()),
                    arguments,
                    provider: provider.clone(),
                }
            }
            Err(error) => {
                UndoAction::Broken { fault: Fault::new(code::EXPRESSION, format!("compensation by `{name}`: {error}")) }
            }
        }))
    }
}

impl RunDraft<'_> {
    /// Checks that the output a person gives for a call is enough to undo it. Null means that the output is unknown:
    /// then a person undoes the call, too.
    pub(super) fn check_undo_output(
        &self,
        effect: &EffectId,
        call: &OpenCall,
        output: &Value,
    ) -> Result<(), RunRefusal> {
        if output.is_null() || !self.is_undone_by_output(effect, call) {
            return Ok(());
        }
        let undo = self.undo_of(effect, call, &Arc::new(output.clone()));
        let Some(UndoAction::Broken { fault }) = undo.as_deref() else { return Ok(()) };
        let reason = format!(
            "with that output `{effect}` could not be undone: {}; give what is missing, or `null` where nobody knows what \
             the call answered: a person undoes it then",
            fault.message
        );
        Err(RunRefusal::Impossible { reason })
    }

    /// Returns whether the compensation uses the output of the call.
    fn is_undone_by_output(&self, effect: &EffectId, call: &OpenCall) -> bool {
        let EffectRequest::Tool { tool, arguments, agent, .. } = &call.request else { return false };
        let needs = |node: &GraphNode| {
            let all = match &node.kind {
                NodeKind::Tool(tool) => &tool.facts,
                NodeKind::Agent(agent) => &agent.tools,
                _ => return false,
            };
            let facts = all.get(tool).map(|facts| facts.for_arguments(arguments));
            let parameters = compensation(node, facts, agent.is_some()).and_then(|(_, parameters)| parameters.ok());
            parameters
                .is_some_and(|params| params.roots().iter().any(|root| root == "output" || *root == *node.id.as_str()))
        };
        self.with_node(&effect.call.node, needs).unwrap_or_default()
    }
}

/// Returns the compensating tool and its parameters: the node's own if the node makes the call, otherwise the tool's.
fn compensation(
    node: &GraphNode,
    facts: Option<&ToolContract>,
    by_agent: bool,
) -> Option<(String, Result<ParamsTemplate, String>)> {
    if let (Some(own), false) = (&node.policy.compensation, by_agent) {
        return Some((own.tool.clone(), Ok(own.parameters.clone())));
    }
    let known = facts?.compensation.as_ref()?;
    let params = ParamsTemplate::parse(&known.parameters, ParamsDialect::Edges).map_err(|error| error.to_string());
    Some((known.tool_name.clone(), params))
}
