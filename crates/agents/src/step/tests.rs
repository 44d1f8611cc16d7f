use std::sync::Arc;

use baton_core::agent::{
    AgentKind, AgentObservation, AgentStep, AgentTask, ProgramOutcome, ProgramSnapshot, StepFunction, ToolRequest,
};
use baton_core::fault::Fault;
use baton_core::model::{FinishReason, ModelToolCall};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::StepFunctions;
use crate::test_support::{envelope, reply, task};

/// An agent that answers with its own input.
struct EchoAgent;

impl StepFunction for EchoAgent {
    fn step(&self, task: &AgentTask, _: &[AgentObservation]) -> AgentStep {
        AgentStep::Answer { output: json!({"heard": task.prompt}) }
    }
}

#[test]
fn a_custom_agent_thinks_with_the_step_function_of_its_name() {
    let agents = StepFunctions::default().with("helper", Arc::new(EchoAgent));
    let output = json!({"heard": "Where is order 7?"});
    assert_eq!(agents.step(&task(AgentKind::Custom), &[]), AgentStep::Answer { output });
    assert!(
        matches!(agents.step(&task(AgentKind::Simple), &[]), AgentStep::AskModel(_)),
        "an agent of ours keeps its own"
    );
}

#[test]
fn a_custom_agent_without_one_is_named() {
    let AgentStep::GiveUp(fault) = StepFunctions::default().step(&task(AgentKind::Custom), &[]) else {
        panic!("it thinks")
    };
    assert_eq!(fault.code, crate::code::KIND_UNAVAILABLE);
    assert!(fault.message.contains("`helper`"), "{}", fault.message);
}

#[test]
fn a_custom_agent_with_an_endpoint_is_thought_for_there() {
    let mut task = task(AgentKind::Custom);
    task.agent.endpoint = Some("https://think.example.com".into());
    assert_eq!(StepFunctions::default().step(&task, &[]), AgentStep::AskEndpoint);
}

fn tasks() -> impl Strategy<Value = AgentTask> {
    let kind = prop_oneof![Just(AgentKind::Simple), Just(AgentKind::Reasoning), Just(AgentKind::Code)];
    (kind, any::<bool>(), any::<bool>(), any::<bool>(), 0_u32..6).prop_map(|(kind, by_schema, talks, selects, most)| {
        let mut task = task(kind);
        task.selects = selects;
        task.agent.max_iterations = Some(most);
        if by_schema {
            task.agent.output_schema = Some(json!({"type": "object", "required": ["a"]}));
        }
        if talks {
            task.agent.tools = vec!["ask_customer".into(), "hand_over".into()];
        }
        task
    })
}

fn arguments() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!({"id": "7"})),
        Just(json!({"question": "?", "reason": "!"})),
        Just(json!([1])),
        ".{0,12}".prop_map(Value::String),
    ]
}

fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        "[{}\\[\\]\":,a` \n]{0,40}",
        Just("{\"a\": 1}".to_owned()),
        plans(),
        Just("{\"goal_achieved\": true, \"final_output\": {\"a\": 1}}".to_owned()),
        Just("{\"goal_achieved\": false, \"failure_reason\": \"x\"}".to_owned()),
        Just("{\"tools\": [\"get_order\"], \"reasoning\": \"\"}".to_owned()),
        "(Thought|Action|Action Input|Observation|Final Answer): ?(get_order|\\{\\}|.{0,8})\n"
            .prop_flat_map(|line| proptest::collection::vec(Just(line), 0..4))
            .prop_map(|lines| lines.concat()),
    ]
}

/// Plans, most of which can be executed.
fn plans() -> impl Strategy<Value = String> {
    let does = prop_oneof![
        3 => Just(json!({"tool": "get_order", "input": {"id": "$step_1"}})),
        3 => Just(json!({"tool": "search_kb", "depends_on": [], "critical": false})),
        2 => Just(json!({"python": "1 + 1", "input": {"a": "{{ step_1 }}"}})),
        1 => Just(json!({"tool": "ask_customer", "input": {"question": "?"}})),
        1 => Just(json!({"tool": "hand_over", "input": {}})),
        1 => Just(json!({"tool": "nothing"})),
    ];
    proptest::collection::vec(does, 0..4).prop_map(|mut steps| {
        steps.insert(0, json!({"tool": "get_order", "input": {"id": "7"}}));
        json!({ "steps": steps }).to_string()
    })
}

fn programs() -> impl Strategy<Value = ProgramOutcome> {
    let calls = vec![ToolRequest { id: "c1".into(), tool: "get_order".into(), arguments: json!({}) }];
    let snapshot = ProgramSnapshot { version: "v".into(), bytes: "cA==".into() };
    prop_oneof![
        Just(ProgramOutcome::Finished { output: json!(2), printed: String::new() }),
        Just(ProgramOutcome::Calls { calls, snapshot, printed: String::new() }),
        Just(ProgramOutcome::Failed { fault: Fault::new("CODE_RAISED", "no"), printed: String::new() }),
        Just(ProgramOutcome::Stale),
    ]
}

fn replies() -> impl Strategy<Value = AgentObservation> {
    let name = prop_oneof![Just("get_order"), Just("ask_customer"), Just("hand_over"), Just("nothing"), Just("")];
    let id = prop_oneof![Just("a"), Just("b"), Just("")];
    let call = (id, name, arguments()).prop_map(|(id, name, arguments)| ModelToolCall {
        id: id.into(),
        name: name.into(),
        arguments,
    });
    let finish = prop_oneof![
        6 => Just(FinishReason::Stop),
        6 => Just(FinishReason::ToolCalls),
        1 => Just(FinishReason::Length),
        1 => Just(FinishReason::Filtered)
    ];
    (content(), proptest::collection::vec(call, 0..4), finish)
        .prop_map(|(content, calls, finish)| AgentObservation::Replied(reply(&content, calls, finish)))
}

fn sights() -> impl Strategy<Value = AgentObservation> {
    prop_oneof![
        4 => replies(),
        2 => proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("call_1_0")], 0..3)
            .prop_map(|ids| AgentObservation::Tools(ids.into_iter().map(|id| (id.into(), envelope(json!(1), None))).collect())),
        1 => ".{0,12}".prop_map(AgentObservation::Said),
        1 => programs().prop_map(AgentObservation::Ran),
        1 => Just(AgentObservation::ModelFailed(Fault::new("TIMEOUT", "late"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_was_seen_the_step_is_the_same_twice(
        task in tasks(),
        seen in proptest::collection::vec(sights(), 0..12),
    ) {
        prop_assert_eq!(StepFunctions::default().step(&task, &seen), StepFunctions::default().step(&task, &seen));
    }

    #[test]
    fn an_agent_comes_to_an_end_whatever_the_model_says(
        task in tasks(),
        replies in proptest::collection::vec(replies(), 12),
        programs in proptest::collection::vec(programs(), 60),
    ) {
        let mut replies = replies.into_iter();
        let mut programs = programs.into_iter();
        let mut seen = Vec::new();
        // Each iteration may ask the model, request tools and ask the customer; simple agents are repaired once. A
        // plan has a handful of steps, and every program here ends after a few calls.
        for _ in 0..200 {
            match StepFunctions::default().step(&task, &seen) {
                AgentStep::AskModel(_) => seen.push(replies.next().expect("twelve are enough for five iterations")),
                AgentStep::RequestTools(requests) => {
                    prop_assert!(!requests.is_empty());
                    prop_assert!(requests.iter().all(|request| request.arguments.is_object()));
                    let results = requests.into_iter().map(|request| (request.id, envelope(json!({}), None)));
                    seen.push(AgentObservation::Tools(results.collect()));
                }
                AgentStep::AskCustomer { question } => {
                    prop_assert!(!question.is_empty());
                    seen.push(AgentObservation::Said("yes".into()));
                }
                AgentStep::AskEndpoint => prop_assert!(false, "nobody thinks for an agent of ours"),
                AgentStep::RunCode(_) => {
                    prop_assert_eq!(task.agent.kind, AgentKind::Code);
                    let finished = ProgramOutcome::Finished { output: json!(2), printed: String::new() };
                    seen.push(AgentObservation::Ran(programs.next().unwrap_or(finished)));
                }
                AgentStep::Answer { .. } | AgentStep::HandOver { .. } | AgentStep::GiveUp(_) => return Ok(()),
            }
        }
        prop_assert!(false, "it goes on: {:?}", seen);
    }
}
