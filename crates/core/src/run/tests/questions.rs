//! What calls ask people before they act: asked, answered once, and gone out with the answer.

use serde_json::{Value, json};

use super::flow::{Flow, agent, only, secs, tool};
use super::world::{Reply, World, asks, check, done, flaky, unknown};
use crate::run::{Command, State};
use crate::tool::{QUESTIONS_MAX, Said};

fn one() -> Flow {
    only(tool("book").undo("cancel"))
}

fn seat(seat: &str) -> Value {
    json!({"seat": seat})
}

fn filled(with: &str) -> Said {
    Said::Filled { form: seat(with) }
}

fn brought(w: &World, all: &[&[Said]]) {
    assert_eq!(w.brought.iter().map(Vec::as_slice).collect::<Vec<_>>(), all);
}

#[test]
fn a_call_that_asks_waits_for_a_person_and_goes_out_with_the_answer() {
    for node in [tool("book"), tool("book").once(), tool("book").verify(), tool("book").read()] {
        check(
            only(node),
            |w| {
                w.answers("book", [asks("Which seat?", None)]).starts().is(State::Waiting).waits_for("question:book");
                w.fills("book", "ana", seat("1A"))
            },
            |w| {
                brought(w, &[&[filled("1A")]]);
                w.is(State::Completed).keys(&["run/book/0/0", "run/book/0/1"]).recorded("replied", 1)
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
        |w| w.is(State::Completed).recorded("replied", 1),
    );
}

#[test]
fn whoever_asked_is_told_that_a_person_would_not_say_or_that_nobody_did() {
    check(
        one(),
        |w| w.answers("book", [asks("Which seat?", None)]).starts().says("book", "ana", false, "none of its business"),
        |w| {
            brought(w, &[&[Said::Declined]]);
            w.is(State::Completed).asked("book book")
        },
    );
    check(
        one(),
        |w| {
            w.answers("book", [asks("Which seat?", Some(secs(60)))]).starts().passes(secs(59)).asked("book");
            w.pauses().passes(secs(1)).waits_for("");
            w.resumes()
        },
        |w| {
            brought(w, &[&[Said::Lapsed]]);
            w.is(State::Completed).asked("book book")
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
                crate::run::Ask::Question(effect) => effect,
                other => panic!("{other:?}"),
            });
            let fill = Command::Fill { effect: effect.unwrap(), by: "ana".to_owned(), form: seat("1A") };
            w.answers("book", [Reply::StaysOut]).only_decides(fill.clone()).crashes();
            w.does(fill).refused_with("RUN-009");
            w.returns("book", done(json!({})))
        },
        |w| {
            brought(w, &[&[filled("1A")]]);
            w.is(State::Completed).recorded("replied", 1)
        },
    );
}

#[test]
fn answers_stay_with_a_call_through_further_questions_and_attempts() {
    check(
        one(),
        |w| {
            w.answers("book", [asks("Which seat?", None), asks("Which meal?", None), flaky("BUSY")]).starts();
            w.fills("book", "ana", seat("1A")).fills("book", "eve", seat("rice")).passes(secs(10))
        },
        |w| {
            let both = [filled("1A"), filled("rice")];
            brought(w, &[&both[..1], &both, &both]);
            w.is(State::Completed).no_key_twice()
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
        |w| w.is(State::Failed).failed_with("INPUT_REQUIRED").recorded("replied", QUESTIONS_MAX),
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
            w.comes_back(effect.clone(), asks("Which seat?", None)).refused_with("RUN-011");
            w.fills("book", "ana", seat("1A")).comes_back(effect, asks("Which seat?", None))
        },
        |w| w.refused_with("RUN-011").is(State::Completed).asked("book book"),
    );
}

#[test]
fn a_key_under_which_something_may_have_acted_stays_through_a_question() {
    check(
        one(),
        |w| {
            w.answers("book", [unknown(), asks("Which seat?", None)]).starts().passes(secs(10));
            w.waits_for("question:book");
            w.fills("book", "ana", seat("1A"))
        },
        |w| w.is(State::Completed).keys(&["run/book/0/0", "run/book/0/0", "run/book/0/0"]),
    );
}

#[test]
fn a_cancelled_run_drops_what_asks_unless_it_may_have_acted() {
    check(
        one(),
        |w| w.answers("book", [asks("Which seat?", None)]).starts().cancels(false),
        |w| w.is(State::Cancelled).waits_for("").asked("book"),
    );
    check(
        one(),
        |w| {
            w.answers("book", [unknown(), asks("Which seat?", None)]).starts().passes(secs(10)).cancels(true);
            w.waits_for("question:book");
            w.fills("book", "ana", seat("1A"))
        },
        |w| w.is(State::Cancelled).undone(&[("book", "undone")]),
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
                .passes(secs(60))
        },
        |w| w.is(State::Completed).asked("book").recorded("replied", 0),
    );
}

#[test]
fn what_undoes_may_ask_too() {
    check(
        super::flow::flow([tool("book").undo("cancel"), tool("pay")], "book>pay"),
        |w| {
            w.answers("pay", [super::world::fails("NO")]).answers("cancel", [asks("Whose fault?", None)]).starts();
            w.waits_for("question:book").is(State::Compensating);
            w.fills("book", "ana", seat("theirs"))
        },
        |w| w.is(State::Compensated).asked("book pay cancel cancel"),
    );
}

#[test]
fn an_agents_call_asks_a_person_and_its_time_does_not_run() {
    let task = agent("who", &["book"]).agent(|agent| agent.max_execution_time = Some(30));
    check(
        only(task),
        |w| {
            w.thinks("who", [super::agents::tools(&["book"])]).answers("book", [asks("Which seat?", None)]).starts();
            w.passes(secs(3_600)).waits_for("question:who");
            w.fills("who", "ana", seat("1A"))
        },
        |w| w.is(State::Completed).asked("book book"),
    );
}
