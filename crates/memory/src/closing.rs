//! The end of a conversation: summed up, made findable, and gone from short-term memory, in this order.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{Collection, Since};
use baton_ports::memory::{Closing, Error, Over, RETRY_AFTER, Summarised, Summary};
use baton_ports::models::Asker;

use crate::episodic::{self, Words};
use crate::long::Long;
use crate::short::{self, Short, Standing};
use crate::summary::{Summaries, excerpt};

/// How often a conversation may become another's while it is closed.
const TRIES_MAX: usize = 8;

pub(crate) struct Closings<'m> {
    pub(crate) short: &'m Short,
    pub(crate) long: &'m Long,
    pub(crate) summaries: &'m Summaries,
}

/// What one try came to.
enum Tried {
    Closed(Summary),
    /// Another closed it, or it was forgotten.
    Gone,
    /// It became known whose it is.
    Again,
}

impl Closings<'_> {
    pub(crate) async fn close(&self, asker: &Asker, conversation: &str, closing: &Closing) -> Result<Summary, Error> {
        let (tenant, of) = (&asker.tenant, Collection::Conversations);
        let since = self.short.begin(tenant).await?;
        let kept_since = Since { at: since.at, ..self.long.begin(tenant, of).await? };
        let mut began = None;
        for _ in 0..TRIES_MAX {
            let standing = self.short.standing(tenant, conversation).await?;
            // One that began while this went on is not the one that was to be closed.
            let meant = |standing: &Standing| *began.get_or_insert(standing.began) == standing.began;
            let Some(standing) = standing.filter(meant) else { return self.closed(tenant, conversation).await };
            match self.try_once(asker, conversation, closing, &standing, (since, kept_since)).await? {
                Tried::Closed(summary) => return Ok(summary),
                Tried::Gone => return self.closed(tenant, conversation).await,
                Tried::Again => {}
            }
        }
        Err(Error::Busy { retry_after: RETRY_AFTER })
    }

    async fn try_once(
        &self,
        asker: &Asker,
        conversation: &str,
        closing: &Closing,
        standing: &Standing,
        (since, kept_since): (Since, Since),
    ) -> Result<Tried, Error> {
        let (tenant, of) = (&asker.tenant, Collection::Conversations);
        let summary = match &closing.summary {
            Some(text) => {
                let (covers, by) = (standing.thread.messages, Summarised::Caller);
                let summary = Summary { text: text.clone(), covers, by, why: None };
                self.short.set_summary(tenant, conversation, (since, standing.began), summary).await?
            }
            None => self.summaries.bring_up_to_date(self.short, asker, conversation, since).await?,
        };
        let Some(whole) = self.short.whole(tenant, conversation).await?.filter(|whole| whole.began == standing.began)
        else {
            return Ok(Tried::Gone);
        };
        let Some(summary) = summary else { return Ok(Tried::Gone) };
        let name = self.name(tenant, conversation, whole.began).await?;
        let words = Words {
            conversation,
            customer: whole.thread.customer.clone(),
            began: whole.began,
            messages: &whole.messages,
        };
        let document = episodic::conversation(name, words, &summary, &closing.outcome);
        // The words are findable before they leave: whoever closes again after a crash in between closes the same.
        match self.long.add_since(tenant, of, document, kept_since).await {
            Ok(_) => {}
            Err(Error::Forgotten { .. }) => return Ok(Tried::Gone),
            Err(error) => return Err(error),
        }
        let left = self.short.leave(tenant, conversation, since, &whole).await?;
        Ok(if left { Tried::Closed(summary) } else { Tried::Again })
    }

    /// A conversation that is over by its own journal becomes findable, beside what short-term memory has of it. Its summary
    /// is the running one, where there is one, else an excerpt: nobody is asked, and it costs nothing.
    pub(crate) async fn keep(&self, tenant: &TenantId, over: Over) -> Result<bool, Error> {
        let of = Collection::Conversations;
        let Some(first) = over.messages.first() else { return Ok(false) };
        let since = Since { at: over.ended_at, ..self.long.begin(tenant, of).await? };
        let known = self.long.document(tenant, of, &over.conversation).await?;
        if known.is_some_and(|known| !episodic::is_kept(&known.body)) {
            return Ok(false);
        }
        let running =
            self.short.standing(tenant, &over.conversation).await?.and_then(|standing| standing.thread.summary);
        let summary = running.unwrap_or_else(|| Summary {
            text: excerpt(None, &over.messages),
            covers: over.messages.len() as u64,
            by: Summarised::Excerpt,
            why: None,
        });
        let words = Words {
            conversation: &over.conversation,
            customer: over.customer.clone(),
            began: first.at,
            messages: &over.messages,
        };
        let document =
            episodic::kept(episodic::conversation(over.conversation.clone(), words, &summary, &over.outcome));
        match self.long.add_since(tenant, of, document, since).await {
            Ok(_) => Ok(true),
            Err(Error::Forgotten { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn name(&self, tenant: &TenantId, conversation: &str, began: Time) -> Result<String, Error> {
        episodic::name(self.long, tenant, conversation, began).await
    }

    /// What a conversation that is over answered when it was closed.
    async fn closed(&self, tenant: &TenantId, conversation: &str) -> Result<Summary, Error> {
        self.short.sweep(tenant, conversation).await?;
        let closed = episodic::closed(self.long, tenant, conversation).await?;
        closed.ok_or_else(|| short::not_found(conversation))
    }
}
