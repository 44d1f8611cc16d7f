use baton_core::agent::{Kind, Seen, Step, Task, Think};
use baton_core::fault::Fault;
use baton_core::model::{Finish, ToolCall};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Agents;
use crate::code;
use crate::rehearsal::{envelope, gave_up, reply, task};

#[test]
fn a_kind_this_version_cannot_run_is_named() {
    let fault = gave_up(&task(Kind::Code), &[]);
    assert_eq!(fault.code, code::KIND_UNAVAILABLE);
    assert!(fault.message.contains("`helper`") && fault.message.contains("`reasoning`"), "{}", fault.message);
}

fn tasks() -> impl Strategy<Value = Task> {
    let kind = prop_oneof![Just(Kind::Simple), Just(Kind::Reasoning)];
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
        Just("{\"tools\": [\"get_order\"], \"reasoning\": \"\"}".to_owned()),
        "(Thought|Action|Action Input|Observation|Final Answer): ?(get_order|\\{\\}|.{0,8})\n"
            .prop_flat_map(|line| proptest::collection::vec(Just(line), 0..4))
            .prop_map(|lines| lines.concat()),
    ]
}

fn replies() -> impl Strategy<Value = Seen> {
    let name = prop_oneof![Just("get_order"), Just("ask_customer"), Just("hand_over"), Just("nothing"), Just("")];
    let id = prop_oneof![Just("a"), Just("b"), Just("")];
    let call = (id, name, arguments()).prop_map(|(id, name, arguments)| ToolCall {
        id: id.into(),
        name: name.into(),
        arguments,
    });
    let finish = prop_oneof![
        6 => Just(Finish::Stop),
        6 => Just(Finish::ToolCalls),
        1 => Just(Finish::Length),
        1 => Just(Finish::Filtered)
    ];
    (content(), proptest::collection::vec(call, 0..4), finish)
        .prop_map(|(content, calls, finish)| Seen::Replied(reply(&content, calls, finish)))
}

fn sights() -> impl Strategy<Value = Seen> {
    prop_oneof![
        4 => replies(),
        2 => proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("call_1_0")], 0..3)
            .prop_map(|ids| Seen::Tools(ids.into_iter().map(|id| (id.into(), envelope(json!(1), None))).collect())),
        1 => ".{0,12}".prop_map(Seen::Said),
        1 => Just(Seen::ModelFailed(Fault::new("TIMEOUT", "late"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_was_seen_the_step_is_the_same_twice(
        task in tasks(),
        seen in proptest::collection::vec(sights(), 0..12),
    ) {
        prop_assert_eq!(Agents.step(&task, &seen), Agents.step(&task, &seen));
    }

    #[test]
    fn an_agent_comes_to_an_end_whatever_the_model_says(
        task in tasks(),
        replies in proptest::collection::vec(replies(), 12),
    ) {
        let mut replies = replies.into_iter();
        let mut seen = Vec::new();
        // Each iteration may ask the model, request tools and ask the customer; simple agents are repaired once.
        for _ in 0..20 {
            match Agents.step(&task, &seen) {
                Step::AskModel(_) => seen.push(replies.next().expect("twelve are enough for five iterations")),
                Step::RequestTools(requests) => {
                    prop_assert!(!requests.is_empty());
                    prop_assert!(requests.iter().all(|request| request.arguments.is_object()));
                    let results = requests.into_iter().map(|request| (request.id, envelope(json!({}), None)));
                    seen.push(Seen::Tools(results.collect()));
                }
                Step::AskCustomer { question } => {
                    prop_assert!(!question.is_empty());
                    seen.push(Seen::Said("yes".into()));
                }
                Step::RunCode(program) => prop_assert!(false, "it runs {program:?}"),
                Step::Answer { .. } | Step::HandOver { .. } | Step::GiveUp(_) => return Ok(()),
            }
        }
        prop_assert!(false, "it goes on: {:?}", seen);
    }
}
