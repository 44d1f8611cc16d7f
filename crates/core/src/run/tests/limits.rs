//! Limits of agents, fallbacks, and agents whose steps an endpoint decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::agents::{answer, model, tools};
use super::fixture::{FixtureReply, RunFixture, blocked, check, done, fails, model_fails, says, thought};
use super::flow::{NodeBuilder, agent, only, secs};
use crate::agent::{AgentConstraints, AgentKind, AgentLimits, AgentStep, OverLimitPolicy, TenantTier};
use crate::fault::Fault;
use crate::run::{BlockReason, CallOutcome, ModelCallError, RunCommand, RunEvent, RunState};

fn who(offers: &[&str]) -> NodeBuilder {
    agent("who", offers)
}

fn free(above: OverLimitPolicy) -> AgentConstraints {
    let types = BTreeSet::from([AgentKind::Simple, AgentKind::Reasoning]);
    let limits = AgentLimits { types, tools: 1, iterations: 2, seconds: 60, concurrency: 1, above };
    let tier = TenantTier { name: "free".to_owned(), limits };
    AgentConstraints { tier: Some(Arc::new(tier)), failing: BTreeSet::new() }
}

fn unwell(names: &[&str]) -> AgentConstraints {
    AgentConstraints { tier: None, failing: names.iter().map(|name| (*name).to_owned()).collect() }
}

fn give_up() -> AgentStep {
    AgentStep::GiveUp(Fault::new("AGENT_GAVE_UP", "I cannot"))
}

/// The agents that worked on the node according to its end event, and for how long.
fn worked(w: &RunFixture) -> Vec<(String, u64)> {
    let by = w.events().filter_map(|event| match event {
        RunEvent::Ended(ended) => ended.by.as_ref().map(|by| (by.agent.clone(), by.work_ms)),
        _ => None,
    });
    by.collect()
}

#[test]
fn a_type_that_the_tier_has_not_does_not_run() {
    check(
        only(who(&[]).agent(|agent| agent.kind = AgentKind::Code)),
        |w| w.advises(free(OverLimitPolicy::Clamp)).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("TIER_LIMIT"),
    );
}

#[test]
fn what_is_above_the_tier_is_lowered_or_refused_as_it_says() {
    let given = || only(who(&["find", "book"]).agent(|agent| agent.max_iterations = Some(9)));
    check(
        given(),
        |w| {
            w.advises(free(OverLimitPolicy::Clamp))
                .thinks("who", [tools(&["book", "find"]), model(), model(), model()]);
            w.starts()
        },
        // It keeps the first of its tools by name.
        |w| {
            w.assert_state(RunState::Failed)
                .failed_with("MAX_ITERATIONS_EXCEEDED")
                .asked("book who who")
                .recorded("request_refused", 1)
        },
    );
    check(
        given(),
        |w| w.advises(free(OverLimitPolicy::Refuse)).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("TIER_LIMIT").asked(""),
    );
}

#[test]
fn limits_are_those_of_when_it_began() {
    check(
        only(who(&[])),
        |w| {
            w.answers("who", [FixtureReply::StaysOut]).thinks("who", [model(), model(), model(), model()]).starts();
            w.advises(free(OverLimitPolicy::Refuse)).deliver_reply("who", says("hi"))
        },
        |w| w.assert_state(RunState::Completed).asked("who who who who"),
    );
}

#[test]
fn a_simple_agent_only_reads_and_is_told_so() {
    check(
        only(who(&["http_request"]).agent(|agent| agent.kind = AgentKind::Simple)),
        |w| w.thinks("who", [tools(&["http_request"])]).starts(),
        |w| w.assert_state(RunState::Completed).asked("").recorded("request_refused", 1),
    );
}

#[test]
fn what_is_dangerous_is_not_granted_with_its_app() {
    check(
        only(who(&["gmail.send_email"]).agent(|agent| agent.tools = vec!["gmail.*".to_owned()])),
        |w| w.thinks("who", [tools(&["gmail.send_email"])]).starts(),
        |w| w.assert_state(RunState::Completed).asked("").recorded("request_refused", 1),
    );
}

#[test]
fn an_agent_that_worked_too_long_fails_before_it_asks_again() {
    check(
        only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("who", [FixtureReply::StaysOut])
                .thinks("who", [model(), model()])
                .starts()
                .advance_time(secs(61));
            w.deliver_reply("who", says("hi"))
        },
        |w| {
            let fault = w.run.fault().unwrap();
            assert!(fault.message.contains("worked for 61 s, its limit is 60 s"), "{fault}");
            w.assert_state(RunState::Failed).failed_with("EXECUTION_TIMEOUT").asked("who")
        },
    );
}

#[test]
fn an_agent_that_worked_too_long_may_still_answer() {
    check(
        only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("who", [FixtureReply::StaysOut]).thinks("who", [model(), answer(json!("late"))]).starts();
            w.advance_time(secs(61)).deliver_reply("who", says("hi"))
        },
        |w| {
            assert_eq!(worked(w), [("who".to_owned(), 61_000)]);
            w.assert_state(RunState::Completed).assert_output(json!("late"))
        },
    );
}

#[test]
fn waiting_for_people_is_no_work() {
    let week = secs(7 * 24 * 3_600);
    check(
        only(who(&["book"]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("book", [blocked(BlockReason::approval("h")), done(json!(1))]);
            w.answers("who", [FixtureReply::StaysOut]);
            w.thinks("who", [AgentStep::AskCustomer { question: "?".into() }, tools(&["book"]), model()]);
            w.starts().advance_time(week).signals("message", json!("yes")).advance_time(week).allows("who", true);
            // The model call is in flight while a person pauses the run: that is not the agent's time either.
            w.advance_time(secs(5))
                .pauses()
                .advance_time(week)
                .resumes()
                .advance_time(secs(5))
                .deliver_reply("who", says("hi"))
        },
        |w| {
            assert_eq!(worked(w), [("who".to_owned(), 10_000)]);
            w.assert_state(RunState::Completed)
        },
    );
}

#[test]
fn a_call_is_given_no_more_time_than_its_agent_has() {
    let mut w = RunFixture::new(only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))));
    w.answers("who", [FixtureReply::StaysOut, FixtureReply::StaysOut])
        .thinks("who", [model(), model()])
        .starts()
        .advance_time(secs(50));
    w.deliver_reply("who", says("hi"));
    let timeouts: Vec<u64> = w
        .events()
        .filter_map(|event| match event {
            RunEvent::Scheduled(scheduled) => Some(scheduled.timeout.as_secs()),
            _ => None,
        })
        .collect();
    assert_eq!(timeouts, [60, 10]);
}

#[test]
fn another_agent_begins_where_one_gives_up() {
    check(
        only(who(&["read"]).falls_back_to(agent("deputy", &["find"]))),
        |w| w.thinks("who", [model(), give_up(), tools(&["find"]), answer(json!("done"))]).starts(),
        |w| {
            assert_eq!(worked(w), [("deputy".to_owned(), 0)]);
            w.assert_state(RunState::Completed)
                .recorded("agent_replaced", 1)
                .asked("who find")
                .assert_output(json!("done"))
        },
    );
}

#[test]
fn the_last_that_gives_up_fails_the_node() {
    check(
        only(who(&[]).falls_back_to(agent("deputy", &[]))),
        |w| w.thinks("who", [give_up(), give_up()]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("AGENT_GAVE_UP").recorded("agent_replaced", 1),
    );
}

#[test]
fn nobody_stands_in_for_an_agent_that_acted() {
    check(
        only(who(&["book"]).undo("unbook").falls_back_to(agent("deputy", &[]))),
        |w| w.thinks("who", [tools(&["book"]), give_up()]).starts(),
        |w| w.assert_state(RunState::Compensated).recorded("agent_replaced", 0).asked("book unbook"),
    );
}

#[test]
fn an_agent_that_is_not_well_is_passed_over_where_there_is_another() {
    let given = || only(who(&[]).falls_back_to(agent("deputy", &[])));
    let began = |advice: AgentConstraints| {
        let mut w = RunFixture::new(given());
        w.advises(advice).starts();
        worked(&w).into_iter().map(|(agent, _)| agent).collect::<Vec<_>>()
    };
    assert_eq!(began(unwell(&[])), ["who"]);
    assert_eq!(began(unwell(&["who"])), ["deputy"]);
    assert_eq!(began(unwell(&["who", "deputy"])), ["who"]);
}

#[test]
fn an_agent_whose_type_may_not_run_is_passed_over_too() {
    let coder = who(&[]).agent(|agent| agent.kind = AgentKind::Code);
    check(
        only(coder.falls_back_to(agent("deputy", &[]))),
        |w| w.advises(free(OverLimitPolicy::Clamp)).starts(),
        |w| {
            assert_eq!(worked(w)[0].0, "deputy");
            w.assert_state(RunState::Completed)
        },
    );
}

fn thought_for() -> NodeBuilder {
    who(&["book"]).agent(|agent| {
        agent.kind = AgentKind::Custom;
        agent.endpoint = Some("https://think.example.com".to_owned());
    })
}

#[test]
fn whoever_thinks_for_an_agent_is_asked_and_its_steps_are_the_agents() {
    check(
        only(thought_for()),
        |w| {
            w.answers("who's endpoint", [thought(tools(&["book"])), thought(answer(json!("booked")))]);
            w.thinks("who", [AgentStep::AskEndpoint, AgentStep::AskEndpoint]).starts()
        },
        |w| {
            w.assert_state(RunState::Completed)
                .asked("who's endpoint book who's endpoint")
                .assert_output(json!("booked"))
        },
    );
}

#[test]
fn a_thought_in_flight_at_a_crash_is_asked_for_again_and_a_recorded_one_is_not() {
    check(
        only(thought_for()),
        |w| {
            w.answers(
                "who's endpoint",
                [thought(tools(&["book"])), FixtureReply::StaysOut, thought(answer(json!("booked")))],
            );
            w.thinks("who", [AgentStep::AskEndpoint, AgentStep::AskEndpoint]).starts().crashes()
        },
        |w| {
            w.assert_state(RunState::Completed).asked("who's endpoint book who's endpoint who's endpoint");
            w.keys(&["run/who/0/0", "run/who/1/0", "run/who/2/0", "run/who/2/0"])
        },
    );
}

#[test]
fn a_thinker_that_cannot_be_asked_is_an_agent_that_gives_up() {
    let broken = |retryable| {
        let fault = Fault::new("SERVICE_UNAVAILABLE", "scripted");
        FixtureReply::Comes(CallOutcome::Step(Err(ModelCallError { retryable, ..ModelCallError::permanent(fault) })))
    };
    check(
        only(thought_for()),
        |w| {
            w.answers("who's endpoint", [broken(true), broken(false)]).thinks("who", [AgentStep::AskEndpoint]).starts();
            w.advance_time(secs(5))
        },
        |w| w.assert_state(RunState::Failed).failed_with("SERVICE_UNAVAILABLE").asked("who's endpoint who's endpoint"),
    );
    check(
        only(thought_for()),
        |w| {
            w.answers("who's endpoint", [thought(AgentStep::AskEndpoint)])
                .thinks("who", [AgentStep::AskEndpoint])
                .starts()
        },
        |w| w.assert_state(RunState::Failed).failed_with("STEP_INVALID"),
    );
    check(
        only(who(&[])),
        |w| w.thinks("who", [AgentStep::AskEndpoint]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("STEP_INVALID"),
    );
}

#[test]
fn a_retried_run_asks_the_thinker_again_for_what_was_cut_off() {
    check(
        super::flow::flow([thought_for(), super::flow::tool("b")], ""),
        |w| {
            w.answers("who's endpoint", [FixtureReply::StaysOut]).answers("b", [FixtureReply::StaysOut]);
            w.thinks("who", [AgentStep::AskEndpoint, AgentStep::AskEndpoint]).starts().deliver_reply("b", fails("NO"));
            w.assert_state(RunState::Failed);
            w.retries()
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn a_paused_run_takes_in_what_was_thought_and_goes_on_later() {
    check(
        only(thought_for()),
        |w| {
            w.answers("who's endpoint", [FixtureReply::StaysOut])
                .thinks("who", [AgentStep::AskEndpoint])
                .starts()
                .pauses();
            let effect = w.out("who's endpoint");
            let outcome = CallOutcome::Step(Ok(answer(json!("thought"))));
            w.submit(RunCommand::Outcome { effect, outcome }).resumes()
        },
        |w| w.assert_state(RunState::Completed).assert_output(json!("thought")),
    );
}

#[test]
fn a_model_that_fails_lets_another_agent_begin() {
    check(
        only(who(&[]).falls_back_to(agent("deputy", &[]))),
        |w| w.answers("who", [model_fails("NO_KEY")]).thinks("who", [model(), give_up(), answer(Value::Null)]).starts(),
        |w| w.assert_state(RunState::Completed).recorded("agent_replaced", 1),
    );
}

#[test]
fn waiting_for_money_or_a_key_is_no_work() {
    let week = secs(7 * 24 * 3_600);
    check(
        only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("who", [FixtureReply::OverBudget(week), FixtureReply::StaysOut])
                .thinks("who", [model(), model()])
                .starts();
            // Not even if a person pauses the run meanwhile.
            w.advance_time(secs(5))
                .pauses()
                .advance_time(secs(5))
                .resumes()
                .advance_time(week)
                .advance_time(secs(5))
                .deliver_reply("who", says("hi"))
        },
        |w| {
            assert_eq!(worked(w), [("who".to_owned(), 15_000)]);
            w.assert_state(RunState::Completed)
        },
    );
    check(
        only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("who", [blocked(BlockReason::Key), FixtureReply::StaysOut])
                .thinks("who", [model(), model()])
                .starts();
            w.advance_time(week)
                .submit(RunCommand::KeyGiven { by: "eve".into() })
                .advance_time(secs(5))
                .deliver_reply("who", says("hi"))
        },
        |w| {
            assert_eq!(worked(w), [("who".to_owned(), 5_000)]);
            w.assert_state(RunState::Completed)
        },
    );
}
