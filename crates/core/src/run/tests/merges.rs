//! Merges: when they complete, when they cannot, and what happens to the rest.

use serde_json::json;

use super::fixture::{FixtureReply, check, done, fails};
use super::flow::{approval, condition, each, end, flow, merge, only, tool};
use crate::graph::node::{MergeMode, RemainingWork};
use crate::run::{DoubtResolution, RunState};
use crate::tool::RetryPolicy;

const STAYS_OUT: [FixtureReply; 1] = [FixtureReply::StaysOut];

#[test]
fn all_waits_for_every_branch_that_was_not_left_out() {
    check(
        flow(
            [condition("is", "n == `1`"), tool("a"), tool("b"), tool("c"), merge("m", MergeMode::All)],
            "is:true>a is:false>b a>m b>m c>m",
        ),
        |w| w.answers("a", [done(json!(1))]).answers("c", [done(json!(3))]).starts_with(json!({"n": 1})),
        |w| w.assert_state(RunState::Completed).assert_path("is a c m").assert_output(json!({"a": 1, "c": 3})),
    );
}

#[test]
fn any_fires_at_the_first_and_drops_what_was_not_begun() {
    check(
        flow([tool("a"), tool("b"), tool("late"), merge("m", MergeMode::Any), tool("z")], "a>m b>late late>m m>z"),
        |w| w.answers("b", STAYS_OUT).starts().deliver_reply("b", done(json!(2))),
        |w| {
            w.assert_state(RunState::Completed).assert_path("a m z").assert_output(json!({"id": "z-3"}));
            w.node_is("late", "cancelled").node_is("b", "cancelled").asked("a b z")
        },
    );
}

#[test]
fn a_cut_off_read_is_abandoned() {
    check(
        flow([tool("slow").read(), tool("a"), merge("m", MergeMode::Any)], "a>m slow>m"),
        |w| w.answers("slow", STAYS_OUT).starts(),
        |w| w.assert_state(RunState::Completed).recorded("abandoned", 1).node_is("slow", "cancelled"),
    );
}

#[test]
fn a_cut_off_act_is_awaited_and_kept() {
    check(
        flow([tool("slow").undo("unslow"), tool("a"), merge("m", MergeMode::Any)], "a>m slow>m"),
        |w| {
            w.answers("slow", STAYS_OUT).starts();
            w.assert_state(RunState::Running);
            w.deliver_reply("slow", done(json!({"id": 1})))
        },
        |w| w.assert_state(RunState::Completed).asked("a slow").undone(&[("slow", "kept"), ("a", "irreversible")]),
    );
}

#[test]
fn a_cut_off_person_is_not_waited_for() {
    check(
        flow([approval("ask", 1), tool("a"), merge("m", MergeMode::Any)], "a>m ask>m"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).waits_for("").node_is("ask", "cancelled"),
    );
}

#[test]
fn rest_wait_lets_the_others_finish() {
    check(
        flow(
            [tool("a"), tool("b"), tool("c"), merge("m", MergeMode::Any).rest(RemainingWork::Wait), tool("z")],
            "a>m b>c c>m m>z",
        ),
        |w| w.answers("b", STAYS_OUT).starts().deliver_reply("b", done(json!(2))),
        |w| w.assert_state(RunState::Completed).assert_path("a m z b c"),
    );
}

#[test]
fn n_of_m_fires_at_its_count() {
    check(
        flow([tool("a"), tool("b"), tool("c"), merge("m", MergeMode::NOfM(2))], "a>m b>m c>m"),
        |w| {
            w.answers("a", STAYS_OUT).answers("b", STAYS_OUT).answers("c", STAYS_OUT).starts();
            w.deliver_reply("c", done(json!(3))).assert_state(RunState::Running).recorded("branches_cut", 0);
            w.deliver_reply("a", done(json!(1))).node_is("m", "completed");
            w.deliver_reply("b", done(json!(2)))
        },
        |w| w.assert_state(RunState::Completed).assert_path("c a m").assert_output(json!({"a": 1, "c": 3})),
    );
}

#[test]
fn n_of_m_fails_as_soon_as_it_cannot_be_reached() {
    check(
        flow([tool("a").continues(), tool("b"), tool("c"), tool("d"), merge("m", MergeMode::NOfM(3))], "b>m c>m d>m")
            .edge_if("a", "m", "`false`"),
        |w| {
            w.answers("b", STAYS_OUT).answers("c", STAYS_OUT).answers("d", STAYS_OUT).starts();
            w.deliver_reply("b", done(json!(1))).assert_state(RunState::Running);
            w.deliver_reply("c", fails("NO"))
        },
        |w| w.failed_with("NO"),
    );
    check(
        flow([tool("a"), tool("b").continues(), merge("m", MergeMode::NOfM(2)), tool("slow")], "a>m slow>m")
            .edge_if("b", "m", "`false`"),
        |w| w.answers("slow", STAYS_OUT).starts(),
        |w| w.assert_state(RunState::Running).node_is("m", "pending"),
    );
    check(
        flow([tool("a"), tool("b"), tool("c"), tool("slow").read(), merge("m", MergeMode::NOfM(3))], "a>m slow>m")
            .edge_if("b", "m", "`false`")
            .edge_if("c", "m", "`false`"),
        |w| w.answers("slow", STAYS_OUT).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("MERGE_IMPOSSIBLE").asked("a b c"),
    );
}

#[test]
fn a_merge_none_of_whose_branches_came_is_skipped() {
    check(
        flow([tool("a"), tool("b"), merge("m", MergeMode::NOfM(2)), tool("z")], "m>z")
            .edge_if("a", "m", "`false`")
            .edge_if("b", "m", "`false`"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).node_is("m", "skipped").node_is("z", "skipped"),
    );
}

#[test]
fn a_merge_may_be_reached_by_an_error_edge() {
    check(
        flow([tool("a"), tool("b"), merge("m", MergeMode::All)], "a!>m b>m"),
        |w| w.answers("a", [fails("NO")]).answers("b", [done(json!(2))]).starts(),
        |w| {
            let failure = json!({"output": null, "error": {"code": "NO", "message": "scripted"}});
            w.assert_state(RunState::Completed).assert_output(json!({"a": failure, "b": 2}))
        },
    );
}

#[test]
fn two_edges_of_one_node_count_twice() {
    check(
        flow([tool("a"), tool("b"), merge("m", MergeMode::NOfM(2))], "a>m b>m").edge_if("a", "m", "`true`"),
        |w| w.answers("b", STAYS_OUT).starts().deliver_reply("b", done(json!(2))),
        |w| w.assert_state(RunState::Completed).assert_path("a m"),
    );
}

#[test]
fn losers_are_undone_newest_first_where_asked() {
    check(
        flow(
            [
                tool("l1").undo("un1"),
                tool("l2").undo("un2"),
                tool("l3"),
                tool("win"),
                merge("m", MergeMode::Any).undo_losers(),
            ],
            "l1>l2 l2>l3 l3>m win>m",
        ),
        |w| {
            w.answers("win", STAYS_OUT)
                .answers("l3", STAYS_OUT)
                .starts()
                .deliver_reply("win", done(json!(1)))
                .deliver_reply("l3", done(json!(3)))
        },
        |w| {
            w.assert_state(RunState::Completed).asked("l1 l2 l3 win un2 un1").undone(&[
                ("l3", "irreversible"),
                ("win", "irreversible"),
                ("l2", "undone"),
                ("l1", "undone"),
            ])
        },
    );
}

#[test]
fn what_a_loser_did_inside_its_bodies_is_undone_too() {
    let body = || only(tool("act").undo("unact"));
    check(
        flow(
            [
                each("each", json!([1, 2]), 1, body()),
                tool("slow"),
                tool("win"),
                merge("m", MergeMode::Any).undo_losers(),
            ],
            "each>slow slow>m win>m",
        ),
        |w| {
            w.answers("win", STAYS_OUT).answers("slow", STAYS_OUT).starts();
            w.deliver_reply("win", done(json!(1))).deliver_reply("slow", done(json!(1)))
        },
        |w| w.assert_state(RunState::Completed).asked("win act act slow unact unact"),
    );
    // The same for results from a body that was still in progress.
    check(
        flow(
            [each("each", json!([1, 2]), 2, body()), tool("win"), merge("m", MergeMode::Any).undo_losers()],
            "each>m win>m",
        ),
        |w| {
            w.answers("act", [FixtureReply::StaysOut, FixtureReply::StaysOut]).starts();
            w.deliver_reply("act", done(json!({"id": 1}))).deliver_reply("act", done(json!({"id": 2})))
        },
        |w| w.assert_state(RunState::Completed).asked("win act act unact unact").node_is("each", "cancelled"),
    );
}

#[test]
fn what_the_winner_needed_too_is_not_undone() {
    check(
        flow(
            [
                tool("x").undo("unx"),
                tool("win"),
                tool("lose").undo("unlose"),
                tool("slow"),
                merge("m", MergeMode::Any).undo_losers(),
            ],
            "x>win x>lose lose>slow slow>m win>m",
        ),
        |w| {
            w.answers("win", STAYS_OUT).answers("slow", STAYS_OUT).starts();
            w.deliver_reply("win", done(json!(1))).deliver_reply("slow", done(json!(1)))
        },
        |w| w.assert_state(RunState::Completed).asked("x lose slow win unlose"),
    );
}

#[test]
fn a_run_waits_for_its_losers_to_be_undone() {
    check(
        flow(
            [tool("l").undo("un"), tool("slow").read(), tool("win"), merge("m", MergeMode::Any).undo_losers()],
            "l>slow slow>m win>m",
        ),
        |w| {
            w.answers("slow", STAYS_OUT).answers("win", STAYS_OUT).answers("un", STAYS_OUT).starts();
            w.deliver_reply("win", done(json!(1))).assert_state(RunState::Running).node_is("m", "completed");
            w.deliver_reply("un", done(json!(1)))
        },
        |w| w.assert_state(RunState::Completed).asked("l slow win un"),
    );
}

#[test]
fn a_paused_run_does_not_end_before_its_losers_are_undone() {
    check(
        flow(
            [
                tool("l").undo("un"),
                tool("win"),
                merge("m", MergeMode::Any).undo_losers(),
                end("e").rest(RemainingWork::Cancel),
            ],
            "l>m win>m m>e",
        ),
        |w| {
            w.answers("l", STAYS_OUT).starts().pauses();
            w.deliver_reply("l", done(json!({ "id": 1 }))).assert_state(RunState::Paused).asked("l win");
            w.resumes()
        },
        |w| w.assert_state(RunState::Completed).asked("l win un"),
    );
}

#[test]
fn a_loser_that_answers_after_its_body_is_gone_is_undone() {
    let body = flow(
        [
            tool("slow").once().undo("unslow").retry(RetryPolicy::NONE),
            tool("win"),
            merge("m", MergeMode::Any).undo_losers(),
        ],
        "slow>m win>m",
    );
    check(
        flow([each("each", json!([1]), 1, body), tool("z")], "each>z"),
        |w| {
            w.answers("slow", STAYS_OUT).answers("z", STAYS_OUT).starts();
            let first = w.out("slow");
            w.crashes().resolves("each[0]/slow", DoubtResolution::NotDone).node_is("each", "completed");
            w.deliver_outcome(first, done(json!({"id": "late"}))).accepted();
            w.deliver_reply("z", done(json!({})))
        },
        |w| {
            w.assert_state(RunState::Completed).asked("slow win z unslow").asked_with("unslow", json!({"of": "late"}));
            w.undone(&[("z", "irreversible"), ("each[0]/slow", "undone"), ("each[0]/win", "irreversible")])
        },
    );
}

#[test]
fn a_send_that_was_given_up_before_its_branch_lost_is_undone_too() {
    let body = flow(
        [tool("slow").once().undo("unslow"), tool("win"), merge("m", MergeMode::Any).undo_losers()],
        "slow>m win>m",
    );
    check(
        flow([each("each", json!([1]), 1, body), tool("z")], "each>z"),
        |w| {
            w.answers("slow", [FixtureReply::StaysOut, FixtureReply::StaysOut])
                .answers("win", [FixtureReply::StaysOut, FixtureReply::StaysOut]);
            w.answers("z", STAYS_OUT).starts();
            let first = w.out("slow");
            w.crashes().resolves("each[0]/slow", DoubtResolution::Repeat);
            w.deliver_reply("win", done(json!({}))).deliver_reply("slow", done(json!({"id": "second"})));
            w.node_is("each", "completed");
            w.deliver_outcome(first, done(json!({"id": "first"}))).accepted();
            w.deliver_reply("z", done(json!({})))
        },
        |w| w.assert_state(RunState::Completed).recorded("arrived_late", 1).asked("slow win win slow z unslow unslow"),
    );
}

#[test]
fn a_loser_that_answers_after_the_end_is_undone_and_the_end_stays() {
    check(
        flow(
            [
                tool("kept").undo("unkept"),
                tool("slow").once().undo("unslow").retry(RetryPolicy::NONE),
                tool("win"),
                merge("m", MergeMode::Any).undo_losers(),
            ],
            "kept>slow kept>win slow>m win>m",
        ),
        |w| {
            w.answers("slow", STAYS_OUT).answers("win", [done(json!(7))]).answers("unslow", STAYS_OUT).starts();
            let first = w.out("slow");
            w.crashes()
                .resolves("slow", DoubtResolution::NotDone)
                .assert_state(RunState::Completed)
                .assert_output(json!({"win": 7}));
            w.deliver_outcome(first, done(json!({"id": "late"}))).accepted().assert_state(RunState::Running);
            w.deliver_reply("unslow", done(json!({})))
        },
        |w| w.assert_state(RunState::Completed).assert_output(json!({"win": 7})).asked("kept slow win unslow"),
    );
}

#[test]
fn a_loser_that_answers_after_a_failure_without_undoing_is_undone_alone() {
    check(
        flow(
            [
                tool("kept").undo("unkept"),
                tool("slow").once().undo("unslow").retry(RetryPolicy::NONE),
                tool("win"),
                merge("m", MergeMode::Any).undo_losers(),
                tool("z").fails(),
            ],
            "kept>slow kept>win slow>m win>m m>z",
        ),
        |w| {
            w.answers("slow", STAYS_OUT).answers("z", [fails("NO")]).starts();
            let first = w.out("slow");
            w.crashes().resolves("slow", DoubtResolution::NotDone).assert_state(RunState::Failed);
            w.deliver_outcome(first, done(json!({"id": "late"})))
        },
        |w| w.accepted().assert_state(RunState::Failed).failed_with("NO").asked("kept slow win z unslow"),
    );
}

#[test]
fn an_outer_merge_does_not_take_back_that_an_inner_one_undoes_its_losers() {
    check(
        flow(
            [
                tool("slow").undo("unslow"),
                tool("win"),
                merge("inner", MergeMode::Any).undo_losers(),
                tool("other"),
                merge("outer", MergeMode::Any),
            ],
            "slow>inner win>inner inner>outer other>outer",
        ),
        |w| {
            w.answers("slow", STAYS_OUT).answers("other", STAYS_OUT).starts();
            w.deliver_reply("other", done(json!(1))).deliver_reply("slow", done(json!({"id": 1})))
        },
        |w| {
            w.assert_state(RunState::Completed).asked("other slow win unslow").undone(&[
                ("slow", "undone"),
                ("other", "irreversible"),
                ("win", "irreversible"),
            ])
        },
    );
}

#[test]
fn a_loser_that_cannot_be_undone_leaves_the_run_completed() {
    check(
        flow(
            [tool("l").undo("un"), tool("slow").read(), tool("win"), merge("m", MergeMode::Any).undo_losers()],
            "l>slow slow>m win>m",
        ),
        |w| {
            w.answers("slow", STAYS_OUT).answers("win", STAYS_OUT).answers("un", [fails("NO")]).starts();
            w.deliver_reply("win", done(json!(1)))
        },
        |w| {
            w.assert_state(RunState::Completed)
                .recorded("not_undone", 1)
                .undone(&[("win", "irreversible"), ("l", "not_undone")])
        },
    );
}

#[test]
fn a_loser_that_is_taken_back_in_the_end_leaves_the_run_as_it_ended() {
    check(
        flow(
            [tool("l").undo("un"), tool("slow").read(), tool("win"), merge("m", MergeMode::Any).undo_losers()],
            "l>slow slow>m win>m",
        ),
        |w| {
            w.answers("slow", STAYS_OUT).answers("win", STAYS_OUT).answers("un", [fails("NO")]).starts();
            w.deliver_reply("win", done(json!(1))).assert_state(RunState::Completed);
            w.tries_again("l")
        },
        |w| {
            w.assert_state(RunState::Completed)
                .assert_output(json!({"win": 1}))
                .undone(&[("win", "irreversible"), ("l", "undone")])
        },
    );
}
