use baton_core::agent::{AgentKind, AgentObservation, AgentStep, AgentTask};
use baton_core::model::{ModelMessage, ModelProfile, ModelReply, ThinkingBlock};
use serde_json::{Value, json};

use crate::code;
use crate::test_support::{
    answered, asked, called, cut_off, envelope, gave_up, last_message, results, said, step, task,
};

fn helper() -> AgentTask {
    task(AgentKind::Reasoning)
}

fn talker() -> AgentTask {
    let mut task = helper();
    task.agent.metadata.insert("ask_customer".into(), json!(true));
    task.agent.tools.push("hand_over".into());
    task
}

/// The tools a step requests: id, name, arguments.
fn requested(task: &AgentTask, seen: &[AgentObservation]) -> Vec<(String, String, Value)> {
    match step(task, seen) {
        AgentStep::RequestTools(requests) => {
            requests.into_iter().map(|request| (request.id, request.tool, request.arguments)).collect()
        }
        other => panic!("it should request tools, not {other:?}"),
    }
}

fn order() -> AgentObservation {
    called(&[("c1", "get_order", json!({"id": "7"}))])
}

fn shipped() -> AgentObservation {
    results(&[("c1", json!({"status": "shipped"}))])
}

#[test]
fn the_tools_are_offered_with_the_kinds_defaults() {
    let request = asked(&helper(), &[]);
    assert_eq!(request.profile, ModelProfile::Balanced);
    let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["get_order", "search_kb", "create_return"]);
}

#[test]
fn calls_of_one_reply_are_one_step_and_their_results_go_back_in_order() {
    let both = called(&[("c1", "get_order", json!({"id": "7"})), ("c2", "search_kb", json!({"query": "returns"}))]);
    let calls = requested(&helper(), std::slice::from_ref(&both));
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1], ("c2".into(), "search_kb".into(), json!({"query": "returns"})));

    let answers = AgentObservation::Tools(vec![
        ("c2".into(), envelope(Value::Null, Some("TIMEOUT"))),
        ("c1".into(), envelope(json!({"status": "shipped"}), None)),
    ]);
    let request = asked(&helper(), &[both, answers]);
    let [.., ModelMessage::Assistant { tool_calls, .. }, first, second] = request.messages.as_slice() else {
        panic!("{:?}", request.messages)
    };
    assert_eq!(tool_calls.len(), 2);
    let content = |message: &ModelMessage, of: &str| match message {
        ModelMessage::Tool { tool_call_id, content } if tool_call_id == of => content.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(content(first, "c1"), r#"{"data":{"status":"shipped"},"success":true}"#);
    let failed = content(second, "c2");
    assert!(failed.contains("TIMEOUT") && failed.contains("No pudimos."), "{failed}");
}

#[test]
fn what_the_model_thought_goes_back_to_it_with_the_results() {
    let thinking = ThinkingBlock { model: "m".into(), parts: vec![json!({"type": "thinking", "signature": "s"})] };
    let AgentObservation::Replied(reply) = order() else { panic!("a reply") };
    let thoughtful = AgentObservation::Replied(ModelReply { thinking: Some(thinking.clone()), ..reply });
    let request = asked(&helper(), &[thoughtful, shipped()]);
    let [.., ModelMessage::Assistant { thinking: back, .. }, _] = request.messages.as_slice() else {
        panic!("{:?}", request.messages)
    };
    assert_eq!(back, &Some(thinking));
}

#[test]
fn the_answer_carries_the_chain_and_the_iterations() {
    let output = answered(&helper(), &[order(), shipped(), said("It is on its way.")]);
    assert_eq!(output["answer"], "It is on its way.");
    assert_eq!(output["iterations"], 2);
    let chain = output["reasoning_chain"].as_array().expect("a list");
    assert_eq!(chain.len(), 2);
    assert_eq!((&chain[0]["action"], &chain[0]["action_input"]), (&json!("get_order"), &json!({"id": "7"})));
    assert_eq!(chain[0]["observation"]["data"]["status"], "shipped");
    assert_eq!(chain[1], json!({"thought": "It is on its way.", "action": null}));
}

#[test]
fn a_schemas_fields_stand_beside_the_chain() {
    let mut task = helper();
    task.agent.output_schema =
        Some(json!({"type": "object", "properties": {"success": {"type": "boolean"}}, "required": ["success"]}));
    assert!(asked(&task, &[]).schema.is_some());
    let output = answered(&task, &[said(r#"Done: {"success": true, "summary": "ok"}"#)]);
    assert_eq!(
        (&output["success"], &output["summary"], &output["iterations"]),
        (&json!(true), &json!("ok"), &json!(1))
    );
    assert_eq!(output["answer"], json!({"success": true, "summary": "ok"}));
    let wrong = said("All went well.");
    assert!(last_message(&task, std::slice::from_ref(&wrong)).contains("no complete JSON"));
    assert_eq!(gave_up(&task, &[wrong.clone(), wrong]).code, code::REPLY_NOT_JSON);
}

#[test]
fn the_same_action_three_times_running_stops_the_loop() {
    let seen = [order(), shipped(), order(), shipped()];
    asked(&helper(), &seen);
    let fault = gave_up(&helper(), &[seen.as_slice(), &[order()]].concat());
    assert_eq!(fault.code, code::LOOP_DETECTED);
    assert!(fault.message.contains("`get_order`"), "{}", fault.message);
}

#[test]
fn another_action_in_between_is_no_loop() {
    let other = called(&[("c1", "get_order", json!({"id": "8"}))]);
    let seen = [order(), shipped(), order(), shipped(), other, shipped(), order()];
    assert_eq!(requested(&helper(), &seen).len(), 1);
}

#[test]
fn iterations_end_with_the_seeds_words() {
    let mut task = helper();
    task.agent.max_iterations = Some(2);
    let other = called(&[("c2", "get_order", json!({"id": "8"}))]);
    let fault = gave_up(&task, &[order(), shipped(), other]);
    assert_eq!(fault.code, code::MAX_ITERATIONS);
    assert!(fault.message.starts_with("Max iterations exceeded"), "{}", fault.message);
    assert_eq!(answered(&task, &[order(), shipped(), said("Done.")])["iterations"], 2);
}

#[test]
fn ten_iterations_are_the_default() {
    let mut seen = Vec::new();
    for turn in 1..10 {
        seen.push(called(&[("c1", "get_order", json!({"id": turn}))]));
        seen.push(shipped());
    }
    asked(&helper(), &seen);
    seen.push(called(&[("c1", "get_order", json!({"id": 10}))]));
    assert_eq!(gave_up(&helper(), &seen).code, code::MAX_ITERATIONS);
}

#[test]
fn a_tool_that_was_not_offered_is_corrected_once() {
    let wrong = called(&[("c1", "get_ordr", json!({"id": "7"}))]);
    let request = asked(&helper(), std::slice::from_ref(&wrong));
    let Some(ModelMessage::Tool { tool_call_id, content }) = request.messages.last() else { panic!("{request:?}") };
    assert_eq!(tool_call_id, "c1");
    assert!(content.contains("did you mean `get_order`?"), "{content}");
    let again = called(&[("c1", "delete_all", json!({}))]);
    assert_eq!(gave_up(&helper(), &[wrong.clone(), again.clone()]).code, code::UNKNOWN_TOOL);
    asked(&helper(), &[wrong, order(), shipped(), again]);
}

#[test]
fn what_can_be_called_is_called_beside_what_cannot() {
    let mixed = called(&[("c1", "get_order", json!({"id": "7"})), ("c2", "nothing", json!({}))]);
    assert_eq!(requested(&helper(), std::slice::from_ref(&mixed)).len(), 1);
    let request = asked(&helper(), &[mixed, shipped()]);
    let tools = request.messages.iter().filter(|message| matches!(message, ModelMessage::Tool { .. })).count();
    assert_eq!(tools, 2);
}

#[test]
fn arguments_that_are_no_object_are_corrected_once() {
    let wrong = called(&[("c1", "get_order", json!("id=7"))]);
    assert!(last_message(&helper(), std::slice::from_ref(&wrong)).contains("not a JSON object"));
    assert_eq!(gave_up(&helper(), &[wrong.clone(), wrong]).code, code::INVALID_ARGUMENTS);
    assert_eq!(requested(&helper(), &[called(&[("c1", "get_order", json!(""))])])[0].2, json!({}));
    assert_eq!(requested(&helper(), &[called(&[("c1", "get_order", json!("{\"id\": 7}"))])])[0].2, json!({"id": 7}));
}

#[test]
fn ids_left_out_or_used_twice_are_made() {
    let calls = called(&[
        ("", "get_order", json!({"id": 1})),
        ("a", "get_order", json!({"id": 2})),
        ("a", "get_order", json!({"id": 3})),
    ]);
    let ids: Vec<String> = requested(&helper(), &[calls]).into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, ["call_1_0", "a", "call_1_2"]);
}

#[test]
fn a_cut_off_reply_is_corrected_once() {
    assert!(last_message(&helper(), &[cut_off("It is on")]).contains("cut off"));
    assert_eq!(gave_up(&helper(), &[cut_off("It is on"), cut_off("It")]).code, code::REPLY_TRUNCATED);
    assert_eq!(gave_up(&helper(), &[said(""), said("")]).code, code::REPLY_EMPTY);
}

#[test]
fn outcomes_that_look_like_tools_are_offered_only_where_wanted() {
    let names = |task: &AgentTask| asked(task, &[]).tools.into_iter().map(|tool| tool.name).collect::<Vec<_>>();
    assert_eq!(names(&helper()).len(), 3);
    assert_eq!(names(&talker())[3..], ["ask_customer", "hand_over"]);
    let unwanted = called(&[("c1", "ask_customer", json!({"question": "When?"}))]);
    assert!(last_message(&helper(), &[unwanted]).contains("there is no tool"));
}

#[test]
fn a_tool_cannot_take_a_reserved_name() {
    let mut task = helper();
    task.tools[0].name = "ask_customer".into();
    assert_eq!(asked(&task, &[]).tools.len(), 2);
}

#[test]
fn a_question_goes_to_the_customer_and_the_answer_to_the_model() {
    let question = called(&[("c1", "ask_customer", json!({"question": "¿A qué hora?"}))]);
    assert_eq!(
        step(&talker(), std::slice::from_ref(&question)),
        AgentStep::AskCustomer { question: "¿A qué hora?".into() }
    );
    let seen = [question, AgentObservation::Said("A las diez".into())];
    assert_eq!(last_message(&talker(), &seen), "A las diez");
    let output = answered(&talker(), &[seen.as_slice(), &[said("Reservado.")]].concat());
    assert_eq!(output["reasoning_chain"][0]["observation"], "A las diez");
}

#[test]
fn tools_go_before_the_question_and_the_question_before_the_model() {
    let both = called(&[("q", "ask_customer", json!({"question": "Which?"})), ("c1", "get_order", json!({"id": "7"}))]);
    assert_eq!(requested(&talker(), std::slice::from_ref(&both)).len(), 1);
    let seen = [both.clone(), shipped()];
    assert_eq!(step(&talker(), &seen), AgentStep::AskCustomer { question: "Which?".into() });
    let request = asked(&talker(), &[both, shipped(), AgentObservation::Said("The red one".into())]);
    let [.., ModelMessage::Tool { tool_call_id: first, content }, ModelMessage::Tool { tool_call_id: second, .. }] =
        request.messages.as_slice()
    else {
        panic!("{request:?}")
    };
    assert_eq!((first.as_str(), content.as_str(), second.as_str()), ("q", "The red one", "c1"));
}

#[test]
fn a_hand_over_names_its_reason_and_comes_after_the_tools() {
    let hand_over = ("h", "hand_over", json!({"reason": "wants a refund of 900 USD"}));
    let expected = AgentStep::HandOver { reason: "wants a refund of 900 USD".into() };
    assert_eq!(step(&talker(), &[called(std::slice::from_ref(&hand_over))]), expected);
    let both = called(&[hand_over, ("c1", "get_order", json!({"id": "7"}))]);
    assert_eq!(requested(&talker(), std::slice::from_ref(&both)).len(), 1);
    assert_eq!(step(&talker(), &[both, shipped()]), expected);
}

#[test]
fn a_message_nobody_asked_for_is_shown_to_the_model() {
    assert_eq!(last_message(&helper(), &[order(), shipped(), AgentObservation::Said("hurry".into())]), "hurry");
}

#[test]
fn the_text_protocol_of_the_seed_is_understood() {
    let think = said(
        "Thought: I need to check order status\nAction: get_order\nAction Input: {\"id\": \"123\"}\nObservation: it is lost",
    );
    let calls = requested(&helper(), std::slice::from_ref(&think));
    assert_eq!(calls, [("call_1_0".into(), "get_order".into(), json!({"id": "123"}))]);
    let seen = [think, results(&[("call_1_0", json!({"status": "shipped"}))])];
    let request = asked(&helper(), &seen);
    let [.., ModelMessage::Assistant { content: own, .. }, ModelMessage::User { content: observation, .. }] =
        request.messages.as_slice()
    else {
        panic!("{request:?}")
    };
    assert!(!own.contains("lost"), "what the model imagined must not come back: {own}");
    assert!(observation.starts_with("Observation: {"), "{observation}");
    let last = said("Thought: I have enough\nFinal Answer: You can return it\nwithin 30 days.");
    let output = answered(&helper(), &[seen.as_slice(), &[last]].concat());
    assert_eq!(output["answer"], "You can return it\nwithin 30 days.");
    assert_eq!(output["reasoning_chain"][0]["thought"], "I need to check order status");
    assert_eq!(output["reasoning_chain"][1]["thought"], "I have enough");
}

#[test]
fn the_text_protocol_is_taught_where_the_definition_says_so() {
    let mut task = helper();
    task.agent.metadata.insert("tool_protocol".into(), json!("text"));
    let request = asked(&task, &[]);
    assert!(request.tools.is_empty());
    let ModelMessage::System { content, .. } = &request.messages[0] else { panic!("{request:?}") };
    assert!(content.contains("Action Input:") && content.contains("- get_order: Does get_order"));
}
