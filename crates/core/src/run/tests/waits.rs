//! Waits: for a duration, until an instant, for a signal.

use serde_json::{Value, json};

use super::fixture::{check, done};
use super::flow::{NodeBuilder, agent, each, flow, only, parallel, secs, signal, tool, wait_for, wait_until};
use crate::graph::node::OnDeadline;
use crate::run::{RunEvent, RunState, SIGNALS_MAX};

#[test]
fn a_wait_waits() {
    check(
        flow([wait_for("w", secs(60)), tool("a")], "w>a"),
        |w| {
            w.starts().assert_state(RunState::Waiting).asked("");
            w.advance_time(secs(59)).asked("");
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).asked("a"),
    );
}

#[test]
fn a_wait_is_not_missed_when_something_else_happens_at_its_instant() {
    check(
        flow([wait_for("w", secs(60)), tool("a"), tool("slow")], "w>a"),
        |w| {
            w.answers("slow", [super::fixture::FixtureReply::StaysOut]).starts();
            w.now = w.now + secs(70);
            w.deliver_reply("slow", done(json!(1)))
        },
        |w| w.assert_state(RunState::Completed).asked("slow a"),
    );
}

#[test]
fn a_wait_until_a_past_instant_is_over_at_once() {
    check(
        flow([wait_until("w", json!("1970-01-01T00:00:01Z")), tool("a")], "w>a"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).asked("a"),
    );
}

#[test]
fn a_wait_until_takes_an_instant_or_milliseconds() {
    for until in [json!("1970-01-01T00:17:40Z"), json!(1_060_000)] {
        check(
            flow([wait_until("w", until), tool("a")], "w>a"),
            |w| {
                w.starts().advance_time(secs(59)).asked("");
                w.advance_time(secs(1))
            },
            |w| w.assert_state(RunState::Completed).asked("a"),
        );
    }
    check(
        only(wait_until("w", json!("soon"))),
        |w| w.starts(),
        |w| w.assert_state(RunState::Failed).failed_with("EXPRESSION_FAILED"),
    );
}

#[test]
fn a_signal_gives_its_payload() {
    check(
        flow([signal("go", "go"), tool("a")], "go>a"),
        |w| {
            w.starts().signals("other", json!(1)).assert_state(RunState::Waiting);
            w.signals("go", json!({"n": 2}))
        },
        |w| w.assert_state(RunState::Completed).output_of("go", json!({"n": 2})),
    );
}

#[test]
fn signals_that_came_early_are_kept_first_in_first_out() {
    check(
        flow([wait_for("w", secs(10)), signal("one", "go"), signal("two", "go")], "w>one one>two"),
        |w| w.starts().signals("go", json!("first")).signals("go", json!("second")).advance_time(secs(10)),
        |w| w.assert_state(RunState::Completed).output_of("one", json!("first")).output_of("two", json!("second")),
    );
}

#[test]
fn waits_take_signals_in_definition_order() {
    check(
        flow([signal("b", "go"), signal("a", "go")], ""),
        |w| w.starts().signals("go", json!(1)).node_settled("b").signals("go", json!(2)),
        |w| w.assert_state(RunState::Completed).output_of("b", json!(1)).output_of("a", json!(2)),
    );
}

#[test]
fn a_wait_inside_an_earlier_loop_comes_before_a_later_one_and_iterations_are_counted() {
    let items: Vec<u32> = (0..11).collect();
    let body = flow([signal("in", "go")], "");
    check(
        flow([each("each", json!(items), 11, body), signal("out", "go")], ""),
        |w| {
            w.starts();
            for n in 0..12 {
                w.signals("go", json!(n));
            }
            w
        },
        |w| {
            let counted: Vec<Value> = (0..11).map(|n| json!(n)).collect();
            w.assert_state(RunState::Completed).output_of("out", json!(11));
            w.output_of("each", json!({"count": 11, "results": counted, "errors": []}))
        },
    );
    let left = || only(signal("in", "go"));
    check(
        flow([parallel("fork", vec![("b", left()), ("a", left())])], ""),
        |w| w.starts().signals("go", json!(1)).signals("go", json!(2)),
        |w| w.assert_state(RunState::Completed).output_of("fork", json!({"a": 1, "b": 2})),
    );
}

#[test]
fn a_signal_nobody_sent_in_time_may_have_a_default() {
    let given = |then| flow([signal("go", "go").deadline(secs(60), then), tool("a")], "go>a");
    check(
        given(OnDeadline::Default(json!("nothing"))),
        |w| w.starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Completed).output_of("go", json!("nothing")),
    );
    check(
        given(OnDeadline::Fail),
        |w| w.starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Failed).failed_with("DEADLINE_PASSED"),
    );
}

#[test]
fn the_thousandth_signal_is_kept_and_the_next_refused() {
    check(
        flow([wait_for("w", secs(60))], ""),
        |w| {
            w.starts();
            let quick = |w: &mut super::fixture::RunFixture| {
                let signal = super::fixture::signal("go", json!(1), None);
                w.now = w.now + secs(0);
                w.run.decide(crate::run::RunCommand::Signal(signal), w.now).map(|events| {
                    w.journal.push(crate::run::RunEntry { at: w.run.now(), events });
                })
            };
            for _ in 0..SIGNALS_MAX {
                quick(w).unwrap();
            }
            assert_eq!(quick(w).unwrap_err().code(), "RUN-012");
            w
        },
        |w| w.assert_state(RunState::Waiting).recorded("signal_kept", SIGNALS_MAX),
    );
}

#[test]
fn an_ended_run_refuses_signals() {
    check(
        only(tool("a")),
        |w| w.starts().signals("go", json!(1)),
        |w| w.assert_state(RunState::Completed).refused_with("RUN-003"),
    );
}

fn three() -> [NodeBuilder; 3] {
    [signal("one", "go"), signal("two", "go"), signal("three", "go")]
}

const THREE: &str = "one>two two>three";

#[test]
fn a_senders_numbers_put_its_signals_in_order() {
    check(
        flow(three(), THREE),
        |w| {
            w.starts().signals_numbered(1).signals_numbered(3).node_is("two", "running");
            w.signals_numbered(2)
        },
        |w| w.assert_state(RunState::Completed).output_of("two", json!(2)).output_of("three", json!(3)),
    );
}

#[test]
fn a_gap_is_waited_for_five_seconds_and_then_marked() {
    check(
        flow(three(), THREE),
        |w| {
            w.starts().signals_numbered(1).signals_numbered(3).advance_time(secs(4)).node_is("two", "running");
            w.advance_time(secs(1))
        },
        |w| w.output_of("two", json!(3)).marked(&[(1, false), (3, true)]),
    );
}

#[test]
fn each_gap_is_waited_for_by_itself() {
    check(
        flow(three(), THREE),
        |w| {
            w.starts().signals_numbered(2).advance_time(secs(3)).signals_numbered(4).advance_time(secs(2));
            w.output_of("one", json!(2)).node_is("two", "running");
            w.advance_time(secs(3))
        },
        |w| w.output_of("two", json!(4)).marked(&[(2, true), (4, true)]),
    );
}

#[test]
fn what_comes_after_its_gap_was_given_up_is_delivered_late_and_once() {
    check(
        only(wait_for("long", secs(60))),
        |w| {
            w.starts().signals_numbered(1).signals_numbered(3).advance_time(secs(5)).signals_numbered(2).accepted();
            w.signals_numbered(2).refused_with("RUN-014");
            w.signals_numbered(3)
        },
        |w| w.refused_with("RUN-014").assert_state(RunState::Waiting).marked(&[(1, false), (3, true), (2, true)]),
    );
}

#[test]
fn a_held_signal_is_not_held_twice() {
    check(
        flow(three(), THREE),
        |w| w.starts().signals_numbered(3).signals_numbered(3),
        |w| w.refused_with("RUN-014").recorded("signal_held", 1),
    );
}

#[test]
fn an_agent_and_a_wait_take_messages_in_definition_order() {
    use crate::agent::AgentStep;
    let ask = || AgentStep::AskCustomer { question: "which?".into() };
    check(
        flow([agent("who", &[]), signal("next", "message")], ""),
        |w| {
            w.thinks("who", [ask()]).starts().waits_for("customer:who");
            w.signals("message", json!({"text": "the red one"})).signals("message", json!({"text": "and"}))
        },
        |w| w.assert_state(RunState::Completed).output_of("next", json!({"text": "and"})),
    );
}

impl super::fixture::RunFixture {
    /// A node of the path is settled.
    fn node_settled(&mut self, node: &str) -> &mut Self {
        self.node_is(node, "completed");
        self
    }

    /// The numbers of signals in delivery order, and whether each was marked.
    fn marked(&self, expected: &[(u64, bool)]) -> &Self {
        let kept = self.events().filter_map(|event| match event {
            RunEvent::SignalKept { signal } => Some((signal.sequence?, signal.after_gap)),
            _ => None,
        });
        assert_eq!(kept.collect::<Vec<_>>(), expected);
        self
    }
}
