use baton_core::agent::AgentKind;
use baton_core::definition::{DefinitionCatalog, Diagnostic, check};
use baton_core::model::ModelProfile;
use baton_expr::{JinjaTemplate, JsonContext};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::shipped;
use crate::schema;

#[test]
fn the_seeds_names_and_the_front_desk_are_there() {
    let agents = shipped();
    for (name, kind, profile) in [
        ("simple_intent_classifier", AgentKind::Simple, ModelProfile::Fast),
        ("simple_classifier", AgentKind::Simple, ModelProfile::Fast),
        ("simple_agent", AgentKind::Simple, ModelProfile::Fast),
        ("reasoning_agent", AgentKind::Reasoning, ModelProfile::Balanced),
        ("conversational", AgentKind::Reasoning, ModelProfile::Balanced),
        ("code_agent", AgentKind::Code, ModelProfile::Powerful),
        ("autonomous_return_agent", AgentKind::Code, ModelProfile::Powerful),
        ("router", AgentKind::Simple, ModelProfile::Fast),
        ("tool_selector", AgentKind::Simple, ModelProfile::Fast),
        ("workflow_planner", AgentKind::Simple, ModelProfile::Powerful),
        ("schedule", AgentKind::Reasoning, ModelProfile::Balanced),
        ("sales", AgentKind::Reasoning, ModelProfile::Balanced),
        ("support", AgentKind::Reasoning, ModelProfile::Balanced),
        ("emergency", AgentKind::Simple, ModelProfile::Balanced),
    ] {
        let agent = agents.get(name).unwrap_or_else(|| panic!("{name} is shipped"));
        assert_eq!((agent.name.as_str(), agent.kind, agent.model_profile), (name, kind, Some(profile)));
        assert!(!agent.description.is_empty());
    }
    assert_eq!(agents.len(), 14);
}

#[test]
fn every_schema_compiles() {
    for agent in shipped().into_values() {
        if let Err(fault) = schema::of(&agent) {
            panic!("{fault}");
        }
    }
}

#[test]
fn the_classifier_answers_as_the_seed_shows() {
    let agents = shipped();
    let schema = schema::of(&agents["simple_intent_classifier"]).expect("compiles").expect("is there");
    let seed = json!({"intent": "return_request", "confidence": 0.95});
    assert_eq!(schema.parse_reply(&seed.to_string()), Ok(seed));
}

#[test]
fn definitions_survive_being_written_down() {
    for agent in shipped().into_values() {
        let text = serde_json::to_string(&agent).expect("writes");
        assert_eq!(serde_json::from_str::<baton_core::agent::AgentDefinition>(&text).expect("reads"), agent);
    }
}

fn rendered(template: &str, names: &Value) -> String {
    let template = JinjaTemplate::parse(template).unwrap_or_else(|error| panic!("{error}: {template}"));
    template.render(&JsonContext::new(names, Timestamp::UNIX_EPOCH)).unwrap_or_else(|error| panic!("{error}: {names}"))
}

#[test]
fn every_agent_has_a_prompt_in_both_languages() {
    for agent in shipped().values() {
        let (english, spanish) = (&agent.system_prompt, &agent.prompts["system.es"]);
        // Every prompt addresses the agent in its first words.
        assert!(english.starts_with("You ") || english.starts_with("A customer "), "{english}");
        assert!(!spanish.is_empty() && !spanish.starts_with("You "), "{spanish}");
        for prompt in [english, spanish] {
            assert!(!rendered(prompt, &json!({})).is_empty());
        }
    }
}

#[test]
fn a_message_is_found_under_the_seeds_names() {
    let agents = shipped();
    let asked = |names: Value| rendered(&agents["simple_classifier"].prompt, &names);
    assert_eq!(asked(json!({"message": "Hello", "input": {"message": "Hello"}})), "Hello");
    assert_eq!(asked(json!({"customer_message": "Hola"})), "Hola");
    assert_eq!(asked(json!({"input": {"text": "x"}})), r#"{"text": "x"}"#);
    assert_eq!(asked(json!({})), "");
    let returns =
        rendered(&agents["autonomous_return_agent"].prompt, &json!({"customer_message": "back", "customer_id": "c1"}));
    assert_eq!(returns, "back\nCustomer: c1. Order: as the message says.");
}

/// The diagnostics of a workflow with one agent node, given all shipped agents and no tools.
fn found(node: &str) -> Vec<Diagnostic> {
    let catalog = DefinitionCatalog { agents: shipped(), ..DefinitionCatalog::default() };
    let text = format!("name: w\nworkflow:\n  nodes:\n    - id: a\n{node}");
    check(text.as_bytes(), &catalog).diagnostics
}

#[test]
fn a_definition_may_name_every_shipped_agent() {
    for agent in shipped().values() {
        let told: Vec<String> =
            found(&format!("      agent: {}\n", agent.name)).into_iter().map(|one| one.message).collect();
        let about_the_agent: Vec<&String> = told.iter().filter(|message| !message.contains("no such tool")).collect();
        assert!(about_the_agent.is_empty(), "{told:?}");
    }
}

#[test]
fn an_agent_that_asks_or_hands_over_names_no_tool_for_it() {
    let told = found("      agent: reasoning_agent\n      config:\n        tools: [ask_customer, hand_over]\n");
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(found("      agent: reasoning_agent\n      config:\n        tools: [ask_custmer]\n").len(), 1);
}
