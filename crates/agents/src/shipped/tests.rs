use baton_core::agent::{Agent, Kind};
use baton_core::definition::{Catalog, Diagnostic, check};
use baton_core::expr::{Document, Template};
use baton_core::model::Profile;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::shipped;
use crate::schema::Schema;

#[test]
fn the_seeds_names_and_the_front_desk_are_there() {
    let agents = shipped();
    for (name, kind, profile) in [
        ("simple_intent_classifier", Kind::Simple, Profile::Fast),
        ("simple_classifier", Kind::Simple, Profile::Fast),
        ("simple_agent", Kind::Simple, Profile::Fast),
        ("reasoning_agent", Kind::Reasoning, Profile::Balanced),
        ("conversational", Kind::Reasoning, Profile::Balanced),
        ("autonomous_return_agent", Kind::Reasoning, Profile::Powerful),
        ("router", Kind::Simple, Profile::Fast),
        ("tool_selector", Kind::Simple, Profile::Fast),
        ("schedule", Kind::Reasoning, Profile::Balanced),
        ("sales", Kind::Reasoning, Profile::Balanced),
        ("support", Kind::Reasoning, Profile::Balanced),
        ("emergency", Kind::Simple, Profile::Balanced),
    ] {
        let agent = agents.get(name).unwrap_or_else(|| panic!("{name} is shipped"));
        assert_eq!((agent.name.as_str(), agent.kind, agent.model_profile), (name, kind, Some(profile)));
        assert!(!agent.description.is_empty());
    }
    assert_eq!(agents.len(), 12);
}

#[test]
fn every_schema_compiles() {
    for agent in shipped().into_values() {
        if let Err(fault) = Schema::of(&agent) {
            panic!("{fault}");
        }
    }
}

#[test]
fn the_classifier_answers_as_the_seed_shows() {
    let agents = shipped();
    let schema = Schema::of(&agents["simple_intent_classifier"]).expect("compiles").expect("is there");
    let seed = json!({"intent": "return_request", "confidence": 0.95});
    assert_eq!(schema.read(&seed.to_string()), Ok(seed));
}

#[test]
fn definitions_survive_being_written_down() {
    for agent in shipped().into_values() {
        let text = serde_json::to_string(&agent).expect("writes");
        assert_eq!(serde_json::from_str::<baton_core::agent::Agent>(&text).expect("reads"), agent);
    }
}

fn rendered(template: &str, names: &Value) -> String {
    let template = Template::parse(template).unwrap_or_else(|error| panic!("{error}: {template}"));
    template.render(&Document::new(names, Timestamp::UNIX_EPOCH)).unwrap_or_else(|error| panic!("{error}: {names}"))
}

#[test]
fn prompts_speak_the_runs_language() {
    let spoken = |agent: &Agent, names: Value| {
        let prompt = rendered(&agent.system_prompt, &names);
        assert!(!prompt.contains("{%") && !prompt.trim().is_empty(), "{prompt}");
        // Every prompt addresses the agent in its first words.
        if prompt.starts_with("You ") || prompt.starts_with("A customer ") { "en" } else { "es" }
    };
    for agent in shipped().values() {
        for (names, language) in [
            (json!({}), "en"),
            (json!({"language": null}), "en"),
            (json!({"language": "de"}), "en"),
            (json!({"language": "es"}), "es"),
            (json!({"language": "es-MX"}), "es"),
            (json!({"context": null}), "en"),
            (json!({"context": {}}), "en"),
            (json!({"context": {"language": "es"}}), "es"),
            (json!({"context": {"language": "es"}, "language": "en"}), "en"),
        ] {
            assert_eq!(spoken(agent, names.clone()), language, "{}: {names}", agent.name);
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

/// What is wrong with a workflow of one agent node, all shipped agents and no tool known.
fn found(node: &str) -> Vec<Diagnostic> {
    let catalog = Catalog { agents: shipped(), ..Catalog::default() };
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
