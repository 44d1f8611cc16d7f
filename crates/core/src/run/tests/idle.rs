//! Idle runs: whether an observer of the run has anything left to wait for, and until when.

use super::fixture::{FixtureReply, RunFixture, check, fails, flaky, unknown};
use super::flow::{FlowBuilder, approval, child, flow, only, secs, tool, wait_for};
use crate::run::RunState;

/// Idle for a minute from now.
fn rests(w: &RunFixture) -> bool {
    w.run.is_idle_until(w.now + secs(60))
}

#[test]
fn a_run_rests_when_only_somebody_outside_can_move_it() {
    check(
        flow([tool("a"), approval("ask", 1), tool("b")], "a>ask ask>b"),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            assert!(!rests(w), "a call is out");
            w.deliver_reply("a", super::fixture::done(serde_json::json!({})));
            assert!(rests(w));
            w.approves("ask", "eve")
        },
        |w| {
            assert!(rests(w));
            w.assert_state(RunState::Completed)
        },
    );
}

#[test]
fn a_timer_that_is_near_is_waited_for_and_one_far_off_is_not() {
    let waits = |w: &mut RunFixture, expected: bool| assert_eq!(rests(w.starts()), expected);
    waits(&mut RunFixture::new(only(wait_for("soon", secs(30)))), false);
    waits(&mut RunFixture::new(only(wait_for("later", secs(90)))), true);
}

#[test]
fn a_call_that_goes_out_again_says_when() {
    check(
        flow([tool("a").attempts(2), approval("ask", 1)], ""),
        |w| {
            w.answers("a", [flaky("BUSY")]).starts();
            let again = w.run.next_send_at().expect("a retry");
            assert_eq!(Some(again), w.run.wake_at(w.now));
            assert!(again > w.now && !rests(w));
            w.advance_time(again.since(w.now))
        },
        |w| {
            assert_eq!(w.run.next_send_at(), None);
            assert!(rests(w));
            w.asked("a a").assert_state(RunState::Waiting)
        },
    );
}

#[test]
fn nothing_goes_on_by_itself_while_a_call_is_out_or_waits_for_a_person() {
    let goes_on = |flow: FlowBuilder, reply: FixtureReply| {
        let mut w = RunFixture::new(flow);
        w.answers("a", [flaky("BUSY")]).answers("b", [reply]).starts();
        w.run.next_send_at().is_some()
    };
    let both = || flow([tool("a").attempts(2), tool("b").once().attempts(1)], "");
    assert!(!goes_on(both(), FixtureReply::StaysOut), "b is out");
    assert!(goes_on(both(), unknown()), "b waits for a person, a goes on");
}

#[test]
fn a_paused_run_rests_and_says_of_no_retry_when() {
    check(
        only(tool("a").attempts(2)),
        |w| w.answers("a", [flaky("BUSY")]).starts().pauses(),
        |w| {
            assert!(rests(w));
            assert_eq!(w.run.next_send_at(), None);
            w.assert_state(RunState::Paused)
        },
    );
}

#[test]
fn the_time_of_a_run_ends_with_its_work_whatever_it_does_by_then() {
    let timed = || flow([tool("a").undo("un"), tool("b")], "a>b").timeout(secs(5));
    let over = |w: &mut RunFixture| {
        w.advance_time(secs(60));
        assert_eq!(w.run.wake_at(w.now), None, "{:?}", w.run.state());
    };
    // It drains.
    let mut w = RunFixture::new(timed());
    over(w.answers("a", [FixtureReply::StaysOut]).starts().cancels(true));
    w.assert_state(RunState::Running).recorded("winding", 1);
    // It is rolled back.
    let mut w = RunFixture::new(timed());
    over(w.answers("b", [fails("NO")]).answers("un", [FixtureReply::StaysOut]).starts());
    w.assert_state(RunState::Compensating).recorded("winding", 1);
    // It informs the customer of the rollback.
    let tells = flow([tool("b").compensates(), tool("sorry")], "").on_compensated("sorry");
    let mut w = RunFixture::new(tells.timeout(secs(5)));
    over(w.answers("b", [fails("NO")]).answers("sorry", [FixtureReply::StaysOut]).starts());
    w.assert_state(RunState::Compensating).asked("b sorry");
    // It is paused: its time keeps running, and results wait.
    let mut w = RunFixture::new(timed());
    over(w.answers("b", [FixtureReply::StaysOut]).starts().pauses());
    w.assert_state(RunState::Paused).recorded("winding", 1);
    // It has ended.
    let mut w = RunFixture::new(timed());
    over(w.starts());
    w.assert_state(RunState::Completed).recorded("winding", 0);
}

#[test]
fn children_are_those_whose_end_is_waited_for() {
    let names = |w: &RunFixture| w.run.children().iter().map(ToString::to_string).collect::<Vec<_>>();
    check(
        flow([child("sub"), tool("z")], "sub>z"),
        |w| {
            w.starts();
            assert_eq!(names(w), ["run/sub"]);
            w.child_ends("sub", "run/sub", RunState::Completed, true);
            assert!(names(w).is_empty());
            w.rolls_back()
        },
        |w| {
            assert_eq!(names(w), ["run/sub"], "it undoes its part");
            w.assert_state(RunState::Compensating)
        },
    );
}
