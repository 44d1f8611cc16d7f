//! Running summaries: a few sentences about a conversation, written by a model; an excerpt if no model is available.

use std::sync::Arc;
use std::time::Duration;

use baton_core::model::{self, ModelProfile, ModelRequest};
use baton_ports::index::ForgetWatermark;
use baton_ports::memory::{
    MemoryError, MessageSpeaker, SUMMARY_BYTES_MAX, SummarySource, ThreadMessage, ThreadSummary,
};
use baton_ports::models::{ModelCaller, ModelService};
use serde_json::json;
use tokio::time::Instant;

use crate::prompt::{MemoryPrompt, PromptSet};
use crate::short_term::ShortTermMemory;

/// The timeout of one model call, and of all calls of one conversation together.
const LIMIT: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(60);
/// The same for an ongoing conversation, where the customer waits for an answer.
const TIMEOUT_LIVE: Duration = Duration::from_secs(20);
/// Maximum tokens of a summary.
const TOKENS_MAX: u32 = 400;
/// Maximum messages that one call summarises; more are summarised by several calls, each with the summary before.
const MESSAGES_AT_ONCE: usize = 100;
/// Maximum bytes of one message that a model sees, and of one that an excerpt quotes.
const SHOWN_BYTES_MAX: usize = 2_000;
const QUOTED_BYTES_MAX: usize = 300;
/// Maximum bytes of the reason why a summary is an excerpt.
const WHY_BYTES_MAX: usize = 500;

/// What is used if no model is available.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SummaryFallback {
    Excerpt,
    /// The messages themselves.
    Words,
}

impl SummaryFallback {
    fn timeout(self) -> Duration {
        match self {
            Self::Excerpt => TIMEOUT,
            Self::Words => TIMEOUT_LIVE,
        }
    }
}

pub(crate) struct ThreadSummarizer {
    models: Option<Arc<dyn ModelService>>,
    prompts: PromptSet,
}

impl ThreadSummarizer {
    pub(crate) fn new(models: Option<Arc<dyn ModelService>>, prompts: PromptSet) -> Self {
        Self { models, prompts }
    }

    /// Updates the summary of an ongoing conversation up to its newest messages except the last `but`; returns the
    /// summary that is stored then. One call at a time does this. If no model is available, the messages stay as they
    /// are, and the next attempt is a minute later: messages are shortened only by a model.
    pub(crate) async fn update_running(
        &self,
        short: &ShortTermMemory,
        asker: &ModelCaller,
        conversation: &str,
        since: ForgetWatermark,
        but: usize,
    ) -> Result<Option<ThreadSummary>, MemoryError> {
        let tenant = &asker.tenant;
        let Some(standing) = short.status(tenant, conversation).await? else { return Ok(None) };
        let (thread, meant) = (standing.thread, (since, standing.began));
        let to = thread.messages.saturating_sub(but as u64);
        if standing.unsummarised >= to || !short.claim_summary(tenant, conversation, meant, &asker.key).await? {
            return Ok(thread.summary);
        }
        let summary = self.summarize(short, asker, conversation, since, (but, SummaryFallback::Words)).await?;
        if summary.as_ref().is_some_and(|summary| summary.covers >= to) {
            short.release_summary(tenant, conversation, meant, &asker.key).await?;
        }
        Ok(summary)
    }

    /// Summarises all messages that are not summarised yet, on behalf of the caller, for a conversation that ends. Each
    /// model reply is stored before the next call, so that nothing that was stored is requested again. `None` if there
    /// are no messages, or if the conversation ended or was forgotten in the meantime.
    ///
    /// A model that fails once is not called again: the rest is an excerpt, which states the reason.
    pub(crate) async fn update_whole(
        &self,
        short: &ShortTermMemory,
        asker: &ModelCaller,
        conversation: &str,
        since: ForgetWatermark,
    ) -> Result<Option<ThreadSummary>, MemoryError> {
        self.summarize(short, asker, conversation, since, (0, SummaryFallback::Excerpt)).await
    }

    async fn summarize(
        &self,
        short: &ShortTermMemory,
        asker: &ModelCaller,
        conversation: &str,
        since: ForgetWatermark,
        (but, without): (usize, SummaryFallback),
    ) -> Result<Option<ThreadSummary>, MemoryError> {
        let (tenant, patience) = (&asker.tenant, Instant::now() + without.timeout());
        let mut failed: Option<String> = None;
        loop {
            let Some(standing) = short.status(tenant, conversation).await? else { return Ok(None) };
            let (thread, from) = (standing.thread, standing.unsummarised);
            let to = thread.messages.saturating_sub(but as u64);
            if from >= to {
                return Ok(thread.summary);
            }
            let to = to.min(from + MESSAGES_AT_ONCE as u64);
            let messages = short.messages(tenant, conversation, from, to).await?;
            let before = thread.summary.as_ref();
            let summary = match failed.clone() {
                Some(why) => excerpted(before, &messages, to, why),
                None => {
                    // Contains the conversation's beginning, not only its id, so that one key never has two requests.
                    let key = format!("{}/summary/{conversation}/{}/{to}", asker.key, standing.began.as_ms());
                    let asker = ModelCaller { key, ..asker.clone() };
                    match self.ask(&asker, before, &messages, patience).await {
                        Ok(text) => ThreadSummary { text, covers: to, by: SummarySource::Model, why: None },
                        Err(why) if without == SummaryFallback::Words => {
                            tracing::warn!(why, "a conversation that goes on is not summarised");
                            return Ok(thread.summary);
                        }
                        Err(why) => excerpted(before, &messages, to, failed.insert(why).clone()),
                    }
                }
            };
            let kept = short.set_summary(tenant, conversation, (since, standing.began), summary).await?;
            if kept.is_none() {
                return Ok(None);
            }
        }
    }

    /// The error is the reason, in words, why there is no model's summary.
    async fn ask(
        &self,
        asker: &ModelCaller,
        before: Option<&ThreadSummary>,
        messages: &[ThreadMessage],
        patience: Instant,
    ) -> Result<String, String> {
        let Some(models) = &self.models else { return Err("there is no model".to_owned()) };
        let left = patience.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("summarising took too long".to_owned());
        }
        let values = json!({"summary": before.map(|before| &before.text)});
        let system = self.prompts.render(MemoryPrompt::Summary, asker.language.as_deref(), &values)?;
        match models.ask(asker, &request(system, before, messages), LIMIT.min(left), None).await {
            Ok(reply) if !reply.content.trim().is_empty() => {
                Ok(clip(reply.content.trim(), SUMMARY_BYTES_MAX).to_owned())
            }
            Ok(_) => Err("the model summarised it with nothing".to_owned()),
            Err(fault) => {
                tracing::debug!(code = %fault.fault.code, "no model summarises conversations");
                Err(format!("{}: {}", fault.fault.code, fault.fault.message))
            }
        }
    }
}

fn excerpted(before: Option<&ThreadSummary>, messages: &[ThreadMessage], to: u64, why: String) -> ThreadSummary {
    let why = Some(clip(&why, WHY_BYTES_MAX).to_owned());
    ThreadSummary { text: excerpt(before, messages), covers: to, by: SummarySource::Excerpt, why }
}

fn request(system: String, before: Option<&ThreadSummary>, messages: &[ThreadMessage]) -> ModelRequest {
    let said = messages.iter().map(|message| line(message, SHOWN_BYTES_MAX)).collect::<Vec<_>>().join("\n");
    let asked = match before {
        Some(before) => format!("Summary so far:\n{}\n\nSaid since:\n{said}", before.text),
        None => format!("Said:\n{said}"),
    };
    ModelRequest {
        agent: MemoryPrompt::Summary.word().to_owned(),
        profile: ModelProfile::Fast,
        messages: vec![model::ModelMessage::system(system), model::ModelMessage::user(asked)],
        max_tokens: Some(TOKENS_MAX),
        ..ModelRequest::default()
    }
}

/// The first message of the customer, which is kept from an earlier excerpt, and the last message.
pub(crate) fn excerpt(before: Option<&ThreadSummary>, messages: &[ThreadMessage]) -> String {
    let by_customer = messages.iter().find(|message| message.speaker == MessageSpeaker::Customer);
    let first = match before {
        Some(before) => before.text.lines().next().map(str::to_owned),
        None => by_customer.or(messages.first()).map(|message| line(message, QUOTED_BYTES_MAX)),
    };
    let last = messages.last().map(|message| line(message, QUOTED_BYTES_MAX));
    let last = last.filter(|last| first.as_ref() != Some(last));
    let text = [first, last].into_iter().flatten().collect::<Vec<_>>().join("\n");
    clip(&text, SUMMARY_BYTES_MAX).to_owned()
}

/// The speaker and the message, on one line.
pub(crate) fn line(message: &ThreadMessage, bytes_max: usize) -> String {
    let words = message.content.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = clip(&words, bytes_max);
    let mark = if shown.len() < words.len() { "…" } else { "" };
    format!("{}: {shown}{mark}", message.speaker.word())
}

fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use baton_core::time::Time;

    use super::*;

    fn said(speaker: MessageSpeaker, content: &str) -> ThreadMessage {
        ThreadMessage { id: None, speaker, content: content.to_owned(), at: Time::from_ms(0) }
    }

    #[test]
    fn an_excerpt_holds_on_to_what_the_customer_first_wanted() {
        let first = [
            said(MessageSpeaker::Agent, "Hello"),
            said(MessageSpeaker::Customer, "My kettle\nleaks"),
            said(MessageSpeaker::Agent, "Which one?"),
        ];
        let text = excerpt(None, &first);
        assert_eq!(text, "customer: My kettle leaks\nagent: Which one?");
        let before = ThreadSummary { text, covers: 3, by: SummarySource::Excerpt, why: None };
        let text = excerpt(Some(&before), &[said(MessageSpeaker::Customer, "The blue one")]);
        assert_eq!(text, "customer: My kettle leaks\ncustomer: The blue one");
        assert_eq!(excerpt(None, &[]), "");
    }

    #[test]
    fn a_model_is_shown_the_summary_so_far_and_what_was_said_since() {
        let before =
            ThreadSummary { text: "The kettle leaks.".to_owned(), covers: 3, by: SummarySource::Model, why: None };
        let request =
            request("Summarise.".to_owned(), Some(&before), &[said(MessageSpeaker::Customer, &"long ".repeat(1_000))]);
        assert_eq!((request.agent.as_str(), request.profile), (MemoryPrompt::Summary.word(), ModelProfile::Fast));
        let [_, model::ModelMessage::User { content, .. }] = &request.messages[..] else { panic!("{request:?}") };
        assert!(content.starts_with("Summary so far:\nThe kettle leaks.\n\nSaid since:\ncustomer: long long"));
        assert!(content.ends_with('…') && content.len() < 2_100);
    }
}
