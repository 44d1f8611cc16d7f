//! What is kept of a conversation beside its messages, and the names of its records.

use std::collections::VecDeque;
use std::time::Duration;

use baton_core::time::Time;
use baton_ports::memory::{MessageThread, RECENT_MAX, ThreadMessage, ThreadSummary};
use baton_ports::records::RecordOp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(super) const HEADS: &str = "memory.conversations";
pub(super) const MESSAGES: &str = "memory.messages";
pub(super) const OF_CUSTOMERS: &str = "memory.customers";

/// Between the parts of a record's name; no id holds it.
const SEPARATOR: char = '\u{1f}';
/// Digits of a message's number, so that names are in the order of numbers.
const DIGITS: usize = 12;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ThreadHead {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) customer: Option<String>,
    /// When its first words came, or those since it was closed: tells it from an earlier one of the same id.
    #[serde(default = "ThreadHead::epoch")]
    pub(super) began: Time,
    /// Messages `first..next` are kept.
    pub(super) first: u64,
    pub(super) next: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<ThreadSummary>,
    /// Who is summing it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summarising: Option<SummaryClaim>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    session: Map<String, Value>,
    /// Ids of the last messages that had one.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    heard: VecDeque<String>,
}

/// Somebody is summing a conversation up, and nobody else begins to until it is over or has taken too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SummaryClaim {
    /// The key of the call that does.
    by: String,
    until: Time,
}

impl ThreadHead {
    pub(super) fn beginning(now: Time) -> Self {
        Self {
            customer: None,
            began: now,
            first: 0,
            next: 0,
            summary: None,
            summarising: None,
            session: Map::new(),
            heard: VecDeque::new(),
        }
    }

    fn epoch() -> Time {
        Time::from_ms(0)
    }

    /// Gives up the messages before `behind`, with what is known of them: they are kept elsewhere. What was said after
    /// them begins a conversation of its own.
    pub(super) fn drop_messages(&mut self, behind: u64, now: Time) {
        self.first = self.first.max(behind.min(self.next));
        self.began = now.max(self.began + Duration::from_millis(1));
        self.summary = None;
        self.summarising = None;
        self.session.clear();
    }

    /// Takes the summary in hand for a while, unless another has it. The same call may again: it goes on after a crash.
    pub(super) fn claim_summary(&mut self, by: &str, now: Time, until: Time) -> bool {
        let is_taken = self.summarising.as_ref().is_some_and(|claim| claim.by != by && claim.until > now);
        if !is_taken {
            self.summarising = Some(SummaryClaim { by: by.to_owned(), until });
        }
        !is_taken
    }

    /// Gives the summary out of hand; whether it was in this one's.
    pub(super) fn release_summary(&mut self, by: &str) -> bool {
        self.summarising.take_if(|claim| claim.by == by).is_some()
    }

    /// Whether nothing is left of it but its head.
    pub(super) fn is_empty(&self) -> bool {
        self.first == self.next && self.summary.is_none() && self.session.is_empty()
    }

    pub(super) fn has_message(&self, message: &ThreadMessage) -> bool {
        message.id.as_ref().is_some_and(|id| self.heard.contains(id))
    }

    /// Counts a message, and says which one gives way to it.
    pub(super) fn push_message(&mut self, message: &ThreadMessage, kept_max: u64) -> Option<u64> {
        self.next += 1;
        if let Some(id) = &message.id {
            self.heard.push_back(id.clone());
            if self.heard.len() > RECENT_MAX {
                self.heard.pop_front();
            }
        }
        (self.next - self.first > kept_max).then(|| {
            self.first += 1;
            self.first - 1
        })
    }

    /// Writes down whose conversation it is, the first time that is known.
    pub(super) fn of_customer(&mut self, conversation: &str, customer: Option<&str>) -> Vec<RecordOp> {
        match (customer, &self.customer) {
            (Some(customer), None) => {
                self.customer = Some(customer.to_owned());
                let key = customer_key(customer, conversation);
                vec![RecordOp::Put { space: OF_CUSTOMERS.to_owned(), key, value: Value::Null }]
            }
            (_, Some(_)) | (None, None) => Vec::new(),
        }
    }

    pub(super) fn merge_session(&mut self, fields: &Map<String, Value>) {
        for (name, value) in fields {
            if value.is_null() {
                self.session.remove(name);
            } else {
                self.session.insert(name.clone(), value.clone());
            }
        }
    }

    pub(super) fn session_bytes(&self) -> usize {
        json!(self.session).to_string().len()
    }

    pub(super) fn thread(self, conversation: &str) -> MessageThread {
        MessageThread {
            conversation: conversation.to_owned(),
            customer: self.customer,
            summary: self.summary,
            session: Value::Object(self.session),
            messages: self.next,
        }
    }

    /// Writes the head where it is still at the version that was read, or not there yet.
    pub(super) fn write(&self, conversation: &str, version: Option<u64>) -> RecordOp {
        let (space, key, value) = (HEADS.to_owned(), conversation.to_owned(), json!(self));
        match version {
            Some(version) => RecordOp::CompareAndSet { space, key, version, value },
            None => RecordOp::Insert { space, key, value },
        }
    }
}

pub(super) fn message_prefix(conversation: &str) -> String {
    format!("{conversation}{SEPARATOR}")
}

pub(super) fn message_key(conversation: &str, number: u64) -> String {
    format!("{conversation}{SEPARATOR}{number:0DIGITS$}")
}

pub(super) fn customer_key(customer: &str, conversation: &str) -> String {
    format!("{customer}{SEPARATOR}{conversation}")
}
