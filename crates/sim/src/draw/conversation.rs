//! Draws workflows that answer a conversation: a few nodes in sequence, which wait for the customer, ask a question,
//! act, and reply or hand over.

use serde_json::{Value, json};

use super::agent_turns;
use super::catalog::{AGENT, TOOLS};
use crate::rng::SeededRng;

/// Maximum number of nodes before the last.
const STEPS_MAX: u64 = 3;
/// The skill that a workflow may require.
pub const SKILL: &str = "billing";

/// The definition of one such workflow.
pub(super) fn draw(rng: &mut SeededRng, name: &str) -> Value {
    let mut nodes: Vec<Value> = (0..rng.between(1, STEPS_MAX)).map(|place| step(rng, place)).collect();
    nodes.extend(last(rng));
    for place in 1..nodes.len() {
        nodes[place]["depends_on"] = json!([nodes[place - 1]["id"]]);
    }
    json!({ "name": name, "nodes": nodes, "variables": { "v": { "initial": 0 } } })
}

fn step(rng: &mut SeededRng, place: u64) -> Value {
    let kind = rng.choose_weighted(&[(4, "wait"), (3, "agent"), (2, "shipped"), (3, "tool"), (1, "pause")]);
    let id = format!("{kind}{place}");
    match kind {
        "wait" => {
            let mut wait = json!({ "id": id, "type": "wait", "signal": "message" });
            if rng.chance(60) {
                wait["deadline"] = json!(format!("{}s", rng.between(1, 30)));
                wait["on_deadline"] = rng.choose(&[json!({ "default": "nobody wrote" }), json!("fail")]).clone();
            }
            wait
        }
        "agent" => {
            let task = *rng.choose(&["ask;answer", "ask;call book 2;answer", "call read 1;answer", "ask;ask;give up"]);
            json!({ "id": id, "type": "agent", "agent": AGENT, "task": task })
        }
        "shipped" => {
            let (agent, task) = agent_turns::draw(rng);
            json!({ "id": id, "type": "agent", "agent": agent, "task": task })
        }
        "tool" => {
            let mut parameters = json!({ "n": rng.below(10) });
            if rng.chance(20) {
                parameters["fails"] = json!(true);
            }
            json!({ "id": id, "type": "tool", "tool": rng.choose_weighted(&TOOLS), "parameters": parameters })
        }
        _ => json!({ "id": id, "type": "wait", "duration": format!("{}ms", rng.choose(&[50, 1_500, 9_000])) }),
    }
}

fn last(rng: &mut SeededRng) -> Option<Value> {
    let skills = if rng.chance(40) { json!([SKILL]) } else { json!([]) };
    let says = |confidence: f64| {
        json!({
            "id": "says", "type": "transform",
            "set": { "text": "re: {{ input.message }}", "confidence": confidence },
        })
    };
    match rng.below(10) {
        0..=4 => Some(says(0.9)),
        5 | 6 => Some(says(0.3)),
        7 | 8 => Some(json!({
            "id": "hands", "type": "sink", "action": "handover_to_human",
            "config": { "reason": "it is drawn so", "required_skills": skills },
        })),
        _ => None,
    }
}
