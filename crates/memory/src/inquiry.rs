//! Searching in rounds: find, let a model judge whether that answers the question, and if not, search by its words. A
//! verdict is kept before the next round depends on it.

mod verdicts;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::model::{Message, Profile, Reply, Request};
use baton_core::money::Usd;
use baton_ports::memory::{
    Cited, Error, Inquired, Inquiry, QUERY_BYTES_MAX, ROUND_TOP_MAX, ROUNDS_MAX, Round, Search, Stopped,
};
use baton_ports::models::{Asker, Models};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use verdicts::Verdicts;

use crate::long::Long;
use crate::prompt::{Name, Prompts};

/// How long one judgement may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Tokens of a judgement.
const TOKENS_MAX: u32 = 300;
/// Bytes of one passage that the judge is shown.
const SHOWN_BYTES_MAX: usize = 2_000;

pub(crate) struct Inquiries {
    models: Option<Arc<dyn Models>>,
    prompts: Prompts,
    verdicts: Verdicts,
}

/// What a model thinks of what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Verdict {
    sufficient: bool,
    missing: Option<String>,
    query: Option<String>,
}

impl Inquiries {
    pub(crate) fn new(models: Option<Arc<dyn Models>>, prompts: Prompts, verdicts: Verdicts) -> Self {
        Self { models, prompts, verdicts }
    }

    pub(crate) async fn forget(&self, tenant: &TenantId, customer: &str) -> Result<(), Error> {
        self.verdicts.forget(tenant, customer).await
    }

    pub(crate) async fn perform(&self, long: &Long, asker: &Asker, inquiry: &Inquiry) -> Result<Inquired, Error> {
        let over = |what, size, limit| if size > limit { Err(Error::TooLarge { what, size, limit }) } else { Ok(()) };
        over("an inquiry's passages of a round", inquiry.top, ROUND_TOP_MAX)?;
        over("an inquiry's rounds", inquiry.rounds, ROUNDS_MAX)?;
        let given = self.verdicts.of(asker, inquiry).await?;
        let mut held = Held::default();
        let mut query = inquiry.question.clone();
        for left in (0..inquiry.rounds).rev() {
            let search = Search { top: inquiry.top, filter: inquiry.filter.clone(), ..Search::knowledge(&query) };
            let found = long.search(&asker.tenant, &search).await?;
            held.degraded = held.degraded.or(found.degraded);
            let new = held.take(found.passages);
            held.rounds.push(Round { query, new, sufficient: None, missing: None });
            if new == 0 {
                return Ok(held.stopped(Stopped::NothingNew));
            }
            let Some(verdict) = self.judge(asker, inquiry, &given, &mut held).await? else {
                return Ok(held.stopped(Stopped::Unjudged));
            };
            held.judged(&verdict);
            query = match verdict.query.map(|query| query.trim().to_owned()) {
                _ if verdict.sufficient => return Ok(held.stopped(Stopped::Sufficient)),
                Some(next) if !next.is_empty() && left > 0 => next,
                Some(next) if !next.is_empty() => return Ok(held.stopped(Stopped::Rounds)),
                Some(_) | None => return Ok(held.stopped(Stopped::NothingNew)),
            };
        }
        Ok(held.stopped(Stopped::Rounds))
    }

    /// None where no model can be asked, or none answers in the form that was asked for. What was found stays found.
    async fn judge(
        &self,
        asker: &Asker,
        inquiry: &Inquiry,
        given: &verdicts::Of<'_>,
        held: &mut Held,
    ) -> Result<Option<Verdict>, Error> {
        let Some(models) = self.models.as_ref() else { return Ok(None) };
        let round = held.rounds.len();
        let query = held.rounds.last().map(|round| round.query.clone()).unwrap_or_default();
        if let Some(given) = given.given(round, &query).await? {
            held.cost += given.cost;
            return Ok(given.verdict);
        }
        let asker = Asker { key: format!("{}/judge/{round}", asker.key), ..asker.clone() };
        let question = clip(&inquiry.question, QUERY_BYTES_MAX);
        let values = json!({"question": question});
        let system = match self.prompts.render(Name::Judge, asker.language.as_deref(), &values) {
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
                if let Err(error) = given.keep(round, &query, verdict.as_ref(), reply.cost).await {
                    // It holds all the same; only a crash would ask for it again.
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

/// Everything so far.
#[derive(Default)]
struct Held {
    passages: Vec<Cited>,
    seen: BTreeSet<(String, u32)>,
    rounds: Vec<Round>,
    degraded: Option<String>,
    cost: Usd,
}

impl Held {
    /// Keeps what is new, and says how many.
    fn take(&mut self, found: Vec<Cited>) -> usize {
        let before = self.passages.len();
        for passage in found {
            if self.seen.insert((passage.document.clone(), passage.chunk)) {
                self.passages.push(passage);
            }
        }
        self.passages.len() - before
    }

    fn judged(&mut self, verdict: &Verdict) {
        if let Some(round) = self.rounds.last_mut() {
            round.sufficient = Some(verdict.sufficient);
            round.missing = verdict.missing.clone().filter(|_| !verdict.sufficient);
        }
    }

    fn stopped(self, stopped: Stopped) -> Inquired {
        let Self { passages, rounds, degraded, cost, seen: _ } = self;
        Inquired { passages, rounds, stopped, degraded, cost }
    }
}

fn request(system: String, inquiry: &Inquiry, held: &Held) -> Request {
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
    Request {
        agent: Name::Judge.word().to_owned(),
        profile: Profile::Fast,
        messages: vec![Message::system(system), Message::user(asked)],
        schema: Some(schema()),
        max_tokens: Some(TOKENS_MAX),
        ..Request::default()
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

/// Models wrap JSON in words and fences; what counts is the object inside.
fn verdict(reply: &Reply) -> Option<Verdict> {
    let (begins, ends) = (reply.content.find('{')?, reply.content.rfind('}')?);
    serde_json::from_str(reply.content.get(begins..=ends)?).ok()
}

fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(content: &str) -> Reply {
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
        let expect = Verdict { sufficient: false, missing: Some("dates".into()), query: Some("opened year".into()) };
        assert_eq!(verdict(&reply(fenced)), Some(expect));
        for not_one in ["", "yes", "}{", "{\"sufficient\": \"yes\"}"] {
            assert_eq!(verdict(&reply(not_one)), None, "{not_one}");
        }
    }
}
