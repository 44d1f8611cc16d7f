//! The people of the queue.

use super::super::{CAPACITY_MAX, PEOPLE_MAX, PersonProfile, Presence, RoutingCommand, RoutingSettings};
use super::{RoutingFixture, minutes, profile, set};

fn refused(w: &mut RoutingFixture, profile: PersonProfile) -> String {
    let refusal = w.try_submit(RoutingCommand::PutPerson(profile)).unwrap_err();
    format!("{} {refusal}", refusal.code())
}

#[test]
fn a_profile_is_checked() {
    let mut w = RoutingFixture::new();
    let good = || profile("ana", &[], 5);
    let said = refused(&mut w, PersonProfile { max_capacity: 0, ..good() });
    assert_eq!(said, "DESK-001 `max_capacity` cannot be so: it is 0, and 1 to 100 are possible");
    assert!(refused(&mut w, PersonProfile { max_capacity: CAPACITY_MAX + 1, ..good() }).starts_with("DESK-001"));
    assert!(refused(&mut w, PersonProfile { email: "ana".to_owned(), ..good() }).contains("`email`"));
    assert!(refused(&mut w, PersonProfile { name: " ".to_owned(), ..good() }).contains("`name`"));
    assert!(
        refused(&mut w, PersonProfile { skills: set(&[&"x".repeat(65)]), ..good() }).contains("1 to 64 characters")
    );
    let many = (0..33).map(|n| n.to_string()).collect();
    assert!(refused(&mut w, PersonProfile { languages: many, ..good() }).contains("33 are named, and 32 are possible"));
}

#[test]
fn an_address_is_one_persons() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 5);
    let said = refused(&mut w, PersonProfile { email: "ANA@example.com".to_owned(), ..profile("bob", &[], 5) });
    assert_eq!(said, "DESK-003 `ANA@example.com` is the address of `ana` already");
    w.submit(RoutingCommand::PutPerson(PersonProfile {
        email: "anna@example.com".to_owned(),
        ..profile("ana", &[], 5)
    }));
    w.submit(RoutingCommand::PutPerson(PersonProfile {
        email: "ana@example.com".to_owned(),
        ..profile("bob", &[], 5)
    }));
}

#[test]
fn a_desk_has_so_many_people_and_no_more() {
    let mut w = RoutingFixture::new();
    for n in 0..PEOPLE_MAX {
        w.submit(RoutingCommand::PutPerson(profile(&format!("p{n}"), &[], 5)));
    }
    assert!(refused(&mut w, profile("one-more", &[], 5)).starts_with("DESK-002"));
}

#[test]
fn somebody_unknown_is_refused() {
    let mut w = RoutingFixture::new();
    for command in [
        RoutingCommand::RemovePerson { person: "ana".into() },
        RoutingCommand::Presence { person: "ana".into(), presence: Presence::Online },
        RoutingCommand::Heard { person: "ana".into() },
    ] {
        assert_eq!(w.try_submit(command).unwrap_err().code(), "DESK-004");
    }
}

#[test]
fn what_somebody_had_who_is_removed_goes_to_the_next() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &["legal"], 5).comes("one", &["legal"]).joins("bob", &["legal"], 5);
    w.submit(RoutingCommand::RemovePerson { person: "ana".into() });
    assert_eq!(w.owner("one"), Some("bob"));
    assert_eq!(w.desk.people().len(), 1);
    w.replayed();
}

#[test]
fn new_skills_and_more_room_count_at_once() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 1).comes("one", &[]).comes("two", &["legal"]);
    w.submit(RoutingCommand::PutPerson(profile("ana", &["legal"], 1)));
    assert_eq!(w.owner("two"), None);
    w.submit(RoutingCommand::PutPerson(profile("ana", &["legal"], 2)));
    assert_eq!(w.owner("two"), Some("ana"));
}

#[test]
fn who_may_have_fewer_than_they_have_keeps_them_and_is_given_no_more() {
    let mut w = RoutingFixture::new();
    w.joins("ana", &[], 3).comes("one", &[]).comes("two", &[]);
    w.submit(RoutingCommand::PutPerson(profile("ana", &[], 1)));
    w.leaves("one").comes("three", &[]);
    assert_eq!((w.owner("two"), w.owner("three")), (Some("ana"), None));
}

#[test]
fn settings_are_checked() {
    let mut w = RoutingFixture::new();
    let mut refused =
        |settings: RoutingSettings| w.try_submit(RoutingCommand::Settings(settings)).unwrap_err().to_string();
    assert!(
        refused(RoutingSettings { nobody_for: minutes(0), ..RoutingSettings::default() }).contains("`nobody_for_ms`")
    );
    let said = refused(RoutingSettings { nobody: Vec::new(), ..RoutingSettings::default() });
    assert!(said.contains("one of its steps must be `drop_skills`"), "{said}");
    let mut steps = RoutingSettings::default().late_response;
    steps.reverse();
    assert!(
        refused(RoutingSettings { late_response: steps, ..RoutingSettings::default() }).contains("one after another")
    );
    let many = vec![RoutingSettings::default().late_response[0]; 11];
    assert!(refused(RoutingSettings { late_response: many, ..RoutingSettings::default() }).contains("11 steps"));
}
