//! Retry from the failure, on the same version or a newer one.

use serde_json::json;

use super::agents::{answer, model, tools};
use super::fixture::{FixtureReply, check, done, fails, model_fails};
use super::flow::{
    agent, approval, child, condition, each, end, flow, merge, only, parallel, repeat_until, repeat_while, requests,
    secs, signal, tool, wait_for,
};
use crate::agent::AgentStep;
use crate::fault::Fault;
use crate::graph::node::MergeMode;
use crate::run::RunState;

#[test]
fn a_retry_goes_on_from_the_failure_and_asks_for_no_recorded_result() {
    check(
        flow([tool("a"), tool("b"), tool("c")], "a>b b>c"),
        |w| {
            w.answers("b", [fails("NO")]).starts().assert_state(RunState::Failed);
            w.retries()
        },
        |w| {
            w.assert_state(RunState::Completed).asked("a b b c").keys(&[
                "run/a/0/0",
                "run/b/0/0",
                "run/b/1/0",
                "run/c/1/0",
            ])
        },
    );
}

#[test]
fn only_what_failed_is_retried() {
    check(only(tool("a")), |w| w.starts().retries(), |w| w.refused_with("RUN-004").assert_state(RunState::Completed));
    check(
        only(wait_for("w", secs(9))),
        |w| w.starts().retries(),
        |w| w.refused_with("RUN-004").assert_state(RunState::Waiting),
    );
    check(
        flow([tool("a").undo("un"), tool("b")], "a>b"),
        |w| w.answers("b", [fails("NO")]).starts().retries(),
        |w| w.refused_with("RUN-004").assert_state(RunState::Compensated),
    );
}

#[test]
fn a_run_that_its_conversation_let_go_is_forked_instead() {
    check(
        flow([tool("a"), tool("b"), wait_for("message", secs(9))], "a>b b>message"),
        |w| {
            w.answers("b", [fails("NO")]).starts_in("talk").assert_state(RunState::Failed);
            w.retries().refused_with("RUN-013").assert_state(RunState::Failed);
            w.forks(false, json!({})).retries()
        },
        |w| w.assert_state(RunState::Waiting).asked("a b b"),
    );
}

#[test]
fn a_run_whose_time_was_over_may_go_on_with_new_time() {
    check(
        flow([tool("a"), approval("ask", 1), tool("b")], "a>ask ask>b").timeout(secs(60)),
        |w| {
            w.starts().advance_time(secs(60)).assert_state(RunState::TimedOut);
            w.retries().assert_state(RunState::Waiting);
            w.advance_time(secs(59)).approves("ask", "eve")
        },
        |w| w.assert_state(RunState::Completed).asked("a b"),
    );
}

#[test]
fn a_newer_version_goes_on_with_what_is_settled_by_name() {
    check(
        flow([tool("a"), tool("b"), tool("c")], "a>b b>c"),
        |w| {
            w.answers("a", [done(json!({"n": 7}))]).answers("b", [fails("NO")]).starts();
            let fixed = tool("b").args(json!({"n": "{{ a.n }}"}));
            w.retries_on(flow([tool("new"), fixed, tool("a"), tool("d")], "a>b b>d a>new"))
        },
        |w| w.assert_state(RunState::Completed).asked("a b b d new").asked_with("b", json!({"n": 7})),
    );
}

#[test]
fn a_result_whose_edge_failed_is_not_asked_for_again() {
    let given = |source: &str| flow([tool("pay").once(), tool("b")], "").edge_if("pay", "b", source);
    check(
        given("nobody.knows"),
        |w| {
            w.answers("pay", [done(json!({"ok": true}))])
                .starts()
                .assert_state(RunState::Failed)
                .failed_with("EXPRESSION_FAILED");
            w.retries().assert_state(RunState::Failed);
            w.retries_on(given("output.ok"))
        },
        |w| w.assert_state(RunState::Completed).asked("pay b"),
    );
}

#[test]
fn variables_set_before_the_failure_are_not_set_twice() {
    let given = |bad: &str| {
        flow([tool("a").sets("log", json!("one")).sets("log", json!(bad)), tool("z")], "a>z").variable(
            "log",
            crate::graph::CombineMode::Append,
            json!([]),
        )
    };
    check(
        given("{{ nobody }}"),
        |w| {
            w.starts().assert_state(RunState::Failed);
            w.retries_on(given("two"))
        },
        |w| w.assert_state(RunState::Completed).has("log", json!(["one", "two"])).asked("a z"),
    );
}

#[test]
fn a_persons_answer_whose_edge_failed_is_not_asked_for_again() {
    let given = |source: &str| flow([approval("ask", 1), tool("b")], "").edge_if("ask", "b", source);
    check(
        given("nobody.knows"),
        |w| {
            w.starts().approves("ask", "eve").assert_state(RunState::Failed);
            w.retries_on(given("output.decision == 'approved'"))
        },
        |w| w.assert_state(RunState::Completed).asked("b").waits_for(""),
    );
}

#[test]
fn a_taken_signal_whose_edge_failed_is_not_lost() {
    let given = |source: &str| flow([signal("go", "go"), tool("b")], "").edge_if("go", "b", source);
    check(
        given("nobody.knows"),
        |w| w.starts().signals("go", json!({"n": 1})).retries_on(given("output.n")),
        |w| w.assert_state(RunState::Completed).asked("b").output_of("go", json!({"n": 1})),
    );
}

#[test]
fn what_completed_while_the_run_wound_down_is_completed() {
    check(
        flow([tool("pay").once(), tool("stop"), tool("after")], "pay>after"),
        |w| {
            w.answers("pay", [FixtureReply::StaysOut])
                .answers("stop", [fails("NO")])
                .starts()
                .assert_state(RunState::Running);
            w.deliver_reply("pay", done(json!({"id": 1})))
                .assert_state(RunState::Failed)
                .node_is("pay", "completed")
                .asked("pay stop");
            w.retries()
        },
        |w| w.assert_state(RunState::Completed).asked("pay stop after stop"),
    );
}

#[test]
fn a_child_that_completed_while_the_run_wound_down_is_not_run_again() {
    check(
        flow([child("sub"), tool("bad"), tool("after")], "sub>after"),
        |w| {
            w.answers("bad", [fails("NO")]).starts();
            w.child_ends("sub", "run/sub", RunState::Completed, false).assert_state(RunState::Failed);
            w.retries()
        },
        |w| w.assert_state(RunState::Completed).asked("bad after bad"),
    );
}

#[test]
fn what_was_cut_off_begins_anew() {
    check(
        flow([tool("slow").read(), tool("stop"), wait_for("w", secs(60)), tool("z")], "w>z"),
        |w| {
            w.answers("slow", [FixtureReply::StaysOut])
                .answers("stop", [fails("NO")])
                .starts()
                .assert_state(RunState::Failed);
            w.retries().assert_state(RunState::Waiting);
            w.advance_time(secs(60))
        },
        |w| {
            w.assert_state(RunState::Completed).asked("slow stop slow stop z").keys(&[
                "run/slow/0/0",
                "run/stop/0/0",
                "run/slow/1/0",
                "run/stop/1/0",
                "run/z/1/0",
            ])
        },
    );
}

#[test]
fn what_a_merge_cut_off_stays_cut_off() {
    check(
        flow([tool("win"), tool("lose").read(), merge("m", MergeMode::Any), tool("z")], "win>m lose>m m>z"),
        |w| {
            w.answers("lose", [FixtureReply::StaysOut])
                .answers("z", [fails("NO")])
                .starts()
                .assert_state(RunState::Failed);
            w.retries()
        },
        |w| w.assert_state(RunState::Completed).asked("lose win z z").node_is("lose", "cancelled"),
    );
}

#[test]
fn a_loop_goes_on_inside_the_item_that_failed() {
    let body = || flow([tool("a"), tool("b")], "a>b");
    check(
        flow([each("each", json!(["x", "y", "z"]), 1, body())], ""),
        |w| {
            w.answers("b", [done(json!(1)), fails("NO")]).starts().assert_state(RunState::Failed).asked("a b a b");
            w.retries()
        },
        |w| {
            w.assert_state(RunState::Completed).asked("a b a b b a b");
            w.keys(&[
                "run/each[0]/a/0/0",
                "run/each[0]/b/0/0",
                "run/each[1]/a/0/0",
                "run/each[1]/b/0/0",
                "run/each[1]/b/1/0",
                "run/each[2]/a/1/0",
                "run/each[2]/b/1/0",
            ])
        },
    );
}

#[test]
fn loops_within_loops_go_on_where_they_were() {
    let inner = || flow([tool("a").args(json!({"n": "{{ item }}"}))], "");
    let outer = || flow([each("in", json!("{{ item }}"), 1, inner()), tool("sum")], "in>sum");
    check(
        flow([each("out", json!([[1, 2], [3, 4]]), 1, outer()), tool("z")], "out>z"),
        |w| {
            w.answers("a", [done(json!(1)), done(json!(2)), done(json!(3)), fails("NO")])
                .starts()
                .assert_state(RunState::Failed);
            w.retries()
        },
        |w| {
            w.assert_state(RunState::Completed).asked("a a sum a a a sum z");
            w.keys(&[
                "run/out[0]/in[0]/a/0/0",
                "run/out[0]/in[1]/a/0/0",
                "run/out[0]/sum/0/0",
                "run/out[1]/in[0]/a/0/0",
                "run/out[1]/in[1]/a/0/0",
                "run/out[1]/in[1]/a/1/0",
                "run/out[1]/sum/1/0",
                "run/z/1/0",
            ])
        },
    );
}

#[test]
fn bodies_that_were_cut_off_go_on_beside_the_one_that_failed() {
    let body = || flow([tool("a"), wait_for("w", secs(5)), tool("b")], "a>w w>b");
    check(
        flow([each("each", json!([1, 2]), 2, body())], ""),
        |w| {
            w.answers("b", [fails("NO")]).starts();
            w.advance_time(secs(5)).assert_state(RunState::Failed).asked("a a b b");
            w.retries().advance_time(secs(5))
        },
        |w| w.assert_state(RunState::Completed).asked("a a b b b"),
    );
}

#[test]
fn a_collecting_loop_keeps_its_errors_and_its_cut_off_items() {
    let body = || flow([tool("a"), tool("b")], "a>b");
    check(
        flow([each("each", json!([1, 2]), 1, body()).collects(), tool("bad")], ""),
        |w| {
            w.answers("bad", [FixtureReply::StaysOut, done(json!(1))])
                .answers("a", [fails("NO"), FixtureReply::StaysOut])
                .starts();
            w.deliver_reply("bad", fails("OH")).assert_state(RunState::Running);
            w.deliver_reply("a", done(json!(2))).assert_state(RunState::Failed);
            w.retries()
        },
        |w| {
            let errors = json!([{"index": 0, "code": "NO", "message": "scripted"}]);
            let results = json!([null, {"id": "b-5"}]);
            w.assert_state(RunState::Completed)
                .asked("bad a a bad b")
                .output_of("each", json!({"count": 2, "results": results, "errors": errors}))
        },
    );
}

#[test]
fn a_while_loop_goes_on_with_the_last_output() {
    check(
        flow([repeat_while("w", "index < `3`", only(tool("a").args(json!({"last": "{{ last }}"}))))], ""),
        |w| {
            w.answers("a", [done(json!("x")), fails("NO"), done(json!("y")), done(json!("z"))]).starts();
            w.retries()
        },
        |w| {
            w.assert_state(RunState::Completed)
                .asked("a a a a")
                .asked_with("a", json!({"last": "y"}))
                .assert_output(json!({"count": 3, "result": "z"}))
        },
    );
}

#[test]
fn a_loop_that_reached_its_limit_goes_on_under_a_higher_one() {
    let given = |most: u32| flow([repeat_until("u", "last.n == `3`", only(tool("a"))).at_most(most)], "");
    check(
        given(2),
        |w| {
            let n = |n: u32| done(json!({"n": n}));
            w.answers("a", [n(1), n(2), n(3)]).starts().assert_state(RunState::Failed).failed_with("LOOP_LIMIT");
            w.retries_on(given(5))
        },
        |w| w.assert_state(RunState::Completed).asked("a a a").assert_output(json!({"count": 3, "result": {"n": 3}})),
    );
}

#[test]
fn branches_go_on_where_they_were_and_new_ones_are_opened() {
    let left = || flow([tool("a"), tool("b")], "a>b");
    check(
        flow(
            [parallel("fork", vec![("left", left()), ("gone", only(tool("g").read())), ("right", only(tool("c")))])],
            "",
        ),
        |w| {
            w.answers("b", [fails("NO")])
                .answers("g", [FixtureReply::StaysOut])
                .starts()
                .assert_state(RunState::Failed)
                .asked("g a b c");
            w.retries_on(flow(
                [parallel("fork", vec![("left", left()), ("right", only(tool("c"))), ("third", only(tool("d")))])],
                "",
            ))
        },
        |w| w.assert_state(RunState::Completed).asked("g a b c b d"),
    );
}

#[test]
fn an_agent_whose_model_failed_goes_on_with_what_it_saw() {
    check(
        only(agent("who", &["book"])),
        |w| {
            let give_up = || AgentStep::GiveUp(Fault::new("MODEL", "it does not answer"));
            w.thinks("who", [model(), tools(&["book"]), model(), give_up(), model(), answer(json!("ok"))]);
            w.answers("who", [super::fixture::says("1"), model_fails("DOWN")])
                .starts()
                .assert_state(RunState::Failed)
                .asked("who book who");
            w.retries()
        },
        |w| w.assert_state(RunState::Completed).asked("who book who who").assert_output(json!("ok")),
    );
}

#[test]
fn an_agent_that_gave_up_by_itself_begins_anew() {
    check(
        only(agent("who", &["find"])),
        |w| {
            let give_up = AgentStep::GiveUp(Fault::new("AGENT_GAVE_UP", "I cannot"));
            w.thinks("who", [tools(&["find"]), give_up, tools(&["find"]), answer(json!("ok"))]).starts();
            w.retries()
        },
        |w| w.assert_state(RunState::Completed).asked("find find").keys(&["run/who/0/0", "run/who/1/0"]),
    );
}

#[test]
fn an_agent_that_was_cut_off_goes_on_with_what_it_saw() {
    check(
        flow([agent("who", &["book", "find"]), tool("bad")], ""),
        |w| {
            w.answers("book", [FixtureReply::StaysOut])
                .answers("bad", [FixtureReply::StaysOut])
                .answers("find", [super::fixture::flaky("BUSY")]);
            w.thinks("who", [tools(&["book", "find"]), answer(json!("ok"))]).starts();
            w.deliver_reply("bad", fails("NO")).assert_state(RunState::Running);
            w.deliver_reply("book", done(json!("booked"))).assert_state(RunState::Failed);
            w.retries()
        },
        |w| {
            w.assert_state(RunState::Completed).asked("bad book find bad find").output_of("who", json!("ok"));
            w.keys(&["run/bad/0/0", "run/who/0/0", "run/who/1/0", "run/bad/2/0", "run/who/2/0"])
        },
    );
}

#[test]
fn an_agent_that_waited_for_the_customer_asks_again() {
    check(
        flow([agent("who", &[]), tool("bad")], ""),
        |w| {
            w.answers("bad", [FixtureReply::StaysOut]);
            let ask = || AgentStep::AskCustomer { question: "which?".into() };
            w.thinks("who", [ask(), ask(), answer(json!("ok"))]).starts();
            w.deliver_reply("bad", fails("NO")).assert_state(RunState::Failed);
            w.retries().waits_for("customer:who").recorded("customer_asked", 2);
            w.signals("message", json!("ten"))
        },
        |w| w.assert_state(RunState::Completed).output_of("who", json!("ok")),
    );
}

#[test]
fn a_list_of_requests_goes_on_with_those_that_were_not_answered() {
    let wanted = json!([{"tool": "find"}, {"tool": "book"}]);
    check(
        flow([requests("do", &["find", "book"]), tool("bad")], "").variable(
            "tool_requests",
            crate::graph::CombineMode::LastWins,
            wanted,
        ),
        |w| {
            w.answers("book", [FixtureReply::StaysOut])
                .answers("bad", [FixtureReply::StaysOut])
                .answers("find", [super::fixture::flaky("BUSY")])
                .starts();
            w.deliver_reply("bad", fails("NO"))
                .deliver_reply("book", done(json!("booked")))
                .assert_state(RunState::Failed);
            w.retries()
        },
        |w| w.assert_state(RunState::Completed).asked("bad find book bad find"),
    );
}

#[test]
fn an_end_that_was_reached_keeps_its_output() {
    check(
        flow([tool("a"), end("end").gives(json!("early")), tool("bad")], "a>end"),
        |w| w.answers("bad", [fails("NO")]).starts().retries(),
        |w| w.assert_state(RunState::Completed).assert_output(json!("early")),
    );
}

#[test]
fn a_node_that_is_another_kind_now_begins_anew_under_keys_of_its_own() {
    let body = || only(tool("a").args(json!({"n": "{{ index }}"})));
    check(
        flow([each("loop", json!([1, 2]), 1, body())], ""),
        |w| {
            w.answers("a", [done(json!(1)), fails("NO")]).starts();
            w.retries_on(flow([repeat_while("loop", "index < `2`", body())], ""))
        },
        |w| {
            w.assert_state(RunState::Completed).keys(&[
                "run/loop[0]/a/0/0",
                "run/loop[1]/a/0/0",
                "run/loop[0]/a/1/0",
                "run/loop[1]/a/1/0",
            ])
        },
    );
}

#[test]
fn both_edges_to_one_node_are_told_apart_by_label() {
    let given =
        || flow([condition("is", "`false`"), tool("x").all_settled(), tool("bad")], "is:true>x is:false>x x>bad");
    check(
        given(),
        |w| w.answers("bad", [fails("NO")]).starts().retries(),
        |w| w.assert_state(RunState::Completed).asked("x bad bad"),
    );
}

#[test]
fn new_variables_of_a_newer_version_begin_as_declared_and_old_ones_stay() {
    use crate::graph::CombineMode;
    let given =
        || flow([tool("a").sets("n", json!(5)), tool("bad")], "a>bad").variable("n", CombineMode::LastWins, json!(1));
    check(
        given(),
        |w| {
            w.answers("bad", [fails("NO")]).starts();
            w.retries_on(given().variable("m", CombineMode::LastWins, json!(2)))
        },
        |w| w.has("n", json!(5)).has("m", json!(2)),
    );
}

#[test]
fn a_retried_run_may_be_retried_again() {
    check(
        flow([tool("a"), tool("b")], "a>b"),
        |w| w.answers("b", [fails("NO"), fails("NO")]).starts().retries().retries(),
        |w| {
            w.assert_state(RunState::Completed).asked("a b b b").keys(&[
                "run/a/0/0",
                "run/b/0/0",
                "run/b/1/0",
                "run/b/2/0",
            ])
        },
    );
}
