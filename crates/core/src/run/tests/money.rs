//! What a run and its nodes may cost, and what holds a call up until there is money or a key.

use serde_json::json;

use super::agents::{model, tools};
use super::flow::{Flow, agent, each, flow, only, requests, secs, tool};
use super::world::{Reply, World, blocked, check, costs, done, flaky, model_fails_at, says};
use crate::graph::Combine;
use crate::money::{Quote, Usd};
use crate::run::{Block, Command, State};

/// Eight agents, so many of them side by side, in a run that may cost so much.
fn eight(side_by_side: u32, max_cost: f64) -> Flow {
    let body = only(agent("who", &[]));
    only(each("each", json!([0, 1, 2, 3, 4, 5, 6, 7]), side_by_side, body).collects()).max_cost(max_cost)
}

/// Each asks its model once, which may cost 10 cents and costs 1.
fn holding(w: &mut World) -> &mut World {
    w.quote = Quote::exactly(Usd::from_f64(0.1));
    w.thinks("who", vec![model(); 8])
}

#[track_caller]
fn cost(w: &World, usd: f64) -> &World {
    assert_eq!((w.run.cost(), w.run.on_hold()), (Usd::from_f64(usd), Usd::ZERO));
    w
}

// ---- limits of a run and a node

#[test]
fn calls_side_by_side_cannot_overrun_together_what_each_alone_would_not() {
    check(
        eight(8, 0.35),
        |w| holding(w).answers("who", vec![Reply::StaysOut; 8]).starts(),
        |w| {
            assert_eq!(w.run.on_hold(), Usd::from_f64(0.3));
            w.asked("who who who")
        },
    );
}

#[test]
fn whatever_the_answers_of_calls_side_by_side_cost_they_stay_within_the_limit() {
    // Each may cost a dollar, usually costs a cent, and is not made for less than half a cent.
    let quote = Quote { most: Usd::from_f64(1.0), usual: Usd::from_f64(0.01), least: Usd::from_f64(0.005) };
    let may_cost = |w: &World| -> Usd {
        let calls = w.run.calls.keys();
        calls.map(|call| w.run.may_cost(call).expect("the run has a limit")).sum()
    };
    check(
        eight(8, 0.4),
        |w| {
            w.quote = quote;
            w.thinks("who", vec![model(); 8]).answers("who", vec![Reply::StaysOut; 8]).starts()
        },
        |w| {
            assert!(w.run.on_hold() <= Usd::from_f64(0.4), "{}", w.run.on_hold());
            assert_eq!(may_cost(w), w.run.on_hold(), "each may cost what is held for it");
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
            w.quote = Quote::exactly(Usd::from_f64(0.1));
            w.thinks("who", vec![model(); 8]).answers("who", vec![Reply::StaysOut; 2]).starts().crashes()
        },
        |w| {
            let call = w.run.calls.keys().next().expect("it is asked again").clone();
            assert_eq!(w.run.may_cost(&call), Some(Usd::from_f64(0.05)), "a lost answer is paid for");
            w
        },
    );
}

#[test]
fn what_a_call_did_not_cost_is_there_for_the_next() {
    check(
        eight(1, 0.175),
        |w| holding(w).starts(),
        |w| cost(w, 0.08).asked("who who who who who who who who").is(State::Completed),
    );
}

#[test]
fn a_node_holds_what_its_tools_cost_before_it_asks_for_any() {
    let all = requests("all", &["a", "b"]).costing(0.2).max_cost(0.3);
    let wanted = json!([{"tool_name": "a"}, {"tool_name": "b"}]);
    check(
        only(all).variable("tool_requests", Combine::LastWins, wanted),
        |w| w.starts(),
        |w| w.asked("").is(State::Failed).failed_with("COST_LIMIT"),
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
        |w| cost(w, 0.3).is(State::Completed),
    );
}

#[test]
fn a_limit_that_the_next_call_may_pass_is_said_with_all_that_counts() {
    check(
        eight(8, 0.15),
        |w| holding(w).answers("who", [Reply::StaysOut]).starts(),
        |w| {
            let faults: Vec<String> = w.events().map(|event| format!("{event:?}")).collect();
            let said = "the run has cost $0.0000, calls under way may cost $0.1000 and the next $0.1000; \
                        its limit is $0.1500";
            assert!(faults.iter().any(|fault| fault.contains(said)), "{faults:?}");
            w
        },
    );
}

// ---- what was paid for and brought nothing

#[test]
fn an_attempt_that_was_sent_and_not_answered_counts() {
    check(
        only(agent("who", &[])),
        |w| {
            w.quote = Quote::exactly(Usd::from_f64(0.1));
            w.thinks("who", [model()]).answers("who", [model_fails_at(0.1), says("hi")]).starts().passes(secs(60))
        },
        |w| cost(w, 0.11).is(State::Completed),
    );
}

#[test]
fn each_kill_pays_for_the_answer_it_lost() {
    check(
        only(agent("who", &[])),
        |w| {
            w.quote = Quote::exactly(Usd::from_f64(0.1));
            w.thinks("who", [model()]).answers("who", [Reply::StaysOut, Reply::StaysOut, says("hi")]).starts();
            w.crashes().crashes()
        },
        |w| cost(w, 0.21).recorded("hold_lost", 2).asked("who who who").is(State::Completed),
    );
}

#[test]
fn a_run_that_changes_hands_in_order_has_lost_nothing() {
    check(
        only(agent("who", &[])),
        |w| {
            w.quote = Quote::exactly(Usd::from_f64(0.1));
            w.thinks("who", [model()]).answers("who", [Reply::StaysOut]).starts().changes_hands()
        },
        |w| cost(w, 0.01).recorded("hold_lost", 0),
    );
}

#[test]
fn a_kill_while_nothing_is_out_costs_nothing() {
    check(
        flow([agent("who", &[]), agent("key", &[])], ""),
        |w| {
            w.quote = Quote::exactly(Usd::from_f64(0.1));
            w.thinks("who", [model()]).answers("who", [flaky("BUSY")]).starts();
            w.crashes()
        },
        |w| w.recorded("hold_lost", 0),
    );
}

// ---- held up

#[test]
fn a_call_that_a_budget_holds_up_waits_for_a_person_and_goes_out_by_itself_once_it_begins_anew() {
    check(
        only(agent("who", &[])),
        |w| {
            w.thinks("who", [model()]).answers("who", [Reply::OverBudget(secs(60))]).starts();
            w.is(State::Waiting).waits_for("budget:who").asked("who");
            w.passes(secs(59)).is(State::Waiting);
            w.passes(secs(1))
        },
        |w| w.asked("who who").is(State::Completed),
    );
}

#[test]
fn a_person_lets_a_held_up_call_go_or_ends_it() {
    let held_up = |w: &mut World| {
        w.thinks("who", [model()]).answers("who", [Reply::OverBudget(secs(60))]).starts();
    };
    check(
        only(agent("who", &[])),
        |w| {
            held_up(w);
            w.allows("who", true)
        },
        |w| w.asked("who who").is(State::Completed),
    );
    check(
        only(agent("who", &[])),
        |w| {
            held_up(w);
            w.allows("who", false)
        },
        |w| w.asked("who").waits_for("").is(State::Completed),
    );
}

#[test]
fn a_call_without_its_key_waits_until_one_is_given_however_long() {
    check(
        flow([agent("who", &[]), tool("other")], ""),
        |w| {
            w.thinks("who", [model()]).answers("who", [blocked(Block::Key)]).starts();
            w.is(State::Waiting).waits_for("key:who");
            w.passes(secs(1_000_000)).is(State::Waiting);
            w.does(Command::KeyGiven { by: "eve".into() })
        },
        |w| w.accepted().asked("other who who").is(State::Completed),
    );
}

#[test]
fn a_key_that_no_call_waits_for_is_refused() {
    check(
        only(tool("a")),
        |w| w.answers("a", [Reply::StaysOut]).starts().does(Command::KeyGiven { by: "eve".into() }),
        |w| w.refused_with("RUN-004"),
    );
    check(
        only(tool("a")),
        |w| w.answers("a", [done(json!(1))]).starts().does(Command::KeyGiven { by: "eve".into() }),
        |w| w.refused_with("RUN-003"),
    );
}
