//! Every command about a conversation in every state: accepted or refused, and printed as a table for people.

use std::fmt::Write as _;
use std::path::Path;

use super::super::{Presence, Priority, RoutingCommand, RoutingEvent, RoutingSettings, ServiceLevel, TransferTarget};
use super::{RoutingFixture, enqueue, minutes, profile, set};
use crate::id::RunId;

const WORDS: [&str; 15] = [
    "settings",
    "put_person",
    "remove_person",
    "presence online",
    "presence away",
    "presence offline",
    "heard",
    "enqueue",
    "enqueue again",
    "left",
    "answered",
    "transfer to a person",
    "transfer to a skill",
    "service_level",
    "tick",
];
const STANDS: [&str; 5] = ["elsewhere", "waiting, nobody there", "waiting, all full", "somebody's", "answered"];

/// Sets up the conversation `one` in this state; `ana` is its actual or possible owner, `bob` another person.
fn stands(word: &str) -> RoutingFixture {
    let mut w = RoutingFixture::new();
    w.submit(RoutingCommand::PutPerson(profile("ana", &["x"], 1)));
    w.submit(RoutingCommand::PutPerson(profile("bob", &["x"], 1)));
    let world = &mut w;
    match word {
        "elsewhere" => world.is("ana", Presence::Online),
        "waiting, nobody there" => world.comes("one", &["x"]),
        "waiting, all full" => world.is("ana", Presence::Online).comes("other", &["x"]).comes("one", &["x"]),
        "somebody's" => world.is("ana", Presence::Online).comes("one", &["x"]),
        "answered" => world.is("ana", Presence::Online).comes("one", &["x"]).answered("one"),
        other => panic!("no stand `{other}`"),
    };
    w.advance_time(minutes(6));
    w
}

fn command(word: &str, w: &RoutingFixture) -> RoutingCommand {
    let one = || RunId::new("one");
    let number = w.desk.conversation(&one()).map_or(1, |case| case.number);
    let ana = || "ana".into();
    match word {
        "settings" => {
            RoutingCommand::Settings(RoutingSettings { nobody_for: minutes(3), ..RoutingSettings::default() })
        }
        "put_person" => RoutingCommand::PutPerson(profile("ana", &["x"], 2)),
        "remove_person" => RoutingCommand::RemovePerson { person: ana() },
        "presence online" => RoutingCommand::Presence { person: ana(), presence: Presence::Online },
        "presence away" => RoutingCommand::Presence { person: ana(), presence: Presence::Away },
        "presence offline" => RoutingCommand::Presence { person: ana(), presence: Presence::Offline },
        "heard" => RoutingCommand::Heard { person: ana() },
        "enqueue" => RoutingCommand::Enqueue(enqueue("one", 1, &["x"], Priority::Normal, w.now)),
        "enqueue again" => RoutingCommand::Enqueue(enqueue("one", 9, &["x"], Priority::Normal, w.now)),
        "left" => RoutingCommand::Left { conversation: one(), number },
        "answered" => RoutingCommand::Answered { conversation: one(), number },
        "transfer to a person" => {
            RoutingCommand::Transfer { conversation: one(), number, to: TransferTarget::Person("bob".into()) }
        }
        "transfer to a skill" => {
            RoutingCommand::Transfer { conversation: one(), number, to: TransferTarget::Skills(set(&["y"])) }
        }
        "service_level" => {
            let service = ServiceLevel { first_response_ms: Some(3_600_000), ..ServiceLevel::default() };
            RoutingCommand::ServiceLevel { conversation: one(), number, service }
        }
        "tick" => RoutingCommand::Tick,
        other => panic!("no command `{other}`"),
    }
}

fn word(event: &RoutingEvent) -> &'static str {
    match event {
        RoutingEvent::SettingsSet(_) => "settings_set",
        RoutingEvent::PersonPut(_) => "person_put",
        RoutingEvent::PersonRemoved { .. } => "person_removed",
        RoutingEvent::PresenceSet { .. } => "presence_set",
        RoutingEvent::Heard { .. } => "heard",
        RoutingEvent::Queued { .. } => "queued",
        RoutingEvent::ServiceLevelSet { .. } => "service_level_set",
        RoutingEvent::Assigned { .. } => "assigned",
        RoutingEvent::Requeued { .. } => "requeued",
        RoutingEvent::Redirected { .. } => "redirected",
        RoutingEvent::Answered { .. } => "answered",
        RoutingEvent::Left { .. } => "left",
        RoutingEvent::Escalated { .. } => "escalated",
    }
}

fn cell(named: &str, stand: &str) -> String {
    let mut w = stands(stand);
    let command = command(named, &w);
    assert!(named.starts_with(command.word()));
    match w.try_submit(command) {
        Err(refusal) => refusal.code().to_owned(),
        Ok(events) if events.is_empty() => "·".to_owned(),
        Ok(events) => events.iter().map(word).collect::<Vec<_>>().join(", "),
    }
}

const HEAD: &str = "\
# Every command of the desk

What the desk makes of each command, by how the conversation `one` stands: the events in their order, `·` where there
was nothing to record, else the code of the refusal. `ana` may have one conversation at a time and is the one who is
there where somebody is; `bob` is offline. 6 minutes have passed since, so the first response is late where there was
none and `ana` has not been heard of for longer than the 5 minutes of the settings. Generated by a test
(`BATON_BLESS=1 cargo test -p baton-core desk::tests::transitions` writes it anew).

";

#[test]
fn every_command_is_walked_or_refused_as_the_docs_say() {
    let mut table = format!("{HEAD}| |");
    for stand in STANDS {
        let _ = write!(table, " {stand} |");
    }
    let _ = write!(table, "\n| --- |{}\n", " --- |".repeat(STANDS.len()));
    for named in WORDS {
        let cells = STANDS.map(|stand| cell(named, stand)).join(" | ");
        let _ = writeln!(table, "| `{named}` | {cells} |");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/desk-transitions.md");
    if std::env::var_os("BATON_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, table, "BATON_BLESS=1 writes it anew");
}
