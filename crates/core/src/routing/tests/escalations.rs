//! Deadlines and escalation chains.

use super::super::{EscalationAction, Presence, Priority, RoutingCommand, RoutingEvent, RoutingSettings, SlaBreach};
use super::{RoutingFixture, enqueue, minutes};

/// The escalation actions for a conversation, with the minutes since the start.
fn steps(w: &RoutingFixture, conversation: &str) -> Vec<(u64, SlaBreach, EscalationAction)> {
    let began = w.journal.first().unwrap().0;
    let steps = w.journal.iter().filter_map(|(at, event)| match event {
        RoutingEvent::Escalated { conversation: id, breach, act, .. } if id.as_str() == conversation => {
            Some((at.since(began).as_secs() / 60, *breach, *act))
        }
        _ => None,
    });
    steps.collect()
}

#[test]
fn what_nobody_answers_is_put_first_told_and_at_last_anybodys() {
    let mut w = RoutingFixture::new();
    w.joins("bob", &["legal"], 1).comes("other", &["legal"]).advance_time(minutes(0)).comes("one", &["legal"]);
    w.answered("other").joins("ana", &[], 1);
    for _ in 0..30 {
        w.submit(RoutingCommand::Heard { person: "ana".into() });
        w.submit(RoutingCommand::Heard { person: "bob".into() });
        w.advance_with_ticks(minutes(1));
    }
    let late = SlaBreach::FirstResponse;
    assert_eq!(
        steps(&w, "one"),
        [
            (5, late, EscalationAction::RaisePriority),
            (10, late, EscalationAction::Tell),
            (20, late, EscalationAction::DropSkills)
        ]
    );
    assert_eq!(w.owner("one"), Some("ana"));
    w.replayed();
}

#[test]
fn what_waits_anew_for_an_answer_has_a_new_deadline() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 1).comes("one", &[]);
    w.advance_with_ticks(minutes(3)).submit(RoutingCommand::Heard { person: "ana".into() });
    w.answered("one").advance_with_ticks(minutes(60));
    assert_eq!(
        steps(&w, "one"),
        [
            (13, SlaBreach::FirstResponse, EscalationAction::RaisePriority),
            (18, SlaBreach::FirstResponse, EscalationAction::Tell),
            (28, SlaBreach::FirstResponse, EscalationAction::DropSkills)
        ],
        "ana was not heard of, and it waited anew"
    );
}

#[test]
fn an_answer_ends_the_chain_that_began() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 1).comes("one", &[]);
    w.advance_with_ticks(minutes(4)).submit(RoutingCommand::Heard { person: "ana".into() });
    w.advance_with_ticks(minutes(2)).answered("one");
    for _ in 0..20 {
        w.submit(RoutingCommand::Heard { person: "ana".into() });
        w.advance_with_ticks(minutes(1));
    }
    assert_eq!(steps(&w, "one"), [(5, SlaBreach::FirstResponse, EscalationAction::RaisePriority)]);
}

#[test]
fn what_is_not_resolved_in_time_is_told() {
    let mut w = RoutingFixture::new();
    let mut one = enqueue("one", 1, &[], Priority::Normal, w.now);
    (one.first_response_by, one.resolve_by) = (Some(w.now + minutes(100)), Some(w.now + minutes(7)));
    w.submit(RoutingCommand::Enqueue(one));
    w.submit(RoutingCommand::PutPerson(super::profile("ana", &[], 1)));
    w.advance_with_ticks(minutes(30));
    assert_eq!(
        steps(&w, "one"),
        [
            (7, SlaBreach::Resolution, EscalationAction::RaisePriority),
            (7, SlaBreach::Resolution, EscalationAction::Tell)
        ]
    );
}

#[test]
fn what_nobody_can_take_is_told_and_then_anybodys() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 1).comes("one", &["legal"]);
    w.advance_with_ticks(minutes(4)).submit(RoutingCommand::Heard { person: "ana".into() });
    w.advance_with_ticks(minutes(4));
    assert_eq!(steps(&w, "one")[0], (2, SlaBreach::Nobody, EscalationAction::Tell));
    assert!(steps(&w, "one").contains(&(7, SlaBreach::Nobody, EscalationAction::DropSkills)));
    assert_eq!(w.owner("one"), Some("ana"));
}

#[test]
fn somebody_who_has_the_skills_and_is_not_there_is_waited_for() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 1).comes("one", &["legal"]).advance_with_ticks(minutes(1));
    w.submit(RoutingCommand::PutPerson(super::profile("bob", &["legal"], 1)));
    w.advance_with_ticks(minutes(3));
    assert_eq!(steps(&w, "one"), []);
    w.submit(RoutingCommand::RemovePerson { person: "bob".into() });
    w.advance_with_ticks(minutes(2));
    assert_eq!(
        steps(&w, "one").last(),
        Some(&(6, SlaBreach::Nobody, EscalationAction::Tell)),
        "from when on nobody could"
    );
}

#[test]
fn a_shorter_limit_counts_for_those_who_wait() {
    let mut w = RoutingFixture::new();
    w.comes("one", &["legal"]);
    w.submit(RoutingCommand::Settings(RoutingSettings { nobody_for: minutes(1), ..RoutingSettings::default() }));
    w.advance_with_ticks(minutes(1));
    assert_eq!(steps(&w, "one"), [(1, SlaBreach::Nobody, EscalationAction::Tell)]);
}

#[test]
fn where_there_is_nobody_at_all_the_chains_end() {
    let mut w = RoutingFixture::new();
    w.comes("one", &["legal"]).advance_with_ticks(minutes(10_000));
    assert_eq!(w.desk.wake_at(), None);
    w.joins("ana", &[], 1);
    assert_eq!(w.owner("one"), Some("ana"));
    w.is("ana", Presence::Offline);
    assert_eq!(w.owner("one"), None);
    w.replayed();
}
