use baton_core::agent::AgentKind;
use serde_json::{Value, json};

use super::{ReactReply, read};
use crate::kinds::reasoning::read::OfferedTools;
use crate::test_support::task;

fn acts(reply: &str, action: &str, input: &Value) {
    match read(reply, &OfferedTools::to(&task(AgentKind::Reasoning))) {
        Some(ReactReply::Act { action: read_action, input: read_input, .. }) => {
            assert_eq!((read_action.as_str(), &read_input), (action, input), "{reply}");
        }
        other => panic!("{reply}: {other:?}"),
    }
}

#[test]
fn actions_are_read_as_models_write_them() {
    acts("Action: get_order\nAction Input: {\"id\": 1}", "get_order", &json!({"id": 1}));
    acts("**Thought:** hm\n**Action:** `get_order`\n**Action Input:** {\"id\": 1}", "get_order", &json!({"id": 1}));
    acts("thought: hm\naction: get_order\naction input:\n```json\n{\"id\": 1}\n```", "get_order", &json!({"id": 1}));
    acts("Action: get_order", "get_order", &json!({}));
    acts("Action: search_kb\nAction Input: return policy", "search_kb", &json!({"query": "return policy"}));
    acts("Action: create_return\nAction Input: order 7", "create_return", &json!("order 7"));
    acts("Action: unknown\nAction Input: {}", "unknown", &json!({}));
}

#[test]
fn the_first_action_counts_and_what_follows_it_is_dropped() {
    let reply = "Thought: a\nAction: get_order\nAction Input: {\"id\": 1}\nObservation: x\nFinal Answer: y";
    match read(reply, &OfferedTools::to(&task(AgentKind::Reasoning))) {
        Some(ReactReply::Act { said, thought, .. }) => {
            assert_eq!(said, "Thought: a\nAction: get_order\nAction Input: {\"id\": 1}");
            assert_eq!(thought, "a");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thought_without_an_action_is_the_answer() {
    let said = read("Thought: It is shipped.", &OfferedTools::to(&task(AgentKind::Reasoning)));
    assert_eq!(said, Some(ReactReply::Answer { thought: String::new(), text: "It is shipped.".into() }));
}

#[test]
fn ordinary_text_is_not_the_protocol() {
    for text in ["It is shipped.", "Do this:\nAction: restart the router", "Actionable: yes", "", "Observation: none"] {
        assert_eq!(read(text, &OfferedTools::to(&task(AgentKind::Reasoning))), None, "{text}");
    }
}
