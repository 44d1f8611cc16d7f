//! Merges: when they fire, when they cannot, and what becomes of the rest.

use serde_json::json;

use super::flow::{approval, condition, each, end, flow, merge, only, tool};
use super::world::{Reply, check, done, fails};
use crate::graph::node::{MergeMode, Rest};
use crate::run::{Resolution, State};
use crate::tool::Retry;

const STAYS_OUT: [Reply; 1] = [Reply::StaysOut];

#[test]
fn all_waits_for_every_branch_that_was_not_left_out() {
    check(
        flow(
            [condition("is", "n == `1`"), tool("a"), tool("b"), tool("c"), merge("m", MergeMode::All)],
            "is:true>a is:false>b a>m b>m c>m",
        ),
        |w| w.answers("a", [done(json!(1))]).answers("c", [done(json!(3))]).starts_with(json!({"n": 1})),
        |w| w.is(State::Completed).went("is a c m").gives(json!({"a": 1, "c": 3})),
    );
}

#[test]
fn any_fires_at_the_first_and_drops_what_was_not_begun() {
    check(
        flow([tool("a"), tool("b"), tool("late"), merge("m", MergeMode::Any), tool("z")], "a>m b>late late>m m>z"),
        |w| w.answers("b", STAYS_OUT).starts().returns("b", done(json!(2))),
        |w| {
            w.is(State::Completed).went("a m z").gives(json!({"id": "z-3"}));
            w.node_is("late", "cancelled").node_is("b", "cancelled").asked("a b z")
        },
    );
}

#[test]
fn a_cut_off_read_is_abandoned() {
    check(
        flow([tool("slow").read(), tool("a"), merge("m", MergeMode::Any)], "a>m slow>m"),
        |w| w.answers("slow", STAYS_OUT).starts(),
        |w| w.is(State::Completed).recorded("abandoned", 1).node_is("slow", "cancelled"),
    );
}

#[test]
fn a_cut_off_act_is_awaited_and_kept() {
    check(
        flow([tool("slow").undo("unslow"), tool("a"), merge("m", MergeMode::Any)], "a>m slow>m"),
        |w| {
            w.answers("slow", STAYS_OUT).starts();
            w.is(State::Running);
            w.returns("slow", done(json!({"id": 1})))
        },
        |w| w.is(State::Completed).asked("a slow").undone(&[("slow", "kept"), ("a", "irreversible")]),
    );
}

#[test]
fn a_cut_off_person_is_not_waited_for() {
    check(
        flow([approval("ask", 1), tool("a"), merge("m", MergeMode::Any)], "a>m ask>m"),
        |w| w.starts(),
        |w| w.is(State::Completed).waits_for("").node_is("ask", "cancelled"),
    );
}

#[test]
fn rest_wait_lets_the_others_finish() {
    check(
        flow(
            [tool("a"), tool("b"), tool("c"), merge("m", MergeMode::Any).rest(Rest::Wait), tool("z")],
            "a>m b>c c>m m>z",
        ),
        |w| w.answers("b", STAYS_OUT).starts().returns("b", done(json!(2))),
        |w| w.is(State::Completed).went("a m z b c"),
    );
}

#[test]
fn n_of_m_fires_at_its_count() {
    check(
        flow([tool("a"), tool("b"), tool("c"), merge("m", MergeMode::NOfM(2))], "a>m b>m c>m"),
        |w| {
            w.answers("a", STAYS_OUT).answers("b", STAYS_OUT).answers("c", STAYS_OUT).starts();
            w.returns("c", done(json!(3))).is(State::Running).recorded("branches_cut", 0);
            w.returns("a", done(json!(1))).node_is("m", "completed");
            w.returns("b", done(json!(2)))
        },
        |w| w.is(State::Completed).went("c a m").gives(json!({"a": 1, "c": 3})),
    );
}

#[test]
fn n_of_m_fails_as_soon_as_it_cannot_be_reached() {
    check(
        flow([tool("a").continues(), tool("b"), tool("c"), tool("d"), merge("m", MergeMode::NOfM(3))], "b>m c>m d>m")
            .edge_if("a", "m", "`false`"),
        |w| {
            w.answers("b", STAYS_OUT).answers("c", STAYS_OUT).answers("d", STAYS_OUT).starts();
            w.returns("b", done(json!(1))).is(State::Running);
            w.returns("c", fails("NO"))
        },
        |w| w.failed_with("NO"),
    );
    check(
        flow([tool("a"), tool("b").continues(), merge("m", MergeMode::NOfM(2)), tool("slow")], "a>m slow>m")
            .edge_if("b", "m", "`false`"),
        |w| w.answers("slow", STAYS_OUT).starts(),
        |w| w.is(State::Running).node_is("m", "pending"),
    );
    check(
        flow([tool("a"), tool("b"), tool("c"), tool("slow").read(), merge("m", MergeMode::NOfM(3))], "a>m slow>m")
            .edge_if("b", "m", "`false`")
            .edge_if("c", "m", "`false`"),
        |w| w.answers("slow", STAYS_OUT).starts(),
        |w| w.is(State::Failed).failed_with("MERGE_IMPOSSIBLE").asked("a b c"),
    );
}

#[test]
fn a_merge_none_of_whose_branches_came_is_skipped() {
    check(
        flow([tool("a"), tool("b"), merge("m", MergeMode::NOfM(2)), tool("z")], "m>z")
            .edge_if("a", "m", "`false`")
            .edge_if("b", "m", "`false`"),
        |w| w.starts(),
        |w| w.is(State::Completed).node_is("m", "skipped").node_is("z", "skipped"),
    );
}

#[test]
fn a_merge_may_be_reached_by_an_error_edge() {
    check(
        flow([tool("a"), tool("b"), merge("m", MergeMode::All)], "a!>m b>m"),
        |w| w.answers("a", [fails("NO")]).answers("b", [done(json!(2))]).starts(),
        |w| {
            let failure = json!({"output": null, "error": {"code": "NO", "message": "scripted"}});
            w.is(State::Completed).gives(json!({"a": failure, "b": 2}))
        },
    );
}

#[test]
fn two_edges_of_one_node_count_twice() {
    check(
        flow([tool("a"), tool("b"), merge("m", MergeMode::NOfM(2))], "a>m b>m").edge_if("a", "m", "`true`"),
        |w| w.answers("b", STAYS_OUT).starts().returns("b", done(json!(2))),
        |w| w.is(State::Completed).went("a m"),
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
                .returns("win", done(json!(1)))
                .returns("l3", done(json!(3)))
        },
        |w| {
            w.is(State::Completed).asked("l1 l2 l3 win un2 un1").undone(&[
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
            w.returns("win", done(json!(1))).returns("slow", done(json!(1)))
        },
        |w| w.is(State::Completed).asked("win act act slow unact unact"),
    );
    // Also what comes in from a body that was still under way.
    check(
        flow(
            [each("each", json!([1, 2]), 2, body()), tool("win"), merge("m", MergeMode::Any).undo_losers()],
            "each>m win>m",
        ),
        |w| {
            w.answers("act", [Reply::StaysOut, Reply::StaysOut]).starts();
            w.returns("act", done(json!({"id": 1}))).returns("act", done(json!({"id": 2})))
        },
        |w| w.is(State::Completed).asked("win act act unact unact").node_is("each", "cancelled"),
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
            w.returns("win", done(json!(1))).returns("slow", done(json!(1)))
        },
        |w| w.is(State::Completed).asked("x lose slow win unlose"),
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
            w.returns("win", done(json!(1))).is(State::Running).node_is("m", "completed");
            w.returns("un", done(json!(1)))
        },
        |w| w.is(State::Completed).asked("l slow win un"),
    );
}

#[test]
fn a_paused_run_does_not_end_before_its_losers_are_undone() {
    check(
        flow(
            [tool("l").undo("un"), tool("win"), merge("m", MergeMode::Any).undo_losers(), end("e").rest(Rest::Cancel)],
            "l>m win>m m>e",
        ),
        |w| {
            w.answers("l", STAYS_OUT).starts().pauses();
            w.returns("l", done(json!({ "id": 1 }))).is(State::Paused).asked("l win");
            w.resumes()
        },
        |w| w.is(State::Completed).asked("l win un"),
    );
}

#[test]
fn a_loser_that_answers_after_its_body_is_gone_is_undone() {
    let body = flow(
        [tool("slow").once().undo("unslow").retry(Retry::NONE), tool("win"), merge("m", MergeMode::Any).undo_losers()],
        "slow>m win>m",
    );
    check(
        flow([each("each", json!([1]), 1, body), tool("z")], "each>z"),
        |w| {
            w.answers("slow", STAYS_OUT).answers("z", STAYS_OUT).starts();
            let first = w.out("slow");
            w.crashes().resolves("each[0]/slow", Resolution::NotDone).node_is("each", "completed");
            w.comes_back(first, done(json!({"id": "late"}))).accepted();
            w.returns("z", done(json!({})))
        },
        |w| {
            w.is(State::Completed).asked("slow win z unslow").asked_with("unslow", json!({"of": "late"}));
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
            w.answers("slow", [Reply::StaysOut, Reply::StaysOut]).answers("win", [Reply::StaysOut, Reply::StaysOut]);
            w.answers("z", STAYS_OUT).starts();
            let first = w.out("slow");
            w.crashes().resolves("each[0]/slow", Resolution::Repeat);
            w.returns("win", done(json!({}))).returns("slow", done(json!({"id": "second"})));
            w.node_is("each", "completed");
            w.comes_back(first, done(json!({"id": "first"}))).accepted();
            w.returns("z", done(json!({})))
        },
        |w| w.is(State::Completed).recorded("arrived_late", 1).asked("slow win win slow z unslow unslow"),
    );
}

#[test]
fn a_loser_that_answers_after_the_end_is_undone_and_the_end_stays() {
    check(
        flow(
            [
                tool("kept").undo("unkept"),
                tool("slow").once().undo("unslow").retry(Retry::NONE),
                tool("win"),
                merge("m", MergeMode::Any).undo_losers(),
            ],
            "kept>slow kept>win slow>m win>m",
        ),
        |w| {
            w.answers("slow", STAYS_OUT).answers("win", [done(json!(7))]).answers("unslow", STAYS_OUT).starts();
            let first = w.out("slow");
            w.crashes().resolves("slow", Resolution::NotDone).is(State::Completed).gives(json!({"win": 7}));
            w.comes_back(first, done(json!({"id": "late"}))).accepted().is(State::Running);
            w.returns("unslow", done(json!({})))
        },
        |w| w.is(State::Completed).gives(json!({"win": 7})).asked("kept slow win unslow"),
    );
}

#[test]
fn a_loser_that_answers_after_a_failure_without_undoing_is_undone_alone() {
    check(
        flow(
            [
                tool("kept").undo("unkept"),
                tool("slow").once().undo("unslow").retry(Retry::NONE),
                tool("win"),
                merge("m", MergeMode::Any).undo_losers(),
                tool("z").fails(),
            ],
            "kept>slow kept>win slow>m win>m m>z",
        ),
        |w| {
            w.answers("slow", STAYS_OUT).answers("z", [fails("NO")]).starts();
            let first = w.out("slow");
            w.crashes().resolves("slow", Resolution::NotDone).is(State::Failed);
            w.comes_back(first, done(json!({"id": "late"})))
        },
        |w| w.accepted().is(State::Failed).failed_with("NO").asked("kept slow win z unslow"),
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
            w.returns("other", done(json!(1))).returns("slow", done(json!({"id": 1})))
        },
        |w| {
            w.is(State::Completed).asked("other slow win unslow").undone(&[
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
            w.returns("win", done(json!(1)))
        },
        |w| w.is(State::Completed).recorded("not_undone", 1).undone(&[("win", "irreversible"), ("l", "not_undone")]),
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
            w.returns("win", done(json!(1))).is(State::Completed);
            w.tries_again("l")
        },
        |w| w.is(State::Completed).gives(json!({"win": 1})).undone(&[("win", "irreversible"), ("l", "undone")]),
    );
}
