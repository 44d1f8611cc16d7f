//! Running summaries: what was said, in a few sentences, by a model; where none can be asked, an excerpt.

use std::sync::Arc;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::model::{self, Profile, Request};
use baton_ports::memory::{Error, Message, SUMMARY_BYTES_MAX, Speaker, Summarised, Summary};
use baton_ports::models::{Asker, Models};

use crate::short::Short;

/// What a model is told.
const PROMPT: &str = include_str!("summary/prompt.md");
/// The name summaries are asked under: for scripted replies, prices and budgets.
const AGENT: &str = "memory_summary";
/// How long a model may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Tokens of a summary.
const TOKENS_MAX: u32 = 400;
/// Messages summarised by one call; more are summarised by several, each with what the last one said.
const MESSAGES_AT_ONCE: usize = 100;
/// Bytes of one message that a model is shown, and of one that an excerpt quotes.
const SHOWN_BYTES_MAX: usize = 2_000;
const QUOTED_BYTES_MAX: usize = 300;

pub(crate) struct Summaries {
    models: Option<Arc<dyn Models>>,
}

impl Summaries {
    pub(crate) fn new(models: Option<Arc<dyn Models>>) -> Self {
        Self { models }
    }

    /// Summarises what is not summarised yet, but for the newest `but` messages. None where there is nothing to say.
    pub(crate) async fn bring_up_to_date(
        &self,
        short: &Short,
        tenant: &TenantId,
        conversation: &str,
        but: usize,
    ) -> Result<Option<Summary>, Error> {
        loop {
            let Some(thread) = short.thread(tenant, conversation).await? else { return Ok(None) };
            let from = short.unsummarised(tenant, conversation).await?;
            let to = thread.messages.saturating_sub(but as u64);
            if from >= to {
                return Ok(thread.summary);
            }
            let to = to.min(from + MESSAGES_AT_ONCE as u64);
            let messages = short.messages(tenant, conversation, from, to).await?;
            let (text, by) = self.text(tenant, conversation, thread.summary.as_ref(), &messages, to).await;
            short.set_summary(tenant, conversation, Summary { text, covers: to, by }).await?;
        }
    }

    async fn text(
        &self,
        tenant: &TenantId,
        conversation: &str,
        before: Option<&Summary>,
        messages: &[Message],
        to: u64,
    ) -> (String, Summarised) {
        if let Some(models) = &self.models {
            let asker = Asker::of(tenant.clone(), format!("memory/{conversation}/{to}"));
            match models.ask(&asker, &request(before, messages), LIMIT, None).await {
                Ok(reply) if !reply.content.trim().is_empty() => {
                    return (clip(reply.content.trim(), SUMMARY_BYTES_MAX).to_owned(), Summarised::Model);
                }
                Ok(_) => tracing::debug!("a model summarised a conversation with nothing"),
                Err(fault) => tracing::debug!(code = %fault.fault.code, "no model summarises conversations"),
            }
        }
        (excerpt(before, messages), Summarised::Excerpt)
    }
}

fn request(before: Option<&Summary>, messages: &[Message]) -> Request {
    let said = messages.iter().map(|message| line(message, SHOWN_BYTES_MAX)).collect::<Vec<_>>().join("\n");
    let asked = match before {
        Some(before) => format!("Summary so far:\n{}\n\nSaid since:\n{said}", before.text),
        None => format!("Said:\n{said}"),
    };
    Request {
        agent: AGENT.to_owned(),
        profile: Profile::Fast,
        messages: vec![model::Message::System { content: PROMPT.trim().to_owned() }, model::Message::user(asked)],
        max_tokens: Some(TOKENS_MAX),
        ..Request::default()
    }
}

/// The first thing the customer said, which an earlier excerpt holds on to, and the last thing that was said.
fn excerpt(before: Option<&Summary>, messages: &[Message]) -> String {
    let by_customer = messages.iter().find(|message| message.speaker == Speaker::Customer);
    let first = match before {
        Some(before) => before.text.lines().next().map(str::to_owned),
        None => by_customer.or(messages.first()).map(|message| line(message, QUOTED_BYTES_MAX)),
    };
    let last = messages.last().map(|message| line(message, QUOTED_BYTES_MAX));
    let last = last.filter(|last| first.as_ref() != Some(last));
    let text = [first, last].into_iter().flatten().collect::<Vec<_>>().join("\n");
    clip(&text, SUMMARY_BYTES_MAX).to_owned()
}

/// Who said what, on one line.
pub(crate) fn line(message: &Message, bytes_max: usize) -> String {
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

    fn said(speaker: Speaker, content: &str) -> Message {
        Message { id: None, speaker, content: content.to_owned(), at: Time::from_ms(0) }
    }

    #[test]
    fn an_excerpt_holds_on_to_what_the_customer_first_wanted() {
        let first = [
            said(Speaker::Agent, "Hello"),
            said(Speaker::Customer, "My kettle\nleaks"),
            said(Speaker::Agent, "Which one?"),
        ];
        let text = excerpt(None, &first);
        assert_eq!(text, "customer: My kettle leaks\nagent: Which one?");
        let before = Summary { text, covers: 3, by: Summarised::Excerpt };
        let text = excerpt(Some(&before), &[said(Speaker::Customer, "The blue one")]);
        assert_eq!(text, "customer: My kettle leaks\ncustomer: The blue one");
        assert_eq!(excerpt(None, &[]), "");
    }

    #[test]
    fn a_model_is_shown_the_summary_so_far_and_what_was_said_since() {
        let before = Summary { text: "The kettle leaks.".to_owned(), covers: 3, by: Summarised::Model };
        let request = request(Some(&before), &[said(Speaker::Customer, &"long ".repeat(1_000))]);
        assert_eq!((request.agent.as_str(), request.profile), (AGENT, Profile::Fast));
        let [_, model::Message::User { content, .. }] = &request.messages[..] else { panic!("{request:?}") };
        assert!(content.starts_with("Summary so far:\nThe kettle leaks.\n\nSaid since:\ncustomer: long long"));
        assert!(content.ends_with('…') && content.len() < 2_100);
    }
}
