//! When a conversation is handed to a person: `hil_config` of seed 004, with its defaults.

use serde::{Deserialize, Serialize};

use super::handover::HandoverTrigger;

/// A confidence below this hands over.
const CONFIDENCE: f64 = 0.7;
/// Number of consecutive errors that hands over.
const CONSECUTIVE_ERRORS: u32 = 3;
/// Phrases of a customer who wants a person, from seed 004 and in Spanish. They are matched against text without
/// accents.
const PHRASES: [&str; 13] = [
    "speak to human",
    "speak to a human",
    "talk to agent",
    "talk to an agent",
    "talk to a person",
    "real person",
    "escalate",
    "hablar con un humano",
    "hablar con una persona",
    "hablar con un agente",
    "agente humano",
    "persona real",
    "quiero una persona",
];

/// The conditions of a handover. By default all are on, with the usual limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandoverPolicy {
    /// Hands over below this confidence; `None`: at no confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Phrases of the customer, in lower case and without accents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phrases: Vec<String>,
    pub agent_decision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_errors: Option<u32>,
    pub budget: bool,
    pub failed_compensation: bool,
}

impl Default for HandoverPolicy {
    fn default() -> Self {
        Self {
            confidence: Some(CONFIDENCE),
            phrases: usual_phrases(),
            agent_decision: true,
            consecutive_errors: Some(CONSECUTIVE_ERRORS),
            budget: true,
            failed_compensation: true,
        }
    }
}

fn usual_phrases() -> Vec<String> {
    PHRASES.map(str::to_owned).to_vec()
}

impl HandoverPolicy {
    /// Creates a policy that never hands over.
    pub fn never() -> Self {
        Self {
            confidence: None,
            phrases: Vec::new(),
            agent_decision: false,
            consecutive_errors: None,
            budget: false,
            failed_compensation: false,
        }
    }

    /// Adds a trigger by its name in `handover_triggers`, with its settings. Unknown names are ignored.
    pub fn add(&mut self, kind: &str, threshold: Option<f64>, patterns: Vec<String>, errors: Option<u32>) {
        match kind {
            "confidence_threshold" => self.confidence = Some(threshold.unwrap_or(CONFIDENCE)),
            "explicit_request" if patterns.is_empty() => self.phrases.extend(usual_phrases()),
            "explicit_request" => self.phrases.extend(patterns.iter().map(|pattern| normalize(pattern))),
            "agent_decision" => self.agent_decision = true,
            "error_threshold" => self.consecutive_errors = Some(errors.unwrap_or(CONSECUTIVE_ERRORS)),
            "budget" => self.budget = true,
            "failed_compensation" => self.failed_compensation = true,
            _ => {}
        }
    }

    /// Returns the phrase by which the customer asks for a person.
    pub fn matching_phrase(&self, text: &str) -> Option<&str> {
        let text = normalize(text);
        self.phrases.iter().find(|phrase| !phrase.is_empty() && text.contains(phrase.as_str())).map(String::as_str)
    }

    /// Returns whether this trigger is on.
    pub fn is_enabled(&self, trigger: HandoverTrigger) -> bool {
        match trigger {
            HandoverTrigger::ConfidenceThreshold => self.confidence.is_some(),
            HandoverTrigger::ExplicitRequest => !self.phrases.is_empty(),
            HandoverTrigger::AgentDecision => self.agent_decision,
            HandoverTrigger::ErrorThreshold => self.consecutive_errors.is_some(),
            HandoverTrigger::Budget => self.budget,
            HandoverTrigger::FailedCompensation => self.failed_compensation,
            HandoverTrigger::Person => true,
        }
    }
}

/// Normalizes a text: lower case, without accents, with single spaces.
fn normalize(text: &str) -> String {
    let letters = text.chars().flat_map(char::to_lowercase).map(|letter| match letter {
        'á' | 'à' | 'ä' | 'â' => 'a',
        'é' | 'è' | 'ë' | 'ê' => 'e',
        'í' | 'ì' | 'ï' | 'î' => 'i',
        'ó' | 'ò' | 'ö' | 'ô' => 'o',
        'ú' | 'ù' | 'ü' | 'û' => 'u',
        letter => letter,
    });
    letters.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}
