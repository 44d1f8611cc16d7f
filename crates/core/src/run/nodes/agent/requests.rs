//! An agent's tool requests: permitted ones become calls of its node, the others are answered with the reason.

use serde_json::Value;

use crate::agent::whitelist::{self, ToolGrant};
use crate::agent::{AgentTask, ToolRequest};
use crate::fault::Fault;
use crate::graph::node::{AgentNode, NodeKind};
use crate::money::Usd;
use crate::run::SAVED_COST_KEY;
use crate::run::address::NodeAddress;
use crate::run::decide::RunDraft;
use crate::run::event::RunEvent;
use crate::run::state::NodeActivity;
use crate::tool::ToolContract;

pub fn request(draft: &mut RunDraft<'_>, at: &NodeAddress, requests: Vec<ToolRequest>) {
    let Some((graph, place)) = draft.node(at) else { return };
    let NodeKind::Agent(agent) = &graph.node(place).kind else { return };
    for request in requests {
        let Some(NodeActivity::Agent { task, .. }) = draft.run.activity(at) else { return };
        match granted_tool(agent, task, &request) {
            Ok(facts) => {
                let name = task.agent.name.clone();
                draft.schedule_tool(at, &request.tool, request.arguments, facts, Some(name));
            }
            Err(reason) => {
                let fault = Fault::new("TOOL_NOT_ALLOWED", reason);
                draft.emit(RunEvent::RequestRefused { node: at.clone(), id: request.id, tool: request.tool, fault });
            }
        }
    }
}

/// Adds to a selection's output the cost of the tools that it left out, one call of each (seed 000 §3.4).
pub fn add_saved_cost(draft: &RunDraft<'_>, at: &NodeAddress, output: &mut Value) {
    let Some((graph, place)) = draft.node(at) else { return };
    let NodeKind::Agent(agent) = &graph.node(place).kind else { return };
    let Some(NodeActivity::Agent { task, .. }) = draft.run.activity(at) else { return };
    let Some(fields) = output.as_object_mut() else { return };
    let requests = fields.get("tool_requests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_chosen = |name: &str| {
        requests.iter().any(|one| ["tool_name", "tool"].iter().any(|key| one[*key].as_str() == Some(name)))
    };
    let left_out = task.tools.iter().filter(|offer| !is_chosen(&offer.name));
    let saved: Usd = left_out.filter_map(|offer| Some(agent.tools.get(&offer.name)?.cost)).sum();
    fields.insert(SAVED_COST_KEY.to_owned(), Value::from(saved.as_f64()));
}

/// Returns the contract of a tool that the agent may use for this call; otherwise the reason why not.
fn granted_tool<'a>(agent: &'a AgentNode, task: &AgentTask, request: &ToolRequest) -> Result<&'a ToolContract, String> {
    let tool = request.tool.as_str();
    let is_offered = task.tools.iter().any(|offer| offer.name == tool);
    let grant = match task.agent.tools.iter().any(|name| name == tool) {
        _ if !is_offered => ToolGrant::None,
        true => ToolGrant::ByName,
        false => ToolGrant::WithItsApp,
    };
    let unknown = || format!("`{tool}` is not among this agent's tools");
    let facts = agent.tools.get(tool).filter(|_| is_offered).ok_or_else(unknown)?;
    whitelist::check_grant(task.agent.kind, tool, grant, facts.for_arguments(&request.arguments).class)?;
    Ok(facts)
}
