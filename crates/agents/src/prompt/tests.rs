use baton_core::agent::{AgentKind, AgentStep};
use serde_json::json;

use super::*;
use crate::test_support::{step, task};

fn values() -> Value {
    json!({
        "schema": {"type": "object"}, "tools": [{"name": "t", "description": "d", "parameters": null}], "rules": ["r"],
        "goal": "g", "similar_plans": [{"goal": "s", "plan": []}], "failure_reason": "f", "suggestions": ["try"],
        "steps": [{"id": "1", "description": "d", "status": "done", "result": {"a": 1}}],
        "problem": "p", "wants": "json", "findings": ["f"], "agents": [{"name": "a", "description": "d"}],
        "summary": "s", "session": {"a": 1}, "recent_messages": [{"role": "customer", "content": "c"}],
        "relevant_documents": [{"heading": "h", "document": "d", "content": "c"}],
        "similar_conversations": [{"summary": "s", "outcome": "o"}],
        "similar_executions": [{"goal": "g", "success": true, "plan": "p"}]
    })
}

#[test]
fn every_prompt_is_written_in_each_language_and_they_differ() {
    for name in PromptName::ALL {
        let mut texts = Vec::new();
        for language in LANGUAGES {
            let task = AgentTask { language: language.to_owned(), ..task(AgentKind::Code) };
            texts.push(render(&task, name, &values()).unwrap());
        }
        assert!(texts.iter().all(|text| !text.is_empty()), "{name:?}");
        assert_ne!(texts[0], texts[1], "{name:?}");
    }
}

#[test]
fn a_regional_tag_is_its_language_and_an_unknown_one_is_english() {
    let said = |language: &str| {
        let task = AgentTask { language: language.to_owned(), ..task(AgentKind::Code) };
        render(&task, PromptName::Correct, &values()).unwrap()
    };
    assert_eq!(said("es-MX"), said("es"));
    assert_eq!(said("ES_ES"), said("es"));
    assert_eq!(said("fr"), said("en"));
    assert_eq!(said(""), said("en"));
}

#[test]
fn an_agents_own_prompt_stands_in_for_ours_in_its_language() {
    let mut task = task(AgentKind::Code);
    task.agent.prompts.insert("plan.fr".to_owned(), "Faites un plan : {{ goal }}".to_owned());
    let said = |language: &str| {
        render(&AgentTask { language: language.to_owned(), ..task.clone() }, PromptName::Plan, &values())
    };
    assert_eq!(said("fr-FR").unwrap(), "Faites un plan : g");
    assert!(said("en").unwrap().starts_with("Generate a detailed execution plan"));
}

fn overriding(name: &str) -> (BTreeMap<String, AgentDefinition>, Result<(), String>) {
    let mut agents = crate::shipped();
    let prompt = PromptOverride { name: name.to_owned(), language: "es".to_owned(), text: "propio".to_owned() };
    let put = put(&mut agents, prompt);
    (agents, put)
}

#[test]
fn a_projects_prompt_stands_in_for_an_agents_for_one_of_ours_and_for_ours_in_one_agent() {
    let told = |name: &str, agent: &str, prompt: &str| {
        let (agents, put) = overriding(name);
        put.unwrap();
        agents[agent].prompts.get(prompt).cloned()
    };
    let own = Some("propio".to_owned());
    assert_eq!(told("router", "router", "system.es"), own);
    assert_eq!(told("plan", "support", "plan.es"), own);
    assert_eq!(told("support.react", "support", "react.es"), own);
    assert_eq!(told("support.react", "sales", "react.es"), None);
}

#[test]
fn a_prompt_for_nobody_is_refused_with_what_it_may_mean() {
    let told = overriding("ruter").1.unwrap_err();
    assert!(told.contains("`ruter`") && told.contains("did you mean `router`?") && told.contains("reflect"), "{told}");
    assert!(overriding("nobody.plan").1.is_err());
    assert!(overriding("router.plans").1.is_err());
}

#[test]
fn a_prompt_that_cannot_be_written_ends_the_agent_with_its_name() {
    let mut task = task(AgentKind::Code);
    task.agent.prompts.insert("plan.en".to_owned(), "{{ goals }}".to_owned());
    let AgentStep::GiveUp(fault) = step(&task, &[]) else { panic!("it goes on") };
    assert_eq!(fault.code, code::PROMPT_FAILED);
    assert!(fault.message.contains("`plan`") && fault.message.contains("`goals`"), "{}", fault.message);
}
