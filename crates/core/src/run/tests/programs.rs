//! Programs written by agents: run, paused for calls, resumed, run again after a crash; recorded results are not
//! computed again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::agents::{answer, tools};
use super::fixture::{FixtureReply, RunFixture, blocked, calls, check, done, fails, ran, sandbox_fails, text_of};
use super::flow::{agent, flow, only, secs, tool};
use crate::agent::{
    AgentObservation, AgentStep, ProgramOutcome, ProgramSnapshot, SNAPSHOT_BYTES_MAX, SandboxProgram, ToolRequest,
};
use crate::run::{BlockReason, CallOutcome, RunState};
use crate::tool::ToolEnvelope;

pub fn code_step(program: SandboxProgram) -> AgentStep {
    AgentStep::RunCode(program)
}

pub fn start(source: &str) -> SandboxProgram {
    let inputs = BTreeMap::from([("price".to_owned(), json!(49.95)), ("none".to_owned(), Value::Null)]);
    SandboxProgram::Start { source: source.to_owned(), inputs, tools: vec!["find".to_owned()] }
}

/// Resumes from here with this number of results.
pub fn resume(snapshot: &str, results: usize) -> SandboxProgram {
    let snapshot = ProgramSnapshot { version: "1".to_owned(), bytes: snapshot.to_owned() };
    SandboxProgram::Resume { snapshot, results: (0..results).map(result).collect() }
}

pub fn replay() -> SandboxProgram {
    let request = ToolRequest { id: "py-0".to_owned(), tool: "find".to_owned(), arguments: json!({"n": 0}) };
    SandboxProgram::Replay {
        source: "find(1)".to_owned(),
        inputs: BTreeMap::new(),
        tools: vec!["find".to_owned()],
        calls: vec![(request, result(0))],
    }
}

/// The snapshot is of another version.
pub fn stale() -> FixtureReply {
    FixtureReply::Comes(CallOutcome::Code(Ok(ProgramOutcome::Stale)))
}

fn result(n: usize) -> ToolEnvelope {
    ToolEnvelope {
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

fn coder() -> super::flow::NodeBuilder {
    agent("coder", &["find"])
}

fn told(world: &RunFixture) -> Vec<AgentObservation> {
    let (_, _, seen) = world.run.agent_to_step().expect("it thinks");
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
            w.assert_state(RunState::Completed).asked("coder's code find coder's code");
            w.keys(&["run/coder/0/0", "run/coder/1/0", "run/coder/2/0"])
        },
    );
}

#[test]
fn a_program_in_flight_at_a_crash_is_run_again_the_same() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [FixtureReply::StaysOut, ran(json!(7))]).thinks("coder", [code_step(start("1"))]);
            w.starts().crashes()
        },
        |w| w.assert_state(RunState::Completed).keys(&["run/coder/0/0", "run/coder/0/0"]),
    );
}

#[test]
fn a_paused_program_survives_a_crash_and_is_not_run_from_its_start() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [calls(&["find"], "cA=="), ran(json!(7))])
                .answers("find", [FixtureReply::StaysOut]);
            w.thinks("coder", [code_step(start("find(1)")), tools(&["find"]), code_step(resume("cA==", 1))]);
            w.starts().crashes()
        },
        |w| w.assert_state(RunState::Completed).asked("coder's code find find coder's code"),
    );
}

#[test]
fn a_call_of_a_program_may_wait_a_week_for_leave() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [calls(&["find"], "cA=="), ran(json!(7))]);
            w.answers("find", [blocked(BlockReason::approval("h")), done(json!("found"))]);
            w.thinks("coder", [code_step(start("find(1)")), tools(&["find"]), code_step(resume("cA==", 1))]);
            w.starts().waits_for("approval:coder").assert_state(RunState::Waiting);
            w.advance_time(secs(7 * 24 * 3_600)).crashes().allows("coder", true)
        },
        |w| w.assert_state(RunState::Completed).asked("coder's code find find coder's code"),
    );
}

#[test]
fn a_sandbox_that_fails_is_asked_three_times_and_then_the_agent_is_told() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [sandbox_fails(), sandbox_fails(), sandbox_fails()]);
            w.thinks("coder", [code_step(start("1")), answer(json!("sorry"))]).starts();
            w.advance_time(secs(60))
        },
        |w| {
            w.assert_state(RunState::Completed)
                .asked("coder's code coder's code coder's code")
                .assert_output(json!("sorry"))
        },
    );
}

#[test]
fn what_a_program_came_to_is_seen_by_its_agent() {
    let mut w = RunFixture::new(only(coder()));
    w.answers("coder's code", [FixtureReply::StaysOut]).thinks("coder", [code_step(start("1"))]).starts();
    let effect = w.out("coder's code");
    let outcome = CallOutcome::Code(Ok(ProgramOutcome::Finished { output: json!(null), printed: "hi".into() }));
    w.only_decides(crate::run::RunCommand::Outcome { effect, outcome });
    assert_eq!(
        told(&w),
        [AgentObservation::Ran(ProgramOutcome::Finished { output: json!(null), printed: "hi".into() })]
    );
}

#[test]
fn a_paused_program_too_large_to_keep_failed() {
    let mut w = RunFixture::new(only(coder()));
    w.answers("coder's code", [FixtureReply::StaysOut]).thinks("coder", [code_step(start("1"))]).starts();
    let FixtureReply::Comes(outcome) = calls(&["find"], &"A".repeat(SNAPSHOT_BYTES_MAX / 3 * 4 + 8)) else {
        unreachable!()
    };
    let effect = w.out("coder's code");
    w.only_decides(crate::run::RunCommand::Outcome { effect, outcome });
    let [AgentObservation::Ran(ProgramOutcome::Failed { fault, .. })] = &told(&w)[..] else { panic!("{:?}", told(&w)) };
    assert_eq!(fault.code, "SNAPSHOT_LIMIT");
    assert!(fault.message.contains("256"), "{fault}");
}

#[test]
fn only_the_last_pause_of_a_program_is_kept() {
    let mut w = RunFixture::new(only(agent("coder", &["find"])));
    w.answers("coder's code", [calls(&["find"], "Zmlyc3Q="), calls(&["find"], "c2Vjb25k")]);
    w.answers("find", [done(json!(1)), FixtureReply::StaysOut]);
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
            w.answers("coder's code", [FixtureReply::StaysOut]).thinks("coder", [code_step(start("while True: pass"))]);
            w.starts().advance_time(secs(30))
        },
        |w| w.assert_state(RunState::Failed).failed_with("TIMEOUT").recorded("abandoned", 1),
    );
}

#[test]
fn a_retried_run_runs_again_what_was_cut_off_and_nothing_else() {
    check(
        flow([coder(), tool("b")], ""),
        |w| {
            w.answers("coder's code", [calls(&["find"], "cA=="), FixtureReply::StaysOut, ran(json!(7))]);
            w.thinks("coder", [code_step(start("1")), tools(&["find"]), code_step(resume("cA==", 1))]);
            w.answers("b", [FixtureReply::StaysOut])
                .starts()
                .deliver_reply("b", fails("NO"))
                .assert_state(RunState::Failed);
            w.thinks("coder", [code_step(resume("cA==", 1))]).retries()
        },
        |w| w.assert_state(RunState::Completed).asked("b coder's code find coder's code b coder's code"),
    );
}

#[test]
fn a_fork_runs_what_was_in_flight_under_its_own_key() {
    check(
        only(coder()),
        |w| {
            w.answers("coder's code", [FixtureReply::StaysOut]).thinks("coder", [code_step(start("1"))]).starts();
            w.forks(false, json!({}))
        },
        |w| w.assert_state(RunState::Completed).keys(&["run/coder/0/0", "fork/coder/0/0"]),
    );
}
