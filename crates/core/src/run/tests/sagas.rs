//! Compensation: reverse order, arguments rendered when the effect completed, irreversible effects, and what runs
//! afterwards.

use std::collections::BTreeSet;

use serde_json::json;

use super::fixture::{FixtureReply, RunFixture, check, done, fails, flaky, unknown};
use super::flow::{FlowBuilder, approval, condition, each, end, flow, only, secs, tool, wait_for};
use crate::run::{CallRole, DoubtResolution, RunCommand, RunEvent, RunState, performed_effects};
use crate::tool::{EffectClass, RetryPolicy, ToolContract};

/// Two reversible effects, and a third step that fails.
fn booking() -> FlowBuilder {
    flow([tool("book").undo("unbook"), tool("pay").undo("refund"), tool("tell")], "book>pay pay>tell")
}

#[test]
fn a_failed_run_undoes_what_it_did_newest_first() {
    check(
        booking(),
        |w| w.answers("tell", [fails("NO")]).starts(),
        |w| {
            let undone: Vec<_> =
                performed_effects(&w.journal).into_iter().filter(|(.., role)| *role == CallRole::Undo).collect();
            assert_eq!(undone.iter().map(|(node, ..)| node.to_string()).collect::<Vec<_>>(), ["pay", "book"]);
            w.assert_state(RunState::Compensated).failed_with("NO").asked("book pay tell refund unbook");
            w.undone(&[("pay", "undone"), ("book", "undone")])
        },
    );
}

#[test]
fn compensations_have_their_own_keys() {
    check(
        booking(),
        |w| w.answers("tell", [fails("NO")]).answers("refund", [flaky("BUSY")]).starts().advance_time(secs(10)),
        |w| {
            w.assert_state(RunState::Compensated).keys(&[
                "run/book/0/0",
                "run/pay/0/0",
                "run/tell/0/0",
                "run/pay/1/0/undo",
                "run/pay/1/1/undo",
                "run/book/0/0/undo",
            ])
        },
    );
}

#[test]
fn compensation_arguments_are_made_when_the_effect_completes() {
    let node = tool("book").compensation("unbook", json!({"id": "{{ output.id }}", "n": "{{ shared_context.n }}"}));
    check(
        flow([node.sets("n", json!(2)), tool("b")], "book>b").variable(
            "n",
            crate::graph::CombineMode::LastWins,
            json!(1),
        ),
        |w| w.answers("book", [done(json!({"id": 7}))]).answers("b", [fails("NO")]).starts(),
        |w| w.has("n", json!(2)).asked_with("unbook", json!({"id": 7, "n": 1})),
    );
}

#[test]
fn compensation_arguments_see_what_was_asked() {
    let node = tool("book").args(json!({"room": 3})).compensation("unbook", json!({"room": "{{ arguments.room }}"}));
    check(
        flow([node, tool("b")], "book>b"),
        |w| w.answers("b", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Compensated).asked_with("unbook", json!({"room": 3})),
    );
}

#[test]
fn what_cannot_be_undone_is_said_and_does_not_keep_a_run_from_being_compensated() {
    check(
        flow([tool("mail").irreversible("it was read"), tool("book").undo("unbook"), tool("b")], "mail>book book>b"),
        |w| w.answers("b", [fails("NO")]).starts(),
        |w| {
            let report = w.run.saga().report();
            assert_eq!(report[1]["reason"], json!("it was read"));
            w.assert_state(RunState::Compensated).undone(&[("book", "undone"), ("mail", "irreversible")])
        },
    );
}

#[test]
fn a_compensation_whose_arguments_cannot_be_made_is_a_persons_business() {
    let node = tool("book").compensation("unbook", json!({"id": "{{ output.nothing }}"}));
    check(
        flow([tool("a").undo("un"), node, tool("b")], "a>book book>b"),
        |w| w.answers("b", [fails("NO")]).starts(),
        |w| {
            w.assert_state(RunState::Failed).failed_with("NO").asked("a book b un").recorded("not_undone", 1);
            w.undone(&[("book", "not_undone"), ("a", "undone")])
        },
    );
}

#[test]
fn a_compensation_is_retried_and_at_last_given_to_a_person() {
    check(
        booking(),
        |w| w.answers("tell", [fails("NO")]).answers("refund", vec![flaky("BUSY"); 9]).starts().advance_time(secs(60)),
        |w| {
            w.assert_state(RunState::Failed)
                .asked("book pay tell refund refund refund unbook")
                .recorded("not_undone", 1);
            w.undone(&[("pay", "not_undone"), ("book", "undone")])
        },
    );
}

#[test]
fn a_compensation_in_doubt_does_not_hold_up_the_others() {
    let node = tool("pay").undo("refund").undoing("refund", ToolContract::new(EffectClass::Once, secs(10)));
    let given = || flow([tool("book").undo("unbook"), node, tool("tell")], "book>pay pay>tell");
    check(
        given(),
        |w| {
            w.answers("tell", [fails("NO")]).answers("refund", [unknown()]).starts();
            w.assert_state(RunState::Compensating).waits_for("doubt:pay").asked("book pay tell refund unbook");
            w.resolves("pay", DoubtResolution::Done { output: json!(1) })
        },
        |w| w.assert_state(RunState::Compensated).undone(&[("pay", "undone"), ("book", "undone")]),
    );
}

#[test]
fn a_person_says_enough_of_what_a_call_answered_to_undo_it_or_that_nobody_knows() {
    let given = || flow([tool("pay").once().undo("refund"), tool("tell")], "pay>tell");
    let says = |w: &mut RunFixture, output| {
        w.answers("pay", [unknown()]).answers("tell", [fails("NO")]).starts();
        w.resolves("pay", DoubtResolution::Done { output: json!({"receipt": 7}) }).refused_with("RUN-013");
        let refused = w.refused.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(refused.contains("`refund`") && refused.contains("`of`") && refused.contains("`null`"), "{refused}");
        w.waits_for("doubt:pay").recorded("resolved", 0);
        w.resolves("pay", DoubtResolution::Done { output });
    };
    check(
        given(),
        |w| {
            says(w, json!({"id": 7}));
            w
        },
        |w| w.assert_state(RunState::Compensated).asked_with("refund", json!({"of": 7})),
    );
    check(
        given(),
        |w| {
            says(w, json!(null));
            w
        },
        |w| w.assert_state(RunState::Failed).asked("pay tell").undone(&[("pay", "not_undone")]),
    );
}

#[test]
fn what_a_person_cannot_mend_by_an_answer_does_not_keep_them_from_giving_one() {
    let node = tool("pay").once().undo_with("refund", json!({"of": "{{ input.receipt }}"}));
    check(
        flow([node], ""),
        |w| w.answers("pay", [unknown()]).starts().resolves("pay", DoubtResolution::Done { output: json!({"id": 7}) }),
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn a_person_may_find_that_a_compensation_did_not_act() {
    let retry = ToolContract { retry: RetryPolicy::NONE, ..ToolContract::new(EffectClass::Once, secs(10)) };
    let given =
        |retry: ToolContract| flow([tool("pay").undo("refund").undoing("refund", retry), tool("tell")], "pay>tell");
    check(
        given(retry),
        |w| {
            w.answers("tell", [fails("NO")]).answers("refund", [unknown()]).starts();
            w.resolves("pay", DoubtResolution::NotDone)
        },
        |w| w.assert_state(RunState::Failed).undone(&[("pay", "not_undone")]),
    );
    check(
        given(ToolContract::new(EffectClass::Once, secs(10))),
        |w| {
            w.answers("tell", [fails("NO")]).answers("refund", [unknown()]).starts();
            w.resolves("pay", DoubtResolution::NotDone).advance_time(secs(10))
        },
        |w| w.assert_state(RunState::Compensated).undone(&[("pay", "undone")]),
    );
    check(
        given(ToolContract::new(EffectClass::Once, secs(10))),
        |w| {
            w.answers("tell", [fails("NO")]).answers("refund", [unknown()]).starts();
            w.resolves("pay", DoubtResolution::Repeat)
        },
        |w| w.assert_state(RunState::Compensated).asked("pay tell refund refund"),
    );
}

#[test]
fn a_crash_during_a_compensation_is_handled_as_its_class_says() {
    check(
        booking(),
        |w| {
            w.answers("tell", [fails("NO")]).answers("refund", [FixtureReply::StaysOut]).starts();
            w.crashes()
        },
        |w| w.assert_state(RunState::Compensated).asked("book pay tell refund refund unbook"),
    );
    let once = tool("pay").undo("refund").undoing("refund", ToolContract::new(EffectClass::Once, secs(10)));
    check(
        flow([once, tool("tell")], "pay>tell"),
        |w| {
            w.answers("tell", [fails("NO")]).answers("refund", [FixtureReply::StaysOut]).starts();
            w.crashes()
        },
        |w| w.assert_state(RunState::Compensating).waits_for("doubt:pay"),
    );
}

#[test]
fn what_is_in_flight_settles_before_anything_is_undone() {
    check(
        flow([tool("book").undo("unbook"), tool("pay").undo("refund"), tool("b")], ""),
        |w| {
            w.answers("pay", [FixtureReply::StaysOut]).answers("b", [fails("NO")]).starts();
            w.assert_state(RunState::Running).asked("b book pay");
            w.deliver_reply("pay", done(json!({"id": 1})))
        },
        |w| w.assert_state(RunState::Compensated).asked("b book pay refund unbook"),
    );
}

#[test]
fn the_default_is_settled_after_what_was_in_flight() {
    check(
        flow([tool("pay").undo("refund"), tool("b")], ""),
        |w| {
            w.answers("pay", [FixtureReply::StaysOut])
                .answers("b", [fails("NO")])
                .starts()
                .deliver_reply("pay", done(json!({"id": 1})))
        },
        |w| w.assert_state(RunState::Compensated).asked("b pay refund"),
    );
    check(
        flow([tool("pay"), tool("b")], ""),
        |w| {
            w.answers("pay", [FixtureReply::StaysOut])
                .answers("b", [fails("NO")])
                .starts()
                .deliver_reply("pay", done(json!({"id": 1})))
        },
        |w| w.assert_state(RunState::Failed).asked("b pay"),
    );
}

#[test]
fn an_act_in_doubt_does_not_hold_up_the_undoing_of_the_others() {
    check(
        flow([tool("book").undo("unbook"), tool("pay").once().undo("refund"), tool("slow")], "book>pay book>slow"),
        |w| {
            w.answers("pay", [unknown()]).answers("slow", [fails("NO")]).starts();
            w.assert_state(RunState::Compensating).waits_for("doubt:pay").asked("book pay slow unbook");
            w.resolves("pay", DoubtResolution::Done { output: json!({"id": 3}) })
        },
        |w| w.assert_state(RunState::Compensated).asked("book pay slow unbook refund"),
    );
}

#[test]
fn an_act_in_doubt_is_awaited_where_there_is_nothing_else_to_undo() {
    let given = || flow([tool("pay").once().undo("refund"), tool("x")], "");
    check(
        given(),
        |w| {
            w.answers("pay", [unknown()]).answers("x", [fails("NO")]).starts().assert_state(RunState::Waiting);
            w.resolves("pay", DoubtResolution::NotDone)
        },
        |w| w.assert_state(RunState::Failed).asked("pay x"),
    );
    check(
        given(),
        |w| {
            w.answers("pay", [unknown()]).answers("x", [fails("NO")]).starts();
            w.resolves("pay", DoubtResolution::Done { output: json!({"id": 3}) })
        },
        |w| w.assert_state(RunState::Compensated).asked("pay x refund"),
    );
}

#[test]
fn a_doubt_inside_a_body_holds_only_the_body() {
    check(
        flow(
            [
                each("each", json!([1]), 1, only(tool("pay").once().undo("refund"))),
                tool("book").undo("unbook"),
                tool("x"),
            ],
            "book>x",
        ),
        |w| {
            w.answers("pay", [unknown()])
                .answers("x", [FixtureReply::StaysOut])
                .starts()
                .deliver_reply("x", fails("NO"));
            w.assert_state(RunState::Compensating).asked("book x pay unbook");
            w.resolves("each[0]/pay", DoubtResolution::Done { output: json!({"id": 3}) })
        },
        |w| w.assert_state(RunState::Compensated).asked("book x pay unbook refund").node_is("each", "cancelled"),
    );
}

#[test]
fn on_error_fail_keeps_what_was_done() {
    check(
        flow([tool("book").undo("unbook"), tool("b").fails()], "book>b"),
        |w| w.answers("b", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Failed).asked("book b").undone(&[("book", "kept")]),
    );
}

#[test]
fn on_error_compensate_with_nothing_to_undo_is_compensated() {
    check(
        flow([tool("b").compensates()], ""),
        |w| w.answers("b", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Compensated).failed_with("NO"),
    );
    check(
        flow([tool("b").compensates(), tool("sorry")], "").on_compensated("sorry"),
        |w| w.answers("b", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Compensated).asked("b sorry"),
    );
}

#[test]
fn an_agents_acts_inside_a_body_are_entries_like_any_other() {
    check(
        flow(
            [each("each", json!([1, 2]), 1, only(super::flow::agent("who", &["book"]).undo("unbook"))), tool("b")],
            "each>b",
        ),
        |w| {
            w.thinks(
                "who",
                [super::agents::tools(&["book"]), super::agents::answer(json!(1)), super::agents::tools(&["book"])],
            );
            w.answers("b", [fails("NO")]).starts()
        },
        |w| w.assert_state(RunState::Compensated).asked("book book b unbook unbook"),
    );
}

// ---- on request

#[test]
fn a_completed_run_is_rolled_back_on_request() {
    check(
        booking(),
        |w| {
            w.starts().assert_state(RunState::Completed);
            w.answers("refund", [FixtureReply::StaysOut]).rolls_back().assert_state(RunState::Compensating);
            w.deliver_reply("refund", done(json!(1)))
        },
        |w| {
            assert!(w.run.finished().unwrap().rolled_back);
            w.assert_state(RunState::Compensated).asked("book pay tell refund unbook")
        },
    );
}

#[test]
fn a_run_with_nothing_to_undo_or_that_still_runs_is_not_rolled_back() {
    check(
        only(tool("a")),
        |w| w.starts().rolls_back(),
        |w| w.refused_with("RUN-004").assert_state(RunState::Completed),
    );
    check(
        flow([tool("a").undo("un"), wait_for("w", secs(9))], "a>w"),
        |w| w.starts().rolls_back(),
        |w| w.refused_with("RUN-004").assert_state(RunState::Waiting),
    );
    check(
        booking(),
        |w| w.starts().rolls_back().rolls_back(),
        |w| w.refused_with("RUN-004").assert_state(RunState::Compensated),
    );
}

#[test]
fn a_cancelled_run_that_kept_what_it_did_may_be_rolled_back_later() {
    check(
        flow([tool("a").undo("un"), approval("ask", 1)], "a>ask"),
        |w| {
            w.starts().cancels(false).asked("a");
            w.rolls_back()
        },
        |w| w.assert_state(RunState::Compensated).asked("a un"),
    );
}

// ---- afterwards

fn with_apology() -> FlowBuilder {
    let sorry = tool("sorry").args(json!({"why": "{{ error.code }}", "undone": "{{ undone[0].state }}"}));
    flow([tool("book").undo("unbook"), tool("pay"), sorry, end("told").gives(json!("told"))], "book>pay sorry>told")
        .on_compensated("sorry")
}

#[test]
fn after_a_rollback_the_customer_is_told_why() {
    check(
        with_apology(),
        |w| w.answers("pay", [fails("DECLINED")]).starts(),
        |w| {
            w.assert_state(RunState::Compensated).asked("book pay unbook sorry").assert_output(json!("told"));
            w.asked_with("sorry", json!({"why": "DECLINED", "undone": "undone"}));
            w.undone(&[("book", "undone")])
        },
    );
}

#[test]
fn nodes_for_after_a_rollback_hold_nobody_up_before_it() {
    // `told` is reached on both paths; the path that is not taken does not keep it waiting.
    let given = || {
        flow(
            [tool("book").undo("unbook"), tool("pay"), tool("sorry"), end("told").gives(json!("told"))],
            "book>pay pay>told sorry>told",
        )
        .on_compensated("sorry")
    };
    check(
        given(),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).asked("book pay").assert_output(json!("told")),
    );
    check(
        given(),
        |w| w.answers("pay", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Compensated).asked("book pay unbook sorry").assert_output(json!("told")),
    );
}

#[test]
fn what_runs_after_a_rollback_on_request_runs_once_more_if_it_ran_before() {
    check(
        flow([tool("book").undo("unbook"), tool("tell")], "book>tell").on_compensated("tell"),
        |w| w.starts().rolls_back(),
        |w| {
            w.assert_state(RunState::Compensated).asked("book tell unbook tell").keys(&[
                "run/book/0/0",
                "run/tell/0/0",
                "run/book/0/0/undo",
                "run/tell/1/0",
            ])
        },
    );
}

#[test]
fn what_a_person_undid_by_hand_is_said_once_and_stays_failed() {
    check(
        flow([tool("book").undo("un_book").retry(RetryPolicy::NONE), tool("pay")], "book>pay"),
        |w| {
            w.answers("pay", [fails("NO")]).answers("un_book", [fails("GONE")]).starts().assert_state(RunState::Failed);
            w.undone(&[("book", "not_undone")]);
            w.undoes_by_hand("book", "olga").undone(&[("book", "undone_by_hand")]);
            w.undoes_by_hand("book", "olga")
        },
        |w| w.assert_state(RunState::Failed).refused_with("RUN-009").recorded("undone_by_hand", 1),
    );
}

/// `book`, whose compensation is attempted at most twice, and `pay`, which fails.
fn stuck() -> FlowBuilder {
    let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let facts = ToolContract { retry, ..ToolContract::new(EffectClass::Keyed, secs(1)) };
    let book = tool("book").undo("unbook").undoing("unbook", facts);
    flow([tool("find").undo("unfind"), book, tool("pay")], "find>book book>pay")
}

#[test]
fn a_rollback_that_met_an_outage_is_tried_again_under_keys_of_its_own() {
    check(
        stuck(),
        |w| {
            let down = || [flaky("DOWN"), flaky("DOWN")];
            w.answers("pay", [fails("NO")])
                .answers("unbook", down())
                .starts()
                .advance_time(secs(60))
                .assert_state(RunState::Failed);
            w.undone(&[("book", "not_undone"), ("find", "undone")]);
            w.answers("unbook", down()).rolls_back().advance_time(secs(60)).assert_state(RunState::Failed);
            w.undone(&[("book", "not_undone"), ("find", "undone")]);
            w.rolls_back().assert_state(RunState::Compensated);
            w.rolls_back()
        },
        |w| {
            w.refused_with("RUN-004")
                .assert_state(RunState::Compensated)
                .undone(&[("book", "undone"), ("find", "undone")]);
            w.recorded("undo_again", 2).asked("find book pay unbook unbook unfind unbook unbook unbook");
            let calls: BTreeSet<_> = w.not_undone("book").into_iter().map(|effect| effect.call).collect();
            assert_eq!(calls.len(), 1, "it is the same compensation");
            w.assert_unique_keys()
        },
    );
}

#[test]
fn one_undoing_is_tried_again_and_only_it() {
    check(
        stuck(),
        |w| {
            w.answers("pay", [fails("NO")]).answers("unbook", [fails("STUCK"), fails("STUCK")]);
            w.answers("unfind", [fails("STUCK")]).starts().assert_state(RunState::Failed);
            let first = w.not_undone("book").remove(0);
            w.tries_again("book")
                .assert_state(RunState::Failed)
                .undone(&[("book", "not_undone"), ("find", "not_undone")]);
            // A decision about an earlier attempt does not apply to the last one.
            let again = RunCommand::Resolve { effect: first, by: "olga".into(), resolution: DoubtResolution::Repeat };
            w.submit(again).refused_with("RUN-010");
            w.tries_again("book").assert_state(RunState::Failed).undone(&[("book", "undone"), ("find", "not_undone")]);
            w.undoes_by_hand("find", "olga").assert_state(RunState::Failed);
            w.tries_again("find")
        },
        |w| {
            w.refused_with("RUN-009").undone(&[("book", "undone"), ("find", "undone_by_hand")]).failed_with("NO");
            w.assert_unique_keys()
        },
    );
}

#[test]
fn a_run_that_was_rolled_back_on_request_and_again_has_failed_in_nothing() {
    check(
        booking(),
        |w| {
            w.starts()
                .answers("refund", [fails("STUCK")])
                .rolls_back()
                .assert_state(RunState::Failed)
                .failed_with("NOT_UNDONE");
            w.answers("refund", [FixtureReply::StaysOut]).tries_again("pay").assert_state(RunState::Compensating);
            w.crashes()
        },
        |w| {
            let finished = w.run.finished().unwrap();
            assert!(finished.rolled_back && finished.fault.is_none(), "{finished:?}");
            w.assert_state(RunState::Compensated)
        },
    );
}

#[test]
fn a_customer_who_was_told_of_a_rollback_is_not_told_again() {
    check(
        with_apology(),
        |w| {
            w.answers("pay", [fails("NO")]).answers("unbook", [fails("STUCK")]).starts().assert_state(RunState::Failed);
            w.rolls_back()
        },
        |w| w.assert_state(RunState::Compensated).asked("book pay unbook sorry unbook"),
    );
}

#[test]
fn what_nobody_can_say_how_to_undo_is_not_tried_again() {
    let book = tool("book").undo_with("unbook", json!({"id": "{{ output.nothing.of.it }}"}));
    check(
        flow([book, tool("pay")], "book>pay"),
        |w| {
            w.answers("pay", [fails("NO")]).starts().assert_state(RunState::Failed).undone(&[("book", "not_undone")]);
            w.rolls_back().refused_with("RUN-013");
            w.tries_again("book").refused_with("RUN-013");
            w.undoes_by_hand("book", "olga").assert_state(RunState::Failed);
            w.rolls_back()
        },
        |w| w.refused_with("RUN-004").recorded("undo_again", 0).undone(&[("book", "undone_by_hand")]),
    );
}

#[test]
fn what_is_done_after_a_rollback_is_not_undone() {
    check(
        flow([tool("book").undo("unbook"), tool("pay"), tool("mail").undo("unmail"), tool("z")], "book>pay mail>z")
            .on_compensated("mail"),
        |w| w.answers("pay", [fails("NO")]).answers("z", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Compensated).asked("book pay unbook mail z").failed_with("NO"),
    );
}

#[test]
fn a_failure_after_a_rollback_waits_for_what_it_did_beside() {
    check(
        flow(
            [tool("book").undo("unbook"), tool("pay"), condition("fork", "`true`"), tool("mail"), tool("sms")],
            "book>pay fork>mail fork>sms",
        )
        .on_compensated("fork"),
        |w| {
            w.answers("pay", [fails("NO")])
                .answers("mail", [fails("NO")])
                .answers("sms", [FixtureReply::StaysOut])
                .starts();
            w.assert_state(RunState::Compensating);
            w.deliver_reply("sms", done(json!(1)))
        },
        |w| w.assert_state(RunState::Compensated).asked("book pay unbook mail sms"),
    );
}

#[test]
fn a_late_answer_while_the_customer_is_told_is_undone_before_the_end() {
    check(
        flow([tool("a").once().undo("un").retry(RetryPolicy::NONE), tool("b").undo("unb"), tool("sorry")], "b>a")
            .on_compensated("sorry"),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).answers("sorry", [FixtureReply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", DoubtResolution::NotDone).assert_state(RunState::Compensating);
            w.deliver_outcome(first, done(json!({"id": "first"}))).accepted();
            w.deliver_reply("sorry", done(json!(1)))
        },
        |w| w.assert_state(RunState::Compensated).asked("b a unb sorry un"),
    );
}

#[test]
fn a_run_that_could_not_be_undone_tells_the_customer_and_is_failed() {
    check(
        with_apology(),
        |w| w.answers("pay", [fails("NO")]).answers("unbook", [fails("STUCK")]).starts(),
        |w| {
            w.assert_state(RunState::Failed)
                .failed_with("NO")
                .asked("book pay unbook sorry")
                .undone(&[("book", "not_undone")])
        },
    );
}

#[test]
fn a_rolled_back_run_that_could_not_be_undone_says_so() {
    check(
        booking(),
        |w| w.starts().answers("refund", [fails("STUCK")]).rolls_back(),
        |w| {
            w.assert_state(RunState::Failed).failed_with("NOT_UNDONE").undone(&[
                ("tell", "irreversible"),
                ("pay", "not_undone"),
                ("book", "undone"),
            ])
        },
    );
}

#[test]
fn everything_is_undone_at_most_once_however_often_the_process_dies() {
    check(
        booking(),
        |w| {
            w.answers("tell", [fails("NO")])
                .answers("refund", [FixtureReply::StaysOut, FixtureReply::StaysOut])
                .starts();
            w.crashes().crashes()
        },
        |w| {
            let done: Vec<_> = w
                .events()
                .filter(|event| matches!(event, RunEvent::Done(done) if done.effect.call.role == CallRole::Undo))
                .collect();
            assert_eq!(done.len(), 2);
            w.assert_state(RunState::Compensated)
        },
    );
}

#[test]
fn a_compensating_run_is_not_cancelled() {
    check(
        booking(),
        |w| {
            w.answers("tell", [fails("NO")]).answers("refund", [FixtureReply::StaysOut]).starts();
            w.submit(RunCommand::Cancel { by: "ana".into(), compensate: false, asked_by: Vec::new() })
        },
        |w| w.refused_with("RUN-004").assert_state(RunState::Compensating),
    );
}
