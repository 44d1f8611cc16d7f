//! Scopes: iterations, parallel bodies, and nesting.

use serde_json::json;

use super::fixture::{FixtureReply, RunFixture, check, done, fails};
use super::flow::{
    agent, condition, each, end, flow, only, parallel, repeat_until, repeat_while, secs, tool, transform, wait_for,
};
use crate::graph::node::RemainingWork;
use crate::run::{CallOutcome, Effect, EffectId, NodeAddress, Run, RunCommand, RunState};
use crate::tool::ToolOutcome;

fn item() -> super::flow::FlowBuilder {
    only(tool("a").args(json!({"n": "{{ item }}"})))
}

#[test]
fn results_keep_the_order_of_the_items_whatever_the_order_of_the_answers() {
    check(
        flow([each("each", json!([1, 2, 3]), 3, item())], ""),
        |w| {
            w.answers("a", [FixtureReply::StaysOut, FixtureReply::StaysOut, FixtureReply::StaysOut]).starts();
            let effects: Vec<EffectId> = ["each[0]/a", "each[1]/a", "each[2]/a"].iter().map(|at| effect(at)).collect();
            w.deliver_outcome(effects[2].clone(), done(json!("c")))
                .deliver_outcome(effects[0].clone(), done(json!("a")));
            w.deliver_outcome(effects[1].clone(), done(json!("b")))
        },
        |w| {
            w.assert_state(RunState::Completed).assert_path("each[2]/a each[0]/a each[1]/a each");
            w.assert_output(json!({"count": 3, "results": ["a", "b", "c"], "errors": []}))
        },
    );
}

fn effect(node: &str) -> EffectId {
    let call = crate::run::CallId { node: NodeAddress::parse(node), call: 0, role: crate::run::CallRole::Act };
    EffectId { call, generation: 0 }
}

#[test]
fn no_more_bodies_are_open_than_the_concurrency() {
    check(
        flow([each("each", json!([1, 2, 3, 4, 5]), 2, item())], ""),
        |w| {
            w.answers("a", vec![FixtureReply::StaysOut; 5]).starts().asked("a a");
            w.deliver_reply("a", done(json!(0))).asked("a a a");
            w.deliver_reply("a", done(json!(0))).asked("a a a a");
            w.deliver_reply("a", done(json!(0))).deliver_reply("a", done(json!(0))).deliver_reply("a", done(json!(0)))
        },
        |w| w.assert_state(RunState::Completed).asked("a a a a a"),
    );
}

#[test]
fn a_loop_over_nothing_completes() {
    check(
        flow([each("each", json!([]), 2, item()), tool("z")], "each>z"),
        |w| w.starts(),
        |w| {
            w.assert_state(RunState::Completed)
                .assert_path("each z")
                .output_of("each", json!({"count": 0, "results": [], "errors": []}))
        },
    );
}

#[test]
fn an_empty_body_gives_nothing_and_ends() {
    check(
        flow(
            [
                each("each", json!([1, 2]), 1, flow([], "")),
                parallel("fork", vec![("l", flow([], "")), ("r", flow([], ""))]),
            ],
            "",
        ),
        |w| w.starts(),
        |w| {
            w.assert_state(RunState::Completed)
                .output_of("each", json!({"count": 2, "results": [null, null], "errors": []}));
            w.output_of("fork", json!({"l": null, "r": null}))
        },
    );
}

#[test]
fn what_is_not_a_list_fails_the_loop() {
    check(
        flow([each("each", json!("{{ input.n }}"), 1, item())], ""),
        |w| w.starts_with(json!({"n": 3})),
        |w| w.assert_state(RunState::Failed).failed_with("NOT_A_LIST"),
    );
    check(
        flow([each("each", json!([1, 2, 3]), 1, item()).at_most(2)], ""),
        |w| w.starts(),
        |w| w.assert_state(RunState::Failed).failed_with("ITEM_LIMIT"),
    );
}

#[test]
fn an_item_that_fails_fails_the_loop_and_stops_the_others() {
    check(
        flow([each("each", json!([1, 2, 3]), 2, item())], ""),
        |w| {
            w.answers("a", [FixtureReply::StaysOut, fails("NO")]).starts().assert_state(RunState::Running);
            w.deliver_reply("a", done(json!(1)))
        },
        |w| w.assert_state(RunState::Failed).failed_with("NO").asked("a a"),
    );
}

#[test]
fn collect_lists_the_errors_and_goes_on() {
    check(
        flow([each("each", json!([1, 2, 3]), 1, item()).collects()], ""),
        |w| w.answers("a", [done(json!("x")), fails("NO"), done(json!("z"))]).starts(),
        |w| {
            let errors = json!([{"index": 1, "code": "NO", "message": "scripted"}]);
            w.assert_state(RunState::Completed)
                .assert_output(json!({"count": 3, "results": ["x", null, "z"], "errors": errors}))
        },
    );
}

#[test]
fn while_is_asked_before_each_iteration() {
    check(
        flow([repeat_while("w", "index < `3`", only(tool("a").args(json!({"i": "{{ index }}"}))))], ""),
        |w| w.answers("a", [done(json!(0)), done(json!(1)), done(json!(2))]).starts(),
        |w| {
            w.assert_state(RunState::Completed)
                .asked("a a a")
                .asked_with("a", json!({"i": 2}))
                .assert_output(json!({"count": 3, "result": 2}))
        },
    );
    check(
        flow([repeat_while("w", "`false`", only(tool("a")))], ""),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).asked("").assert_output(json!({"count": 0, "result": null})),
    );
}

#[test]
fn until_is_asked_after_each_iteration_and_sees_the_last_output() {
    check(
        flow([repeat_until("u", "last.ready", only(tool("poll").args(json!({"was": "{{ last }}"}))))], ""),
        |w| w.answers("poll", [done(json!({"ready": false})), done(json!({"ready": true}))]).starts(),
        |w| {
            w.assert_state(RunState::Completed).asked("poll poll").asked_with("poll", json!({"was": {"ready": false}}));
            w.assert_output(json!({"count": 2, "result": {"ready": true}}))
        },
    );
}

#[test]
fn a_loop_that_would_go_on_beyond_its_limit_fails() {
    check(
        flow([repeat_while("w", "`true`", only(tool("a"))).at_most(3)], ""),
        |w| w.starts(),
        |w| w.assert_state(RunState::Failed).failed_with("LOOP_LIMIT").asked("a a a"),
    );
}

#[test]
fn loops_nest_and_see_what_is_around_them() {
    let inner = only(tool("a").args(json!({"outer": "{{ pair.base }}", "n": "{{ item }}", "i": "{{ index }}"})));
    let outer = flow(
        [transform("pair", &[("base", json!("{{ item.base }}"))]), each("in", json!("{{ item.list }}"), 1, inner)],
        "pair>in",
    );
    check(
        flow([each("out", json!("{{ input.rows }}"), 1, outer)], ""),
        |w| w.starts_with(json!({"rows": [{"base": "x", "list": [1]}, {"base": "y", "list": [2, 3]}]})),
        |w| {
            w.assert_state(RunState::Completed).asked_with("a", json!({"outer": "y", "n": 3, "i": 1}));
            w.keys(&["run/out[0]/in[0]/a/0/0", "run/out[1]/in[0]/a/0/0", "run/out[1]/in[1]/a/0/0"])
        },
    );
}

#[test]
fn inside_a_branch_item_and_index_are_those_of_the_loop_around_it() {
    let branch = only(tool("a").args(json!({"n": "{{ item }}", "i": "{{ index }}"})));
    check(
        flow([each("each", json!(["x", "y"]), 1, only(parallel("fork", vec![("left", branch)])))], ""),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).asked_with("a", json!({"n": "y", "i": 1})),
    );
}

#[test]
fn outside_a_loop_item_is_an_unknown_name() {
    check(
        flow([each("each", json!([1]), 1, item()), tool("z").args(json!({"n": "{{ item }}"}))], "each>z"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Failed).failed_with("EXPRESSION_FAILED"),
    );
}

#[test]
fn parallel_bodies_run_together_and_give_their_outputs_by_name() {
    check(
        flow([parallel("fork", vec![("left", only(tool("a"))), ("right", only(tool("b")))]), tool("z")], "fork>z"),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).answers("b", [done(json!(2))]).starts().asked("a b");
            w.deliver_reply("a", done(json!(1)))
        },
        |w| {
            w.assert_state(RunState::Completed)
                .assert_path("fork.right/b fork.left/a fork z")
                .output_of("fork", json!({"left": 1, "right": 2}))
        },
    );
}

#[test]
fn a_plain_fork_fans_out_over_its_edges() {
    check(
        flow([parallel("fork", vec![]), tool("a"), tool("b")], "fork>a fork>b"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).assert_path("fork a b"),
    );
}

#[test]
fn a_branch_that_fails_stops_the_others() {
    check(
        flow(
            [parallel(
                "fork",
                vec![("left", only(tool("a"))), ("right", flow([wait_for("w", secs(60)), tool("b")], "w>b"))],
            )],
            "",
        ),
        |w| w.answers("a", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("NO").asked("a"),
    );
}

#[test]
fn an_end_inside_a_body_gives_the_bodys_output() {
    let body =
        flow([condition("odd", "item == `1`"), end("yes").gives(json!("odd")), tool("a")], "odd:true>yes odd:false>a");
    check(
        flow([each("each", json!([1, 2]), 1, body)], ""),
        |w| w.answers("a", [done(json!("even"))]).starts(),
        |w| {
            w.assert_state(RunState::Completed)
                .assert_output(json!({"count": 2, "results": ["odd", "even"], "errors": []}))
        },
    );
}

#[test]
fn an_end_that_waits_for_nobody_stops_its_own_scope_only() {
    let body =
        flow([end("done").gives(json!("{{ item }}")).rest(RemainingWork::Cancel), wait_for("long", secs(60))], "");
    check(
        flow([each("each", json!([1, 2]), 1, body), tool("z")], "each>z"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).assert_path("each[0]/done each[1]/done each z").asked("z"),
    );
    check(
        flow(
            [end("done").gives(json!("early")).rest(RemainingWork::Cancel), wait_for("long", secs(60)), tool("z")],
            "long>z",
        ),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).assert_output(json!("early")).asked(""),
    );
}

#[test]
fn an_end_that_waits_for_nobody_awaits_acts_in_flight() {
    check(
        flow(
            [tool("first"), end("done").gives(json!("early")).rest(RemainingWork::Cancel), tool("slow"), tool("z")],
            "first>done slow>z",
        ),
        |w| {
            w.answers("slow", [FixtureReply::StaysOut]).starts().assert_state(RunState::Running);
            w.deliver_reply("slow", done(json!(1)))
        },
        |w| w.assert_state(RunState::Completed).assert_output(json!("early")).asked("first slow"),
    );
}

#[test]
fn a_loop_whose_time_is_over_stops_its_bodies_and_fails() {
    check(
        flow([each("each", json!([1, 2]), 2, flow([wait_for("w", secs(60)), tool("a")], "w>a")).timeout(secs(5))], ""),
        |w| w.starts().advance_time(secs(5)),
        |w| w.assert_state(RunState::Failed).failed_with("TIMEOUT").asked(""),
    );
}

#[test]
fn a_body_may_hold_an_agent() {
    check(
        flow([each("each", json!([1, 2]), 2, only(agent("who", &[])))], ""),
        |w| w.starts(),
        |w| {
            w.assert_state(RunState::Completed)
                .assert_output(json!({"count": 2, "results": ["answer", "answer"], "errors": []}))
        },
    );
}

#[test]
fn many_items_are_decided_in_portions() {
    let items: Vec<u32> = (0..1_000).collect();
    check(
        flow([each("each", json!(items), 1, only(transform("t", &[("n", json!(1))])))], ""),
        |w| w.starts(),
        |w| {
            let longest = w.journal.iter().map(|entry| entry.events.len()).max();
            assert!(longest < Some(2_100) && w.journal.len() > 1, "{longest:?} in {}", w.journal.len());
            w.assert_state(RunState::Completed)
        },
    );
}

#[test]
fn what_is_open_stays_as_small_as_the_concurrency_however_much_has_happened() {
    let items: Vec<u32> = (0..2_000).collect();
    let body = only(tool("a").args(json!({"n": "{{ item }}"})).undo("un"));
    let mut w = RunFixture::new(flow([each("each", json!(items), 8, body).at_most(2_000)], ""));
    let start = w.start_command(json!({}));
    w.run.decide(start, w.now).unwrap();
    let next = |run: &Run, now| match run.pending(now).next() {
        Some(Effect::Send { effect, .. } | Effect::LookUp { effect, .. }) => Some(effect),
        None => None,
    };
    let mut most = (0, 0, 0);
    while let Some(effect) = next(&w.run, w.now) {
        let done = ToolOutcome::Done { output: json!({"id": 1}).into(), cost: crate::money::Usd::ZERO, cached: false };
        w.run.decide(RunCommand::Outcome { effect, outcome: CallOutcome::Tool(done) }, w.now).unwrap();
        let run = &w.run;
        let open = run.scopes.len() + run.calls.len() + run.timers.len() + run.backoffs.len() + run.ready.len();
        most = (most.0.max(run.scopes.len()), most.1.max(run.calls.len()), most.2.max(open));
    }
    assert_eq!(most, (9, 8, 17), "scopes, calls, and all that is open");
    assert_eq!(w.run.state(), RunState::Completed);
}
