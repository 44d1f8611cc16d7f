use baton_core::agent::Kind;
use baton_core::model::Profile;
use serde_json::json;

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
