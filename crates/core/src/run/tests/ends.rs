//! Pause, cancel, time-outs and limits: what continues, what stops, what is awaited.

use serde_json::json;

use super::fixture::{FixtureReply, blocked, check, costs, done, fails, flaky, says, unknown};
use super::flow::{agent, approval, child, each, flow, only, secs, signal, tool, transform, wait_for};
use crate::graph::node::OnDeadline;
use crate::run::{BlockReason, DoubtResolution, EVENTS_MAX, RunCommand, RunState};

// ---- pause

#[test]
fn a_paused_run_records_results_and_sends_nothing_new() {
    check(
        flow([tool("a"), tool("b")], "a>b"),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts().pauses().assert_state(RunState::Paused);
            w.deliver_reply("a", done(json!(1))).assert_state(RunState::Paused).asked("a").node_is("a", "completed");
            w.resumes()
        },
        |w| w.assert_state(RunState::Completed).asked("a b"),
    );
}

#[test]
fn a_call_that_was_let_out_before_the_pause_is_not_marked_in_it() {
    check(
        only(tool("a").once()),
        |w| {
            let start = w.start_command(json!({}));
            w.only_decides(start).pauses();
            let call = crate::run::CallId {
                node: crate::run::NodeAddress::outer("a"),
                call: 0,
                role: crate::run::CallRole::Act,
            };
            let effect = crate::run::EffectId { call, generation: 0 };
            let deadline = w.now + secs(1);
            w.submit(RunCommand::Sending { effect, epoch: 1, deadline }).refused_with("RUN-004");
            w.resumes()
        },
        |w| w.assert_state(RunState::Completed).asked("a"),
    );
}

#[test]
fn retries_wait_for_the_end_of_a_pause() {
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [flaky("BUSY")]).starts().pauses().advance_time(secs(60)).asked("a");
            assert_eq!(w.run.wake_at(w.now), None);
            w.resumes()
        },
        |w| w.assert_state(RunState::Completed).asked("a a"),
    );
}

#[test]
fn deadlines_given_to_people_keep_running_in_a_pause() {
    check(
        flow([approval("ask", 1).deadline(secs(60), OnDeadline::Reject), tool("no")], "ask:rejected>no"),
        |w| {
            w.starts().pauses().advance_time(secs(60)).node_is("ask", "completed").asked("");
            w.resumes()
        },
        |w| w.assert_state(RunState::Completed).asked("no"),
    );
}

#[test]
fn the_runs_own_deadline_keeps_running_in_a_pause() {
    check(
        only(approval("ask", 1)).timeout(secs(60)),
        |w| w.starts().pauses().advance_time(secs(60)),
        |w| w.assert_state(RunState::TimedOut),
    );
}

#[test]
fn answers_and_signals_are_accepted_in_a_pause() {
    check(
        flow([approval("ask", 1), signal("go", "go"), tool("z")], "ask>z go>z"),
        |w| {
            w.starts().pauses().approves("ask", "eve").accepted();
            w.signals("go", json!(1)).accepted();
            w.asked("");
            w.resumes()
        },
        |w| w.assert_state(RunState::Completed).asked("z"),
    );
}

#[test]
fn agents_do_not_think_in_a_pause() {
    check(
        only(agent("who", &[])),
        |w| {
            let start = w.start_command(json!({}));
            w.only_decides(start).pauses();
            assert!(w.run.agent_to_step().is_none());
            w.resumes()
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn a_pause_is_not_paused_and_what_runs_is_not_resumed() {
    check(
        only(wait_for("w", secs(60))),
        |w| {
            w.starts().resumes().refused_with("RUN-004");
            w.pauses().pauses()
        },
        |w| w.refused_with("RUN-004").assert_state(RunState::Paused),
    );
}

#[test]
fn a_rollback_waits_for_the_end_of_a_pause() {
    check(
        flow([tool("a").undo("un"), tool("b")], "a>b"),
        |w| {
            w.answers("b", [FixtureReply::StaysOut]).starts().pauses().deliver_reply("b", fails("NO"));
            w.assert_state(RunState::Paused).asked("a b");
            w.resumes()
        },
        |w| w.assert_state(RunState::Compensated).asked("a b un"),
    );
}

// ---- cancel

#[test]
fn a_cancelled_run_stops_what_waits_and_keeps_what_it_did() {
    check(
        flow([tool("a").undo("un"), approval("ask", 1)], "a>ask"),
        |w| w.starts().cancels(false),
        |w| w.assert_state(RunState::Cancelled).asked("a").node_is("ask", "cancelled").undone(&[("a", "kept")]),
    );
}

#[test]
fn a_run_cancelled_with_compensation_undoes_what_it_did() {
    check(
        flow([tool("a").undo("un"), approval("ask", 1)], "a>ask"),
        |w| w.starts().cancels(true),
        |w| w.assert_state(RunState::Cancelled).asked("a un").undone(&[("a", "undone")]),
    );
}

#[test]
fn a_cancel_waits_for_the_outcome_of_an_act_in_flight() {
    check(
        flow([tool("a").undo("un"), tool("b")], "a>b"),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts().cancels(true).assert_state(RunState::Running);
            w.deliver_reply("a", done(json!({"id": 1})))
        },
        |w| w.assert_state(RunState::Cancelled).asked("a un").undone(&[("a", "undone")]),
    );
}

#[test]
fn a_cancel_drops_reads_and_calls_that_were_not_sent() {
    check(
        flow([tool("r").read(), tool("o").once(), tool("back")], ""),
        |w| {
            w.answers("back", [flaky("BUSY")]).answers("r", [FixtureReply::StaysOut]);
            let approval = blocked(BlockReason::approval("h"));
            w.answers("o", [approval]).starts().cancels(true)
        },
        |w| w.assert_state(RunState::Cancelled).recorded("abandoned", 3),
    );
}

#[test]
fn a_keyed_call_that_may_be_out_is_not_dropped() {
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [flaky("BUSY"), FixtureReply::StaysOut]).starts().advance_time(secs(2)).asked("a a");
            w.cancels(false).assert_state(RunState::Running);
            w.deliver_reply("a", done(json!(1)))
        },
        |w| w.assert_state(RunState::Cancelled).recorded("abandoned", 0).recorded("done", 1),
    );
}

#[test]
fn a_keyed_call_in_doubt_is_cleared_up_before_a_cancelled_run_ends() {
    check(
        only(tool("a").attempts(5)),
        |w| {
            w.answers("a", [unknown(), done(json!(1))]).starts().cancels(false).assert_state(RunState::Running);
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Cancelled).asked("a a"),
    );
}

#[test]
fn a_keyed_call_in_doubt_that_a_limit_holds_back_is_waited_for() {
    check(
        only(tool("a").attempts(5)),
        |w| {
            let until = w.now + secs(30);
            w.answers("a", [unknown(), blocked(BlockReason::RateLimit { until }), done(json!(1))]);
            w.starts().advance_time(secs(1)).cancels(false).assert_state(RunState::Waiting);
            w.advance_time(secs(29))
        },
        |w| w.assert_state(RunState::Cancelled).asked("a a a").recorded("abandoned", 0),
    );
}

#[test]
fn a_call_that_turns_out_to_be_held_back_is_dropped_by_a_cancelled_run() {
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts().cancels(false).assert_state(RunState::Running);
            w.deliver_reply("a", blocked(BlockReason::approval("h")))
        },
        |w| w.assert_state(RunState::Cancelled).recorded("abandoned", 1).waits_for(""),
    );
}

#[test]
fn a_doubt_holds_a_cancelled_run_until_a_person_decides() {
    check(
        only(tool("a").once().undo("un")),
        |w| {
            w.answers("a", [unknown()]).starts().cancels(true).assert_state(RunState::Waiting).waits_for("doubt:a");
            w.resolves("a", DoubtResolution::Done { output: json!({"id": 1}) })
        },
        |w| w.assert_state(RunState::Cancelled).asked("a un"),
    );
}

#[test]
fn a_cancelled_call_is_not_retried() {
    check(
        only(tool("a").attempts(5)),
        |w| w.answers("a", [FixtureReply::StaysOut]).starts().cancels(false).deliver_reply("a", flaky("BUSY")),
        |w| w.assert_state(RunState::Cancelled).asked("a"),
    );
}

#[test]
fn a_run_that_ends_is_not_cancelled() {
    check(
        only(tool("a")),
        |w| w.starts().cancels(false),
        |w| w.refused_with("RUN-003").assert_state(RunState::Completed),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [FixtureReply::StaysOut]).starts().cancels(false).cancels(true),
        |w| w.refused_with("RUN-013").assert_state(RunState::Running),
    );
}

#[test]
fn nested_bodies_are_cancelled_from_the_inside_out() {
    let inner = flow([tool("act").undo("un")], "");
    let outer = flow([each("in", json!([1, 2]), 2, inner), child("sub")], "");
    check(
        only(each("out", json!([1]), 1, outer)),
        |w| {
            w.answers("act", [FixtureReply::StaysOut, FixtureReply::StaysOut]).starts().cancels(true);
            w.deliver_reply("act", done(json!({"id": 1}))).assert_state(RunState::Running);
            w.deliver_reply("act", done(json!({"id": 2}))).assert_state(RunState::Waiting);
            w.child_ends("out[0]/sub", "run/out[0]/sub", RunState::Cancelled, false)
        },
        |w| w.assert_state(RunState::Cancelled).asked("act act un un"),
    );
}

// ---- time

#[test]
fn a_run_whose_time_is_over_is_rolled_back() {
    check(
        flow([tool("a").undo("un"), wait_for("w", secs(600))], "a>w").timeout(secs(60)),
        |w| w.starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::TimedOut).failed_with("TIMEOUT").asked("a un"),
    );
}

#[test]
fn what_was_in_flight_when_time_was_over_is_undone_as_well() {
    check(
        only(tool("a").undo("un")).timeout(secs(60)),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts().advance_time(secs(60)).assert_state(RunState::Running);
            w.deliver_reply("a", done(json!({"id": 1})))
        },
        |w| w.assert_state(RunState::TimedOut).asked("a un"),
    );
}

#[test]
fn a_run_that_ends_in_time_is_not_timed_out() {
    check(
        only(tool("a")).timeout(secs(60)),
        |w| {
            w.starts();
            assert_eq!(w.run.wake_at(w.now), None);
            w.advance_time(secs(120))
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn time_does_not_go_back() {
    check(
        flow([tool("a"), tool("b")], "a>b"),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            w.now = w.now - secs(500);
            w.deliver_reply("a", done(json!(1)))
        },
        |w| {
            let times: Vec<_> = w.journal.iter().map(|entry| entry.at).collect();
            assert!(times.is_sorted(), "{times:?}");
            w.assert_state(RunState::Completed)
        },
    );
}

// ---- money

#[test]
fn a_run_begins_nothing_that_costs_once_its_limit_is_reached() {
    check(
        flow([tool("a"), tool("b"), tool("c")], "a>b b>c").max_cost(0.3),
        |w| w.answers("a", [costs(0.2)]).answers("b", [costs(0.1)]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("COST_LIMIT").asked("a b"),
    );
}

#[test]
fn an_agent_stops_at_its_own_limit() {
    check(
        only(agent("who", &[]).max_cost(0.02)),
        |w| {
            w.answers("who", [says("1"), says("2"), says("3")]);
            w.thinks("who", [super::agents::model(), super::agents::model(), super::agents::model()]).starts()
        },
        |w| w.assert_state(RunState::Failed).failed_with("COST_LIMIT").asked("who who"),
    );
}

// ---- journal

#[test]
fn a_journal_that_fills_is_said_at_80_percent_and_ends_the_run_at_100() {
    check(
        flow([tool("a").undo("un"), signal("go", "go"), signal("on", "go")], "a>go go>on"),
        |w| {
            w.starts();
            w.fill_journal(EVENTS_MAX / 5 * 4 - 1);
            w.signals("go", json!(1)).assert_state(RunState::Waiting).recorded("journal_filling", 1);
            w.fill_journal(EVENTS_MAX - 1);
            w.signals("other", json!(1))
        },
        |w| {
            w.assert_state(RunState::Compensated)
                .failed_with("JOURNAL_LIMIT")
                .asked("a un")
                .recorded("journal_filling", 1)
        },
    );
}

#[test]
fn a_transform_that_fails_keeps_what_it_set_before() {
    check(
        only(transform("t", &[("a", json!(1)), ("b", json!("{{ nobody }}"))])),
        |w| w.starts(),
        |w| w.assert_state(RunState::Failed).failed_with("EXPRESSION_FAILED").has("a", json!(1)),
    );
}
