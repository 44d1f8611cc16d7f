//! The tools an agent asks for: those it may have become calls of its node, of the others it is told why not.

use serde_json::Value;

use crate::agent::whitelist::{self, Grant};
use crate::agent::{Task, ToolRequest};
use crate::fault::Fault;
use crate::graph::node::{AgentNode, Kind};
use crate::money::Usd;
use crate::run::SAVED_COST;
use crate::run::address::Address;
use crate::run::decide::Draft;
use crate::run::event::Event;
use crate::run::state::Activity;
use crate::tool::Facts;

pub fn request(draft: &mut Draft<'_>, at: &Address, requests: Vec<ToolRequest>) {
    let Some((graph, place)) = draft.node(at) else { return };
    let Kind::Agent(agent) = &graph.node(place).kind else { return };
    for request in requests {
        let Some(Activity::Agent { task, .. }) = draft.run.activity(at) else { return };
        match granted(agent, task, &request) {
            Ok(facts) => {
                let name = task.agent.name.clone();
                draft.schedule_tool(at, &request.tool, request.arguments, facts, Some(name));
            }
            Err(reason) => {
                let fault = Fault::new("TOOL_NOT_ALLOWED", reason);
                draft.emit(Event::RequestRefused { node: at.clone(), id: request.id, tool: request.tool, fault });
            }
        }
    }
}

/// Tells in a selection's output what the tools it left out would have cost, one call of each (seed 000 §3.4).
pub fn tell_saved(draft: &Draft<'_>, at: &Address, output: &mut Value) {
    let Some((graph, place)) = draft.node(at) else { return };
    let Kind::Agent(agent) = &graph.node(place).kind else { return };
    let Some(Activity::Agent { task, .. }) = draft.run.activity(at) else { return };
    let Some(fields) = output.as_object_mut() else { return };
    let requests = fields.get("tool_requests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_chosen = |name: &str| {
        requests.iter().any(|one| ["tool_name", "tool"].iter().any(|key| one[*key].as_str() == Some(name)))
    };
    let left_out = task.tools.iter().filter(|offer| !is_chosen(&offer.name));
    let saved: Usd = left_out.filter_map(|offer| Some(agent.tools.get(&offer.name)?.cost)).sum();
    fields.insert(SAVED_COST.to_owned(), Value::from(saved.as_f64()));
}

/// The facts of a tool that the agent may have for this call; else why not.
fn granted<'a>(agent: &'a AgentNode, task: &Task, request: &ToolRequest) -> Result<&'a Facts, String> {
    let tool = request.tool.as_str();
    let is_offered = task.tools.iter().any(|offer| offer.name == tool);
    let grant = match task.agent.tools.iter().any(|name| name == tool) {
        _ if !is_offered => Grant::None,
        true => Grant::ByName,
        false => Grant::WithItsApp,
    };
    let unknown = || format!("`{tool}` is not among this agent's tools");
    let facts = agent.tools.get(tool).filter(|_| is_offered).ok_or_else(unknown)?;
    whitelist::may(task.agent.kind, tool, grant, facts.of(&request.arguments).class)?;
    Ok(facts)
}
