//! Cost limits of a run and its nodes, and calls that wait for money or a key.

use serde_json::json;

use super::agents::{answer, model, tools};
use super::fixture::{FixtureReply, RunFixture, blocked, check, costs, done, flaky, model_fails_at, says, thought};
use super::flow::{FlowBuilder, agent, child, each, flow, merge, only, requests, secs, tool};
use crate::agent::AgentStep;
use crate::graph::CombineMode;
use crate::graph::node::{MergeMode, RemainingWork};
use crate::money::{PriceQuote, Usd};
use crate::run::{BlockReason, NodeAddress, NodeWait, RunCommand, RunEvent, RunOrigin, RunState};

/// Eight agents with this concurrency, in a run with this cost limit.
fn eight(side_by_side: u32, max_cost: f64) -> FlowBuilder {
    let body = only(agent("who", &[]));
    only(each("each", json!([0, 1, 2, 3, 4, 5, 6, 7]), side_by_side, body).collects()).max_cost(max_cost)
}

/// Each calls its model once, which may cost 10 cents and costs 1.
fn holding(w: &mut RunFixture) -> &mut RunFixture {
    w.quote = PriceQuote::exactly(Usd::from_f64(0.1));
    w.thinks("who", vec![model(); 8])
}

#[track_caller]
fn cost(w: &RunFixture, usd: f64) -> &RunFixture {
    assert_eq!((w.run.cost(), w.run.held_cost()), (Usd::from_f64(usd), Usd::ZERO));
    w
}

// ---- limits of a run and a node

#[test]
fn calls_side_by_side_cannot_overrun_together_what_each_alone_would_not() {
    check(
        eight(8, 0.35),
        |w| holding(w).answers("who", vec![FixtureReply::StaysOut; 8]).starts(),
        |w| {
            assert_eq!(w.run.held_cost(), Usd::from_f64(0.3));
            w.asked("who who who")
        },
    );
}

#[test]
fn whatever_the_answers_of_calls_side_by_side_cost_they_stay_within_the_limit() {
    // Each may cost a dollar, usually costs a cent, and is not made with less than half a cent.
    let quote = PriceQuote { most: Usd::from_f64(1.0), usual: Usd::from_f64(0.01), least: Usd::from_f64(0.005) };
    let may_cost = |w: &RunFixture| -> Usd {
        let calls = w.run.calls.keys();
        calls.map(|call| w.run.remaining_budget(call).expect("the run has a limit")).sum()
    };
    check(
        eight(8, 0.4),
        |w| {
            w.quote = quote;
            w.thinks("who", vec![model(); 8]).answers("who", vec![FixtureReply::StaysOut; 8]).starts()
        },
        |w| {
            assert!(w.run.held_cost() <= Usd::from_f64(0.4), "{}", w.run.held_cost());
            assert_eq!(may_cost(w), w.run.held_cost(), "each may cost what is held for it");
            assert_eq!(w.run.calls.len(), 6, "half of what is left each, and the rest for no other");
            w
        },
    );
}

#[test]
fn what_a_lost_answer_may_have_cost_is_not_spent_again_by_the_call_that_stands_in_for_it() {
    check(
        eight(1, 0.15),
        |w| {
            w.quote = PriceQuote::exactly(Usd::from_f64(0.1));
            w.thinks("who", vec![model(); 8]).answers("who", vec![FixtureReply::StaysOut; 2]).starts().crashes()
        },
        |w| {
            let call = w.run.calls.keys().next().expect("it is asked again").clone();
            assert_eq!(w.run.remaining_budget(&call), Some(Usd::from_f64(0.05)), "a lost answer is paid for");
            w
        },
    );
}

#[test]
fn what_a_call_did_not_cost_is_there_for_the_next() {
    check(
        eight(1, 0.175),
        |w| holding(w).starts(),
        |w| cost(w, 0.08).asked("who who who who who who who who").assert_state(RunState::Completed),
    );
}

#[test]
fn a_node_holds_what_its_tools_cost_before_it_asks_for_any() {
    let all = requests("all", &["a", "b"]).costing(0.2).max_cost(0.3);
    let wanted = json!([{"tool_name": "a"}, {"tool_name": "b"}]);
    check(
        only(all).variable("tool_requests", CombineMode::LastWins, wanted),
        |w| w.starts(),
        |w| w.asked("").assert_state(RunState::Failed).failed_with("COST_LIMIT"),
    );
}

#[test]
fn an_agents_tools_are_held_to_the_nodes_limit_together() {
    check(
        only(agent("who", &["a", "b"]).costing(0.2).max_cost(0.3)),
        |w| w.thinks("who", [tools(&["a", "b"])]).starts(),
        |w| w.asked("").failed_with("COST_LIMIT"),
    );
}

#[test]
fn a_tool_that_costs_what_is_left_is_still_asked() {
    check(
        only(tool("a").costing(0.3).max_cost(0.3)),
        |w| w.answers("a", [costs(0.3)]).starts(),
        |w| cost(w, 0.3).assert_state(RunState::Completed),
    );
}

#[test]
fn a_limit_that_the_next_call_may_pass_is_said_with_all_that_counts() {
    check(
        eight(8, 0.15),
        |w| holding(w).answers("who", [FixtureReply::StaysOut]).starts(),
        |w| {
            let faults: Vec<String> = w.events().map(|event| format!("{event:?}")).collect();
            let said = "the run has cost $0.0000, calls under way may cost $0.1000 and the next $0.1000; \
                        its limit is $0.1500";
            assert!(faults.iter().any(|fault| fault.contains(said)), "{faults:?}");
            w
        },
    );
}

// ---- paid without a result

#[test]
fn an_attempt_that_was_sent_and_not_answered_counts() {
    check(
        only(agent("who", &[])),
        |w| {
            w.quote = PriceQuote::exactly(Usd::from_f64(0.1));
            w.thinks("who", [model()]).answers("who", [model_fails_at(0.1), says("hi")]).starts().advance_time(secs(60))
        },
        |w| cost(w, 0.11).assert_state(RunState::Completed),
    );
}

#[test]
fn each_kill_pays_for_the_answer_it_lost() {
    check(
        only(agent("who", &[])),
        |w| {
            w.quote = PriceQuote::exactly(Usd::from_f64(0.1));
            w.thinks("who", [model()])
                .answers("who", [FixtureReply::StaysOut, FixtureReply::StaysOut, says("hi")])
                .starts();
            w.crashes().crashes()
        },
        |w| cost(w, 0.21).recorded("hold_lost", 2).asked("who who who").assert_state(RunState::Completed),
    );
}

#[test]
fn a_run_that_changes_hands_in_order_has_lost_nothing() {
    check(
        only(agent("who", &[])),
        |w| {
            w.quote = PriceQuote::exactly(Usd::from_f64(0.1));
            w.thinks("who", [model()]).answers("who", [FixtureReply::StaysOut]).starts().change_owner()
        },
        |w| cost(w, 0.01).recorded("hold_lost", 0),
    );
}

#[test]
fn a_kill_while_nothing_is_out_costs_nothing() {
    check(
        flow([agent("who", &[]), agent("key", &[])], ""),
        |w| {
            w.quote = PriceQuote::exactly(Usd::from_f64(0.1));
            w.thinks("who", [model()]).answers("who", [flaky("BUSY")]).starts();
            w.crashes()
        },
        |w| w.recorded("hold_lost", 0),
    );
}

// ---- blocked calls

#[test]
fn a_call_that_a_budget_holds_up_waits_for_a_person_and_goes_out_by_itself_once_it_begins_anew() {
    check(
        only(agent("who", &[])),
        |w| {
            w.thinks("who", [model()]).answers("who", [FixtureReply::OverBudget(secs(60))]).starts();
            w.assert_state(RunState::Waiting).waits_for("budget:who").asked("who");
            w.advance_time(secs(59)).assert_state(RunState::Waiting);
            w.advance_time(secs(1))
        },
        |w| w.asked("who who").assert_state(RunState::Completed),
    );
}

#[test]
fn a_person_lets_a_held_up_call_go_or_ends_it() {
    let held_up = |w: &mut RunFixture| {
        w.thinks("who", [model()]).answers("who", [FixtureReply::OverBudget(secs(60))]).starts();
    };
    check(
        only(agent("who", &[])),
        |w| {
            held_up(w);
            w.allows("who", true)
        },
        |w| w.asked("who who").assert_state(RunState::Completed),
    );
    check(
        only(agent("who", &[])),
        |w| {
            held_up(w);
            w.allows("who", false)
        },
        |w| w.asked("who").waits_for("").assert_state(RunState::Completed),
    );
}

#[test]
fn a_call_without_its_key_waits_until_one_is_given_however_long() {
    check(
        flow([agent("who", &[]), tool("other")], ""),
        |w| {
            w.thinks("who", [model()]).answers("who", [blocked(BlockReason::Key)]).starts();
            w.assert_state(RunState::Waiting).waits_for("key:who");
            w.advance_time(secs(1_000_000)).assert_state(RunState::Waiting);
            w.submit(RunCommand::KeyGiven { by: "eve".into() })
        },
        |w| w.accepted().asked("other who who").assert_state(RunState::Completed),
    );
}

#[test]
fn a_key_that_no_call_waits_for_is_refused() {
    check(
        only(tool("a")),
        |w| w.answers("a", [FixtureReply::StaysOut]).starts().submit(RunCommand::KeyGiven { by: "eve".into() }),
        |w| w.refused_with("RUN-004"),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [done(json!(1))]).starts().submit(RunCommand::KeyGiven { by: "eve".into() }),
        |w| w.refused_with("RUN-003"),
    );
}

// ---- children and endpoints

/// The cost limits of its children.
fn left_to_children(w: &RunFixture) -> Vec<Option<Usd>> {
    let limits = w.events().filter_map(|event| match event {
        RunEvent::Began { wait, .. } => match &**wait {
            NodeWait::Child { limit, .. } => Some(*limit),
            _ => None,
        },
        _ => None,
    });
    limits.collect()
}

fn dollars(usd: f64) -> Option<Usd> {
    Some(Usd::from_f64(usd))
}

#[test]
fn a_child_is_left_what_the_limit_leaves_and_what_it_cost_counts() {
    // A child costs half a dollar.
    check(
        flow([tool("a").costing(0.1), child("one"), child("two"), child("three")], "a>one one>two two>three")
            .max_cost(1.0),
        |w| {
            w.answers("a", [costs(0.1)]).starts();
            assert_eq!((left_to_children(w), w.run.held_cost()), (vec![dollars(0.9)], Usd::from_f64(0.9)));
            w.child_ends("one", "run/one", RunState::Completed, false);
            assert_eq!((left_to_children(w), w.run.cost()), (vec![dollars(0.9), dollars(0.4)], Usd::from_f64(0.6)));
            w.child_ends("two", "run/two", RunState::Completed, false)
        },
        |w| {
            assert_eq!(left_to_children(w).len(), 2, "nothing is left for a third");
            cost(w, 1.1).assert_state(RunState::Failed).failed_with("COST_LIMIT")
        },
    );
}

#[test]
fn children_side_by_side_are_left_no_more_together_than_there_is() {
    check(
        only(each("each", json!([1, 2, 3]), 3, only(child("sub")))).max_cost(0.8),
        |w| w.starts(),
        |w| {
            assert_eq!(left_to_children(w), [dollars(0.4), dollars(0.2), dollars(0.1)]);
            assert_eq!(w.run.held_cost(), Usd::from_f64(0.7));
            w.assert_state(RunState::Waiting)
        },
    );
    check(
        only(child("sub").max_cost(0.3)).max_cost(0.8),
        |w| w.starts(),
        |w| {
            assert_eq!(left_to_children(w), [dollars(0.3)], "the node's own limit is less");
            w.assert_state(RunState::Waiting)
        },
    );
    check(
        only(child("sub")),
        |w| w.starts(),
        |w| {
            assert_eq!(left_to_children(w), [None]);
            w.assert_state(RunState::Waiting)
        },
    );
}

#[test]
fn a_child_beside_what_a_merge_let_go_ahead_is_handed_no_more_than_half() {
    check(
        flow(
            [
                tool("fast"),
                tool("slow"),
                child("sub"),
                merge("m", MergeMode::Any).rest(RemainingWork::Wait),
                agent("who", &[]),
            ],
            "fast>m slow>sub sub>m m>who",
        )
        .max_cost(1.0),
        |w| {
            w.quote = PriceQuote::exactly(Usd::from_f64(0.1));
            w.answers("slow", [FixtureReply::StaysOut])
                .thinks("who", [model(), model()])
                .answers("who", [FixtureReply::StaysOut]);
            w.starts().deliver_reply("slow", done(json!(1)));
            assert_eq!(
                left_to_children(w),
                [dollars(0.45)],
                "the agent, which is behind the child, is at work already"
            );
            w.deliver_reply("who", says("hi")).child_ends("sub", "run/sub", RunState::Completed, false)
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn no_child_begins_where_other_calls_hold_all_that_is_left() {
    check(
        flow([tool("a").costing(0.3), child("sub").continues()], "").max_cost(0.3),
        |w| w.answers("a", [costs(0.3)]).starts(),
        |w| {
            assert_eq!(left_to_children(w), [], "with nothing to spend not even what is free would go out in it");
            let said =
                w.events().any(|event| format!("{event:?}").contains("nothing is left to hand to the subworkflow"));
            assert!(said);
            w.assert_state(RunState::Completed)
        },
    );
}

#[test]
fn what_a_child_held_is_free_again_however_it_ends() {
    check(
        flow([child("sub").continues(), tool("a").costing(0.4)], "sub>a").max_cost(1.0),
        |w| {
            w.answers("a", [costs(0.4)]).starts();
            w.child_ends("sub", "run/sub", RunState::Failed, false)
        },
        |w| cost(w, 0.9).assert_state(RunState::Completed),
    );
}

#[test]
fn a_run_keeps_to_the_lesser_of_its_own_limit_and_the_one_it_was_handed() {
    for (own, handed, asked) in [(1.0, 0.25, "a b"), (0.25, 1.0, "a b"), (1.0, 1.0, "a b c")] {
        let tools = [tool("a").costing(0.1), tool("b").costing(0.1), tool("c").costing(0.1)];
        check(
            flow(tools, "a>b b>c").max_cost(own),
            |w| {
                w.answers("a", [costs(0.1)]).answers("b", [costs(0.1)]).answers("c", [costs(0.1)]);
                let RunCommand::Start { mut started, workflow } = w.start_command(json!({})) else { unreachable!() };
                let node = NodeAddress::outer("sub");
                started.origin = RunOrigin::Parent { run: "above".into(), node, depth: 1, max_cost: dollars(handed) };
                w.submit(RunCommand::Start { started, workflow })
            },
            |w| w.asked(asked),
        );
    }
}

/// An agent whose steps an endpoint decides, with this cost per step.
fn thought_for(step_usd: Option<f64>) -> super::flow::NodeBuilder {
    agent("who", &["book"]).agent(|agent| {
        agent.kind = crate::agent::AgentKind::Custom;
        agent.endpoint = Some("https://think.example.com".to_owned());
        agent.cost_per_step_usd = step_usd;
    })
}

#[test]
fn a_step_of_an_endpoint_counts_as_what_its_agent_says_and_is_not_asked_for_where_too_little_is_left() {
    let steps = |w: &mut RunFixture| {
        let thoughts = [thought(tools(&["book"])), thought(tools(&["book"])), thought(answer(json!("done")))];
        w.answers("who's endpoint", thoughts).thinks("who", vec![AgentStep::AskEndpoint; 3]);
    };
    check(
        only(thought_for(Some(0.1))).max_cost(0.25),
        |w| {
            steps(w);
            w.starts()
        },
        |w| cost(w, 0.2).failed_with("COST_LIMIT").asked("who's endpoint book who's endpoint book"),
    );
    check(
        only(thought_for(Some(0.1))).max_cost(0.3),
        |w| {
            steps(w);
            w.starts()
        },
        |w| cost(w, 0.3).assert_state(RunState::Completed),
    );
    check(
        only(thought_for(None)).max_cost(0.3),
        |w| {
            steps(w);
            w.starts()
        },
        |w| cost(w, 0.0).assert_state(RunState::Completed),
    );
}

#[test]
fn a_model_that_an_endpoint_wants_asked_is_kept_to_what_is_left() {
    check(
        only(thought_for(Some(0.0))).max_cost(0.3),
        |w| {
            w.answers("who's endpoint", [thought(model())]).answers("who", [FixtureReply::StaysOut]);
            w.thinks("who", [AgentStep::AskEndpoint]).starts()
        },
        |w| {
            assert_eq!(w.run.held_cost(), Usd::from_f64(0.15));
            w.asked("who's endpoint who")
        },
    );
}
