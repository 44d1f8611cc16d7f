//! What a seed draws of conversations: their customers, what those write and how it arrives, the people of the desk, and
//! when each of them comes and goes.

use std::collections::BTreeSet;
use std::time::Duration;

use baton_core::conversation::{Arrived, Begun, Hil, Version};
use baton_core::desk::{Act, Presence, Profile, Settings, Step};
use baton_core::id::{PersonId, RunId};
use baton_core::tool::Caller;
use serde_json::Value;

use crate::draw::SKILL;
use crate::rng::Rng;
use crate::simulation::tenant;

/// Who writes in a conversation.
const SENDERS_MAX: u64 = 2;
/// Messages of one sender.
const LETTERS_MAX: u64 = 4;
/// Within so long everything that is drawn beforehand is written, in milliseconds.
const WRITTEN_MS: u64 = 40_000;
/// Within so long people come and go as drawn.
const SHIFTS_MS: u64 = 400_000;
/// What a customer says who wants a person.
const ASKS: &str = "speak to human";
/// Numbers of a sender who writes on later begin behind all that are drawn, gaps included.
pub const LATER: u64 = 2 * LETTERS_MAX;

/// All conversations of one seed, and their desk.
#[derive(Debug)]
pub struct Talks {
    pub conversations: Vec<Begun>,
    pub letters: Vec<Letter>,
    pub settings: Settings,
    pub people: Vec<Profile>,
    pub shifts: Vec<Shift>,
}

/// A message of a customer's on its way.
#[derive(Clone, Debug)]
pub struct Letter {
    pub after: Duration,
    pub conversation: RunId,
    pub command_id: String,
    pub arrived: Arrived,
}

/// Somebody comes or goes, or is no longer of the desk, or may have more or less.
#[derive(Clone, Debug)]
pub struct Shift {
    pub after: Duration,
    pub who: PersonId,
    pub what: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Is(Presence),
    Removed,
    MayHave(u32),
}

impl Talks {
    pub fn draw(rng: &mut Rng, versions: &[Version]) -> Self {
        let conversations: Vec<Begun> = (0..rng.between(1, 3)).map(|number| begun(rng, number, versions)).collect();
        let mut letters = Vec::new();
        for begun in &conversations {
            for sender in 0..rng.between(1, SENDERS_MAX) {
                write(rng, begun, sender, versions, &mut letters);
            }
        }
        let people: Vec<Profile> = (0..rng.between(1, 3)).map(|number| profile(rng, number)).collect();
        let shifts = people.iter().flat_map(|person| shifts(rng, person)).collect();
        Self { conversations, letters, settings: settings(rng), people, shifts }
    }
}

fn begun(rng: &mut Rng, number: u64, versions: &[Version]) -> Begun {
    let language = rng.chance(20).then(|| "es".to_owned());
    Begun {
        conversation: format!("c{number}").into(),
        tenant: tenant(),
        user: None,
        channel: "web".to_owned(),
        caller: Caller { language, ..Caller::default() },
        context: Value::Null,
        service: baton_core::desk::ServiceLevel::default(),
        version: rng.pick(versions).clone(),
    }
}

/// What one sender writes: in order or not, some of it twice, some of it never.
fn write(rng: &mut Rng, begun: &Begun, sender: u64, versions: &[Version], letters: &mut Vec<Letter>) {
    let (source, is_numbered) = (format!("s{sender}"), rng.chance(75));
    let speed = *rng.pick(&[2_000, 10_000, WRITTEN_MS]);
    for number in 1..=rng.between(1, LETTERS_MAX) {
        if is_numbered && rng.chance(5) {
            continue;
        }
        let arrived = letter(&source, is_numbered.then_some(number), number, rng.chance(15), rng.pick(versions));
        let mut copies = vec![format!("{source}/{number}")];
        if rng.chance(25) {
            // Sent again: under the same id, or, where numbers tell, under another.
            copies.push(if is_numbered && rng.chance(50) {
                format!("{source}/{number}/again")
            } else {
                copies[0].clone()
            });
        }
        for command_id in copies {
            let after = Duration::from_millis(200 + rng.below(speed));
            letters.push(Letter {
                after,
                conversation: begun.conversation.clone(),
                command_id,
                arrived: arrived.clone(),
            });
        }
    }
}

/// One message.
pub fn letter(source: &str, sequence: Option<u64>, number: u64, asks: bool, version: &Version) -> Arrived {
    let asks = if asks { format!(": {ASKS}") } else { String::new() };
    Arrived {
        message_id: format!("{source}.{number}"),
        source: source.to_owned(),
        sequence,
        text: format!("{source} writes {number}{asks}"),
        version: version.clone(),
    }
}

fn profile(rng: &mut Rng, number: u64) -> Profile {
    let id = format!("d{number}");
    Profile {
        email: format!("{id}@example.com"),
        name: id.clone(),
        id: id.as_str().into(),
        skills: if rng.chance(40) { BTreeSet::from([SKILL.to_owned()]) } else { BTreeSet::new() },
        roles: BTreeSet::new(),
        max_capacity: u32::try_from(rng.between(1, 2)).unwrap_or(1),
        languages: if rng.chance(20) { BTreeSet::from(["en".to_owned()]) } else { BTreeSet::new() },
    }
}

fn shifts(rng: &mut Rng, person: &Profile) -> Vec<Shift> {
    let mut shifts = Vec::new();
    let first = if rng.chance(80) { 500 } else { SHIFTS_MS };
    let mut add = |rng: &mut Rng, last, what| {
        let after = Duration::from_millis(rng.below(last));
        shifts.push(Shift { after, who: person.id.clone(), what });
    };
    add(rng, first, Change::Is(Presence::Online));
    for _ in 0..rng.below(5) {
        let what = rng.weighted(&[
            (4, Change::Is(Presence::Online)),
            (3, Change::Is(Presence::Offline)),
            (2, Change::Is(Presence::Away)),
            (1, Change::Removed),
            (1, Change::MayHave(1)),
            (1, Change::MayHave(2)),
        ]);
        let last = *rng.pick(&[30_000, 120_000, SHIFTS_MS]);
        add(rng, last, what);
    }
    shifts
}

/// Short, so that all of it comes about.
fn settings(rng: &mut Rng) -> Settings {
    let seconds = |rng: &mut Rng, first, last| Duration::from_secs(rng.between(first, last));
    let step = |seconds, act| Step { after: Duration::from_secs(seconds), act };
    Settings {
        unheard_after: seconds(rng, 60, 400),
        first_response: seconds(rng, 5, 60),
        resolution: seconds(rng, 30, 200),
        nobody_for: seconds(rng, 1, 30),
        late_response: vec![step(0, Act::RaisePriority), step(10, Act::Tell), step(60, Act::DropSkills)],
        late_resolution: vec![step(0, Act::RaisePriority), step(0, Act::Tell)],
        nobody: vec![step(0, Act::Tell), step(20, Act::DropSkills)],
    }
}

/// What hands a conversation over: everything, sooner than usual, or nothing.
pub fn hil(rng: &mut Rng) -> Hil {
    match rng.below(5) {
        0 => Hil::never(),
        1 | 2 => Hil::default(),
        _ => Hil { consecutive_errors: Some(1), ..Hil::default() },
    }
}
