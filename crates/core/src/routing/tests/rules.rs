//! Assignment rules.

use super::super::{
    AssignmentBlocker, Presence, Priority, RequeueReason, RoutedConversation, RoutingCommand, RoutingEvent,
    RoutingRefusal, STEPS_PER_TICK_MAX, TransferTarget,
};
use super::{RoutingFixture, enqueue, minutes, set};
use crate::id::RunId;

#[test]
fn the_oldest_is_first_whatever_came_in_first() {
    let mut w = RoutingFixture::new();
    let earlier = w.now;
    w.advance_time(minutes(1)).comes("young", &[]);
    w.submit(RoutingCommand::Enqueue(enqueue("old", 1, &[], Priority::Normal, earlier)));
    assert_eq!(w.line(), ["old", "young"]);
    w.joins("ana", &[], 1);
    assert_eq!((w.owner("old"), w.owner("young")), (Some("ana"), None));
}

#[test]
fn what_is_more_urgent_is_before_what_is_older() {
    let mut w = RoutingFixture::new();
    w.comes("old", &[]).advance_time(minutes(1)).comes_first("urgent", &[], Priority::Urgent);
    w.joins("ana", &[], 1);
    assert_eq!((w.owner("urgent"), w.owner("old")), (Some("ana"), None));
}

#[test]
fn only_who_has_every_skill_is_given_it() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &["returns"], 5).joins("bob", &["returns", "billing"], 5);
    w.comes("one", &["returns", "billing"]);
    assert_eq!(w.owner("one"), Some("bob"));
}

#[test]
fn what_nobody_can_take_does_not_keep_others_waiting() {
    let mut w = RoutingFixture::new();
    w.comes("legal", &["legal"]).advance_time(minutes(1)).comes("any", &[]);
    w.joins("ana", &[], 5);
    assert_eq!((w.owner("legal"), w.owner("any")), (None, Some("ana")));
}

#[test]
fn a_language_is_asked_for_like_a_skill_of_those_who_name_theirs() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 5);
    w.submit(RoutingCommand::PutPerson(super::PersonProfile {
        languages: set(&["en"]),
        ..super::profile("ana", &[], 5)
    }));
    let mut spanish = enqueue("one", 1, &[], Priority::Normal, w.now);
    spanish.wants.language = Some("es".to_owned());
    w.submit(RoutingCommand::Enqueue(spanish));
    assert_eq!(w.owner("one"), None);
    w.joins("eva", &[], 5);
    assert_eq!(w.owner("one"), Some("eva"), "she names none, and speaks what is asked for");
}

#[test]
fn whoever_has_fewest_is_given_it() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 5).comes("one", &[]).comes("two", &[]);
    w.advance_time(minutes(1)).joins("bob", &[], 5).comes("three", &[]);
    assert_eq!(w.owner("three"), Some("bob"), "though ana has been idle longer");
}

#[test]
fn of_those_who_have_as_many_whoever_was_idle_longest() {
    let mut w = RoutingFixture::new();
    w.joins("zoe", &[], 5).advance_time(minutes(1)).joins("ana", &[], 5);
    w.advance_time(minutes(1)).comes("one", &[]);
    assert_eq!(w.owner("one"), Some("zoe"));
    w.leaves("one").advance_time(minutes(1)).comes("two", &[]);
    assert_eq!(w.owner("two"), Some("ana"), "zoe had one since");
}

#[test]
fn nobody_has_more_than_they_may() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 2).comes("one", &[]).comes("two", &[]).comes("three", &[]);
    assert_eq!((w.owner("two"), w.owner("three")), (Some("ana"), None));
    w.leaves("one");
    assert_eq!(w.owner("three"), Some("ana"));
}

#[test]
fn who_is_away_is_given_nothing_and_keeps_what_they_have() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 5).comes("one", &[]).is("ana", Presence::Away).comes("two", &[]);
    assert_eq!((w.owner("one"), w.owner("two")), (Some("ana"), None));
    w.is("ana", Presence::Online);
    assert_eq!(w.owner("two"), Some("ana"));
}

#[test]
fn what_somebody_had_who_goes_offline_waits_at_its_old_place() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 2).comes("one", &[]).advance_time(minutes(1)).comes("two", &[]);
    w.advance_time(minutes(1)).comes("three", &[]);
    assert_eq!(w.line(), ["three"]);
    w.is("ana", Presence::Offline);
    assert_eq!(w.line(), ["one", "two", "three"]);
    assert_eq!(w.number("one"), 3, "enqueued, given, given back");
    w.joins("bob", &[], 2);
    assert_eq!((w.owner("one"), w.owner("two"), w.owner("three")), (Some("bob"), Some("bob"), None));
}

#[test]
fn what_goes_from_one_to_the_next_has_one_owner_at_a_time() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 2).comes("one", &[]).joins("bob", &[], 2);
    let events = w.submit(RoutingCommand::Presence { person: "ana".into(), presence: Presence::Offline });
    let numbers = events.iter().filter_map(|event| match event {
        RoutingEvent::Requeued { number, why, stay: 1, .. } => Some((*number, why.word())),
        RoutingEvent::Assigned { number, stay: 1, .. } => Some((*number, "assigned")),
        _ => None,
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [(3, "offline"), (4, "assigned")]);
    assert_eq!(w.owner("one"), Some("bob"));
}

#[test]
fn who_is_not_heard_of_is_offline() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 2).comes("one", &[]);
    w.advance_with_ticks(minutes(4)).submit(RoutingCommand::Heard { person: "ana".into() });
    w.advance_with_ticks(minutes(4));
    assert_eq!(w.owner("one"), Some("ana"), "heard of 4 minutes ago");
    w.advance_with_ticks(minutes(1));
    assert_eq!(w.owner("one"), None);
    assert_eq!(w.desk.person(&"ana".into()).unwrap().presence, Presence::Offline);
    let why = w
        .journal
        .iter()
        .find_map(|(_, event)| if let RoutingEvent::Requeued { why, .. } = event { Some(*why) } else { None });
    assert_eq!(why, Some(RequeueReason::Unheard));
}

#[test]
fn a_heartbeat_that_says_nothing_new_is_not_written_down() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 2);
    assert_eq!(w.advance_time(minutes(0)).submit(RoutingCommand::Heard { person: "ana".into() }), []);
    assert_eq!(w.advance_time(minutes(1)).submit(RoutingCommand::Heard { person: "ana".into() }).len(), 1);
}

#[test]
fn somebody_passes_it_on_to_a_person_who_is_there_and_has_room() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 1).comes("one", &["none"]).joins("bob", &[], 1);
    let pass = |w: &mut RoutingFixture, person: &str| {
        let number = w.number("one");
        w.try_submit(RoutingCommand::Transfer {
            conversation: "one".into(),
            number,
            to: TransferTarget::Person(person.into()),
        })
    };
    pass(&mut w, "ana").unwrap();
    assert_eq!(w.owner("one"), Some("ana"), "whoever passes it on knows what they do");
    assert_eq!(pass(&mut w, "ana").unwrap_err().code(), "DESK-008");
    pass(&mut w, "bob").unwrap();
    assert_eq!((w.owner("one"), w.number("one")), (Some("bob"), 4));
    w.comes("two", &[]);
    assert_eq!(
        pass(&mut w, "ana").unwrap_err().to_string(),
        "`ana` cannot be given it: they have 1 conversations and may have no more"
    );
    w.is("ana", Presence::Away);
    assert_eq!(pass(&mut w, "ana").unwrap_err().to_string(), "`ana` cannot be given it: they are away");
    let late = w.try_submit(RoutingCommand::Transfer {
        conversation: "one".into(),
        number: 2,
        to: TransferTarget::Person("ana".into()),
    });
    assert!(matches!(late, Err(RoutingRefusal::ChangedHands { number: 4, quoted: 2, .. })));
}

#[test]
fn somebody_passes_it_on_to_a_skill() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &["returns"], 2).comes("one", &["returns"]).joins("bob", &["billing"], 2);
    w.submit(RoutingCommand::Transfer {
        conversation: "one".into(),
        number: 2,
        to: TransferTarget::Skills(set(&["billing"])),
    });
    assert_eq!((w.owner("one"), w.number("one")), (Some("bob"), 4));
}

#[test]
fn what_is_told_twice_or_late_changes_nothing() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 2);
    let first = enqueue("one", 3, &[], Priority::Normal, w.now);
    w.submit(RoutingCommand::Enqueue(first.clone()));
    assert_eq!(w.submit(RoutingCommand::Enqueue(first)), []);
    assert_eq!(w.submit(RoutingCommand::Left { conversation: "one".into(), number: 2 }), [], "of an earlier stay");
    assert_eq!(w.submit(RoutingCommand::Left { conversation: "other".into(), number: 9 }), []);
    w.submit(RoutingCommand::Enqueue(enqueue("one", 7, &[], Priority::Normal, w.now)));
    let RoutedConversation { stay, number, .. } = *w.desk.conversation(&RunId::new("one")).unwrap();
    assert_eq!((stay, number, w.desk.person(&"ana".into()).unwrap().load()), (7, 8, 1), "it is back, once");
}

#[test]
fn the_line_says_why_somebody_waits() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &["returns"], 1).comes("one", &["returns"]);
    w.submit(RoutingCommand::PutPerson(super::profile("bob", &["billing"], 1)));
    w.comes("full", &["returns"]).comes("night", &["billing"]).comes("nobody", &["legal"]);
    let line: Vec<_> =
        w.desk.waiting_page(0, 10).into_iter().map(|waiting| (waiting.position, waiting.blocker)).collect();
    assert_eq!(
        line,
        [(1, AssignmentBlocker::Capacity), (2, AssignmentBlocker::Presence), (3, AssignmentBlocker::Skills)]
    );
    assert_eq!(w.desk.waiting_page(1, 1)[0].conversation.conversation.as_str(), "night");
}

#[test]
fn what_comes_due_at_once_is_given_out_in_batches() {
    let mut w = RoutingFixture::new();
    for n in 0..1_200 {
        w.comes(&format!("c{n:04}"), &["legal"]);
    }
    w.advance_time(minutes(7));
    for n in 0..12 {
        w.joins(&format!("p{n:02}"), &[], 100);
    }
    let mut batches = Vec::new();
    while w.desk.wake_at().is_some_and(|at| at <= w.now) {
        let events = w.submit(RoutingCommand::Tick);
        batches.push(events.iter().filter(|event| matches!(event, RoutingEvent::Assigned { .. })).count());
        assert!(events.len() <= 2 * STEPS_PER_TICK_MAX);
    }
    assert_eq!((batches.iter().sum::<usize>(), w.desk.waiting_count()), (1_200, 0), "their skills were waived");
    assert!(batches.iter().filter(|given| **given > 0).count() > 1);
    w.replayed();
}
