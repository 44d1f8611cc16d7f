//! A call's way: classes, retries, keys, doubts, leave, and what a crash does to each.

use serde_json::json;

use super::flow::{flow, only, secs, tool};
use super::world::{Reply, blocked, check, circuit_open, done, fails, flaky, not_done, not_found, stopped, unknown};
use crate::run::{Block, Command, Departure, Open, Outcome, Resolution, State};
use crate::time::Time;
use crate::tool::Retry;

// ---- retries

#[test]
fn a_call_that_may_be_repeated_is_after_its_backoff() {
    check(
        only(tool("a").read()),
        |w| {
            w.answers("a", [flaky("BUSY"), flaky("BUSY"), done(json!(1))]).starts().is(State::Running);
            w.passes(secs(1)).asked("a");
            w.passes(secs(1)).asked("a a");
            w.passes(secs(3)).asked("a a");
            w.passes(secs(1))
        },
        |w| w.is(State::Completed).asked("a a a"),
    );
}

#[test]
fn a_retry_has_a_new_generation_since_it_is_known_not_to_have_acted() {
    check(
        only(tool("a").attempts(3)),
        |w| w.answers("a", [flaky("BUSY"), flaky("BUSY")]).starts().passes(secs(5)),
        |w| w.is(State::Completed).keys(&["run/a/0/0", "run/a/0/1", "run/a/0/2"]),
    );
}

#[test]
fn three_attempts_are_three() {
    check(
        only(tool("a").attempts(3)),
        |w| w.answers("a", vec![flaky("BUSY"); 5]).starts().passes(secs(60)),
        |w| w.is(State::Failed).failed_with("BUSY").asked("a a a"),
    );
}

#[test]
fn counts_survive_a_crash() {
    check(
        only(tool("a").attempts(3)),
        |w| {
            w.answers("a", vec![flaky("BUSY"); 5]).starts().passes(secs(1)).asked("a a");
            w.crashes().passes(secs(60))
        },
        |w| w.is(State::Failed).asked("a a a"),
    );
}

#[test]
fn what_would_not_help_is_not_repeated() {
    check(
        only(tool("a")),
        |w| w.answers("a", [fails("NO")]).starts().passes(secs(60)),
        |w| w.is(State::Failed).asked("a"),
    );
}

#[test]
fn retry_on_names_the_codes_to_repeat_on() {
    let retry = || Retry { retry_on: vec!["BUSY".into()], ..Retry::default() };
    check(
        only(tool("a").retry(retry())),
        |w| w.answers("a", [fails("BUSY"), flaky("OTHER")]).starts().passes(secs(60)),
        |w| w.is(State::Failed).failed_with("OTHER").asked("a a"),
    );
}

#[test]
fn a_service_that_says_when_is_not_asked_before() {
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [not_done("LIMIT", true, Some(30_000))]).starts().passes(secs(29)).asked("a");
            w.passes(secs(1))
        },
        |w| w.is(State::Completed).asked("a a"),
    );
}

#[test]
fn jitter_spreads_and_agrees_with_itself() {
    let retry = || Retry { initial: secs(10), max: secs(10), multiplier: 1.0, jitter: 1.0, ..Retry::default() };
    check(
        only(tool("a").retry(retry())),
        |w| {
            w.answers("a", [flaky("BUSY")]).starts();
            let at = w.run.wake_at(w.now).unwrap();
            assert!(at >= w.now + secs(5) && at <= w.now + secs(15) && at != w.now + secs(10), "{at}");
            w.passes(secs(15))
        },
        |w| w.is(State::Completed).asked("a a"),
    );
}

// ---- unknown outcomes, class by class

#[test]
fn a_read_nobody_answered_is_done_again() {
    check(
        only(tool("a").read()),
        |w| w.answers("a", [unknown()]).starts().passes(secs(2)),
        |w| w.is(State::Completed).asked("a a").recorded("doubted", 0),
    );
}

#[test]
fn a_keyed_call_in_doubt_is_sent_again_under_the_same_key_and_at_last_a_person_decides() {
    check(
        only(tool("a").attempts(3)),
        |w| {
            w.answers("a", vec![unknown(); 5]).starts().passes(secs(60));
            w.is(State::Waiting).waits_for("doubt:a").asked("a a a");
            w.resolves("a", Resolution::Done { output: json!("it did") })
        },
        |w| {
            w.is(State::Completed).gives(json!("it did"));
            w.keys(&["run/a/0/0", "run/a/0/0", "run/a/0/0"])
        },
    );
}

#[test]
fn a_keyed_call_is_sent_twice_at_least_before_a_person_is_asked() {
    check(
        only(tool("a").retry(Retry::NONE)),
        |w| w.answers("a", [unknown()]).starts(),
        |w| w.is(State::Completed).keys(&["run/a/0/0", "run/a/0/0"]),
    );
}

#[test]
fn a_keyed_call_in_doubt_keeps_its_key_although_the_next_attempt_did_not_act() {
    check(
        only(tool("a").attempts(3)),
        |w| w.answers("a", [unknown(), flaky("BUSY"), done(json!("once"))]).starts().passes(secs(60)),
        |w| {
            w.is(State::Completed).gives(json!("once"));
            w.keys(&["run/a/0/0", "run/a/0/0", "run/a/0/0"])
        },
    );
    check(
        only(tool("a").attempts(2)),
        |w| {
            w.answers("a", [unknown(), flaky("BUSY")]).starts().passes(secs(60));
            w.is(State::Waiting).waits_for("doubt:a").asked("a a");
            w.resolves("a", Resolution::Repeat)
        },
        |w| w.is(State::Completed).keys(&["run/a/0/0", "run/a/0/0", "run/a/0/1"]),
    );
}

#[test]
fn a_service_that_asks_for_patience_gets_it_from_a_call_in_doubt() {
    check(
        only(tool("a").attempts(3)),
        |w| {
            w.answers("a", [unknown(), not_done("BUSY", true, Some(30_000))]).starts().passes(secs(2)).asked("a a");
            w.passes(secs(28)).asked("a a");
            w.passes(secs(1))
        },
        |w| w.is(State::Completed).asked("a a a"),
    );
}

#[test]
fn a_compensation_in_doubt_keeps_its_key_too() {
    check(
        flow([tool("a").undo("unpay"), tool("b")], "a>b"),
        |w| {
            w.answers("b", [fails("NO")]).answers("unpay", [unknown(), flaky("BUSY")]);
            w.starts().passes(secs(60))
        },
        |w| {
            w.is(State::Compensated);
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
            w.starts().passes(secs(2)).is(State::Waiting).waits_for("doubt:a");
            w.resolves("a", Resolution::Done { output: json!({"id": 1}) })
        },
        |w| w.is(State::Compensated).asked("a a b unpay"),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [stopped("TOOL_NOT_ALLOWED")]).starts(),
        |w| w.is(State::Failed).failed_with("TOOL_NOT_ALLOWED"),
    );
}

#[test]
fn a_new_owner_does_not_believe_of_the_old_ones_call_what_its_own_was_told() {
    check(
        only(tool("a").attempts(3)),
        |w| {
            w.answers("a", [Reply::StaysOut, flaky("BUSY"), stopped("TOOL_NOT_ALLOWED")]).starts();
            w.crashes().passes(secs(60))
        },
        |w| w.is(State::Waiting).waits_for("doubt:a").keys(&["run/a/0/0", "run/a/0/0", "run/a/0/0"]),
    );
}

#[test]
fn a_service_that_says_no_for_good_settles_its_key() {
    check(
        only(tool("a")),
        |w| w.answers("a", [unknown(), fails("PAYMENT_DECLINED")]).starts().passes(secs(2)),
        |w| w.is(State::Failed).failed_with("PAYMENT_DECLINED").asked("a a"),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [unknown(), fails("KEY_REUSED")]).starts().passes(secs(2)),
        |w| w.is(State::Waiting).waits_for("doubt:a").asked("a a"),
    );
}

#[test]
fn that_an_attempt_did_not_act_is_no_news_to_a_person_who_is_asked() {
    check(
        only(tool("a").attempts(2)),
        |w| {
            w.answers("a", [unknown(), Reply::StaysOut]).starts().passes(secs(2));
            let effect = w.out("a");
            w.returns("a", unknown()).waits_for("doubt:a");
            w.comes_back(effect, flaky("BUSY"))
        },
        |w| w.refused_with("RUN-011").waits_for("doubt:a"),
    );
}

#[test]
fn a_once_call_in_doubt_waits_for_a_person_and_nothing_else() {
    check(
        flow([tool("a").once(), tool("z")], "a>z"),
        |w| {
            w.answers("a", [unknown()]).starts().passes(secs(3_600)).asked("a");
            w.is(State::Waiting).waits_for("doubt:a");
            w.resolves("a", Resolution::Done { output: json!(1) })
        },
        |w| w.is(State::Completed).asked("a z"),
    );
}

#[test]
fn a_person_may_say_that_it_did_not_act() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [unknown()]).starts().resolves("a", Resolution::NotDone);
            w.is(State::Running);
            w.passes(secs(2))
        },
        |w| w.is(State::Completed).keys(&["run/a/0/0", "run/a/0/1"]),
    );
    check(
        only(tool("a").once().retry(Retry::NONE)),
        |w| w.answers("a", [unknown()]).starts().resolves("a", Resolution::NotDone),
        |w| w.is(State::Failed).failed_with("OUTCOME_UNKNOWN").asked("a"),
    );
}

#[test]
fn a_person_may_have_it_repeated_under_a_new_key() {
    check(
        only(tool("a").once().retry(Retry::NONE)),
        |w| w.answers("a", [unknown()]).starts().resolves("a", Resolution::Repeat),
        |w| w.is(State::Completed).keys(&["run/a/0/0", "run/a/0/1"]),
    );
}

#[test]
fn a_call_in_doubt_of_a_run_that_is_cancelled_is_not_sent_again() {
    check(
        only(tool("a").once().retry(Retry::NONE)),
        |w| {
            w.answers("a", [unknown()]).starts().cancels(false).waits_for("doubt:a");
            w.resolves("a", Resolution::Repeat).refused_with("RUN-013").asked("a");
            w.resolves("a", Resolution::NotDone)
        },
        |w| w.is(State::Cancelled).asked("a"),
    );
}

#[test]
fn what_is_not_in_doubt_is_not_resolved() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts();
            let effect = w.out("a");
            let resolve = |effect| Command::Resolve { effect, by: "ana".into(), resolution: Resolution::NotDone };
            w.does(resolve(effect.clone())).refused_with("RUN-010");
            let older = crate::run::EffectId { generation: 7, ..effect };
            w.does(resolve(older))
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
            w.passes(secs(9)).is(State::Running).recorded("done", 0);
            w.passes(secs(1))
        },
        |w| w.is(State::Completed).asked("a").gives(json!("found")),
    );
}

#[test]
fn what_a_look_up_does_not_find_is_sent_again_under_a_new_key() {
    check(
        only(tool("a").verify().retry(Retry::NONE)),
        |w| w.answers("a", [unknown()]).finds([not_found()]).starts().passes(secs(60)),
        |w| w.is(State::Completed).keys(&["run/a/0/0", "run/a/0/1"]),
    );
}

#[test]
fn an_attempt_that_is_looked_up_counts_once() {
    check(
        only(tool("a").verify().attempts(3)),
        |w| w.answers("a", vec![unknown(); 9]).finds(vec![not_found(); 9]).starts().passes(secs(600)),
        |w| w.is(State::Failed).failed_with("OUTCOME_UNKNOWN").asked("a a a"),
    );
}

#[test]
fn look_ups_that_tell_nothing_end_with_a_person() {
    check(
        only(tool("a").verify().retry(Retry::NONE)),
        |w| w.answers("a", [unknown()]).finds(vec![unknown(); 9]).starts().passes(secs(600)),
        |w| w.is(State::Waiting).waits_for("doubt:a").asked("a").recorded("doubted", 6),
    );
}

#[test]
fn only_a_look_up_can_find_nothing() {
    check(
        only(tool("a").verify()),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts();
            let effect = w.out("a");
            w.comes_back(effect, not_found())
        },
        |w| w.refused_with("RUN-011").is(State::Running),
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
            w.answers("a", [Reply::StaysOut]).starts();
            let (effect, deadline) = (w.out("a"), w.now + secs(1));
            w.does(Command::Sending { effect, epoch: 2, deadline })
        },
        |w| w.refused_with("RUN-009"),
    );
}

#[test]
fn after_a_crash_reads_and_keyed_calls_go_out_again_under_the_same_key() {
    check(
        flow([tool("k"), tool("r").read()], ""),
        |w| {
            w.answers("k", [Reply::StaysOut]).answers("r", [Reply::StaysOut]).starts();
            w.crashes()
        },
        |w| w.is(State::Completed).keys(&["run/k/0/0", "run/r/0/0", "run/k/0/0", "run/r/0/0"]).recorded("doubted", 0),
    );
}

#[test]
fn after_a_crash_a_once_call_that_was_marked_waits_for_a_person() {
    check(
        only(tool("a").once()),
        |w| w.answers("a", [Reply::StaysOut]).starts().crashes(),
        |w| w.is(State::Waiting).waits_for("doubt:a").asked("a"),
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
        |w| w.is(State::Completed).asked("a"),
    );
}

#[test]
fn after_a_crash_a_verifiable_call_is_looked_up_once_the_old_senders_deadline_has_passed() {
    check(
        only(tool("a").verify()),
        |w| {
            w.answers("a", [Reply::StaysOut]).finds([done(json!("found"))]).starts();
            w.crashes().passes(secs(9)).recorded("done", 0);
            w.passes(secs(1))
        },
        |w| w.is(State::Completed).asked("a").gives(json!("found")),
    );
}

#[test]
fn a_process_that_takes_over_from_itself_doubts_nothing() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts().does(Command::TakenOver {
                epoch: 1,
                left: Departure::Died,
                went_back: false,
            })
        },
        |w| w.is(State::Running).recorded("doubted", 0),
    );
}

/// What a keyed call may wait for without anything of it being out, for a minute from the start.
fn waits_of_a_minute() -> [Reply; 3] {
    let until = Time::from_ms(1_060_000);
    let limits = [Block::RateLimit { until }, Block::Circuit { until }].map(blocked);
    let [rate, circuit] = limits;
    [not_done("BUSY", true, Some(60_000)), rate, circuit]
}

#[test]
fn a_keyed_call_that_only_waited_while_nobody_owned_its_run_asks_nobody_when_it_fails() {
    for wait in waits_of_a_minute() {
        check(
            only(tool("a")),
            |w| w.answers("a", [wait, stopped("TOOL_NOT_ALLOWED")]).starts().sleeps(secs(61)),
            |w| w.is(State::Failed).asked("a a").recorded("taken_over", 0).recorded("doubted", 0),
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
            |w| w.is(State::Waiting).waits_for("doubt:a").recorded("taken_over", 1),
        );
    }
}

/// The clock was set back: for the owner before the minute may have been over.
#[test]
fn a_keyed_call_that_waits_may_be_out_where_the_clock_was_set_back_since() {
    for wait in waits_of_a_minute() {
        check(
            only(tool("a")),
            |w| {
                w.answers("a", [wait, done(json!(1))]).starts();
                w.does(Command::TakenOver { epoch: 2, left: Departure::Died, went_back: true });
                w.cancels(true);
                w.passes(secs(61))
            },
            |w| w.is(State::Cancelled).asked("a a").recorded("taken_over", 1).recorded("abandoned", 0),
        );
    }
}

#[test]
fn what_a_crash_left_in_doubt_stays_so_when_the_next_owner_lets_go_in_order() {
    check(
        only(tool("a")),
        |w| {
            let busy = not_done("BUSY", true, Some(60_000));
            w.answers("a", [Reply::StaysOut, busy, stopped("TOOL_NOT_ALLOWED")]).starts().crashes();
            w.sleeps(secs(61))
        },
        |w| w.waits_for("doubt:a").keys(&["run/a/0/0", "run/a/0/0", "run/a/0/0"]).recorded("taken_over", 1),
    );
}

#[test]
fn a_recorded_result_is_never_asked_for_again() {
    check(
        flow([tool("a").once(), tool("b"), tool("c").read(), tool("slow")], "a>b b>c c>slow"),
        |w| w.answers("slow", [Reply::StaysOut]).starts().crashes(),
        |w| w.is(State::Completed).asked("a b c slow slow"),
    );
}

#[test]
fn a_marked_call_that_was_not_sent_in_time_goes_out_under_its_key_all_the_same() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [Reply::StaysOut, done(json!(1))]).starts();
            w.returns("a", Reply::Comes(Outcome::NotSent))
        },
        |w| w.is(State::Completed).keys(&["run/a/0/0", "run/a/0/0"]).recorded("sending", 2).recorded("unsent", 1),
    );
}

#[test]
fn a_keyed_call_that_may_be_out_is_not_dropped_while_its_repeat_is_held_up() {
    check(
        only(tool("a")),
        |w| {
            let leave = blocked(Block::approval("h"));
            w.answers("a", [Reply::StaysOut, leave]).starts().crashes();
            w.cancels(true).waits_for("approval:a");
            w.allows("a", false)
        },
        |w| w.waits_for("doubt:a").recorded("abandoned", 0),
    );
}

// ---- leave, limits, circuits

#[test]
fn a_call_that_needs_leave_waits_for_it_and_then_goes_out_with_it() {
    let approval = || blocked(Block::approval("h1"));
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [approval()]).starts().is(State::Waiting).waits_for("approval:a");
            w.allows("a", true)
        },
        |w| w.is(State::Completed).asked("a a").recorded("unblocked", 1),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [approval()]).starts().allows("a", false),
        |w| w.is(State::Failed).failed_with("REJECTED").asked("a"),
    );
}

#[test]
fn a_leave_that_does_not_fit_is_asked_for_anew() {
    let approval = |hash: &str| blocked(Block::approval(hash));
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [approval("h1"), approval("h2")]).starts().allows("a", true).waits_for("approval:a");
            w.allows("a", true)
        },
        |w| w.is(State::Completed).asked("a a a"),
    );
}

#[test]
fn nobody_gives_leave_that_nobody_asked_for() {
    check(
        only(tool("a")),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts();
            let effect = w.out("a");
            w.does(Command::Approve { effect, by: "ana".into(), approved: true, note: String::new() })
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
            w.answers("a", [blocked(Block::RateLimit { until })]);
            w.answers("b", [circuit_open(until)]).starts().is(State::Waiting);
            w.passes(secs(29)).asked("a b");
            w.passes(secs(1))
        },
        |w| w.is(State::Completed).asked("a b a b").keys(&["run/a/0/0", "run/b/0/0", "run/a/0/0", "run/b/0/0"]),
    );
}

#[test]
fn a_run_says_what_holds_its_calls_back_and_until_when() {
    check(
        flow([tool("a"), tool("b").read(), tool("c"), tool("d")], ""),
        |w| {
            let until = w.now + secs(30);
            w.answers("a", [blocked(Block::RateLimit { until })]).answers("b", [circuit_open(until)]);
            w.answers("c", [flaky("BUSY")]).answers("d", [Reply::StaysOut]).starts().is(State::Running);
            let open: Vec<_> = Open::of(&"run".into(), &w.run).iter().map(Open::as_json).collect();
            let told = |kind: &str| open.iter().find(|open| open["kind"] == kind).cloned().unwrap_or_default();
            assert_eq!((&told("rate")["tool"], &told("rate")["effect"]), (&json!("a"), &json!("a#0.0")), "{open:?}");
            assert_eq!((&told("circuit")["tool"], &told("circuit")["at"]), (&json!("b"), &json!(until.to_string())));
            assert_eq!(told("retry")["node"], "c");
            assert_eq!(open.len(), 3, "what is out waits for nothing: {open:?}");
            w.returns("d", done(json!(1)))
        },
        // The second attempt goes out by itself in a second.
        |w| w.is(State::Running),
    );
}

// ---- duplicates

#[test]
fn an_answer_that_comes_twice_is_refused_the_second_time() {
    check(
        flow([tool("a"), tool("slow")], ""),
        |w| {
            w.answers("a", [Reply::StaysOut]).answers("slow", [Reply::StaysOut]).starts();
            let effect = w.out("a");
            w.returns("a", done(json!(1))).accepted();
            w.comes_back(effect, done(json!(1)))
        },
        |w| w.refused_with("RUN-011").recorded("done", 1),
    );
}

#[test]
fn a_doubt_is_not_doubted_again() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts();
            let effect = w.out("a");
            w.returns("a", unknown()).accepted();
            w.comes_back(effect, unknown())
        },
        |w| w.refused_with("RUN-011").recorded("doubted", 1),
    );
}

#[test]
fn a_late_answer_settles_the_doubt() {
    check(
        only(tool("a").once()),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts();
            let effect = w.out("a");
            w.crashes().waits_for("doubt:a");
            w.comes_back(effect, done(json!("late")))
        },
        |w| w.is(State::Completed).gives(json!("late")).waits_for("").recorded("arrived_late", 0),
    );
}

#[test]
fn a_late_answer_to_a_generation_that_was_given_up_is_recorded_and_undone_with_the_rest() {
    check(
        flow([tool("a").once().undo("un").retry(Retry::NONE), tool("z")], "a>z"),
        |w| {
            w.answers("a", [Reply::StaysOut, done(json!({"id": "second"}))]).answers("z", [Reply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", Resolution::Repeat);
            w.comes_back(first, done(json!({"id": "first"}))).accepted();
            w.returns("z", fails("NO"))
        },
        |w| {
            w.is(State::Compensated).recorded("arrived_late", 1).asked("a a z un un");
            w.asked_with("un", json!({"of": "second"})).undone(&[("a", "undone"), ("a", "undone")])
        },
    );
}

#[test]
fn a_late_answer_to_a_run_that_was_rolled_back_is_undone_at_once() {
    check(
        flow([tool("b").undo("unb"), tool("a").once().undo("un").retry(Retry::NONE)], "b>a"),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", Resolution::NotDone).is(State::Compensated);
            w.comes_back(first, done(json!({"id": "first"})))
        },
        |w| w.accepted().is(State::Compensated).asked("b a unb un").undone(&[("a", "undone"), ("b", "undone")]),
    );
}

#[test]
fn a_late_answer_to_a_run_that_had_nothing_to_undo_until_then_is_undone_at_once() {
    check(
        only(tool("a").once().undo("un").retry(Retry::NONE).compensates()),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", Resolution::NotDone).is(State::Compensated).asked("a");
            w.comes_back(first, done(json!({"id": "first"})))
        },
        |w| w.accepted().is(State::Compensated).asked("a un").undone(&[("a", "undone")]),
    );
}

#[test]
fn a_late_answer_to_a_run_that_kept_what_it_did_is_kept() {
    check(
        only(tool("a").once().undo("un").retry(Retry::NONE)),
        |w| {
            w.answers("a", [Reply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", Resolution::NotDone).is(State::Failed);
            w.comes_back(first, done(json!({"id": "first"}))).accepted();
            w.is(State::Failed).asked("a");
            w.rolls_back()
        },
        |w| w.is(State::Compensated).asked("a un"),
    );
}

#[test]
fn a_late_answer_from_a_body_that_is_gone_is_undone_by_what_it_says() {
    use super::flow::each;
    check(
        flow(
            [each("each", json!([1]), 1, only(tool("a").once().undo("un").retry(Retry::NONE).continues())), tool("z")],
            "each>z",
        ),
        |w| {
            w.answers("a", [Reply::StaysOut]).answers("z", [Reply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("each[0]/a", Resolution::NotDone).asked("a z");
            w.comes_back(first, done(json!({"id": "first"}))).accepted();
            w.returns("z", fails("NO"))
        },
        |w| w.is(State::Compensated).asked("a z un").asked_with("un", json!({"of": "first"})),
    );
}

#[test]
fn an_outcome_nobody_waits_for_is_refused() {
    check(
        only(tool("a")),
        |w| {
            w.starts();
            let call =
                crate::run::CallId { node: crate::run::Address::outer("a"), call: 9, role: crate::run::Role::Act };
            let outcome = Outcome::NotFound;
            w.does(Command::Outcome { effect: crate::run::EffectId { call, generation: 0 }, outcome })
        },
        |w| w.refused_with("RUN-011"),
    );
}
