//! What a seed draws for conversations: their customers, what those write and how it arrives, the human agents, and
//! when each of them goes online and offline.

use std::collections::BTreeSet;
use std::time::Duration;

use baton_core::conversation::{HandoverPolicy, InboundMessage, NewConversation, PinnedVersion};
use baton_core::id::{PersonId, RunId};
use baton_core::routing::{EscalationAction, EscalationStep, PersonProfile, Presence, RoutingSettings};
use baton_core::tool::Caller;
use serde_json::Value;

use crate::draw::SKILL;
use crate::rng::SeededRng;
use crate::simulation::tenant;

/// Maximum number of senders in a conversation.
const SENDERS_MAX: u64 = 2;
/// Maximum number of messages of one sender.
const MESSAGES_MAX: u64 = 4;
/// The time in which all planned messages are written, in milliseconds.
const MESSAGES_MS: u64 = 40_000;
/// The time in which all planned shifts occur, in milliseconds.
const SHIFTS_MS: u64 = 400_000;
/// The text with which a customer requests a person.
const HUMAN_REQUEST_TEXT: &str = "speak to human";
/// The numbers of a sender's later messages begin after all planned ones, including gaps.
pub const LATER_NUMBERS: u64 = 2 * MESSAGES_MAX;

/// All conversations of one seed, and their routing queue.
#[derive(Debug)]
pub struct ConversationPlan {
    pub conversations: Vec<NewConversation>,
    pub messages: Vec<PlannedMessage>,
    pub settings: RoutingSettings,
    pub people: Vec<PersonProfile>,
    pub shifts: Vec<PlannedShift>,
}

/// A customer's message in transit.
#[derive(Clone, Debug)]
pub struct PlannedMessage {
    pub after: Duration,
    pub conversation: RunId,
    pub command_id: String,
    pub message: InboundMessage,
}

/// A human agent goes online or offline, is removed, or gets another capacity.
#[derive(Clone, Debug)]
pub struct PlannedShift {
    pub after: Duration,
    pub person: PersonId,
    pub change: ShiftChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShiftChange {
    SetPresence(Presence),
    Removed,
    SetCapacity(u32),
}

impl ConversationPlan {
    pub fn draw(rng: &mut SeededRng, versions: &[PinnedVersion]) -> Self {
        let conversations: Vec<NewConversation> =
            (0..rng.between(1, 3)).map(|number| draw_conversation(rng, number, versions)).collect();
        let mut letters = Vec::new();
        for begun in &conversations {
            for sender in 0..rng.between(1, SENDERS_MAX) {
                draw_messages(rng, begun, sender, versions, &mut letters);
            }
        }
        let people: Vec<PersonProfile> = (0..rng.between(1, 3)).map(|number| profile(rng, number)).collect();
        let shifts = people.iter().flat_map(|person| draw_shifts(rng, person)).collect();
        Self { conversations, messages: letters, settings: settings(rng), people, shifts }
    }
}

fn draw_conversation(rng: &mut SeededRng, number: u64, versions: &[PinnedVersion]) -> NewConversation {
    let language = rng.chance(20).then(|| "es".to_owned());
    NewConversation {
        conversation: format!("c{number}").into(),
        tenant: tenant(),
        user: None,
        channel: "web".to_owned(),
        caller: Caller { language, ..Caller::default() },
        context: Value::Null,
        service: baton_core::routing::ServiceLevel::default(),
        version: rng.choose(versions).clone(),
    }
}

/// The messages of one sender: in order or not, some of them twice, some never.
fn draw_messages(
    rng: &mut SeededRng,
    begun: &NewConversation,
    sender: u64,
    versions: &[PinnedVersion],
    letters: &mut Vec<PlannedMessage>,
) {
    let (source, is_numbered) = (format!("s{sender}"), rng.chance(75));
    let speed = *rng.choose(&[2_000, 10_000, MESSAGES_MS]);
    for number in 1..=rng.between(1, MESSAGES_MAX) {
        if is_numbered && rng.chance(5) {
            continue;
        }
        let arrived =
            inbound_message(&source, is_numbered.then_some(number), number, rng.chance(15), rng.choose(versions));
        let mut copies = vec![format!("{source}/{number}")];
        if rng.chance(25) {
            // Sent again: under the same id or, if numbers identify it, under another.
            copies.push(if is_numbered && rng.chance(50) {
                format!("{source}/{number}/again")
            } else {
                copies[0].clone()
            });
        }
        for command_id in copies {
            let after = Duration::from_millis(200 + rng.below(speed));
            letters.push(PlannedMessage {
                after,
                conversation: begun.conversation.clone(),
                command_id,
                message: arrived.clone(),
            });
        }
    }
}

/// One message.
pub fn inbound_message(
    source: &str,
    sequence: Option<u64>,
    number: u64,
    asks: bool,
    version: &PinnedVersion,
) -> InboundMessage {
    let asks = if asks { format!(": {HUMAN_REQUEST_TEXT}") } else { String::new() };
    InboundMessage {
        message_id: format!("{source}.{number}"),
        source: source.to_owned(),
        sequence,
        text: format!("{source} writes {number}{asks}"),
        version: version.clone(),
    }
}

fn profile(rng: &mut SeededRng, number: u64) -> PersonProfile {
    let id = format!("d{number}");
    PersonProfile {
        email: format!("{id}@example.com"),
        name: id.clone(),
        id: id.as_str().into(),
        skills: if rng.chance(40) { BTreeSet::from([SKILL.to_owned()]) } else { BTreeSet::new() },
        roles: BTreeSet::new(),
        max_capacity: u32::try_from(rng.between(1, 2)).unwrap_or(1),
        languages: if rng.chance(20) { BTreeSet::from(["en".to_owned()]) } else { BTreeSet::new() },
    }
}

fn draw_shifts(rng: &mut SeededRng, person: &PersonProfile) -> Vec<PlannedShift> {
    let mut shifts = Vec::new();
    let first = if rng.chance(80) { 500 } else { SHIFTS_MS };
    let mut add = |rng: &mut SeededRng, last, what| {
        let after = Duration::from_millis(rng.below(last));
        shifts.push(PlannedShift { after, person: person.id.clone(), change: what });
    };
    add(rng, first, ShiftChange::SetPresence(Presence::Online));
    for _ in 0..rng.below(5) {
        let what = rng.choose_weighted(&[
            (4, ShiftChange::SetPresence(Presence::Online)),
            (3, ShiftChange::SetPresence(Presence::Offline)),
            (2, ShiftChange::SetPresence(Presence::Away)),
            (1, ShiftChange::Removed),
            (1, ShiftChange::SetCapacity(1)),
            (1, ShiftChange::SetCapacity(2)),
        ]);
        let last = *rng.choose(&[30_000, 120_000, SHIFTS_MS]);
        add(rng, last, what);
    }
    shifts
}

/// Short times, so that all of them elapse.
fn settings(rng: &mut SeededRng) -> RoutingSettings {
    let seconds = |rng: &mut SeededRng, first, last| Duration::from_secs(rng.between(first, last));
    let step = |seconds, act| EscalationStep { after: Duration::from_secs(seconds), act };
    RoutingSettings {
        unheard_after: seconds(rng, 60, 400),
        first_response: seconds(rng, 5, 60),
        resolution: seconds(rng, 30, 200),
        nobody_for: seconds(rng, 1, 30),
        late_response: vec![
            step(0, EscalationAction::RaisePriority),
            step(10, EscalationAction::Tell),
            step(60, EscalationAction::DropSkills),
        ],
        late_resolution: vec![step(0, EscalationAction::RaisePriority), step(0, EscalationAction::Tell)],
        nobody: vec![step(0, EscalationAction::Tell), step(20, EscalationAction::DropSkills)],
    }
}

/// What hands a conversation over: everything, earlier than usual, or nothing.
pub fn draw_handover_policy(rng: &mut SeededRng) -> HandoverPolicy {
    match rng.below(5) {
        0 => HandoverPolicy::never(),
        1 | 2 => HandoverPolicy::default(),
        _ => HandoverPolicy { consecutive_errors: Some(1), ..HandoverPolicy::default() },
    }
}
