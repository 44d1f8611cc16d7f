//! Iterative search: search, let a model judge whether the result answers the question, and if not, search with the
//! query that it suggests. A verdict is recorded before the next round depends on it.

mod verdicts;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::model::{ModelMessage, ModelProfile, ModelReply, ModelRequest};
use baton_core::money::Usd;
use baton_ports::memory::{
    CitedPassage, InquiryEnd, InquiryRequest, InquiryResult, InquiryRound, MemoryError, QUERY_BYTES_MAX, ROUND_TOP_MAX,
    ROUNDS_MAX, SearchRequest,
};
use baton_ports::models::{ModelCaller, ModelService};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use verdicts::VerdictStore;

use crate::long_term::LongTermMemory;
use crate::prompt::{MemoryPrompt, PromptSet};

/// Timeout of one judgement.
const LIMIT: Duration = Duration::from_secs(30);
/// Maximum tokens of a judgement.
const TOKENS_MAX: u32 = 300;
/// Maximum bytes of one passage that the judge sees.
const SHOWN_BYTES_MAX: usize = 2_000;

pub(crate) struct InquiryService {
    models: Option<Arc<dyn ModelService>>,
    prompts: PromptSet,
    verdicts: VerdictStore,
}

/// A model's verdict on the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct InquiryVerdict {
    sufficient: bool,
    missing: Option<String>,
    query: Option<String>,
}

impl InquiryService {
    pub(crate) fn new(models: Option<Arc<dyn ModelService>>, prompts: PromptSet, verdicts: VerdictStore) -> Self {
        Self { models, prompts, verdicts }
    }

    pub(crate) async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<(), MemoryError> {
        self.verdicts.forget(tenant, customer).await
    }

    pub(crate) async fn perform(
        &self,
        long: &LongTermMemory,
        asker: &ModelCaller,
        inquiry: &InquiryRequest,
    ) -> Result<InquiryResult, MemoryError> {
        let over =
            |what, size, limit| if size > limit { Err(MemoryError::TooLarge { what, size, limit }) } else { Ok(()) };
        over("an inquiry's passages of a round", inquiry.top, ROUND_TOP_MAX)?;
        over("an inquiry's rounds", inquiry.rounds, ROUNDS_MAX)?;
        let given = self.verdicts.for_inquiry(asker, inquiry).await?;
        let mut held = InquiryState::default();
        let mut query = inquiry.question.clone();
        for left in (0..inquiry.rounds).rev() {
            let search =
                SearchRequest { top: inquiry.top, filter: inquiry.filter.clone(), ..SearchRequest::knowledge(&query) };
            let found = long.search(&asker.tenant, &search).await?;
            held.degraded = held.degraded.or(found.degraded);
            let new = held.take(found.passages);
            held.rounds.push(InquiryRound { query, new, sufficient: None, missing: None });
            if new == 0 {
                return Ok(held.finish(InquiryEnd::NothingNew));
            }
            let Some(verdict) = self.judge(asker, inquiry, &given, &mut held).await? else {
                return Ok(held.finish(InquiryEnd::Unjudged));
            };
            held.add_verdict(&verdict);
            query = match verdict.query.map(|query| query.trim().to_owned()) {
                _ if verdict.sufficient => return Ok(held.finish(InquiryEnd::Sufficient)),
                Some(next) if !next.is_empty() && left > 0 => next,
                Some(next) if !next.is_empty() => return Ok(held.finish(InquiryEnd::Rounds)),
                Some(_) | None => return Ok(held.finish(InquiryEnd::NothingNew)),
            };
        }
        Ok(held.finish(InquiryEnd::Rounds))
    }

    /// `None` if no model is available, or none replies in the required format. The result of the search is kept.
    async fn judge(
        &self,
        asker: &ModelCaller,
        inquiry: &InquiryRequest,
        given: &verdicts::InquiryVerdicts<'_>,
        held: &mut InquiryState,
    ) -> Result<Option<InquiryVerdict>, MemoryError> {
        let Some(models) = self.models.as_ref() else { return Ok(None) };
        let round = held.rounds.len();
        let query = held.rounds.last().map(|round| round.query.clone()).unwrap_or_default();
        if let Some(given) = given.recorded(round, &query).await? {
            held.cost += given.cost;
            return Ok(given.verdict);
        }
        let asker = ModelCaller { key: format!("{}/judge/{round}", asker.key), ..asker.clone() };
        let question = clip(&inquiry.question, QUERY_BYTES_MAX);
        let values = json!({"question": question});
        let system = match self.prompts.render(MemoryPrompt::Judge, asker.language.as_deref(), &values) {
            Ok(system) => system,
            Err(why) => {
                tracing::warn!(why, "no model judges what was found");
                return Ok(None);
            }
        };
        match models.ask(&asker, &request(system, inquiry, held), LIMIT, None).await {
            Ok(reply) => {
                held.cost += reply.cost;
                let verdict = verdict(&reply);
                if let Err(error) = given.record(round, &query, verdict.as_ref(), reply.cost).await {
                    // The verdict is still valid; only a crash would cause another call for it.
                    tracing::warn!(%error, "a verdict could not be kept");
                }
                Ok(verdict)
            }
            Err(fault) => {
                tracing::debug!(code = %fault.fault.code, "no model judges what was found");
                Ok(None)
            }
        }
    }
}

/// The accumulated state.
#[derive(Default)]
struct InquiryState {
    passages: Vec<CitedPassage>,
    seen: BTreeSet<(String, u32)>,
    rounds: Vec<InquiryRound>,
    degraded: Option<String>,
    cost: Usd,
}

impl InquiryState {
    /// Adds new passages and returns their number.
    fn take(&mut self, found: Vec<CitedPassage>) -> usize {
        let before = self.passages.len();
        for passage in found {
            if self.seen.insert((passage.document.clone(), passage.chunk)) {
                self.passages.push(passage);
            }
        }
        self.passages.len() - before
    }

    fn add_verdict(&mut self, verdict: &InquiryVerdict) {
        if let Some(round) = self.rounds.last_mut() {
            round.sufficient = Some(verdict.sufficient);
            round.missing = verdict.missing.clone().filter(|_| !verdict.sufficient);
        }
    }

    fn finish(self, stopped: InquiryEnd) -> InquiryResult {
        let Self { passages, rounds, degraded, cost, seen: _ } = self;
        InquiryResult { passages, rounds, stopped, degraded, cost }
    }
}

fn request(system: String, inquiry: &InquiryRequest, held: &InquiryState) -> ModelRequest {
    let numbered = (1_usize..).zip(&held.passages);
    let shown = numbered.map(|(number, passage)| {
        format!("[{number}] {}\n{}", passage.heading, clip(&passage.content, SHOWN_BYTES_MAX))
    });
    let searched = held.rounds.iter().map(|round| format!("- {}", clip(&round.query, SHOWN_BYTES_MAX)));
    let asked = format!(
        "Question:\n{}\n\nSearched for:\n{}\n\nPassages:\n{}",
        clip(&inquiry.question, QUERY_BYTES_MAX),
        searched.collect::<Vec<_>>().join("\n"),
        shown.collect::<Vec<_>>().join("\n\n"),
    );
    ModelRequest {
        agent: MemoryPrompt::Judge.word().to_owned(),
        profile: ModelProfile::Fast,
        messages: vec![ModelMessage::system(system), ModelMessage::user(asked)],
        schema: Some(schema()),
        max_tokens: Some(TOKENS_MAX),
        ..ModelRequest::default()
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["sufficient", "missing", "query"],
        "properties": {
            "sufficient": {"type": "boolean"},
            "missing": {"type": ["string", "null"]},
            "query": {"type": ["string", "null"]},
        },
    })
}

/// Models wrap JSON in text and fences; only the object inside is used.
fn verdict(reply: &ModelReply) -> Option<InquiryVerdict> {
    let (begins, ends) = (reply.content.find('{')?, reply.content.rfind('}')?);
    serde_json::from_str(reply.content.get(begins..=ends)?).ok()
}

fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(content: &str) -> ModelReply {
        let reply = json!({
            "content": content, "finish": "stop", "usage": {}, "model": "m", "provider": "script", "cost": 0,
            "latency_ms": 1,
        });
        serde_json::from_value(reply).unwrap()
    }

    #[test]
    fn a_verdict_is_read_out_of_words_and_fences() {
        let fenced =
            "Here it is:\n```json\n{\"sufficient\": false, \"missing\": \"dates\", \"query\": \"opened year\"}\n```";
        let expect =
            InquiryVerdict { sufficient: false, missing: Some("dates".into()), query: Some("opened year".into()) };
        assert_eq!(verdict(&reply(fenced)), Some(expect));
        for not_one in ["", "yes", "}{", "{\"sufficient\": \"yes\"}"] {
            assert_eq!(verdict(&reply(not_one)), None, "{not_one}");
        }
    }
}
