use std::sync::Arc;

use baton_core::agent::{AgentKind, AgentObservation, AgentStep, AgentTask, StepFunction};
use baton_core::model::{FinishReason, ToolOffer};
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

use crate::StepFunctions;
use crate::test_support::{reply, task};

fn offer(name: &str) -> ToolOffer {
    ToolOffer { name: name.to_owned(), description: String::new(), parameters: Value::Null, strict: None }
}

/// A task whose node names these sources. Both memory tools were lent to it.
fn with(kind: AgentKind, sources: &[&str]) -> AgentTask {
    let mut task = task(kind);
    let lent = ["get_context", "similar_executions"];
    task.tools.extend(lent.map(offer));
    task.agent.metadata.insert("context_sources".to_owned(), json!(sources));
    task.agent.metadata.insert("context_tools".to_owned(), json!(lent));
    task
}

fn result(tool: &str, success: bool, data: Value) -> (String, ToolEnvelope) {
    let envelope = ToolEnvelope {
        success,
        tool: tool.to_owned(),
        data,
        error: None,
        error_code: None,
        error_details: None,
        suggested_action: None,
        audit_id: None,
        duration_ms: 1,
        cached: false,
        degraded: false,
        cost_usd: 0.0,
    };
    (tool.to_owned(), envelope)
}

fn step(task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
    StepFunctions::default().step(task, seen)
}

/// The arguments of each requested tool.
fn asked(sources: &[&str], strategy: Option<&str>) -> Vec<(String, Value)> {
    let mut task = with(AgentKind::Simple, sources);
    if let Some(strategy) = strategy {
        task.agent.metadata.insert("context_strategy".to_owned(), json!(strategy));
    }
    match step(&task, &[]) {
        AgentStep::RequestTools(requests) => requests.into_iter().map(|one| (one.tool, one.arguments)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn memory_is_asked_for_what_the_node_names_and_nothing_else() {
    let all = asked(&["conversation_history", "knowledge_base", "similar_conversations"], None);
    let message = "Where is order 7?";
    assert_eq!(all, [("get_context".to_owned(), json!({"message": message, "strategy": "hybrid"}))]);
    let history = json!({"message": message, "strategy": "short_only", "top_k": 0, "similar": 0});
    assert_eq!(asked(&["conversation_history"], None), [("get_context".to_owned(), history)]);
    let knowledge = json!({"message": message, "strategy": "long_only", "recent": 0, "similar": 0});
    assert_eq!(asked(&["knowledge_base"], None), [("get_context".to_owned(), knowledge)]);
    let written = asked(&["conversation_history", "knowledge_base"], Some("long_only"));
    assert_eq!(written[0].1, json!({"message": message, "strategy": "long_only", "similar": 0}));
    let executions = json!({"goal": message, "limit": 3});
    assert_eq!(asked(&["similar_executions"], None), [("similar_executions".to_owned(), executions)]);
    assert_eq!(asked(&[], None), []);
}

fn recalled() -> AgentObservation {
    AgentObservation::Tools(vec![
        result(
            "get_context",
            true,
            json!({
                "summary": "She wants her parcel.", "session": {}, "recent_messages": [{"role": "customer", "content": "Hello"}],
                "relevant_documents": [{"content": "In five days.", "heading": "Refunds", "document": "returns.md"}],
                "similar_conversations": [{"summary": "A parcel was lost", "outcome": "success"}],
            }),
        ),
        result(
            "similar_executions",
            true,
            json!({"executions": [{"goal": "Find a parcel", "success": true, "plan": {"steps": ["ask"]}}]}),
        ),
    ])
}

const ALL: [&str; 4] = ["conversation_history", "knowledge_base", "similar_conversations", "similar_executions"];

#[test]
fn what_memory_tells_stands_behind_the_system_prompt_of_every_kind() {
    for kind in [AgentKind::Simple, AgentKind::Reasoning, AgentKind::Code] {
        let AgentStep::AskModel(request) = step(&with(kind, &ALL), &[recalled()]) else {
            panic!("{kind:?} asks its model")
        };
        let system = serde_json::to_string(&request.messages[0]).unwrap();
        for told in [
            "Be kind.",
            "She wants her parcel.",
            "customer: Hello",
            "[1] Refunds (returns.md): In five days.",
            "A parcel was lost (outcome: success)",
            "Find a parcel (it worked)",
        ] {
            assert!(system.contains(told), "{kind:?}: {told} in {system}");
        }
        let offered: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert!(!offered.contains(&"get_context"), "{kind:?} was only lent it: {offered:?}");
    }
}

#[test]
fn it_is_asked_once_and_later_steps_are_told_the_same() {
    let task = with(AgentKind::Simple, &ALL);
    let first = step(&task, &[recalled()]);
    assert_eq!(step(&task, &[recalled()]), first);
    let answer = AgentObservation::Replied(reply("On its way.", vec![], FinishReason::Stop));
    assert!(matches!(step(&task, &[recalled(), answer.clone()]), AgentStep::Answer { .. }));
    // A task that began before the context feature existed continues without it.
    assert!(matches!(step(&task, &[answer]), AgentStep::Answer { .. }));
}

#[test]
fn without_an_answer_of_memory_the_agent_thinks_all_the_same() {
    let failed = AgentObservation::Tools(vec![
        result("get_context", false, Value::Null),
        result("similar_executions", false, Value::Null),
    ]);
    let AgentStep::AskModel(request) = step(&with(AgentKind::Simple, &ALL), &[failed]) else {
        panic!("it asks its model")
    };
    let system = serde_json::to_string(&request.messages[0]).unwrap();
    assert!(system.contains("Be kind.") && !system.contains("known from before"), "{system}");
    let mut without = with(AgentKind::Simple, &ALL);
    without.tools.retain(|offer| offer.name == "get_order");
    assert!(matches!(step(&without, &[]), AgentStep::AskModel(_)), "there is nobody to ask");
}

#[test]
fn ones_own_step_function_is_told_too_and_a_prompt_of_ones_own_is_used() {
    struct TaskEchoAgent;
    impl StepFunction for TaskEchoAgent {
        fn step(&self, task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
            AgentStep::Answer { output: json!({"system": task.system, "seen": seen.len()}) }
        }
    }
    let agents = StepFunctions::default().with("helper", Arc::new(TaskEchoAgent));
    let mut task = with(AgentKind::Custom, &ALL);
    task.agent.prompts.insert("context.en".to_owned(), "Known: {{ summary }}".to_owned());
    let AgentStep::Answer { output } = agents.step(&task, &[recalled()]) else { panic!("it answers") };
    assert_eq!(output, json!({"system": "Be kind.\n\nKnown: She wants her parcel.", "seen": 0}));
    task.agent.prompts.insert("context.en".to_owned(), "Known: {{ sumary }}".to_owned());
    let AgentStep::GiveUp(fault) = agents.step(&task, &[recalled()]) else { panic!("it gives up") };
    assert_eq!(fault.code, crate::code::PROMPT_FAILED);
    assert!(fault.message.contains("`helper`") && fault.message.contains("`context`"), "{}", fault.message);
}

#[test]
fn whoever_stands_at_an_endpoint_is_told_what_memory_holds_and_not_how_it_was_asked() {
    let mut task = with(AgentKind::Custom, &ALL);
    task.agent.endpoint = Some("https://think.example.com".into());
    assert!(matches!(step(&task, &[]), AgentStep::RequestTools(_)), "memory comes first");
    assert_eq!(step(&task, &[recalled()]), AgentStep::AskEndpoint);
    let answer = AgentObservation::Replied(reply("On its way.", vec![], FinishReason::Stop));
    let (told, since) = crate::with_recalled_context(&task, &[recalled(), answer.clone()]);
    assert!(told.system.contains("She wants her parcel.") && told.system.contains("Be kind."), "{}", told.system);
    let offered: Vec<&str> = told.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(offered, ["get_order", "search_kb", "create_return"], "what was lent for this is not the endpoint's");
    assert_eq!(since, std::slice::from_ref(&answer));
    // Without sources, everything is passed on unchanged.
    let plain = crate::test_support::task(AgentKind::Custom);
    assert_eq!(crate::with_recalled_context(&plain, &[recalled(), answer.clone()]), (plain, vec![recalled(), answer]));
}
