//! Describes a choice in a form that programs and people can read.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{DropReason, DroppedModel, ModelCandidate, ModelChoice};
use crate::profile;

/// Typical size of a choice as text, so that it is written without reallocation.
const TEXT_BYTES: usize = 2_048;

/// The choice as JSON.
#[derive(Serialize)]
struct ChoiceExplanation<'c> {
    profile: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_for: Option<&'c str>,
    estimated_tokens: u64,
    expected_reply_tokens: u64,
    weights: profile::ScoreWeights,
    chosen: Option<&'c str>,
    fallbacks: Vec<&'c str>,
    reasoning: String,
    candidates: Vec<CandidateExplanation<'c>>,
}

#[derive(PartialEq, Serialize)]
struct CandidateExplanation<'c> {
    model: &'c str,
    provider: &'c str,
    /// Counted from 1.
    group: usize,
    score: f64,
    latency_score: f64,
    cost_score: f64,
    quality_score: f64,
    expected_latency_ms: u64,
    estimated_cost_usd: f64,
    error_rate: f64,
}

#[derive(Serialize)]
struct DropExplanation<'c> {
    model: &'c str,
    reason: &'static str,
    #[serde(serialize_with = "serialize_as_text")]
    says: &'c DropReason,
}

fn serialize_as_text<S: Serializer>(reason: &DropReason, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(reason)
}

/// Text of earlier explanations. Consecutive choices often have the same text; if they differ, the dropped models are
/// usually the same, and they are most of the text.
#[derive(Default)]
pub(crate) struct ExplanationCache {
    /// The last choice, and its text.
    last: Option<(Arc<ModelChoice>, String)>,
    dropped: Vec<DroppedModel>,
    text: Vec<u8>,
}

impl ExplanationCache {
    fn of(&mut self, dropped: &[DroppedModel]) -> &[u8] {
        if !all_match(&self.dropped, dropped, is_same_drop) || self.text.is_empty() {
            self.dropped = dropped.to_vec();
            self.text.clear();
            let shown: Vec<DropExplanation<'_>> = dropped.iter().map(explain_drop).collect();
            // Strings can always be serialized.
            let _ = serde_json::to_writer(&mut self.text, &shown);
        }
        &self.text
    }
}

impl ModelChoice {
    /// Small JSON: candidates with their scores, best first, the choice in words, and the dropped models with their
    /// reasons.
    pub fn explain(&self) -> String {
        self.write_json(&mut ExplanationCache::default())
    }

    /// The same, but text of earlier explanations is reused.
    pub fn explain_cached(self: &Arc<Self>, told: &mut ExplanationCache) -> String {
        if let Some((last, text)) = &told.last
            && self.has_same_explanation(last)
        {
            return text.clone();
        }
        let text = self.write_json(told);
        told.last = Some((Arc::clone(self), text.clone()));
        text
    }

    /// Whether both have the same explanation: [`Self::write_json`] writes the same text.
    fn has_same_explanation(&self, other: &Self) -> bool {
        self.profile == other.profile
            && self.asked == other.asked
            && (self.tokens, self.reply_tokens) == (other.tokens, other.reply_tokens)
            && self.weights == other.weights
            && all_match(&self.viable, &other.viable, |one, other| explain_candidate(one) == explain_candidate(other))
            && all_match(&self.dropped, &other.dropped, is_same_drop)
    }

    fn write_json(&self, told: &mut ExplanationCache) -> String {
        let explained = ChoiceExplanation {
            profile: profile::word(self.profile),
            asked_for: self.asked.as_deref(),
            estimated_tokens: self.tokens,
            expected_reply_tokens: self.reply_tokens,
            weights: self.weights,
            chosen: self.viable.first().map(name),
            fallbacks: self.viable.iter().skip(1).map(name).collect(),
            reasoning: self.reasoning(),
            candidates: self.viable.iter().map(explain_candidate).collect(),
        };
        let mut text = Vec::with_capacity(TEXT_BYTES);
        // Strings and numbers can always be serialized, and the output is UTF-8.
        let _ = serde_json::to_writer(&mut text, &explained);
        // The closing brace comes after the dropped models.
        text.pop();
        text.extend_from_slice(br#","dropped":"#);
        text.extend_from_slice(told.of(&self.dropped));
        text.push(b'}');
        text.shrink_to_fit();
        String::from_utf8(text).unwrap_or_default()
    }

    fn reasoning(&self) -> String {
        let profile = profile::word(self.profile);
        match (&self.asked, self.viable.as_slice()) {
            (Some(model), []) => format!("{model} was asked for by name and cannot be asked"),
            (Some(model), [..]) => format!("{model} was asked for by name"),
            (None, []) => format!("no model of {profile} can be asked"),
            (None, [only]) => format!("{} is the only model of {profile} that can be asked", name(only)),
            (None, [best, next, ..]) if best.group != next.group => {
                format!("{} is the only model of {profile}'s group {} that can be asked", name(best), best.group + 1)
            }
            (None, [best, next, ..]) => format!(
                "{} suits {profile} best: {:.3} against {:.3} of {}",
                name(best),
                rounded(best.score.total),
                rounded(next.score.total),
                name(next)
            ),
        }
    }
}

fn all_match<T>(some: &[T], others: &[T], alike: impl Fn(&T, &T) -> bool) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| alike(one, other))
}

fn is_same_drop(one: &DroppedModel, other: &DroppedModel) -> bool {
    Arc::ptr_eq(&one.model, &other.model) && one.reason == other.reason
}

fn name(candidate: &ModelCandidate) -> &str {
    &candidate.model.name
}

fn explain_candidate(candidate: &ModelCandidate) -> CandidateExplanation<'_> {
    let score = candidate.score;
    CandidateExplanation {
        model: name(candidate),
        provider: candidate.model.served.as_ref().map_or(candidate.model.provider.as_str(), |served| &served.name),
        group: candidate.group + 1,
        score: rounded(score.total),
        latency_score: rounded(score.latency),
        cost_score: rounded(score.cost),
        quality_score: rounded(score.quality),
        expected_latency_ms: u64::try_from(candidate.latency.as_millis()).unwrap_or(u64::MAX),
        estimated_cost_usd: candidate.cost.as_f64(),
        error_rate: rounded(candidate.error_rate),
    }
}

fn explain_drop(dropped: &DroppedModel) -> DropExplanation<'_> {
    DropExplanation { model: &dropped.model.name, reason: dropped.reason.word(), says: &dropped.reason }
}

/// Four decimal places are enough for reading.
fn rounded(part: f64) -> f64 {
    (part * 10_000.0).round() / 10_000.0
}
