use baton_core::agent::{
    AgentKind, AgentObservation, AgentStep, AgentTask, ProgramOutcome, ProgramSnapshot, SandboxProgram, ToolRequest,
};
use baton_core::fault::Fault;
use baton_core::model::{ModelMessage, ModelProfile, ToolOffer};
use serde_json::{Value, json};

use crate::code;
use crate::test_support::{answered, asked, envelope, gave_up, last_message, results, said, step, task};

fn coder() -> AgentTask {
    task(AgentKind::Code)
}

fn plan(steps: Value) -> AgentObservation {
    said(&json!({"goal": "g", "steps": steps, "estimated_duration": 3, "required_tools": []}).to_string())
}

fn achieved(output: Value) -> AgentObservation {
    said(&json!({"goal_achieved": true, "final_output": output, "failure_reason": null}).to_string())
}

fn in_vain(reason: &str) -> AgentObservation {
    let suggestions = json!(["use another tool"]);
    said(&json!({"goal_achieved": false, "failure_reason": reason, "suggestions": suggestions}).to_string())
}

fn failed(id: &str) -> AgentObservation {
    AgentObservation::Tools(vec![(id.to_owned(), envelope(Value::Null, Some("SERVICE_UNAVAILABLE")))])
}

fn get(id: u32, more: Value) -> Value {
    let mut step = json!({"id": id, "description": format!("step {id}"), "tool": "get_order", "input": {"id": "7"}});
    step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    step
}

fn python(id: u32, source: &str, input: Value) -> Value {
    json!({"id": id, "description": "compute", "python": source, "input": input})
}

fn ran(output: Value) -> AgentObservation {
    AgentObservation::Ran(ProgramOutcome::Finished { output, printed: String::new() })
}

fn paused(tool: &str) -> AgentObservation {
    let calls = vec![ToolRequest { id: "c1".into(), tool: tool.into(), arguments: json!({"id": "7"}) }];
    let snapshot = ProgramSnapshot { version: "v".into(), bytes: "cGF1c2Vk".into() };
    AgentObservation::Ran(ProgramOutcome::Calls { calls, snapshot, printed: "looking\n".into() })
}

fn raised(code: &'static str) -> AgentObservation {
    AgentObservation::Ran(ProgramOutcome::Failed {
        fault: Fault::new(code, "ZeroDivisionError: division by zero"),
        printed: String::new(),
    })
}

#[track_caller]
fn tools_of(step: AgentStep) -> Vec<(String, Value)> {
    match step {
        AgentStep::RequestTools(requests) => requests.into_iter().map(|one| (one.tool, one.arguments)).collect(),
        other => panic!("it should ask for tools, not {other:?}"),
    }
}

#[track_caller]
fn program(step: AgentStep) -> SandboxProgram {
    match step {
        AgentStep::RunCode(program) => program,
        other => panic!("it should run code, not {other:?}"),
    }
}

/// Asserts which problem of a plan is reported to the model.
#[track_caller]
fn wrong(steps: Value, expected: &str) {
    let plan = plan(steps);
    let told = last_message(&coder(), std::slice::from_ref(&plan));
    assert!(told.contains(expected), "{told}");
    let fault = gave_up(&coder(), &[plan.clone(), plan]);
    assert!(fault.message.contains(expected), "{fault}");
}

#[test]
fn the_model_is_asked_for_a_plan_with_the_goal_and_the_tools() {
    let request = asked(&coder(), &[]);
    assert_eq!((request.profile, request.tools.len()), (ModelProfile::Powerful, 0));
    let [ModelMessage::System { content: system, .. }, ModelMessage::User { content: prompt, .. }] =
        request.messages.as_slice()
    else {
        panic!("{:?}", request.messages)
    };
    assert_eq!(system, "Be kind.");
    assert!(prompt.contains("Goal: Where is order 7?") && prompt.contains("- get_order: Does get_order"), "{prompt}");
    assert!(prompt.contains("\"properties\"") && !prompt.contains("Similar successful plans"), "{prompt}");
}

#[test]
fn steps_go_one_after_another_and_pass_on_what_they_gave() {
    let given = json!([
        get(1, json!({})),
        {"id": 2, "tool": "create_return", "input": {"order": "$step_1.id", "items": "$step_1.items", "note": "for {{ step_1.name }}"}}
    ]);
    let seen = [plan(given)];
    assert_eq!(tools_of(step(&coder(), &seen)), [("get_order".into(), json!({"id": "7"}))]);
    let order = results(&[("step_1", json!({"id": 1001, "items": [{"sku": "a"}], "name": "Eva"}))]);
    let seen = [seen.as_slice(), &[order]].concat();
    let input = json!({"order": 1001, "items": [{"sku": "a"}], "note": "for Eva"});
    assert_eq!(tools_of(step(&coder(), &seen)), [("create_return".into(), input)]);
}

#[test]
fn what_waits_for_nothing_goes_out_together() {
    let given = json!([
        get(1, json!({"depends_on": []})),
        get(2, json!({"dependencies": []})),
        get(3, json!({"depends_on": [1, "2"]})),
    ]);
    let seen = vec![plan(given)];
    assert_eq!(tools_of(step(&coder(), &seen)).len(), 2);
    let both = results(&[("step_1", json!({})), ("step_2", json!({}))]);
    assert_eq!(tools_of(step(&coder(), &[seen, vec![both]].concat())).len(), 1);
}

#[test]
fn what_an_input_names_is_waited_for_whatever_the_step_says() {
    let given =
        json!([get(1, json!({"depends_on": []})), get(2, json!({"depends_on": [], "input": {"id": "$step_1.next"}})),]);
    assert_eq!(tools_of(step(&coder(), &[plan(given)])).len(), 1);
}

#[test]
fn a_goal_achieved_is_an_answer_with_the_way_to_it() {
    let seen = [plan(json!([get(1, json!({}))])), results(&[("step_1", json!({"status": "shipped"}))])];
    let prompt = last_message(&coder(), &seen);
    assert!(prompt.contains("step 1 (step 1): done: {\"status\":\"shipped\"}"), "{prompt}");
    let output = answered(&coder(), &[seen.as_slice(), &[achieved(json!("It is on its way."))]].concat());
    assert_eq!((&output["success"], &output["result"]), (&json!(true), &json!("It is on its way.")));
    assert_eq!((&output["iterations"], &output["attempts"]), (&json!(2), &json!(1)));
    assert_eq!(output["plan"]["steps"][0]["tool"], "get_order");
    assert_eq!(output["outputs"], json!({"1": {"status": "shipped"}}));
    let chain = output["reasoning_chain"].as_array().unwrap();
    assert_eq!(chain[0], json!({"thought": "plan: step 1", "action": null}));
    assert_eq!((&chain[1]["action"], &chain[1]["action_input"]), (&json!("get_order"), &json!({"id": "7"})));
    assert_eq!(chain[1]["observation"]["data"], json!({"status": "shipped"}));
}

#[test]
fn a_schema_is_told_and_its_fields_stand_at_the_top() {
    let mut task = coder();
    let schema = json!({"type": "object", "properties": {"success": {"type": "boolean"}, "label": {"type": "string"}},
                        "required": ["label"]});
    task.agent.output_schema = Some(schema);
    let seen = vec![plan(json!([get(1, json!({}))])), results(&[("step_1", json!({}))])];
    assert!(last_message(&task, &seen).contains("\"required\":[\"label\"]"));
    let wrong = [seen.clone(), vec![achieved(json!({"lable": "L1"}))]].concat();
    assert!(last_message(&task, &wrong).contains("`final_output` does not satisfy the schema"));
    let right = [wrong, vec![achieved(json!({"label": "L1", "success": false}))]].concat();
    let output = answered(&task, &right);
    assert_eq!((&output["label"], &output["success"]), (&json!("L1"), &json!(false)));
}

#[test]
fn a_critical_failure_stops_the_plan_and_another_does_not() {
    let given = |critical: bool| {
        vec![
            plan(json!([get(1, json!({"critical": critical})), get(2, json!({"input": {"id": "$step_1.id"}}))])),
            failed("step_1"),
        ]
    };
    let told = last_message(&coder(), &given(true));
    assert!(told.contains("step 1 (step 1): failed") && told.contains("SERVICE_UNAVAILABLE"), "{told}");
    assert!(told.contains("step 2 (step 2): not run"), "{told}");
    assert_eq!(tools_of(step(&coder(), &given(false))), [("get_order".into(), json!({"id": null}))]);
}

#[test]
fn an_attempt_in_vain_is_followed_by_a_better_plan_three_times_in_all() {
    let attempt = || vec![plan(json!([get(1, json!({}))])), failed("step_1"), in_vain("the service is down")];
    let again = last_message(&coder(), &attempt());
    assert!(again.contains("the service is down") && again.contains("- use another tool"), "{again}");
    let two = [attempt(), attempt()].concat();
    let won =
        [two.clone(), vec![plan(json!([get(1, json!({}))])), results(&[("step_1", json!({}))]), achieved(json!(1))]];
    let output = answered(&coder(), &won.concat());
    assert_eq!((&output["attempts"], &output["iterations"]), (&json!(3), &json!(6)));
    let fault = gave_up(&coder(), &[two, attempt()].concat());
    assert_eq!(fault.code, code::MAX_RETRIES);
    assert!(fault.message.contains("3 attempts: the service is down"), "{fault}");
    let mut task = coder();
    task.agent.max_retries = Some(1);
    assert_eq!(gave_up(&task, &attempt()).code, code::MAX_RETRIES);
}

#[test]
fn a_python_step_runs_with_its_input_and_what_it_may_call() {
    let given = json!([get(1, json!({})), python(2, "sum(prices)", json!({"prices": "$step_1.prices"}))]);
    let seen = [plan(given), results(&[("step_1", json!({"prices": [1, 2.5]}))])];
    let SandboxProgram::Start { source, inputs, tools } = program(step(&coder(), &seen)) else {
        panic!("not its start")
    };
    assert_eq!((source.as_str(), &inputs["prices"]), ("sum(prices)", &json!([1, 2.5])));
    assert_eq!(tools, ["get_order", "search_kb", "create_return"]);
    let output = answered(&coder(), &[seen.as_slice(), &[ran(json!(3.5)), achieved(json!(3.5))]].concat());
    assert_eq!(output["outputs"]["2"], json!(3.5));
    assert_eq!(output["reasoning_chain"][2]["action_input"], json!({"code": "sum(prices)"}));
}

#[test]
fn a_programs_calls_leave_as_requests_and_come_back_to_it() {
    let seen = vec![plan(json!([python(1, "get_order(id='7')", json!({}))])), paused("get_order")];
    assert_eq!(tools_of(step(&coder(), &seen)), [("get_order".into(), json!({"id": "7"}))]);
    let seen = [seen, vec![results(&[("c1", json!({"total": 9}))])]].concat();
    let SandboxProgram::Resume { snapshot, results } = program(step(&coder(), &seen)) else { panic!("not resumed") };
    assert_eq!((snapshot.bytes.as_str(), &results[0].data), ("cGF1c2Vk", &json!({"total": 9})));
    let seen = [seen, vec![ran(Value::Null)]].concat();
    let output = answered(&coder(), &[seen, vec![achieved(json!(9))]].concat());
    assert_eq!(output["outputs"]["1"], json!("looking\n"), "a program that only prints gives what it printed");
    assert_eq!(output["reasoning_chain"][1]["action"], "get_order");
}

#[test]
fn a_pause_that_cannot_be_read_any_more_is_replayed_over_every_call() {
    let mut seen = vec![plan(json!([python(1, "…", json!({"a": 1}))])), paused("get_order")];
    seen.push(results(&[("c1", json!({"total": 9}))]));
    seen.push(paused("search_kb"));
    seen.push(results(&[("c2", json!({"found": 0}))]));
    seen.push(AgentObservation::Ran(ProgramOutcome::Stale));
    let SandboxProgram::Replay { inputs, calls, .. } = program(step(&coder(), &seen)) else { panic!("not replayed") };
    assert_eq!(inputs["a"], json!(1));
    let made: Vec<(&str, &Value)> = calls.iter().map(|(call, result)| (call.tool.as_str(), &result.data)).collect();
    assert_eq!(made, [("get_order", &json!({"total": 9})), ("search_kb", &json!({"found": 0}))]);
    let differs = AgentObservation::Ran(ProgramOutcome::Failed {
        fault: Fault::new("CODE_DIFFERS", "another call"),
        printed: String::new(),
    });
    assert_eq!(gave_up(&coder(), &[seen.clone(), vec![differs]].concat()).code, "CODE_DIFFERS");
    assert!(last_message(&coder(), &[seen, vec![ran(json!(1))]].concat()).contains("step 1 (compute): done: 1"));
}

#[test]
fn a_program_that_raises_is_a_step_that_failed() {
    let seen = [plan(json!([python(1, "1 / 0", json!({}))])), raised("CODE_RAISED")];
    let told = last_message(&coder(), &seen);
    assert!(told.contains("failed") && told.contains("ZeroDivisionError"), "{told}");
}

#[test]
fn a_plan_that_cannot_be_executed_is_corrected_once() {
    wrong(json!([]), "has no step");
    wrong(json!([get(1, json!({"tool": "get_ordr"}))]), "did you mean `get_order`?");
    wrong(json!([get(1, json!({"tool": null}))]), "has neither `tool` nor `python`");
    wrong(json!([get(1, json!({"python": "1"}))]), "has both");
    wrong(json!([get(1, json!({})), get(1, json!({}))]), "two steps have the id `1`");
    wrong(json!([get(1, json!({"depends_on": [2]})), get(2, json!({}))]), "waits for itself");
    wrong(json!([get(1, json!({"depends_on": [9]}))]), "there is no such step");
    wrong(json!([get(1, json!({"input": {"id": "$step_9.id"}}))]), "`step_9`");
    wrong(json!([get(1, json!({"input": {"id": "$step_1.id"}}))]), "waits for itself");
    wrong(json!([get(1, json!({"input": ["7"]}))]), "not an object");
    wrong(json!([7]), "is not an object");
    wrong(json!([get(1, json!({"id": "a b"}))]), "letters, digits");
    wrong(json!(vec![get(1, json!({"id": null})); super::plan::STEPS_MAX + 1]), "at most 50");
    let chatter = said("I would look the order up.");
    assert_eq!(gave_up(&coder(), &[chatter.clone(), chatter]).code, code::REPLY_NOT_JSON);
    let mended = [said("Let me think."), plan(json!([get(1, json!({}))]))];
    assert_eq!(tools_of(step(&coder(), &mended)).len(), 1);
}

#[test]
fn a_reflection_that_says_nothing_is_corrected_once() {
    let seen = vec![plan(json!([get(1, json!({}))])), results(&[("step_1", json!({}))]), said("{\"goal\": 1}")];
    assert!(last_message(&coder(), &seen).contains("no `goal_achieved`"));
    assert_eq!(gave_up(&coder(), &[seen, vec![said("Yes.")]].concat()).code, code::REPLY_NOT_JSON);
}

fn with_memory() -> AgentTask {
    let offer =
        |name: &str| ToolOffer { name: name.into(), description: String::new(), parameters: Value::Null, strict: None };
    let mut task = coder();
    task.tools.extend(["similar_executions", "record_execution"].map(offer));
    task
}

#[test]
fn similar_executions_are_recalled_before_planning_and_this_one_is_left_for_others() {
    let task = with_memory();
    let goal = json!({"goal": "Where is order 7?", "limit": 3, "success_only": true});
    assert_eq!(tools_of(step(&task, &[])), [("similar_executions".into(), goal)]);
    let similar = json!({"executions": [{"goal": "Where is order 6?", "plan": {"steps": []}, "success": true}]});
    let seen = vec![results(&[("similar_executions", similar)])];
    let prompt = last_message(&task, &seen);
    assert!(prompt.contains("Similar successful plans") && prompt.contains("- Where is order 6?"), "{prompt}");
    assert!(!prompt.contains("record_execution"), "{prompt}");
    let seen = [seen, vec![plan(json!([get(1, json!({}))])), results(&[("step_1", json!({}))]), achieved(json!(1))]];
    let seen = seen.concat();
    let recorded = tools_of(step(&task, &seen));
    assert_eq!(recorded[0].0, "record_execution");
    assert_eq!((&recorded[0].1["success"], &recorded[0].1["iterations"]), (&json!(true), &json!(2)));
    assert_eq!(recorded[0].1["results"][0]["status"], "done");
    let unrecorded = [seen, vec![failed("record_execution")]].concat();
    assert_eq!(answered(&task, &unrecorded)["result"], json!(1), "an answer does not hang on memory");
}

#[test]
fn memory_that_does_not_answer_keeps_nobody_from_planning() {
    let prompt = last_message(&with_memory(), &[failed("similar_executions")]);
    assert!(prompt.contains("Generate a detailed") && !prompt.contains("Similar successful plans"), "{prompt}");
}

#[test]
fn a_failure_is_remembered_too() {
    let mut task = with_memory();
    task.agent.max_retries = Some(1);
    let recalled = results(&[("similar_executions", json!([]))]);
    let seen = vec![recalled, plan(json!([get(1, json!({}))])), failed("step_1"), in_vain("down")];
    assert_eq!(tools_of(step(&task, &seen))[0].1["success"], json!(false));
    let recorded = results(&[("record_execution", json!({}))]);
    assert_eq!(gave_up(&task, &[seen, vec![recorded]].concat()).code, code::MAX_RETRIES);
}

#[test]
fn a_step_may_ask_the_customer_or_hand_over() {
    let mut task = coder();
    task.agent.tools = vec!["ask_customer".into(), "hand_over".into()];
    let given = json!([
        {"id": "ask", "tool": "ask_customer", "input": {"question": "Which order?"}},
        get(2, json!({"input": {"id": "$step_ask"}})),
        {"id": "over", "tool": "hand_over", "input": {"reason": "{{ step_ask }} is not theirs"}}
    ]);
    let seen = vec![plan(given)];
    assert_eq!(step(&task, &seen), AgentStep::AskCustomer { question: "Which order?".into() });
    let seen = [seen, vec![AgentObservation::Said("8".into())]].concat();
    assert_eq!(tools_of(step(&task, &seen)), [("get_order".into(), json!({"id": "8"}))]);
    let seen = [seen, vec![results(&[("step_2", json!({}))])]].concat();
    assert_eq!(step(&task, &seen), AgentStep::HandOver { reason: "8 is not theirs".into() });
    wrong(json!([{"tool": "ask_customer", "input": {"question": "?"}}]), "there is no tool `ask_customer`");
}

#[test]
fn replies_are_counted_and_bounded() {
    let mut task = coder();
    task.agent.max_iterations = Some(1);
    let seen = [plan(json!([get(1, json!({}))])), results(&[("step_1", json!({}))])];
    assert_eq!(gave_up(&task, &seen).code, code::MAX_ITERATIONS);
}

#[test]
fn a_model_that_cannot_be_asked_ends_it() {
    let fault = Fault::new("SERVICE_UNAVAILABLE", "no model answers");
    assert_eq!(gave_up(&coder(), &[AgentObservation::ModelFailed(fault.clone())]), fault);
}

#[test]
fn a_customer_who_speaks_spanish_is_planned_for_in_spanish() {
    let task = AgentTask { language: "es-ES".into(), ..coder() };
    assert!(last_message(&task, &[]).starts_with("Haz un plan de ejecución detallado"));
}
