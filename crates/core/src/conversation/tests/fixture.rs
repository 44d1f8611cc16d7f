//! A conversation with its surroundings. Each decision is folded into a copy, which must come out the same.

use std::time::Duration;

use crate::bundle::ContentHash;
use crate::conversation::{
    Conversation, ConversationCommand, ConversationEntry, ConversationEvent, ConversationLine, HandoverPolicy,
    InboundMessage, LineAuthor, NewConversation, PinnedVersion, RunResult, RunUpdate,
};
use crate::money::Usd;
use crate::routing::ServiceLevel;
use crate::run::RunState;
use crate::time::Time;
use crate::tool::Caller;

/// Number of lines up to which every decision is folded a second time.
const LOOKED_AT_MAX: u64 = 50;

pub struct ConversationFixture {
    pub it: Conversation,
    folded: Conversation,
    pub now: Time,
    pub events: Vec<ConversationEvent>,
    messages: u32,
}

pub fn version() -> PinnedVersion {
    PinnedVersion { workflow: "shop".into(), bundle: ContentHash::of(b"shop"), hil: HandoverPolicy::default() }
}

pub fn begun() -> NewConversation {
    NewConversation {
        conversation: "c".into(),
        tenant: "t".into(),
        user: None,
        channel: "web".into(),
        caller: Caller::default(),
        context: serde_json::Value::Null,
        service: ServiceLevel::default(),
        version: version(),
    }
}

impl ConversationFixture {
    pub fn new() -> Self {
        let (it, folded) = (Conversation::new(), Conversation::new());
        Self { it, folded, now: Time::from_ms(1_000), events: Vec::new(), messages: 0 }
    }

    pub fn begun() -> Self {
        let mut w = Self::new();
        w.submit(ConversationCommand::Begin(Box::new(begun())));
        w
    }

    pub fn try_submit(&mut self, command: ConversationCommand) -> Result<(), super::ConversationRefusal> {
        // Long conversations are skipped; other tests check short ones.
        if self.it.line_count() > LOOKED_AT_MAX {
            return self.it.decide(command, self.now).map(|events| self.events.extend(events));
        }
        let before = serde_json::to_value(&self.it).unwrap();
        match self.it.decide(command, self.now) {
            Ok(events) => {
                self.folded.fold(&ConversationEntry { at: self.now, events: events.clone() });
                self.events.extend(events);
                let states = [&self.it, &self.folded].map(|it| serde_json::to_value(it).unwrap());
                assert_eq!(states[0], states[1], "the fold is another than what decided");
                Ok(())
            }
            Err(refusal) => {
                assert_eq!(before, serde_json::to_value(&self.it).unwrap(), "a refusal changed something");
                Err(refusal)
            }
        }
    }

    pub fn submit(&mut self, command: ConversationCommand) -> &mut Self {
        let word = command.word();
        if let Err(refusal) = self.try_submit(command) {
            panic!("{word}: {refusal}");
        }
        self
    }

    pub fn refuses(&mut self, command: ConversationCommand, code: &str) -> &mut Self {
        let word = command.word();
        let refused = self.try_submit(command).expect_err(word);
        assert_eq!(refused.code(), code, "{word}: {refused}");
        self
    }

    pub fn message(&self, text: &str, sequence: Option<u64>) -> ConversationCommand {
        let message_id = format!("m{}", self.messages);
        ConversationCommand::Message(InboundMessage {
            message_id,
            source: "phone".into(),
            sequence,
            text: text.into(),
            version: version(),
        })
    }

    pub fn says(&mut self, text: &str) -> &mut Self {
        self.messages += 1;
        self.submit(self.message(text, None))
    }

    pub fn numbered(&mut self, text: &str, sequence: u64) -> &mut Self {
        self.messages += 1;
        self.submit(self.message(text, Some(sequence)))
    }

    pub fn advance_time(&mut self, time: Duration) -> &mut Self {
        self.now = self.now + time;
        self.submit(ConversationCommand::Wake)
    }

    pub fn run_asks(&mut self, run: &str, question: Option<&str>, waits: bool, arrived: u64) -> &mut Self {
        let question = question.map(str::to_owned);
        let heard = RunUpdate { run: run.into(), question, waits, arrived, kept: Vec::new(), cost: Usd::ZERO };
        self.submit(ConversationCommand::RunAsked(heard))
    }

    pub fn run_ends(&mut self, run: &str, change: impl FnOnce(&mut RunResult)) -> &mut Self {
        let mut over = ended(run);
        change(&mut over);
        self.submit(ConversationCommand::RunEnded(Box::new(over)))
    }

    pub fn public(&self) -> Vec<String> {
        let lines = self.lines().filter(|line| line.from.is_public());
        lines.map(|line| format!("{}: {}", line.from.word(), line.text)).collect()
    }

    fn lines(&self) -> impl Iterator<Item = &ConversationLine> {
        self.events
            .iter()
            .filter_map(|event| if let ConversationEvent::Said { line } = event { Some(line) } else { None })
    }

    pub fn line(&self, number: u64) -> &ConversationLine {
        self.lines().find(|line| line.number == number).expect("a line")
    }

    pub fn began(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                ConversationEvent::RunBegun { run, .. } => Some(run.as_str()),
                _ => None,
            })
            .collect()
    }

    pub fn given(&self) -> Vec<u64> {
        let given = |event: &ConversationEvent| {
            if let ConversationEvent::Given { message, .. } = event { Some(*message) } else { None }
        };
        self.events.iter().filter_map(given).collect()
    }

    pub fn note(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|event| match event {
            ConversationEvent::RunBegun { note, .. } => note.as_deref(),
            _ => None,
        })
    }

    /// The first messages of the runs, in order.
    pub fn messages_of_runs(&self) -> Vec<&str> {
        let begun = self.events.iter().filter_map(|event| match event {
            ConversationEvent::RunBegun { message, .. } => Some(self.line(*message)),
            _ => None,
        });
        begun.inspect(|line| assert_eq!(line.from, LineAuthor::Customer)).map(|line| line.text.as_str()).collect()
    }
}

pub fn ended(run: &str) -> RunResult {
    RunResult {
        heard: RunUpdate {
            run: run.into(),
            question: None,
            waits: false,
            arrived: 0,
            kept: Vec::new(),
            cost: Usd::ZERO,
        },
        state: RunState::Completed,
        fault: None,
        reply: None,
        handover: None,
        skills: Vec::new(),
        service: ServiceLevel::default(),
        confidence: None,
        not_undone: false,
        tried: Vec::new(),
        rolled_back: false,
    }
}
