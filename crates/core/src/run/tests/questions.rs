//! Questions of calls to people before they act: asked, answered once, and sent with the answer.

use serde_json::{Value, json};

use super::fixture::{FixtureReply, RunFixture, asks, check, done, flaky, unknown};
use super::flow::{FlowBuilder, agent, only, secs, tool};
use crate::run::{RunCommand, RunState};
use crate::tool::{QUESTIONS_MAX, QuestionOutcome};

fn one() -> FlowBuilder {
    only(tool("book").undo("cancel"))
}

fn seat(seat: &str) -> Value {
    json!({"seat": seat})
}

fn filled(with: &str) -> QuestionOutcome {
    QuestionOutcome::Filled { form: seat(with) }
}

fn brought(w: &RunFixture, all: &[&[QuestionOutcome]]) {
    assert_eq!(w.brought.iter().map(Vec::as_slice).collect::<Vec<_>>(), all);
}

#[test]
fn a_call_that_asks_waits_for_a_person_and_goes_out_with_the_answer() {
    for node in [tool("book"), tool("book").once(), tool("book").verify(), tool("book").read()] {
        check(
            only(node),
            |w| {
                w.answers("book", [asks("Which seat?", None)])
                    .starts()
                    .assert_state(RunState::Waiting)
                    .waits_for("question:book");
                w.fills("book", "ana", seat("1A"))
            },
            |w| {
                brought(w, &[&[filled("1A")]]);
                w.assert_state(RunState::Completed).keys(&["run/book/0/0", "run/book/0/1"]).recorded("replied", 1)
            },
        );
    }
}

#[test]
fn an_answer_that_does_not_fit_the_form_is_refused_and_the_question_stands() {
    check(
        one(),
        |w| {
            w.answers("book", [asks("Which seat?", None)]).starts();
            w.fills("book", "ana", json!({"seat": 1})).refused_with("RUN-016").waits_for("question:book");
            w.says("book", "ana", true, "").refused_with("RUN-008").waits_for("question:book");
            w.fills("book", "ana", seat("1A"))
        },
        |w| w.assert_state(RunState::Completed).recorded("replied", 1),
    );
}

#[test]
fn whoever_asked_is_told_that_a_person_would_not_say_or_that_nobody_did() {
    check(
        one(),
        |w| w.answers("book", [asks("Which seat?", None)]).starts().says("book", "ana", false, "none of its business"),
        |w| {
            brought(w, &[&[QuestionOutcome::Declined]]);
            w.assert_state(RunState::Completed).asked("book book")
        },
    );
    check(
        one(),
        |w| {
            w.answers("book", [asks("Which seat?", Some(secs(60)))]).starts().advance_time(secs(59)).asked("book");
            w.pauses().advance_time(secs(1)).waits_for("");
            w.resumes()
        },
        |w| {
            brought(w, &[&[QuestionOutcome::Lapsed]]);
            w.assert_state(RunState::Completed).asked("book book")
        },
    );
}

#[test]
fn an_answer_is_there_whoever_goes_on_with_the_run_and_taken_once() {
    check(
        one(),
        |w| {
            w.answers("book", [asks("Which seat?", None)]).starts().crashes().waits_for("question:book");
            let effect = w.asks().into_iter().next().map(|ask| match ask {
                crate::run::HumanTask::Question(effect) => effect,
                other => panic!("{other:?}"),
            });
            let fill = RunCommand::Fill { effect: effect.unwrap(), by: "ana".to_owned(), form: seat("1A") };
            w.answers("book", [FixtureReply::StaysOut]).only_decides(fill.clone()).crashes();
            w.submit(fill).refused_with("RUN-009");
            w.deliver_reply("book", done(json!({})))
        },
        |w| {
            brought(w, &[&[filled("1A")]]);
            w.assert_state(RunState::Completed).recorded("replied", 1)
        },
    );
}

#[test]
fn answers_stay_with_a_call_through_further_questions_and_attempts() {
    check(
        one(),
        |w| {
            w.answers("book", [asks("Which seat?", None), asks("Which meal?", None), flaky("BUSY")]).starts();
            w.fills("book", "ana", seat("1A")).fills("book", "eve", seat("rice")).advance_time(secs(10))
        },
        |w| {
            let both = [filled("1A"), filled("rice")];
            brought(w, &[&both[..1], &both, &both]);
            w.assert_state(RunState::Completed).assert_unique_keys()
        },
    );
}

#[test]
fn a_call_asks_so_many_questions_and_no_more() {
    check(
        one(),
        |w| {
            w.answers("book", (0..=QUESTIONS_MAX).map(|_| asks("Which seat?", None))).starts();
            for _ in 0..QUESTIONS_MAX {
                w.fills("book", "ana", seat("1A"));
            }
            w
        },
        |w| w.assert_state(RunState::Failed).failed_with("INPUT_REQUIRED").recorded("replied", QUESTIONS_MAX),
    );
}

#[test]
fn the_same_question_twice_is_one() {
    check(
        one(),
        |w| {
            w.answers("book", [asks("Which seat?", None)]).starts();
            let effect = w.run.calls.keys().next().cloned().unwrap();
            let effect = crate::run::EffectId { call: effect, generation: 0 };
            w.deliver_outcome(effect.clone(), asks("Which seat?", None)).refused_with("RUN-011");
            w.fills("book", "ana", seat("1A")).deliver_outcome(effect, asks("Which seat?", None))
        },
        |w| w.refused_with("RUN-011").assert_state(RunState::Completed).asked("book book"),
    );
}

#[test]
fn a_key_under_which_something_may_have_acted_stays_through_a_question() {
    check(
        one(),
        |w| {
            w.answers("book", [unknown(), asks("Which seat?", None)]).starts().advance_time(secs(10));
            w.waits_for("question:book");
            w.fills("book", "ana", seat("1A"))
        },
        |w| w.assert_state(RunState::Completed).keys(&["run/book/0/0", "run/book/0/0", "run/book/0/0"]),
    );
}

#[test]
fn a_cancelled_run_drops_what_asks_unless_it_may_have_acted() {
    check(
        one(),
        |w| w.answers("book", [asks("Which seat?", None)]).starts().cancels(false),
        |w| w.assert_state(RunState::Cancelled).waits_for("").asked("book"),
    );
    check(
        one(),
        |w| {
            w.answers("book", [unknown(), asks("Which seat?", None)]).starts().advance_time(secs(10)).cancels(true);
            w.waits_for("question:book");
            w.fills("book", "ana", seat("1A"))
        },
        |w| w.assert_state(RunState::Cancelled).undone(&[("book", "undone")]),
    );
}

#[test]
fn what_a_look_up_asks_is_asked_of_nobody() {
    check(
        only(tool("book").verify()),
        |w| {
            w.answers("book", [unknown()])
                .finds([asks("Which seat?", None), done(json!({"id": 1}))])
                .starts()
                .advance_time(secs(60))
        },
        |w| w.assert_state(RunState::Completed).asked("book").recorded("replied", 0),
    );
}

#[test]
fn what_undoes_may_ask_too() {
    check(
        super::flow::flow([tool("book").undo("cancel"), tool("pay")], "book>pay"),
        |w| {
            w.answers("pay", [super::fixture::fails("NO")]).answers("cancel", [asks("Whose fault?", None)]).starts();
            w.waits_for("question:book").assert_state(RunState::Compensating);
            w.fills("book", "ana", seat("theirs"))
        },
        |w| w.assert_state(RunState::Compensated).asked("book pay cancel cancel"),
    );
}

#[test]
fn an_agents_call_asks_a_person_and_its_time_does_not_run() {
    let task = agent("who", &["book"]).agent(|agent| agent.max_execution_time = Some(30));
    check(
        only(task),
        |w| {
            w.thinks("who", [super::agents::tools(&["book"])]).answers("book", [asks("Which seat?", None)]).starts();
            w.advance_time(secs(3_600)).waits_for("question:who");
            w.fills("who", "ana", seat("1A"))
        },
        |w| w.assert_state(RunState::Completed).asked("book book"),
    );
}
