//! Many people and many conversations, with every assignment checked by the oracle.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{
    CONVERSATIONS_MAX, EnqueueRequest, Presence, Priority, RoutingCommand, RoutingEvent, RoutingRequirements,
    RoutingSettings, TransferTarget,
};
use super::oracle::AssignmentOracle;
use super::{RoutingFixture, enqueue, minutes, profile, set};
use crate::id::RunId;
use crate::time::Time;

const SKILLS: [&str; 4] = ["returns", "billing", "legal", "technical"];

/// A routing queue with its oracle.
struct OracleFixture {
    world: RoutingFixture,
    oracle: AssignmentOracle,
    /// When each started to wait, and how long it took until its first assignment.
    came: BTreeMap<RunId, Time>,
    waited: BTreeMap<RunId, Duration>,
}

impl OracleFixture {
    fn new() -> Self {
        Self {
            world: RoutingFixture::new(),
            oracle: AssignmentOracle::default(),
            came: BTreeMap::new(),
            waited: BTreeMap::new(),
        }
    }

    /// Refusals are expected.
    fn submit(&mut self, command: RoutingCommand) -> Vec<RoutingEvent> {
        let events = self.world.try_submit(command.clone()).unwrap_or_default();
        if let Err(broken) = self.oracle.check_events(&command, &events, self.world.now) {
            panic!("{broken}\n{command:?}\n{events:?}");
        }
        for event in &events {
            match event {
                RoutingEvent::Queued { conversation, .. } => {
                    self.came.insert(conversation.clone(), self.world.now);
                }
                RoutingEvent::Assigned { conversation, .. } => {
                    let waited = self.world.now.since(self.came[conversation]);
                    self.waited.entry(conversation.clone()).or_insert(waited);
                }
                _ => {}
            }
        }
        events
    }

    fn advance_with_ticks(&mut self, time: Duration) {
        let until = self.world.now + time;
        while let Some(at) = self.world.desk.wake_at().filter(|at| *at <= until) {
            self.world.now = self.world.now.max(at);
            let events = self.submit(RoutingCommand::Tick);
            assert!(!events.is_empty(), "woken for nothing at {at:?}");
        }
        self.world.now = until;
    }
}

/// The sequence of Vigna's splitmix64: the same seed gives the same test.
struct SplitMixRng(u64);

impl SplitMixRng {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn skills(&mut self, limit: u64) -> Vec<&'static str> {
        let count = self.below(limit);
        (0..count).map(|_| SKILLS[self.below(4) as usize]).collect()
    }
}

/// 10,000 conversations wait; 200 people come and go, finish conversations, transfer them, and stop sending signs of
/// life.
#[test]
fn ten_thousand_conversations_are_given_to_two_hundred_people_by_the_rule() {
    const CONVERSATIONS: u64 = 10_000;
    const PEOPLE: u64 = 200;
    let (mut w, mut draw) = (OracleFixture::new(), SplitMixRng(7));
    for n in 0..PEOPLE {
        let mut person = profile(&format!("p{n:03}"), &draw.skills(4), 1 + draw.below(6) as u32);
        if n % 3 == 0 {
            person.languages = set(&["en"]);
        }
        w.submit(RoutingCommand::PutPerson(person));
    }
    for n in 0..CONVERSATIONS {
        let priority = Priority::ALL[(draw.below(10) / 3) as usize];
        let mut one = enqueue(&format!("c{n:05}"), 1, &draw.skills(3), priority, w.world.now);
        one.wants.language = (n % 5 == 0).then(|| if n % 2 == 0 { "es".to_owned() } else { "en".to_owned() });
        // No person has this skill.
        if n % 100 == 0 {
            one.wants.skills.insert("alchemy".to_owned());
        }
        w.submit(RoutingCommand::Enqueue(one));
        w.world.advance_time(Duration::from_millis(draw.below(20)));
    }
    assert_eq!(w.world.desk.waiting_count(), CONVERSATIONS as usize);

    let mut rounds = 0;
    while w.world.desk.conversations().len() > 0 {
        rounds += 1;
        assert!(rounds < 200_000, "{} are left", w.world.desk.conversations().len());
        let person = format!("p{:03}", draw.below(PEOPLE)).as_str().into();
        let has = |w: &OracleFixture, draw: &mut SplitMixRng| {
            let owned = w.world.desk.person(&person).map(|person| person.has.iter().cloned().collect::<Vec<_>>());
            let owned = owned.filter(|has| !has.is_empty())?;
            let conversation = owned[draw.below(owned.len() as u64) as usize].clone();
            let number = w.world.number(conversation.as_str());
            Some((conversation, number))
        };
        match draw.below(100) {
            0..=9 => drop(w.submit(RoutingCommand::Presence { person, presence: Presence::Online })),
            10 => drop(w.submit(RoutingCommand::Presence { person, presence: Presence::Away })),
            11..=12 => drop(w.submit(RoutingCommand::Presence { person, presence: Presence::Offline })),
            13..=30 => drop(w.submit(RoutingCommand::Heard { person })),
            31..=32 => {
                if let Some((conversation, number)) = has(&w, &mut draw) {
                    let to = match draw.below(2) {
                        0 => TransferTarget::Person(format!("p{:03}", draw.below(PEOPLE)).as_str().into()),
                        _ => TransferTarget::Skills(set(&draw.skills(3))),
                    };
                    w.submit(RoutingCommand::Transfer { conversation, number, to });
                }
            }
            33..=40 => {
                if let Some((conversation, number)) = has(&w, &mut draw) {
                    w.submit(RoutingCommand::Answered { conversation, number });
                }
            }
            41..=97 => {
                if let Some((conversation, number)) = has(&w, &mut draw) {
                    w.submit(RoutingCommand::Left { conversation, number });
                }
            }
            _ => w.advance_with_ticks(Duration::from_secs(draw.below(4))),
        }
    }
    assert_eq!(w.waited.len(), CONVERSATIONS as usize, "each was given to somebody");
    let longest = w.waited.values().max().copied().unwrap_or_default();
    assert!(longest < minutes(60), "{longest:?}");
    assert!(w.oracle.given > CONVERSATIONS as usize, "some twice");
    w.world.replayed();
}

/// A day of conversations for far too few people: conversations with a rare skill or low priority are assigned in the
/// end, although new ones arrive all the time.
#[test]
fn nothing_starves_where_more_comes_than_can_be_done() {
    let (mut w, mut draw) = (OracleFixture::new(), SplitMixRng(11));
    for n in 0..4 {
        w.submit(RoutingCommand::PutPerson(profile(&format!("p{n}"), &["returns"], 2)));
    }
    let since = w.world.now;
    w.submit(RoutingCommand::Enqueue(enqueue("low", 1, &["returns"], Priority::Low, since)));
    w.submit(RoutingCommand::Enqueue(enqueue("rare", 1, &["legal"], Priority::Low, since)));
    for n in 0..2_000 {
        let one = enqueue(&format!("c{n}"), 1, &["returns"], Priority::High, w.world.now);
        w.submit(RoutingCommand::Enqueue(one));
        for person in 0..4 {
            w.submit(RoutingCommand::Presence {
                person: format!("p{person}").as_str().into(),
                presence: Presence::Online,
            });
        }
        if n % 2 == 0 {
            let owned = w
                .world
                .desk
                .conversations()
                .find(|case| !case.is_waiting())
                .map(|case| (case.conversation.clone(), case.number));
            let (conversation, number) = owned.unwrap();
            w.submit(RoutingCommand::Left { conversation, number });
        }
        w.advance_with_ticks(Duration::from_secs(1 + draw.below(3)));
    }
    assert!(w.world.desk.waiting_count() > 500, "far too few people");
    for conversation in ["low", "rare"] {
        assert!(w.waited.get(&RunId::new(conversation)).is_some_and(|waited| *waited < minutes(60)), "{conversation}");
    }
}

#[test]
fn a_desk_has_so_many_conversations_and_no_more() {
    let mut w = RoutingFixture::new();
    for n in 0..CONVERSATIONS_MAX {
        w.desk
            .decide(RoutingCommand::Enqueue(enqueue(&format!("c{n}"), 1, &[], Priority::Normal, w.now)), w.now)
            .unwrap();
    }
    let one_more = RoutingCommand::Enqueue(enqueue("one-more", 1, &[], Priority::Normal, w.now));
    let refusal = w.try_submit(one_more).unwrap_err();
    assert_eq!(refusal.to_string(), "the desk has 20000 conversations and takes no more: some must be resolved first");
    w.leaves("c7").comes("one-more", &[]);
}

/// Any possible command.
fn command() -> impl Strategy<Value = (u8, RandomCommand)> {
    let conversation = || (0..12_u8).prop_map(|n| RunId::new(format!("c{n}")));
    let person = || (0..5_u8).prop_map(|n| format!("p{n}").as_str().into());
    let skills = || prop::collection::btree_set(prop::sample::select(&SKILLS[..3]).prop_map(str::to_owned), 0..3);
    let fate = prop_oneof![
        3 => (person(), skills(), 1..3_u32, 0..4_u8).prop_map(|(id, skills, max_capacity, tongue)| {
            let languages = if tongue == 0 { set(&["es"]) } else { set(&[]) };
            let id: crate::id::PersonId = id;
            RandomCommand::Asks(RoutingCommand::PutPerson(super::PersonProfile { skills, languages, ..profile(id.as_str(), &[], max_capacity) }))
        }),
        1 => person().prop_map(|person| RandomCommand::Asks(RoutingCommand::RemovePerson { person })),
        6 => (person(), 0..5_usize).prop_map(|(person, n)| {
            RandomCommand::Asks(RoutingCommand::Presence { person, presence: Presence::ALL[n.saturating_sub(2)] })
        }),
        2 => person().prop_map(|person| RandomCommand::Asks(RoutingCommand::Heard { person })),
        8 => (conversation(), skills(), 0..4_usize, 0..6_u8, 0..900_u64).prop_map(|(conversation, skills, class, tongue, ago)| {
            RandomCommand::Comes(conversation, RoutingRequirements { skills, language: (tongue == 0).then(|| "es".to_owned()) }, Priority::ALL[class], ago)
        }),
        4 => (conversation(), 0..2_u64).prop_map(|(conversation, old)| RandomCommand::Of(conversation, RandomAction::Leaves, old)),
        2 => (conversation(), 0..2_u64).prop_map(|(conversation, old)| RandomCommand::Of(conversation, RandomAction::Answers, old)),
        2 => (conversation(), person()).prop_map(|(conversation, person)| RandomCommand::Of(conversation, RandomAction::Passes(TransferTarget::Person(person)), 0)),
        2 => (conversation(), skills()).prop_map(|(conversation, skills)| RandomCommand::Of(conversation, RandomAction::Passes(TransferTarget::Skills(skills)), 0)),
        1 => (1..9_u64).prop_map(|n| RandomCommand::Asks(RoutingCommand::Settings(RoutingSettings { nobody_for: minutes(n), ..RoutingSettings::default() }))),
    ];
    (any::<u8>(), fate)
}

#[derive(Clone, Debug)]
enum RandomCommand {
    Asks(RoutingCommand),
    Comes(RunId, RoutingRequirements, Priority, u64),
    /// About a conversation, with its number reduced by the last value.
    Of(RunId, RandomAction, u64),
}

#[derive(Clone, Debug)]
enum RandomAction {
    Leaves,
    Answers,
    Passes(TransferTarget),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rule_holds(fates in prop::collection::vec(command(), 0..80)) {
        let mut w = OracleFixture::new();
        let mut newest: BTreeMap<RunId, u64> = BTreeMap::new();
        for (seconds, fate) in fates {
            let command = match fate {
                RandomCommand::Asks(command) => command,
                RandomCommand::Comes(conversation, wants, priority, ago) => {
                    let number = newest.entry(conversation.clone()).or_default();
                    *number += 10;
                    let since = w.world.now - Duration::from_secs(ago);
                    RoutingCommand::Enqueue(EnqueueRequest { wants, ..enqueue(conversation.as_str(), *number, &[], priority, since) })
                }
                RandomCommand::Of(conversation, doing, older) => {
                    let number = w.world.desk.conversation(&conversation).map_or(0, |case| case.number).saturating_sub(older);
                    match doing {
                        RandomAction::Leaves => RoutingCommand::Left { conversation, number },
                        RandomAction::Answers => RoutingCommand::Answered { conversation, number },
                        RandomAction::Passes(to) => RoutingCommand::Transfer { conversation, number, to },
                    }
                }
            };
            w.submit(command);
            w.advance_with_ticks(Duration::from_secs(u64::from(seconds)));
        }
        w.world.replayed();
    }
}
