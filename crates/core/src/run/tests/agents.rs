//! Agents: the model, tools, the customer; recorded results are not requested again.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{FixtureReply, check, costs, done, fails, flaky, model_fails, says};
use super::flow::{NodeBuilder, agent, flow, only, requests, secs, tool};
use crate::agent::{
    AgentConstraints, AgentLimits, AgentObservation, AgentStep, OverLimitPolicy, TenantTier, ToolRequest,
};
use crate::fault::Fault;
use crate::graph::node::OnDeadline;
use crate::model::{ModelMessage, ModelProfile, ModelRequest};
use crate::run::{AGENT_STEPS_MAX, RunState, TOOL_REQUESTS_MAX};
use crate::tool::EffectClass;

pub fn model() -> AgentStep {
    AgentStep::AskModel(ModelRequest {
        agent: "who".into(),
        profile: ModelProfile::Fast,
        model: None,
        messages: vec![ModelMessage::user("hi")],
        tools: Vec::new(),
        schema: None,
        temperature: 0.1,
        ..ModelRequest::default()
    })
}

pub fn tools(names: &[&str]) -> AgentStep {
    let request =
        |name: &&str| ToolRequest { id: format!("c-{name}"), tool: (*name).into(), arguments: json!({"x": 0.1}) };
    AgentStep::RequestTools(names.iter().map(request).collect())
}

pub fn answer(output: Value) -> AgentStep {
    AgentStep::Answer { output }
}

fn who(offers: &[&str]) -> NodeBuilder {
    agent("who", offers)
}

#[test]
fn an_agent_asks_the_model_then_tools_then_answers() {
    check(
        only(who(&["find", "book"])),
        |w| w.thinks("who", [model(), tools(&["find", "book"]), model(), answer(json!({"done": true}))]).starts(),
        |w| {
            w.assert_state(RunState::Completed).asked("who find book who").assert_output(json!({"done": true}));
            w.keys(&["run/who/0/0", "run/who/1/0", "run/who/2/0", "run/who/3/0"])
        },
    );
}

#[test]
fn an_agent_sees_results_in_the_order_it_asked() {
    check(
        only(who(&["find", "book"])),
        |w| {
            w.thinks("who", [tools(&["find", "book"])]).answers("find", [FixtureReply::StaysOut]);
            w.answers("book", [done(json!("b"))]).starts().assert_state(RunState::Running);
            w.only_decides(crate::run::RunCommand::Outcome {
                effect: w.out("find"),
                outcome: crate::run::CallOutcome::Tool(crate::tool::ToolOutcome::Done {
                    output: json!("f").into(),
                    cost: crate::money::Usd::ZERO,
                    cached: false,
                }),
            })
        },
        |w| {
            let (_, _, seen) = w.run.agent_to_step().unwrap();
            let [AgentObservation::Tools(results)] = seen else { panic!("{seen:?}") };
            let told: Vec<(&str, &Value)> = results.iter().map(|(id, result)| (id.as_str(), &result.data)).collect();
            assert_eq!(told, [("c-find", &json!("f")), ("c-book", &json!("b"))]);
            w
        },
    );
}

#[test]
fn a_tool_an_agent_may_not_have_is_refused_and_it_is_told_so() {
    check(
        only(who(&["find"])),
        |w| w.thinks("who", [tools(&["wire_money", "find"])]).starts(),
        |w| w.assert_state(RunState::Completed).asked("find").recorded("request_refused", 1),
    );
}

#[test]
fn an_agent_whose_every_request_is_refused_goes_on() {
    check(
        only(who(&[])),
        |w| w.thinks("who", [tools(&["wire_money"]), answer(json!("sorry"))]).starts(),
        |w| w.assert_state(RunState::Completed).asked("").assert_output(json!("sorry")),
    );
}

#[test]
fn a_failed_call_is_a_result_like_any_other() {
    check(
        only(who(&["find"])),
        |w| w.answers("find", [fails("NO")]).thinks("who", [tools(&["find"]), answer(json!("sorry"))]).starts(),
        |w| w.assert_state(RunState::Completed).asked("find").assert_output(json!("sorry")),
    );
}

#[test]
fn an_agents_calls_are_repeated_as_their_tools_are() {
    check(
        only(who(&["find"])),
        |w| {
            w.answers("find", [flaky("BUSY"), done(json!(1))]).thinks("who", [tools(&["find"])]);
            w.starts().advance_time(secs(2))
        },
        |w| w.assert_state(RunState::Completed).asked("find find").keys(&["run/who/0/0", "run/who/0/1"]),
    );
}

#[test]
fn a_question_to_the_customer_waits_for_the_next_message() {
    let ask = AgentStep::AskCustomer { question: "which slot?".into() };
    check(
        only(who(&[])),
        |w| {
            w.thinks("who", [ask, model(), answer(json!("booked"))]).starts();
            w.assert_state(RunState::Waiting).waits_for("customer:who");
            w.signals("message", json!({"text": "ten"}))
        },
        |w| w.assert_state(RunState::Completed).asked("who").assert_output(json!("booked")),
    );
}

#[test]
fn a_message_that_came_before_the_question_answers_it() {
    let ask = AgentStep::AskCustomer { question: "which slot?".into() };
    check(
        flow([tool("first"), who(&[])], "first>who"),
        |w| {
            w.thinks("who", [ask]).answers("first", [FixtureReply::StaysOut]).starts();
            w.signals("message", json!("ten")).deliver_reply("first", done(json!(1)))
        },
        |w| w.assert_state(RunState::Completed).recorded("signal_taken", 1),
    );
}

#[test]
fn a_question_nobody_answers_has_a_deadline() {
    let ask = || AgentStep::AskCustomer { question: "which slot?".into() };
    check(
        only(who(&[]).deadline(secs(60), OnDeadline::Default(json!("gone")))),
        |w| w.thinks("who", [ask()]).starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Completed).assert_output(json!("gone")),
    );
    check(
        only(who(&[]).deadline(secs(60), OnDeadline::Fail)),
        |w| w.thinks("who", [ask()]).starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Failed).failed_with("DEADLINE_PASSED"),
    );
    // The deadline of an answered question is removed.
    check(
        only(who(&["slow"]).deadline(secs(60), OnDeadline::Fail)),
        |w| {
            w.answers("slow", [FixtureReply::StaysOut]).thinks("who", [ask(), tools(&["slow"])]).starts();
            w.signals("message", json!("ten")).advance_time(secs(60)).deliver_reply("slow", done(json!(1)))
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn an_agent_whose_time_is_over_fails_once_its_acts_are_known() {
    check(
        only(who(&["book"]).timeout(secs(30))),
        |w| {
            w.answers("book", [FixtureReply::StaysOut]).thinks("who", [tools(&["book"])]).starts();
            w.advance_time(secs(30)).assert_state(RunState::Running);
            w.deliver_reply("book", done(json!({"id": 1})))
        },
        |w| w.assert_state(RunState::Failed).failed_with("TIMEOUT").undone(&[("who", "irreversible")]),
    );
    check(
        only(who(&[]).timeout(secs(30))),
        |w| w.answers("who", [FixtureReply::StaysOut]).thinks("who", [model()]).starts().advance_time(secs(30)),
        |w| w.assert_state(RunState::Failed).failed_with("TIMEOUT").recorded("abandoned", 1),
    );
}

#[test]
fn an_agent_that_gives_up_fails_and_its_acts_are_undone() {
    check(
        only(who(&["book"]).undo("unbook")),
        |w| {
            let give_up = AgentStep::GiveUp(Fault::new("AGENT_GAVE_UP", "I cannot"));
            w.thinks("who", [tools(&["book"]), give_up]).starts()
        },
        |w| w.assert_state(RunState::Compensated).failed_with("AGENT_GAVE_UP").asked("book unbook"),
    );
}

#[test]
fn an_agent_hands_over_with_its_reason() {
    check(
        flow([who(&[]), tool("z")], "who>z"),
        |w| w.thinks("who", [AgentStep::HandOver { reason: "angry".into() }]).starts(),
        |w| {
            w.assert_state(RunState::Completed)
                .output_of("who", json!({"handover": true, "reason": "angry"}))
                .asked("z")
        },
    );
}

#[test]
fn a_selecting_agent_leaves_its_requests_to_a_tool_node() {
    let wanted = json!([{"tool_name": "find", "parameters": {"q": 1}}, {"tool": "book", "arguments": {"n": 2}}]);
    check(
        flow(
            [
                who(&[]).selects(),
                requests("do", &["find", "book"]),
                tool("z").args(json!({"r": "{{ tool_results.find.success }}"})),
            ],
            "who>do do>z",
        ),
        |w| w.thinks("who", [answer(json!({"tool_requests": wanted}))]).starts(),
        |w| {
            w.assert_state(RunState::Completed).asked("find book z").asked_with("book", json!({"n": 2}));
            w.asked_with("z", json!({"r": true})).keys(&["run/do/0/0", "run/do/1/0", "run/z/0/0"])
        },
    );
}

#[test]
fn a_result_says_what_it_cost_how_long_it_took_and_where_its_audit_rows_are() {
    let wanted = json!([{"tool_name": "find", "parameters": {}}, {"tool": "book", "arguments": {}}]);
    check(
        flow([who(&[]).selects(), requests("do", &["find", "book"])], "who>do"),
        |w| {
            w.answers("find", [fails("NOBODY")]).answers("book", [flaky("BUSY"), costs(0.2)]);
            w.thinks("who", [answer(json!({"tool_requests": wanted}))]).starts().advance_time(secs(60))
        },
        |w| {
            let results = w.run.outputs()["do"].clone();
            let (find, book) = (&results["find"], &results["book"]);
            assert_eq!((&find["audit_id"], &book["audit_id"]), (&json!("run/do/0"), &json!("run/do/1")));
            assert_eq!((&find["cost_usd"], &book["cost_usd"]), (&json!(0.0), &json!(0.2)));
            assert_eq!((&find["error_code"], &find["error_details"]), (&json!("NOBODY"), &json!("scripted")));
            assert_eq!(find["error"], "That could not be done.", "the operator's words are not the customer's");
            assert!(book["duration_ms"].as_u64() >= Some(1_000), "the wait between attempts is part of it: {book}");
            w.assert_state(RunState::Completed)
        },
    );
}

#[test]
fn a_selection_tells_what_the_tools_it_left_out_would_have_cost() {
    let chosen =
        json!({"tools": ["find"], "reasoning": "no date", "tool_requests": [{"tool_name": "find", "parameters": {}}]});
    let mut told = chosen.clone();
    told["saved_cost_usd"] = json!(0.01);
    check(
        only(who(&["find", "book", "mail"]).selects().priced(&[("find", 3_000_000), ("book", 10_000_000)])),
        |w| w.thinks("who", [answer(chosen)]).starts(),
        |w| w.assert_state(RunState::Completed).output_of("who", told),
    );
}

#[test]
fn a_request_for_another_tool_fails_the_node_that_would_call_it() {
    check(
        flow([who(&[]).selects(), requests("do", &["find"])], "who>do"),
        |w| w.thinks("who", [answer(json!({"tool_requests": [{"tool_name": "wire_money"}]}))]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("TOOL_NOT_ALLOWED").asked(""),
    );
}

#[test]
fn no_requests_are_no_calls() {
    check(
        flow([who(&[]).selects(), requests("do", &["find"]), tool("z")], "who>do do>z"),
        |w| w.thinks("who", [answer(json!("nothing to do"))]).starts(),
        |w| w.assert_state(RunState::Completed).asked("z"),
    );
}

#[test]
fn an_agent_sets_variables_with_its_answer() {
    check(
        only(who(&[])),
        |w| w.thinks("who", [answer(json!({"shared_context": {"mood": "calm"}}))]).starts(),
        |w| w.assert_state(RunState::Completed).has("mood", json!("calm")),
    );
}

#[test]
fn what_an_agent_may_ask_for_is_bounded() {
    let many: Vec<String> = (0..=TOOL_REQUESTS_MAX).map(|n| format!("t{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check(
        only(who(&[])),
        |w| w.thinks("who", [tools(&many)]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("AGENT_GAVE_UP"),
    );
    check(
        only(who(&[])),
        |w| w.thinks("who", [tools(&[])]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("AGENT_GAVE_UP"),
    );
    check(
        only(who(&[])),
        |w| w.thinks("who", vec![tools(&["nothing"]); AGENT_STEPS_MAX as usize + 1]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("AGENT_GAVE_UP"),
    );
}

#[test]
fn after_a_crash_an_agent_goes_on_in_the_middle_of_its_loop() {
    check(
        only(who(&["book"])),
        |w| {
            w.answers("book", [FixtureReply::StaysOut, done(json!(1))]);
            w.thinks("who", [model(), tools(&["book"]), answer(json!("booked"))]).starts().asked("who book");
            w.crashes()
        },
        |w| {
            w.assert_state(RunState::Completed).asked("who book book").keys(&[
                "run/who/0/0",
                "run/who/1/0",
                "run/who/1/0",
            ])
        },
    );
}

#[test]
fn a_model_call_in_flight_at_a_crash_is_asked_again_the_same() {
    check(
        only(who(&[])),
        |w| {
            w.answers("who", [FixtureReply::StaysOut, says("hi")]).thinks("who", [model()]).starts();
            w.crashes()
        },
        |w| w.assert_state(RunState::Completed).keys(&["run/who/0/0", "run/who/0/0"]),
    );
}

#[test]
fn a_model_that_fails_is_seen_by_the_agent() {
    check(
        only(who(&[])),
        |w| w.answers("who", [model_fails("NO_KEY")]).thinks("who", [model(), answer(json!("sorry"))]).starts(),
        |w| w.assert_state(RunState::Completed).assert_output(json!("sorry")),
    );
}

#[test]
fn an_agents_once_call_waits_for_a_person_after_a_crash() {
    let mut node = who(&["pay"]);
    node = node.undoing("pay", crate::tool::ToolContract::new(EffectClass::Once, secs(10)));
    check(
        only(node),
        |w| {
            w.answers("pay", [FixtureReply::StaysOut]).thinks("who", [tools(&["pay"])]).starts();
            w.crashes().waits_for("doubt:who");
            w.resolves("who", crate::run::DoubtResolution::Done { output: json!("paid") })
        },
        |w| w.assert_state(RunState::Completed).asked("pay"),
    );
}

#[test]
fn an_agent_is_told_what_to_do_in_the_customers_language() {
    let told = |input: Value| {
        let mut w = super::fixture::RunFixture::new(only(who(&[])));
        w.thinks("who", [AgentStep::AskCustomer { question: "?".into() }]).starts_with(input);
        let crate::run::RunEvent::Began { wait, .. } = w.events().nth(1).unwrap() else { panic!("it did not begin") };
        let crate::run::NodeWait::Agent { task, .. } = &**wait else { panic!("no agent began") };
        (task.system.clone(), task.language.clone())
    };
    assert_eq!(told(json!({})), ("be kind".into(), String::new()));
    assert_eq!(told(json!({"language": "es-MX"})), ("sé amable".into(), "es-MX".into()));
    assert_eq!(told(json!({"language": "de"})), ("be kind".into(), "de".into()));
}

#[test]
fn a_prompt_that_cannot_be_written_names_agent_place_and_what_there_is() {
    for (prompt, system, what) in [
        ("help {{ custommer }}", "be kind", "its prompt at node `who`"),
        ("help", "be kind to {{ custommer }}", "its system prompt at node `who`"),
    ] {
        check(
            only(who(&[]).prompted(prompt, system)),
            |w| w.starts(),
            |w| {
                w.assert_state(RunState::Failed).failed_with("PROMPT_FAILED").asked("");
                let message = &w.run.fault().unwrap().message;
                for part in ["agent `who`", what, "`custommer`", "`context`"] {
                    assert!(message.contains(part), "{part} in {message}");
                }
                w
            },
        );
    }
}

#[test]
fn what_is_lent_for_the_context_is_none_of_the_tools_a_tier_counts() {
    let limits = AgentLimits {
        types: [crate::agent::AgentKind::Reasoning].into(),
        tools: 1,
        iterations: 5,
        seconds: 60,
        concurrency: 5,
        above: OverLimitPolicy::Refuse,
    };
    let tier = Some(Arc::new(TenantTier { name: "free".into(), limits }));
    check(
        only(who(&["find", "get_context"]).agent(|agent| {
            agent.metadata.insert("context_tools".to_owned(), json!(["get_context"]));
        })),
        |w| {
            let advice = AgentConstraints { tier, ..AgentConstraints::default() };
            w.advises(advice).thinks("who", [tools(&["get_context"]), answer(json!(1))]).starts()
        },
        |w| w.assert_state(RunState::Completed).asked("get_context"),
    );
}
