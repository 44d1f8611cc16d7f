//! The head of a conversation, and the names of its records.

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

/// Separates the parts of a record's name; no id contains it.
const SEPARATOR: char = '\u{1f}';
/// Digits of a message's number, so that names sort by number.
const DIGITS: usize = 12;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ThreadHead {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) customer: Option<String>,
    /// When its first message arrived, or the first one after it was closed: distinguishes it from an earlier
    /// conversation with the same id.
    #[serde(default = "ThreadHead::epoch")]
    pub(super) began: Time,
    /// The messages `first..next` are stored.
    pub(super) first: u64,
    pub(super) next: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<ThreadSummary>,
    /// The claim of the call that is summarising it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summarising: Option<SummaryClaim>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    session: Map<String, Value>,
    /// The last message ids, of messages that had one.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    heard: VecDeque<String>,
}

/// A call is summarising a conversation. No other call begins to until it has finished or its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SummaryClaim {
    /// The key of that call.
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

    /// Drops the messages before `behind`, together with the summary and the facts: they are stored elsewhere. Later
    /// messages begin a conversation of their own.
    pub(super) fn drop_messages(&mut self, behind: u64, now: Time) {
        self.first = self.first.max(behind.min(self.next));
        self.began = now.max(self.began + Duration::from_millis(1));
        self.summary = None;
        self.summarising = None;
        self.session.clear();
    }

    /// Claims the summary for a time, unless another call holds it. The same call may claim it again, to continue after
    /// a crash.
    pub(super) fn claim_summary(&mut self, by: &str, now: Time, until: Time) -> bool {
        let is_taken = self.summarising.as_ref().is_some_and(|claim| claim.by != by && claim.until > now);
        if !is_taken {
            self.summarising = Some(SummaryClaim { by: by.to_owned(), until });
        }
        !is_taken
    }

    /// Releases the claim; returns whether this call held it.
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

    /// Adds a message to the head, and returns the number of the message that is evicted for it.
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

    /// Records the conversation's customer, the first time that it is known.
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

    /// Writes the head if its version is still the one that was read, or if it does not exist yet.
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
