//! The life of a call: classes, retries, keys, doubts, approvals, and the effect of a crash on each.

use serde_json::json;

use super::fixture::{
    FixtureReply, blocked, check, circuit_open, done, fails, flaky, not_done, not_found, stopped, unknown,
};
use super::flow::{flow, only, secs, tool};
use crate::run::{BlockReason, CallOutcome, DoubtResolution, OpenWait, OwnerDeparture, RunCommand, RunState};
use crate::time::Time;
use crate::tool::RetryPolicy;

// ---- retries

#[test]
fn a_call_that_may_be_repeated_is_after_its_backoff() {
    check(
        only(tool("a").read()),
        |w| {
            w.answers("a", [flaky("BUSY"), flaky("BUSY"), done(json!(1))]).starts().assert_state(RunState::Running);
            w.advance_time(secs(1)).asked("a");
            w.advance_time(secs(1)).asked("a a");
            w.advance_time(secs(3)).asked("a a");
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).asked("a a a"),
    );
}

#[test]
fn a_retry_has_a_new_generation_since_it_is_known_not_to_have_acted() {
    check(
        only(tool("a").attempts(3)),
        |w| w.answers("a", [flaky("BUSY"), flaky("BUSY")]).starts().advance_time(secs(5)),
        |w| w.assert_state(RunState::Completed).keys(&["run/a/0/0", "run/a/0/1", "run/a/0/2"]),
    );
}

#[test]
fn three_attempts_are_three() {
    check(
        only(tool("a").attempts(3)),
        |w| w.answers("a", vec![flaky("BUSY"); 5]).starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Failed).failed_with("BUSY").asked("a a a"),
    );
}

#[test]
fn counts_survive_a_crash() {
    check(
        only(tool("a").attempts(3)),
        |w| {
            w.answers("a", vec![flaky("BUSY"); 5]).starts().advance_time(secs(1)).asked("a a");
            w.crashes().advance_time(secs(60))
        },
        |w| w.assert_state(RunState::Failed).asked("a a a"),
    );
}

#[test]
fn what_would_not_help_is_not_repeated() {
    check(
        only(tool("a")),
        |w| w.answers("a", [fails("NO")]).starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Failed).asked("a"),
    );
}

#[test]
fn retry_on_names_the_codes_to_repeat_on() {
    let retry = || RetryPolicy { retry_on: vec!["BUSY".into()], ..RetryPolicy::default() };
    check(
        only(tool("a").retry(retry())),
        |w| w.answers("a", [fails("BUSY"), flaky("OTHER")]).starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Failed).failed_with("OTHER").asked("a a"),
    );
}

#[test]
fn a_service_that_says_when_is_not_asked_before() {
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [not_done("LIMIT", true, Some(30_000))]).starts().advance_time(secs(29)).asked("a");
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).asked("a a"),
    );
}

#[test]
fn jitter_spreads_and_agrees_with_itself() {
    let retry =
        || RetryPolicy { initial: secs(10), max: secs(10), multiplier: 1.0, jitter: 1.0, ..RetryPolicy::default() };
    check(
        only(tool("a").retry(retry())),
        |w| {
            w.answers("a", [flaky("BUSY")]).starts();
            let at = w.run.wake_at(w.now).unwrap();
            assert!(at >= w.now + secs(5) && at <= w.now + secs(15) && at != w.now + secs(10), "{at}");
            w.advance_time(secs(15))
        },
        |w| w.assert_state(RunState::Completed).asked("a a"),
    );
}

// ---- unknown outcomes, class by class

#[test]
fn a_read_nobody_answered_is_done_again() {
    check(
        only(tool("a").read()),
        |w| w.answers("a", [unknown()]).starts().advance_time(secs(2)),
        |w| w.assert_state(RunState::Completed).asked("a a").recorded("doubted", 0),
    );
}

#[test]
fn a_keyed_call_in_doubt_is_sent_again_under_the_same_key_and_at_last_a_person_decides() {
    check(
        only(tool("a").attempts(3)),
        |w| {
            w.answers("a", vec![unknown(); 5]).starts().advance_time(secs(60));
            w.assert_state(RunState::Waiting).waits_for("doubt:a").asked("a a a");
            w.resolves("a", DoubtResolution::Done { output: json!("it did") })
        },
        |w| {
            w.assert_state(RunState::Completed).assert_output(json!("it did"));
            w.keys(&["run/a/0/0", "run/a/0/0", "run/a/0/0"])
        },
    );
}

#[test]
fn a_keyed_call_is_sent_twice_at_least_before_a_person_is_asked() {
    check(
        only(tool("a").retry(RetryPolicy::NONE)),
        |w| w.answers("a", [unknown()]).starts(),
        |w| w.assert_state(RunState::Completed).keys(&["run/a/0/0", "run/a/0/0"]),
    );
}

#[test]
fn a_keyed_call_in_doubt_keeps_its_key_although_the_next_attempt_did_not_act() {
    check(
        only(tool("a").attempts(3)),
        |w| w.answers("a", [unknown(), flaky("BUSY"), done(json!("once"))]).starts().advance_time(secs(60)),
        |w| {
            w.assert_state(RunState::Completed).assert_output(json!("once"));
            w.keys(&["run/a/0/0", "run/a/0/0", "run/a/0/0"])
        },
    );
    check(
        only(tool("a").attempts(2)),
        |w| {
            w.answers("a", [unknown(), flaky("BUSY")]).starts().advance_time(secs(60));
            w.assert_state(RunState::Waiting).waits_for("doubt:a").asked("a a");
            w.resolves("a", DoubtResolution::Repeat)
        },
        |w| w.assert_state(RunState::Completed).keys(&["run/a/0/0", "run/a/0/0", "run/a/0/1"]),
    );
}

#[test]
fn a_service_that_asks_for_patience_gets_it_from_a_call_in_doubt() {
    check(
        only(tool("a").attempts(3)),
        |w| {
            w.answers("a", [unknown(), not_done("BUSY", true, Some(30_000))])
                .starts()
                .advance_time(secs(2))
                .asked("a a");
            w.advance_time(secs(28)).asked("a a");
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).asked("a a a"),
    );
}

#[test]
fn a_compensation_in_doubt_keeps_its_key_too() {
    check(
        flow([tool("a").undo("unpay"), tool("b")], "a>b"),
        |w| {
            w.answers("b", [fails("NO")]).answers("unpay", [unknown(), flaky("BUSY")]);
            w.starts().advance_time(secs(60))
        },
        |w| {
            w.assert_state(RunState::Compensated);
            w.keys(&["run/a/0/0", "run/b/0/0", "run/a/0/0/undo", "run/a/0/0/undo", "run/a/0/0/undo"])
        },
    );
}

#[test]
fn what_a_check_stops_leaves_an_earlier_doubt_to_a_person() {
    check(
        flow([tool("a").undo("unpay"), tool("b")], "a>b"),
        |w| {
            w.answers("a", [unknown(), stopped("TOOL_NOT_ALLOWED")]).answers("b", [fails("NO")]);
            w.starts().advance_time(secs(2)).assert_state(RunState::Waiting).waits_for("doubt:a");
            w.resolves("a", DoubtResolution::Done { output: json!({"id": 1}) })
        },
        |w| w.assert_state(RunState::Compensated).asked("a a b unpay"),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [stopped("TOOL_NOT_ALLOWED")]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("TOOL_NOT_ALLOWED"),
    );
}

#[test]
fn a_new_owner_does_not_believe_of_the_old_ones_call_what_its_own_was_told() {
    check(
        only(tool("a").attempts(3)),
        |w| {
            w.answers("a", [FixtureReply::StaysOut, flaky("BUSY"), stopped("TOOL_NOT_ALLOWED")]).starts();
            w.crashes().advance_time(secs(60))
        },
        |w| w.assert_state(RunState::Waiting).waits_for("doubt:a").keys(&["run/a/0/0", "run/a/0/0", "run/a/0/0"]),
    );
}

#[test]
fn a_service_that_says_no_for_good_settles_its_key() {
    check(
        only(tool("a")),
        |w| w.answers("a", [unknown(), fails("PAYMENT_DECLINED")]).starts().advance_time(secs(2)),
        |w| w.assert_state(RunState::Failed).failed_with("PAYMENT_DECLINED").asked("a a"),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [unknown(), fails("KEY_REUSED")]).starts().advance_time(secs(2)),
        |w| w.assert_state(RunState::Waiting).waits_for("doubt:a").asked("a a"),
    );
}

#[test]
fn that_an_attempt_did_not_act_is_no_news_to_a_person_who_is_asked() {
    check(
        only(tool("a").attempts(2)),
        |w| {
            w.answers("a", [unknown(), FixtureReply::StaysOut]).starts().advance_time(secs(2));
            let effect = w.out("a");
            w.deliver_reply("a", unknown()).waits_for("doubt:a");
            w.deliver_outcome(effect, flaky("BUSY"))
        },
        |w| w.refused_with("RUN-011").waits_for("doubt:a"),
    );
}

#[test]
fn a_once_call_in_doubt_waits_for_a_person_and_nothing_else() {
    check(
        flow([tool("a").once(), tool("z")], "a>z"),
        |w| {
            w.answers("a", [unknown()]).starts().advance_time(secs(3_600)).asked("a");
            w.assert_state(RunState::Waiting).waits_for("doubt:a");
            w.resolves("a", DoubtResolution::Done { output: json!(1) })
        },
        |w| w.assert_state(RunState::Completed).asked("a z"),
    );
}

#[test]
fn a_person_may_say_that_it_did_not_act() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [unknown()]).starts().resolves("a", DoubtResolution::NotDone);
            w.assert_state(RunState::Running);
            w.advance_time(secs(2))
        },
        |w| w.assert_state(RunState::Completed).keys(&["run/a/0/0", "run/a/0/1"]),
    );
    check(
        only(tool("a").once().retry(RetryPolicy::NONE)),
        |w| w.answers("a", [unknown()]).starts().resolves("a", DoubtResolution::NotDone),
        |w| w.assert_state(RunState::Failed).failed_with("OUTCOME_UNKNOWN").asked("a"),
    );
}

#[test]
fn a_person_may_have_it_repeated_under_a_new_key() {
    check(
        only(tool("a").once().retry(RetryPolicy::NONE)),
        |w| w.answers("a", [unknown()]).starts().resolves("a", DoubtResolution::Repeat),
        |w| w.assert_state(RunState::Completed).keys(&["run/a/0/0", "run/a/0/1"]),
    );
}

#[test]
fn a_call_in_doubt_of_a_run_that_is_cancelled_is_not_sent_again() {
    check(
        only(tool("a").once().retry(RetryPolicy::NONE)),
        |w| {
            w.answers("a", [unknown()]).starts().cancels(false).waits_for("doubt:a");
            w.resolves("a", DoubtResolution::Repeat).refused_with("RUN-013").asked("a");
            w.resolves("a", DoubtResolution::NotDone)
        },
        |w| w.assert_state(RunState::Cancelled).asked("a"),
    );
}

#[test]
fn what_is_not_in_doubt_is_not_resolved() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let effect = w.out("a");
            let resolve =
                |effect| RunCommand::Resolve { effect, by: "ana".into(), resolution: DoubtResolution::NotDone };
            w.submit(resolve(effect.clone())).refused_with("RUN-010");
            let older = crate::run::EffectId { generation: 7, ..effect };
            w.submit(resolve(older))
        },
        |w| w.refused_with("RUN-009"),
    );
}

#[test]
fn a_verifiable_call_in_doubt_is_looked_up_after_its_sender_gave_up() {
    check(
        only(tool("a").verify()),
        |w| {
            w.answers("a", [unknown()]).finds([done(json!("found"))]).starts();
            w.advance_time(secs(9)).assert_state(RunState::Running).recorded("done", 0);
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).asked("a").assert_output(json!("found")),
    );
}

#[test]
fn what_a_look_up_does_not_find_is_sent_again_under_a_new_key() {
    check(
        only(tool("a").verify().retry(RetryPolicy::NONE)),
        |w| w.answers("a", [unknown()]).finds([not_found()]).starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Completed).keys(&["run/a/0/0", "run/a/0/1"]),
    );
}

#[test]
fn an_attempt_that_is_looked_up_counts_once() {
    check(
        only(tool("a").verify().attempts(3)),
        |w| w.answers("a", vec![unknown(); 9]).finds(vec![not_found(); 9]).starts().advance_time(secs(600)),
        |w| w.assert_state(RunState::Failed).failed_with("OUTCOME_UNKNOWN").asked("a a a"),
    );
}

#[test]
fn look_ups_that_tell_nothing_end_with_a_person() {
    check(
        only(tool("a").verify().retry(RetryPolicy::NONE)),
        |w| w.answers("a", [unknown()]).finds(vec![unknown(); 9]).starts().advance_time(secs(600)),
        |w| w.assert_state(RunState::Waiting).waits_for("doubt:a").asked("a").recorded("doubted", 6),
    );
}

#[test]
fn only_a_look_up_can_find_nothing() {
    check(
        only(tool("a").verify()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let effect = w.out("a");
            w.deliver_outcome(effect, not_found())
        },
        |w| w.refused_with("RUN-011").assert_state(RunState::Running),
    );
}

// ---- markers and crashes

#[test]
fn only_calls_that_need_one_are_marked() {
    check(flow([tool("k"), tool("r").read()], ""), |w| w.starts(), |w| w.recorded("sending", 0));
    check(flow([tool("o").once(), tool("v").verify()], ""), |w| w.starts(), |w| w.recorded("sending", 2));
}

#[test]
fn a_marked_call_is_not_marked_again() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let (effect, deadline) = (w.out("a"), w.now + secs(1));
            w.submit(RunCommand::Sending { effect, epoch: 2, deadline })
        },
        |w| w.refused_with("RUN-009"),
    );
}

#[test]
fn after_a_crash_reads_and_keyed_calls_go_out_again_under_the_same_key() {
    check(
        flow([tool("k"), tool("r").read()], ""),
        |w| {
            w.answers("k", [FixtureReply::StaysOut]).answers("r", [FixtureReply::StaysOut]).starts();
            w.crashes()
        },
        |w| {
            w.assert_state(RunState::Completed)
                .keys(&["run/k/0/0", "run/r/0/0", "run/k/0/0", "run/r/0/0"])
                .recorded("doubted", 0)
        },
    );
}

#[test]
fn after_a_crash_a_once_call_that_was_marked_waits_for_a_person() {
    check(
        only(tool("a").once()),
        |w| w.answers("a", [FixtureReply::StaysOut]).starts().crashes(),
        |w| w.assert_state(RunState::Waiting).waits_for("doubt:a").asked("a"),
    );
}

#[test]
fn after_a_crash_a_once_call_that_was_not_marked_goes_out() {
    check(
        only(tool("a").once()),
        |w| {
            let start = w.start_command(json!({}));
            w.only_decides(start).crashes()
        },
        |w| w.assert_state(RunState::Completed).asked("a"),
    );
}

#[test]
fn after_a_crash_a_verifiable_call_is_looked_up_once_the_old_senders_deadline_has_passed() {
    check(
        only(tool("a").verify()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).finds([done(json!("found"))]).starts();
            w.crashes().advance_time(secs(9)).recorded("done", 0);
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).asked("a").assert_output(json!("found")),
    );
}

#[test]
fn a_process_that_takes_over_from_itself_doubts_nothing() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts().submit(RunCommand::TakenOver {
                epoch: 1,
                departure: OwnerDeparture::Crashed,
                went_back: false,
            })
        },
        |w| w.assert_state(RunState::Running).recorded("doubted", 0),
    );
}

/// Waits of a keyed call, one minute from the start, with nothing in flight.
fn waits_of_a_minute() -> [FixtureReply; 3] {
    let until = Time::from_ms(1_060_000);
    let limits = [BlockReason::RateLimit { until }, BlockReason::Circuit { until }].map(blocked);
    let [rate, circuit] = limits;
    [not_done("BUSY", true, Some(60_000)), rate, circuit]
}

#[test]
fn a_keyed_call_that_only_waited_while_nobody_owned_its_run_asks_nobody_when_it_fails() {
    for wait in waits_of_a_minute() {
        check(
            only(tool("a")),
            |w| w.answers("a", [wait, stopped("TOOL_NOT_ALLOWED")]).starts().release_for(secs(61)),
            |w| w.assert_state(RunState::Failed).asked("a a").recorded("taken_over", 0).recorded("doubted", 0),
        );
    }
}

#[test]
fn a_keyed_call_whose_wait_was_over_when_its_owner_died_may_be_out() {
    for wait in waits_of_a_minute() {
        check(
            only(tool("a")),
            |w| {
                w.answers("a", [wait, stopped("TOOL_NOT_ALLOWED")]).starts();
                w.now = w.now + secs(61);
                w.crashes()
            },
            |w| w.assert_state(RunState::Waiting).waits_for("doubt:a").recorded("taken_over", 1),
        );
    }
}

/// The clock was set back: for the previous owner the minute may have passed.
#[test]
fn a_keyed_call_that_waits_may_be_out_where_the_clock_was_set_back_since() {
    for wait in waits_of_a_minute() {
        check(
            only(tool("a")),
            |w| {
                w.answers("a", [wait, done(json!(1))]).starts();
                w.submit(RunCommand::TakenOver { epoch: 2, departure: OwnerDeparture::Crashed, went_back: true });
                w.cancels(true);
                w.advance_time(secs(61))
            },
            |w| w.assert_state(RunState::Cancelled).asked("a a").recorded("taken_over", 1).recorded("abandoned", 0),
        );
    }
}

#[test]
fn what_a_crash_left_in_doubt_stays_so_when_the_next_owner_lets_go_in_order() {
    check(
        only(tool("a")),
        |w| {
            let busy = not_done("BUSY", true, Some(60_000));
            w.answers("a", [FixtureReply::StaysOut, busy, stopped("TOOL_NOT_ALLOWED")]).starts().crashes();
            w.release_for(secs(61))
        },
        |w| w.waits_for("doubt:a").keys(&["run/a/0/0", "run/a/0/0", "run/a/0/0"]).recorded("taken_over", 1),
    );
}

#[test]
fn a_recorded_result_is_never_asked_for_again() {
    check(
        flow([tool("a").once(), tool("b"), tool("c").read(), tool("slow")], "a>b b>c c>slow"),
        |w| w.answers("slow", [FixtureReply::StaysOut]).starts().crashes(),
        |w| w.assert_state(RunState::Completed).asked("a b c slow slow"),
    );
}

#[test]
fn a_marked_call_that_was_not_sent_in_time_goes_out_under_its_key_all_the_same() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut, done(json!(1))]).starts();
            w.deliver_reply("a", FixtureReply::Comes(CallOutcome::NotSent))
        },
        |w| {
            w.assert_state(RunState::Completed)
                .keys(&["run/a/0/0", "run/a/0/0"])
                .recorded("sending", 2)
                .recorded("unsent", 1)
        },
    );
}

#[test]
fn a_keyed_call_that_may_be_out_is_not_dropped_while_its_repeat_is_held_up() {
    check(
        only(tool("a")),
        |w| {
            let leave = blocked(BlockReason::approval("h"));
            w.answers("a", [FixtureReply::StaysOut, leave]).starts().crashes();
            w.cancels(true).waits_for("approval:a");
            w.allows("a", false)
        },
        |w| w.waits_for("doubt:a").recorded("abandoned", 0),
    );
}

// ---- approvals, limits, circuits

#[test]
fn a_call_that_needs_leave_waits_for_it_and_then_goes_out_with_it() {
    let approval = || blocked(BlockReason::approval("h1"));
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [approval()]).starts().assert_state(RunState::Waiting).waits_for("approval:a");
            w.allows("a", true)
        },
        |w| w.assert_state(RunState::Completed).asked("a a").recorded("unblocked", 1),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [approval()]).starts().allows("a", false),
        |w| w.assert_state(RunState::Failed).failed_with("REJECTED").asked("a"),
    );
}

#[test]
fn a_leave_that_does_not_fit_is_asked_for_anew() {
    let approval = |hash: &str| blocked(BlockReason::approval(hash));
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [approval("h1"), approval("h2")]).starts().allows("a", true).waits_for("approval:a");
            w.allows("a", true)
        },
        |w| w.assert_state(RunState::Completed).asked("a a a"),
    );
}

#[test]
fn nobody_gives_leave_that_nobody_asked_for() {
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let effect = w.out("a");
            w.submit(RunCommand::Approve { effect, by: "ana".into(), approved: true, note: String::new() })
        },
        |w| w.refused_with("RUN-005"),
    );
}

#[test]
fn a_call_held_back_by_a_limit_goes_out_when_it_is_over() {
    check(
        flow([tool("a"), tool("b").read()], ""),
        |w| {
            let until = w.now + secs(30);
            w.answers("a", [blocked(BlockReason::RateLimit { until })]);
            w.answers("b", [circuit_open(until)]).starts().assert_state(RunState::Waiting);
            w.advance_time(secs(29)).asked("a b");
            w.advance_time(secs(1))
        },
        |w| {
            w.assert_state(RunState::Completed).asked("a b a b").keys(&[
                "run/a/0/0",
                "run/b/0/0",
                "run/a/0/0",
                "run/b/0/0",
            ])
        },
    );
}

#[test]
fn a_run_says_what_holds_its_calls_back_and_until_when() {
    check(
        flow([tool("a"), tool("b").read(), tool("c"), tool("d")], ""),
        |w| {
            let until = w.now + secs(30);
            w.answers("a", [blocked(BlockReason::RateLimit { until })]).answers("b", [circuit_open(until)]);
            w.answers("c", [flaky("BUSY")])
                .answers("d", [FixtureReply::StaysOut])
                .starts()
                .assert_state(RunState::Running);
            let open: Vec<_> = OpenWait::of(&"run".into(), &w.run).iter().map(OpenWait::as_json).collect();
            let told = |kind: &str| open.iter().find(|open| open["kind"] == kind).cloned().unwrap_or_default();
            assert_eq!((&told("rate")["tool"], &told("rate")["effect"]), (&json!("a"), &json!("a#0.0")), "{open:?}");
            assert_eq!((&told("circuit")["tool"], &told("circuit")["at"]), (&json!("b"), &json!(until.to_string())));
            assert_eq!(told("retry")["node"], "c");
            assert_eq!(open.len(), 3, "what is out waits for nothing: {open:?}");
            w.deliver_reply("d", done(json!(1)))
        },
        // The second attempt is sent in a second without further input.
        |w| w.assert_state(RunState::Running),
    );
}

// ---- duplicates

#[test]
fn an_answer_that_comes_twice_is_refused_the_second_time() {
    check(
        flow([tool("a"), tool("slow")], ""),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).answers("slow", [FixtureReply::StaysOut]).starts();
            let effect = w.out("a");
            w.deliver_reply("a", done(json!(1))).accepted();
            w.deliver_outcome(effect, done(json!(1)))
        },
        |w| w.refused_with("RUN-011").recorded("done", 1),
    );
}

#[test]
fn a_doubt_is_not_doubted_again() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let effect = w.out("a");
            w.deliver_reply("a", unknown()).accepted();
            w.deliver_outcome(effect, unknown())
        },
        |w| w.refused_with("RUN-011").recorded("doubted", 1),
    );
}

#[test]
fn a_late_answer_settles_the_doubt() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let effect = w.out("a");
            w.crashes().waits_for("doubt:a");
            w.deliver_outcome(effect, done(json!("late")))
        },
        |w| w.assert_state(RunState::Completed).assert_output(json!("late")).waits_for("").recorded("arrived_late", 0),
    );
}

#[test]
fn a_late_answer_to_a_generation_that_was_given_up_is_recorded_and_undone_with_the_rest() {
    check(
        flow([tool("a").once().undo("un").retry(RetryPolicy::NONE), tool("z")], "a>z"),
        |w| {
            w.answers("a", [FixtureReply::StaysOut, done(json!({"id": "second"}))])
                .answers("z", [FixtureReply::StaysOut])
                .starts();
            let first = w.out("a");
            w.crashes().resolves("a", DoubtResolution::Repeat);
            w.deliver_outcome(first, done(json!({"id": "first"}))).accepted();
            w.deliver_reply("z", fails("NO"))
        },
        |w| {
            w.assert_state(RunState::Compensated).recorded("arrived_late", 1).asked("a a z un un");
            w.asked_with("un", json!({"of": "second"})).undone(&[("a", "undone"), ("a", "undone")])
        },
    );
}

#[test]
fn a_late_answer_to_a_run_that_was_rolled_back_is_undone_at_once() {
    check(
        flow([tool("b").undo("unb"), tool("a").once().undo("un").retry(RetryPolicy::NONE)], "b>a"),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", DoubtResolution::NotDone).assert_state(RunState::Compensated);
            w.deliver_outcome(first, done(json!({"id": "first"})))
        },
        |w| {
            w.accepted()
                .assert_state(RunState::Compensated)
                .asked("b a unb un")
                .undone(&[("a", "undone"), ("b", "undone")])
        },
    );
}

#[test]
fn a_late_answer_to_a_run_that_had_nothing_to_undo_until_then_is_undone_at_once() {
    check(
        only(tool("a").once().undo("un").retry(RetryPolicy::NONE).compensates()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", DoubtResolution::NotDone).assert_state(RunState::Compensated).asked("a");
            w.deliver_outcome(first, done(json!({"id": "first"})))
        },
        |w| w.accepted().assert_state(RunState::Compensated).asked("a un").undone(&[("a", "undone")]),
    );
}

#[test]
fn a_late_answer_to_a_run_that_kept_what_it_did_is_kept() {
    check(
        only(tool("a").once().undo("un").retry(RetryPolicy::NONE)),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", DoubtResolution::NotDone).assert_state(RunState::Failed);
            w.deliver_outcome(first, done(json!({"id": "first"}))).accepted();
            w.assert_state(RunState::Failed).asked("a");
            w.rolls_back()
        },
        |w| w.assert_state(RunState::Compensated).asked("a un"),
    );
}

#[test]
fn a_late_answer_from_a_body_that_is_gone_is_undone_by_what_it_says() {
    use super::flow::each;
    check(
        flow(
            [
                each("each", json!([1]), 1, only(tool("a").once().undo("un").retry(RetryPolicy::NONE).continues())),
                tool("z"),
            ],
            "each>z",
        ),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).answers("z", [FixtureReply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("each[0]/a", DoubtResolution::NotDone).asked("a z");
            w.deliver_outcome(first, done(json!({"id": "first"}))).accepted();
            w.deliver_reply("z", fails("NO"))
        },
        |w| w.assert_state(RunState::Compensated).asked("a z un").asked_with("un", json!({"of": "first"})),
    );
}

#[test]
fn an_outcome_nobody_waits_for_is_refused() {
    check(
        only(tool("a")),
        |w| {
            w.starts();
            let call = crate::run::CallId {
                node: crate::run::NodeAddress::outer("a"),
                call: 9,
                role: crate::run::CallRole::Act,
            };
            let outcome = CallOutcome::NotFound;
            w.submit(RunCommand::Outcome { effect: crate::run::EffectId { call, generation: 0 }, outcome })
        },
        |w| w.refused_with("RUN-011"),
    );
}
