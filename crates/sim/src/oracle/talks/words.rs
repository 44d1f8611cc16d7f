//! What was said in one conversation, by whom, and who handled it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_core::conversation::{Arrived, Author, Entry, Event, Line};
use baton_core::id::RunId;
use baton_core::time::Time;

use super::super::{Violation, broken};
use super::Standing;

/// How long a message that came early waits for those before it.
const WAITS: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    Ai,
    Nobody,
    Person(String),
}

/// Where a customer's line is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hands {
    /// Nobody has handled it yet.
    None,
    People,
    /// A run was given it: as its first, 0, or under this number.
    Run(RunId, u64),
    /// The run that was given it has ended, and never took it.
    Back(RunId, u64),
}

#[derive(Debug)]
pub struct Words {
    pub id: RunId,
    /// Events of the last entry.
    pub last: Vec<Event>,
    /// What was acknowledged: by message id its text, and its place among those without numbers.
    acknowledged: BTreeMap<String, (String, usize)>,
    said: BTreeSet<String>,
    /// Of each sender with numbers: the newest that was said.
    newest: BTreeMap<String, u64>,
    /// Since when those wait that came before their turn, by sender and number.
    held: BTreeMap<(String, u64), Time>,
    /// The place of the last that was said of those without.
    unnumbered: Option<usize>,
    lines: BTreeMap<u64, Hands>,
    owner: Owner,
    number: u64,
    /// The number it stands at the desk under.
    stay: Option<u64>,
    is_over: bool,
}

impl Words {
    pub fn new(id: RunId) -> Self {
        Self {
            id,
            last: Vec::new(),
            acknowledged: BTreeMap::new(),
            said: BTreeSet::new(),
            newest: BTreeMap::new(),
            held: BTreeMap::new(),
            unnumbered: None,
            lines: BTreeMap::new(),
            owner: Owner::Ai,
            number: 0,
            stay: None,
            is_over: false,
        }
    }

    pub fn accepted(&mut self, message: Arrived) {
        let place = self.acknowledged.len();
        self.acknowledged.entry(message.message_id).or_insert((message.text, place));
    }

    pub fn recorded(&mut self, entry: Entry) -> Result<(), Violation> {
        for event in &entry.events {
            match event {
                Event::Said { line } => self.says(line, entry.at)?,
                Event::Held { message, .. } => self.holds(message, entry.at),
                event => {
                    self.changes_hands(event)?;
                    self.handles(event)?;
                }
            }
        }
        self.last = entry.events;
        Ok(())
    }

    fn holds(&mut self, message: &Arrived, at: Time) {
        if let Some(number) = message.sequence {
            self.held.insert((message.source.clone(), number), at);
        }
    }

    fn says(&mut self, line: &Line, at: Time) -> Result<(), Violation> {
        let speaker = match &line.from {
            Author::Customer => return self.customer_says(line, at),
            Author::Note { .. } | Author::Suggestion { .. } => return Ok(()),
            Author::Ai { .. } => Owner::Ai,
            Author::Person { name } => Owner::Person(name.clone()),
        };
        if speaker != self.owner || line.owned != Some(self.number) {
            let (id, owner, number) = (&self.id, &self.owner, self.number);
            return broken("speaks", format!("{owner:?} owns `{id}` under {number}, and there speaks {line:?}"));
        }
        // Whoever posts writes down what they quote.
        if let Author::Person { name } = &line.from
            && line.text != format!("{name} under {}", self.number)
        {
            return broken("speaks", format!("{name} owns `{}` under {}, and says {line:?}", self.id, self.number));
        }
        Ok(())
    }

    fn customer_says(&mut self, line: &Line, at: Time) -> Result<(), Violation> {
        let id = &self.id;
        let message_id = line.message_id.clone().unwrap_or_default();
        let Some((text, place)) = self.acknowledged.get(&message_id) else {
            return broken("acknowledged", format!("nobody ever wrote to `{id}` what it has heard: {line:?}"));
        };
        if *text != line.text {
            return broken("acknowledged", format!("`{text}` was written to `{id}`, and it heard {line:?}"));
        }
        let place = *place;
        if !self.said.insert(message_id) {
            return broken("messages", format!("`{id}` heard twice {line:?}"));
        }
        let is_in_order = match line.sequence {
            Some(number) => self.is_its_turn(line, number, at),
            None => self.unnumbered.replace(place).is_none_or(|before| before < place),
        };
        if !is_in_order {
            return broken("messages", format!("`{}` heard out of its turn {line:?}", self.id));
        }
        self.lines.insert(line.number, Hands::None);
        Ok(())
    }

    /// It is the next of its sender, who counts from 0 or from 1; or marked as one that was missed, or whose gap was waited
    /// for since the first that came early.
    fn is_its_turn(&mut self, line: &Line, number: u64, at: Time) -> bool {
        let newest = self.newest.get(&line.source).copied();
        let next = newest.map_or(number.min(1), |newest| newest + 1);
        let is_early = |held: &u64| *held >= number;
        let has_waited = || {
            let early = self.held.iter().filter(|((source, held), _)| *source == line.source && is_early(held));
            early.map(|(_, since)| *since).any(|since| since + WAITS <= at)
        };
        let is_right = match line.after_gap {
            false => number == next,
            true => number < next || (number > next && has_waited()),
        };
        self.newest.insert(line.source.clone(), newest.unwrap_or(number).max(number));
        is_right
    }

    /// Each owner comes under a number of their own, above all before.
    fn changes_hands(&mut self, event: &Event) -> Result<(), Violation> {
        let (owner, number) = match event {
            Event::Begun(_) => (Owner::Ai, 1),
            Event::HandedOver { number, .. } | Event::Requeued { number } => (Owner::Nobody, *number),
            Event::Resolved { number, .. } => (Owner::Nobody, *number),
            Event::Assigned { number, person } => (Owner::Person(person.clone()), *number),
            Event::TakenOver { number, by, .. } => (Owner::Person(by.clone()), *number),
            Event::GivenBack { number, .. } | Event::Reopened { number, by: None } => (Owner::Ai, *number),
            Event::Reopened { number, by: Some(_) } => (self.owner.clone(), *number),
            Event::Enqueued { number, .. } => {
                self.stay = Some(*number);
                return Ok(());
            }
            Event::Versioned(_)
            | Event::Held { .. }
            | Event::Said { .. }
            | Event::ToPeople { .. }
            | Event::RunBegun { .. }
            | Event::Given { .. }
            | Event::RunHeard { .. }
            | Event::RunOver { .. }
            | Event::Returned { .. }
            | Event::Finished
            | Event::NotQueued { .. }
            | Event::AskedAgain { .. }
            | Event::ServiceLevelSet { .. }
            | Event::Rated { .. }
            | Event::Closed { .. } => return Ok(()),
        };
        if number <= self.number {
            return broken(
                "speaks",
                format!("`{}` is at {}, and goes to {owner:?} under {number}", self.id, self.number),
            );
        }
        if matches!(event, Event::Resolved { .. } | Event::TakenOver { .. } | Event::GivenBack { .. }) {
            self.stay = None;
        }
        self.is_over = matches!(event, Event::Resolved { .. });
        (self.owner, self.number) = (owner, number);
        Ok(())
    }

    /// What is handed out is the oldest that nobody has handled, and nobody had it before.
    fn handles(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::ToPeople { messages } => {
                for message in messages {
                    self.hands_out(*message, Hands::People)?;
                }
            }
            Event::RunBegun { run, message, .. } => self.hands_out(*message, Hands::Run(run.clone(), 0))?,
            Event::Given { run, sequence, message, .. } => {
                self.hands_out(*message, Hands::Run(run.clone(), *sequence))?;
            }
            Event::RunOver { run, arrived, kept, .. } => {
                for hands in self.lines.values_mut() {
                    match hands {
                        Hands::Run(of, sequence) if of == run && *sequence > *arrived => {
                            *hands = Hands::Back(run.clone(), *sequence);
                        }
                        Hands::Run(of, sequence) if of == run && kept.contains(sequence) => *hands = Hands::None,
                        _ => {}
                    }
                }
            }
            Event::Returned { run, sequence } => {
                let back = Hands::Back(run.clone(), *sequence);
                if let Some(hands) = self.lines.values_mut().find(|hands| **hands == back) {
                    *hands = Hands::None;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn hands_out(&mut self, message: u64, to: Hands) -> Result<(), Violation> {
        let id = &self.id;
        if self.lines.get(&message) != Some(&Hands::None) {
            let has = self.lines.get(&message);
            return broken("messages", format!("line {message} of `{id}` goes to {to:?}, and {has:?} has it"));
        }
        let is_open = |hands: &Hands| matches!(hands, Hands::None | Hands::Back(..));
        let older = self.lines.range(..message).find(|(_, hands)| is_open(hands));
        // People are shown everything, whatever comes back later.
        if let (Some((older, _)), Hands::Run(..)) = (older, &to) {
            return broken("messages", format!("line {message} of `{id}` goes to {to:?} before line {older}"));
        }
        self.lines.insert(message, to);
        Ok(())
    }

    pub fn standing(&self) -> Standing {
        match &self.owner {
            Owner::Person(name) => Standing::Persons(name.clone()),
            Owner::Ai => Standing::Ais,
            Owner::Nobody if self.is_over => Standing::Over,
            Owner::Nobody => Standing::Waits,
        }
    }

    /// Whether somebody must do something still.
    pub fn is_open(&self) -> bool {
        let is_open = |hands: &Hands| matches!(hands, Hands::None | Hands::Back(..));
        matches!(self.standing(), Standing::Waits | Standing::Persons(_)) || self.lines.values().any(is_open)
    }

    /// Its stay at the desk, the number of who has it, and who, where that is a person of the desk's.
    pub fn at_desk(&self) -> Option<(u64, u64, Option<String>)> {
        let person = if let Owner::Person(name) = &self.owner { Some(name.clone()) } else { None };
        self.stay.map(|stay| (stay, self.number, person))
    }

    /// In the end everything that was acknowledged was said, and everything that was said was handled.
    pub fn verdict(&self) -> Result<(), Violation> {
        let id = &self.id;
        if let Some(lost) = self.acknowledged.keys().find(|message| !self.said.contains(*message)) {
            return broken("acknowledged", format!("`{lost}` was acknowledged, and `{id}` never heard of it"));
        }
        let is_open = |hands: &Hands| matches!(hands, Hands::None | Hands::Back(..));
        match self.lines.iter().find(|(_, hands)| is_open(hands)) {
            Some((line, hands)) => broken("messages", format!("nobody ever handled line {line} of `{id}`: {hands:?}")),
            None => Ok(()),
        }
    }

    /// Every run was in fact handed what it is said to have been handed.
    pub fn taken(&self, has_arrived: impl Fn(&RunId, u64) -> bool) -> Result<(), Violation> {
        for (line, hands) in &self.lines {
            if let Hands::Run(run, sequence) = hands
                && !has_arrived(run, *sequence)
            {
                return broken("messages", format!("line {line} of `{}` went to `{run}`, which never got it", self.id));
            }
        }
        Ok(())
    }
}
