//! What agents may use, who stands in for whom, and agents that somebody else thinks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::agents::{answer, model, tools};
use super::flow::{N, agent, only, secs};
use super::world::{Reply, World, blocked, check, done, fails, model_fails, says, thought};
use crate::agent::{Above, Advice, Kind, Limits, Step, Tier};
use crate::fault::Fault;
use crate::run::{Block, Command, Event, ModelFault, Outcome, State};

fn who(offers: &[&str]) -> N {
    agent("who", offers)
}

fn free(above: Above) -> Advice {
    let types = BTreeSet::from([Kind::Simple, Kind::Reasoning]);
    let limits = Limits { types, tools: 1, iterations: 2, seconds: 60, concurrency: 1, above };
    let tier = Tier { name: "free".to_owned(), limits };
    Advice { tier: Some(Arc::new(tier)), unwell: BTreeSet::new() }
}

fn unwell(names: &[&str]) -> Advice {
    Advice { tier: None, unwell: names.iter().map(|name| (*name).to_owned()).collect() }
}

fn give_up() -> Step {
    Step::GiveUp(Fault::new("AGENT_GAVE_UP", "I cannot"))
}

/// Who worked on the node, as its end says, and for how long.
fn worked(w: &World) -> Vec<(String, u64)> {
    let by = w.events().filter_map(|event| match event {
        Event::Ended(ended) => ended.by.as_ref().map(|by| (by.agent.clone(), by.work_ms)),
        _ => None,
    });
    by.collect()
}

#[test]
fn a_type_that_the_tier_has_not_does_not_run() {
    check(
        only(who(&[]).agent(|agent| agent.kind = Kind::Code)),
        |w| w.advises(free(Above::Clamp)).starts(),
        |w| w.is(State::Failed).failed_with("TIER_LIMIT"),
    );
}

#[test]
fn what_is_above_the_tier_is_lowered_or_refused_as_it_says() {
    let given = || only(who(&["find", "book"]).agent(|agent| agent.max_iterations = Some(9)));
    check(
        given(),
        |w| {
            w.advises(free(Above::Clamp)).thinks("who", [tools(&["book", "find"]), model(), model(), model()]);
            w.starts()
        },
        // The first of its tools by name is the one it keeps.
        |w| {
            w.is(State::Failed)
                .failed_with("MAX_ITERATIONS_EXCEEDED")
                .asked("book who who")
                .recorded("request_refused", 1)
        },
    );
    check(
        given(),
        |w| w.advises(free(Above::Refuse)).starts(),
        |w| w.is(State::Failed).failed_with("TIER_LIMIT").asked(""),
    );
}

#[test]
fn limits_are_those_of_when_it_began() {
    check(
        only(who(&[])),
        |w| {
            w.answers("who", [Reply::StaysOut]).thinks("who", [model(), model(), model(), model()]).starts();
            w.advises(free(Above::Refuse)).returns("who", says("hi"))
        },
        |w| w.is(State::Completed).asked("who who who who"),
    );
}

#[test]
fn a_simple_agent_only_reads_and_is_told_so() {
    check(
        only(who(&["http_request"]).agent(|agent| agent.kind = Kind::Simple)),
        |w| w.thinks("who", [tools(&["http_request"])]).starts(),
        |w| w.is(State::Completed).asked("").recorded("request_refused", 1),
    );
}

#[test]
fn what_is_dangerous_is_not_granted_with_its_app() {
    check(
        only(who(&["gmail.send_email"]).agent(|agent| agent.tools = vec!["gmail.*".to_owned()])),
        |w| w.thinks("who", [tools(&["gmail.send_email"])]).starts(),
        |w| w.is(State::Completed).asked("").recorded("request_refused", 1),
    );
}

#[test]
fn an_agent_that_worked_too_long_fails_before_it_asks_again() {
    check(
        only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("who", [Reply::StaysOut]).thinks("who", [model(), model()]).starts().passes(secs(61));
            w.returns("who", says("hi"))
        },
        |w| {
            let fault = w.run.fault().unwrap();
            assert!(fault.message.contains("worked for 61 s, its limit is 60 s"), "{fault}");
            w.is(State::Failed).failed_with("EXECUTION_TIMEOUT").asked("who")
        },
    );
}

#[test]
fn an_agent_that_worked_too_long_may_still_answer() {
    check(
        only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("who", [Reply::StaysOut]).thinks("who", [model(), answer(json!("late"))]).starts();
            w.passes(secs(61)).returns("who", says("hi"))
        },
        |w| {
            assert_eq!(worked(w), [("who".to_owned(), 61_000)]);
            w.is(State::Completed).gives(json!("late"))
        },
    );
}

#[test]
fn waiting_for_people_is_no_work() {
    let week = secs(7 * 24 * 3_600);
    check(
        only(who(&["book"]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("book", [blocked(Block::approval("h")), done(json!(1))]);
            w.answers("who", [Reply::StaysOut]);
            w.thinks("who", [Step::AskCustomer { question: "?".into() }, tools(&["book"]), model()]);
            w.starts().passes(week).signals("message", json!("yes")).passes(week).allows("who", true);
            // The model call is out while somebody pauses the run: that is not the agent's time either.
            w.passes(secs(5)).pauses().passes(week).resumes().passes(secs(5)).returns("who", says("hi"))
        },
        |w| {
            assert_eq!(worked(w), [("who".to_owned(), 10_000)]);
            w.is(State::Completed)
        },
    );
}

#[test]
fn a_call_is_given_no_more_time_than_its_agent_has() {
    let mut w = World::new(only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))));
    w.answers("who", [Reply::StaysOut, Reply::StaysOut]).thinks("who", [model(), model()]).starts().passes(secs(50));
    w.returns("who", says("hi"));
    let timeouts: Vec<u64> = w
        .events()
        .filter_map(|event| match event {
            Event::Scheduled(scheduled) => Some(scheduled.timeout.as_secs()),
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
            w.is(State::Completed).recorded("agent_replaced", 1).asked("who find").gives(json!("done"))
        },
    );
}

#[test]
fn the_last_that_gives_up_fails_the_node() {
    check(
        only(who(&[]).falls_back_to(agent("deputy", &[]))),
        |w| w.thinks("who", [give_up(), give_up()]).starts(),
        |w| w.is(State::Failed).failed_with("AGENT_GAVE_UP").recorded("agent_replaced", 1),
    );
}

#[test]
fn nobody_stands_in_for_an_agent_that_acted() {
    check(
        only(who(&["book"]).undo("unbook").falls_back_to(agent("deputy", &[]))),
        |w| w.thinks("who", [tools(&["book"]), give_up()]).starts(),
        |w| w.is(State::Compensated).recorded("agent_replaced", 0).asked("book unbook"),
    );
}

#[test]
fn an_agent_that_is_not_well_is_passed_over_where_there_is_another() {
    let given = || only(who(&[]).falls_back_to(agent("deputy", &[])));
    let began = |advice: Advice| {
        let mut w = World::new(given());
        w.advises(advice).starts();
        worked(&w).into_iter().map(|(agent, _)| agent).collect::<Vec<_>>()
    };
    assert_eq!(began(unwell(&[])), ["who"]);
    assert_eq!(began(unwell(&["who"])), ["deputy"]);
    assert_eq!(began(unwell(&["who", "deputy"])), ["who"]);
}

#[test]
fn an_agent_whose_type_may_not_run_is_passed_over_too() {
    let coder = who(&[]).agent(|agent| agent.kind = Kind::Code);
    check(
        only(coder.falls_back_to(agent("deputy", &[]))),
        |w| w.advises(free(Above::Clamp)).starts(),
        |w| {
            assert_eq!(worked(w)[0].0, "deputy");
            w.is(State::Completed)
        },
    );
}

fn thought_for() -> N {
    who(&["book"]).agent(|agent| {
        agent.kind = Kind::Custom;
        agent.endpoint = Some("https://think.example.com".to_owned());
    })
}

#[test]
fn whoever_thinks_for_an_agent_is_asked_and_its_steps_are_the_agents() {
    check(
        only(thought_for()),
        |w| {
            w.answers("who's endpoint", [thought(tools(&["book"])), thought(answer(json!("booked")))]);
            w.thinks("who", [Step::AskEndpoint, Step::AskEndpoint]).starts()
        },
        |w| w.is(State::Completed).asked("who's endpoint book who's endpoint").gives(json!("booked")),
    );
}

#[test]
fn a_thought_in_flight_at_a_crash_is_asked_for_again_and_a_recorded_one_is_not() {
    check(
        only(thought_for()),
        |w| {
            w.answers("who's endpoint", [thought(tools(&["book"])), Reply::StaysOut, thought(answer(json!("booked")))]);
            w.thinks("who", [Step::AskEndpoint, Step::AskEndpoint]).starts().crashes()
        },
        |w| {
            w.is(State::Completed).asked("who's endpoint book who's endpoint who's endpoint");
            w.keys(&["run/who/0/0", "run/who/1/0", "run/who/2/0", "run/who/2/0"])
        },
    );
}

#[test]
fn a_thinker_that_cannot_be_asked_is_an_agent_that_gives_up() {
    let broken = |retryable| {
        let fault = Fault::new("SERVICE_UNAVAILABLE", "scripted");
        Reply::Comes(Outcome::Step(Err(ModelFault { retryable, ..ModelFault::lasting(fault) })))
    };
    check(
        only(thought_for()),
        |w| {
            w.answers("who's endpoint", [broken(true), broken(false)]).thinks("who", [Step::AskEndpoint]).starts();
            w.passes(secs(5))
        },
        |w| w.is(State::Failed).failed_with("SERVICE_UNAVAILABLE").asked("who's endpoint who's endpoint"),
    );
    check(
        only(thought_for()),
        |w| w.answers("who's endpoint", [thought(Step::AskEndpoint)]).thinks("who", [Step::AskEndpoint]).starts(),
        |w| w.is(State::Failed).failed_with("STEP_INVALID"),
    );
    check(
        only(who(&[])),
        |w| w.thinks("who", [Step::AskEndpoint]).starts(),
        |w| w.is(State::Failed).failed_with("STEP_INVALID"),
    );
}

#[test]
fn a_retried_run_asks_the_thinker_again_for_what_was_cut_off() {
    check(
        super::flow::flow([thought_for(), super::flow::tool("b")], ""),
        |w| {
            w.answers("who's endpoint", [Reply::StaysOut]).answers("b", [Reply::StaysOut]);
            w.thinks("who", [Step::AskEndpoint, Step::AskEndpoint]).starts().returns("b", fails("NO"));
            w.is(State::Failed);
            w.retries()
        },
        |w| w.is(State::Completed),
    );
}

#[test]
fn a_paused_run_takes_in_what_was_thought_and_goes_on_later() {
    check(
        only(thought_for()),
        |w| {
            w.answers("who's endpoint", [Reply::StaysOut]).thinks("who", [Step::AskEndpoint]).starts().pauses();
            let effect = w.out("who's endpoint");
            let outcome = Outcome::Step(Ok(answer(json!("thought"))));
            w.does(Command::Outcome { effect, outcome }).resumes()
        },
        |w| w.is(State::Completed).gives(json!("thought")),
    );
}

#[test]
fn a_model_that_fails_lets_another_agent_begin() {
    check(
        only(who(&[]).falls_back_to(agent("deputy", &[]))),
        |w| w.answers("who", [model_fails("NO_KEY")]).thinks("who", [model(), give_up(), answer(Value::Null)]).starts(),
        |w| w.is(State::Completed).recorded("agent_replaced", 1),
    );
}

#[test]
fn waiting_for_money_or_a_key_is_no_work() {
    let week = secs(7 * 24 * 3_600);
    check(
        only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("who", [Reply::OverBudget(week), Reply::StaysOut]).thinks("who", [model(), model()]).starts();
            // Not even where somebody pauses the run meanwhile.
            w.passes(secs(5)).pauses().passes(secs(5)).resumes().passes(week).passes(secs(5)).returns("who", says("hi"))
        },
        |w| {
            assert_eq!(worked(w), [("who".to_owned(), 15_000)]);
            w.is(State::Completed)
        },
    );
    check(
        only(who(&[]).agent(|agent| agent.max_execution_time = Some(60))),
        |w| {
            w.answers("who", [blocked(Block::Key), Reply::StaysOut]).thinks("who", [model(), model()]).starts();
            w.passes(week).does(Command::KeyGiven { by: "eve".into() }).passes(secs(5)).returns("who", says("hi"))
        },
        |w| {
            assert_eq!(worked(w), [("who".to_owned(), 5_000)]);
            w.is(State::Completed)
        },
    );
}
