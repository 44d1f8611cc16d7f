//! Programs that agents wrote: run, paused for calls, resumed, run again after a crash; what is recorded is not run again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::agents::{answer, tools};
use super::flow::{agent, flow, only, secs, tool};
use super::world::{Reply, World, blocked, calls, check, done, fails, ran, sandbox_fails, text_of};
use crate::agent::{Program, Ran, SNAPSHOT_BYTES_MAX, Seen, Snapshot, Step, ToolRequest};
use crate::run::{Block, Outcome, State};
use crate::tool::Envelope;

pub fn code_step(program: Program) -> Step {
    Step::RunCode(program)
}

pub fn start(source: &str) -> Program {
    let inputs = BTreeMap::from([("price".to_owned(), json!(49.95)), ("none".to_owned(), Value::Null)]);
    Program::Start { source: source.to_owned(), inputs, tools: vec!["find".to_owned()] }
}

/// Goes on from here with so many results.
pub fn resume(snapshot: &str, results: usize) -> Program {
    let snapshot = Snapshot { version: "1".to_owned(), bytes: snapshot.to_owned() };
    Program::Resume { snapshot, results: (0..results).map(result).collect() }
}

pub fn replay() -> Program {
    let request = ToolRequest { id: "py-0".to_owned(), tool: "find".to_owned(), arguments: json!({"n": 0}) };
    Program::Replay {
        source: "find(1)".to_owned(),
        inputs: BTreeMap::new(),
        tools: vec!["find".to_owned()],
        calls: vec![(request, result(0))],
    }
}

/// The snapshot is of another version.
pub fn stale() -> Reply {
    Reply::Comes(Outcome::Code(Ok(Ran::Stale)))
}

fn result(n: usize) -> Envelope {
    Envelope {
        success: true,
        tool: "find".to_owned(),
        data: json!({"n": n}),
        error: None,
        error_code: None,
        error_details: None,
        suggested_action: None,
        audit_id: None,
        duration_ms: 0,
        cached: false,
        cost_usd: 0.1,
        degraded: false,
    }
}

fn coder() -> super::flow::N {
    agent("coder", &["find"])
}

fn told(world: &World) -> Vec<Seen> {
    let (_, _, seen) = world.run.thinking().expect("it thinks");
    seen.to_vec()
}

#[test]
fn a_program_stops_for_its_calls_and_goes_on_with_their_results() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [calls(&["find"], "cA=="), ran(json!(7))]);
            w.thinks("coder", [code_step(start("find(1)")), tools(&["find"]), code_step(resume("cA==", 1))]);
            w.starts()
        },
        |w| {
            w.is(State::Completed).asked("coder's code find coder's code");
            w.keys(&["run/coder/0/0", "run/coder/1/0", "run/coder/2/0"])
        },
    );
}

#[test]
fn a_program_in_flight_at_a_crash_is_run_again_the_same() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [Reply::StaysOut, ran(json!(7))]).thinks("coder", [code_step(start("1"))]);
            w.starts().crashes()
        },
        |w| w.is(State::Completed).keys(&["run/coder/0/0", "run/coder/0/0"]),
    );
}

#[test]
fn a_paused_program_survives_a_crash_and_is_not_run_from_its_start() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [calls(&["find"], "cA=="), ran(json!(7))]).answers("find", [Reply::StaysOut]);
            w.thinks("coder", [code_step(start("find(1)")), tools(&["find"]), code_step(resume("cA==", 1))]);
            w.starts().crashes()
        },
        |w| w.is(State::Completed).asked("coder's code find find coder's code"),
    );
}

#[test]
fn a_call_of_a_program_may_wait_a_week_for_leave() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [calls(&["find"], "cA=="), ran(json!(7))]);
            w.answers("find", [blocked(Block::approval("h")), done(json!("found"))]);
            w.thinks("coder", [code_step(start("find(1)")), tools(&["find"]), code_step(resume("cA==", 1))]);
            w.starts().waits_for("approval:coder").is(State::Waiting);
            w.passes(secs(7 * 24 * 3_600)).crashes().allows("coder", true)
        },
        |w| w.is(State::Completed).asked("coder's code find find coder's code"),
    );
}

#[test]
fn a_sandbox_that_fails_is_asked_three_times_and_then_the_agent_is_told() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [sandbox_fails(), sandbox_fails(), sandbox_fails()]);
            w.thinks("coder", [code_step(start("1")), answer(json!("sorry"))]).starts();
            w.passes(secs(60))
        },
        |w| w.is(State::Completed).asked("coder's code coder's code coder's code").gives(json!("sorry")),
    );
}

#[test]
fn what_a_program_came_to_is_seen_by_its_agent() {
    let mut w = World::new(only(coder()));
    w.answers("coder's code", [Reply::StaysOut]).thinks("coder", [code_step(start("1"))]).starts();
    let effect = w.out("coder's code");
    let outcome = Outcome::Code(Ok(Ran::Finished { output: json!(null), printed: "hi".into() }));
    w.only_decides(crate::run::Command::Outcome { effect, outcome });
    assert_eq!(told(&w), [Seen::Ran(Ran::Finished { output: json!(null), printed: "hi".into() })]);
}

#[test]
fn a_paused_program_too_large_to_keep_failed() {
    let mut w = World::new(only(coder()));
    w.answers("coder's code", [Reply::StaysOut]).thinks("coder", [code_step(start("1"))]).starts();
    let Reply::Comes(outcome) = calls(&["find"], &"A".repeat(SNAPSHOT_BYTES_MAX / 3 * 4 + 8)) else { unreachable!() };
    let effect = w.out("coder's code");
    w.only_decides(crate::run::Command::Outcome { effect, outcome });
    let [Seen::Ran(Ran::Failed { fault, .. })] = &told(&w)[..] else { panic!("{:?}", told(&w)) };
    assert_eq!(fault.code, "SNAPSHOT_LIMIT");
    assert!(fault.message.contains("256"), "{fault}");
}

#[test]
fn only_the_last_pause_of_a_program_is_kept() {
    let mut w = World::new(only(agent("coder", &["find"])));
    w.answers("coder's code", [calls(&["find"], "Zmlyc3Q="), calls(&["find"], "c2Vjb25k")]);
    w.answers("find", [done(json!(1)), Reply::StaysOut]);
    w.thinks("coder", [code_step(start("1")), tools(&["find"]), code_step(resume("Zmlyc3Q=", 1)), tools(&["find"])]);
    w.starts();
    let state = text_of(&w.run);
    assert!(!state.contains("Zmlyc3Q=") && state.contains("c2Vjb25k"), "{state}");
}

#[test]
fn a_program_whose_agent_is_out_of_time_is_dropped() {
    check(
        only(coder().timeout(secs(30))),
        |w| {
            w.answers("coder's code", [Reply::StaysOut]).thinks("coder", [code_step(start("while True: pass"))]);
            w.starts().passes(secs(30))
        },
        |w| w.is(State::Failed).failed_with("TIMEOUT").recorded("abandoned", 1),
    );
}

#[test]
fn a_retried_run_runs_again_what_was_cut_off_and_nothing_else() {
    check(
        flow([coder(), tool("b")], ""),
        |w| {
            w.answers("coder's code", [calls(&["find"], "cA=="), Reply::StaysOut, ran(json!(7))]);
            w.thinks("coder", [code_step(start("1")), tools(&["find"]), code_step(resume("cA==", 1))]);
            w.answers("b", [Reply::StaysOut]).starts().returns("b", fails("NO")).is(State::Failed);
            w.thinks("coder", [code_step(resume("cA==", 1))]).retries()
        },
        |w| w.is(State::Completed).asked("b coder's code find coder's code b coder's code"),
    );
}

#[test]
fn a_fork_runs_what_was_in_flight_under_its_own_key() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [Reply::StaysOut]).thinks("coder", [code_step(start("1"))]).starts();
            w.forks(false, json!({}))
        },
        |w| w.is(State::Completed).keys(&["run/coder/0/0", "fork/coder/0/0"]),
    );
}
