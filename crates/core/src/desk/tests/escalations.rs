//! Deadlines and chains.

use super::super::{Act, Breach, Command, Event, Presence, Priority, Settings};
use super::{World, enqueue, minutes};

/// What was done about a conversation, and how many minutes after the beginning.
fn steps(w: &World, conversation: &str) -> Vec<(u64, Breach, Act)> {
    let began = w.journal.first().unwrap().0;
    let steps = w.journal.iter().filter_map(|(at, event)| match event {
        Event::Escalated { conversation: id, breach, act, .. } if id.as_str() == conversation => {
            Some((at.since(began).as_secs() / 60, *breach, *act))
        }
        _ => None,
    });
    steps.collect()
}

#[test]
fn what_nobody_answers_is_put_first_told_and_at_last_anybodys() {
    let mut w = World::new();
    w.joins("bob", &["legal"], 1).comes("other", &["legal"]).passes(minutes(0)).comes("one", &["legal"]);
    w.answered("other").joins("ana", &[], 1);
    for _ in 0..30 {
        w.does(Command::Heard { person: "ana".into() });
        w.does(Command::Heard { person: "bob".into() });
        w.lives(minutes(1));
    }
    let late = Breach::FirstResponse;
    assert_eq!(steps(&w, "one"), [(5, late, Act::RaisePriority), (10, late, Act::Tell), (20, late, Act::DropSkills)]);
    assert_eq!(w.owner("one"), Some("ana"));
    w.replayed();
}

#[test]
fn what_waits_anew_for_an_answer_has_a_new_deadline() {
    let mut w = World::new();
    w.joins("ana", &[], 1).comes("one", &[]);
    w.lives(minutes(3)).does(Command::Heard { person: "ana".into() });
    w.answered("one").lives(minutes(60));
    assert_eq!(
        steps(&w, "one"),
        [
            (13, Breach::FirstResponse, Act::RaisePriority),
            (18, Breach::FirstResponse, Act::Tell),
            (28, Breach::FirstResponse, Act::DropSkills)
        ],
        "ana was not heard of, and it waited anew"
    );
}

#[test]
fn an_answer_ends_the_chain_that_began() {
    let mut w = World::new();
    w.joins("ana", &[], 1).comes("one", &[]);
    w.lives(minutes(4)).does(Command::Heard { person: "ana".into() });
    w.lives(minutes(2)).answered("one");
    for _ in 0..20 {
        w.does(Command::Heard { person: "ana".into() });
        w.lives(minutes(1));
    }
    assert_eq!(steps(&w, "one"), [(5, Breach::FirstResponse, Act::RaisePriority)]);
}

#[test]
fn what_is_not_resolved_in_time_is_told() {
    let mut w = World::new();
    let mut one = enqueue("one", 1, &[], Priority::Normal, w.now);
    (one.first_response_by, one.resolve_by) = (Some(w.now + minutes(100)), Some(w.now + minutes(7)));
    w.does(Command::Enqueue(one));
    w.does(Command::PutPerson(super::profile("ana", &[], 1)));
    w.lives(minutes(30));
    assert_eq!(steps(&w, "one"), [(7, Breach::Resolution, Act::RaisePriority), (7, Breach::Resolution, Act::Tell)]);
}

#[test]
fn what_nobody_can_take_is_told_and_then_anybodys() {
    let mut w = World::new();
    w.joins("ana", &[], 1).comes("one", &["legal"]);
    w.lives(minutes(4)).does(Command::Heard { person: "ana".into() });
    w.lives(minutes(4));
    assert_eq!(steps(&w, "one")[0], (2, Breach::Nobody, Act::Tell));
    assert!(steps(&w, "one").contains(&(7, Breach::Nobody, Act::DropSkills)));
    assert_eq!(w.owner("one"), Some("ana"));
}

#[test]
fn somebody_who_has_the_skills_and_is_not_there_is_waited_for() {
    let mut w = World::new();
    w.joins("ana", &[], 1).comes("one", &["legal"]).lives(minutes(1));
    w.does(Command::PutPerson(super::profile("bob", &["legal"], 1)));
    w.lives(minutes(3));
    assert_eq!(steps(&w, "one"), []);
    w.does(Command::RemovePerson { person: "bob".into() });
    w.lives(minutes(2));
    assert_eq!(steps(&w, "one").last(), Some(&(6, Breach::Nobody, Act::Tell)), "from when on nobody could");
}

#[test]
fn a_shorter_limit_counts_for_those_who_wait() {
    let mut w = World::new();
    w.comes("one", &["legal"]);
    w.does(Command::Settings(Settings { nobody_for: minutes(1), ..Settings::default() }));
    w.lives(minutes(1));
    assert_eq!(steps(&w, "one"), [(1, Breach::Nobody, Act::Tell)]);
}

#[test]
fn where_there_is_nobody_at_all_the_chains_end() {
    let mut w = World::new();
    w.comes("one", &["legal"]).lives(minutes(10_000));
    assert_eq!(w.desk.wake_at(), None);
    w.joins("ana", &[], 1);
    assert_eq!(w.owner("one"), Some("ana"));
    w.is("ana", Presence::Offline);
    assert_eq!(w.owner("one"), None);
    w.replayed();
}
