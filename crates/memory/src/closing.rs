//! The end of a conversation: summed up, made findable, and gone from short-term memory, in this order.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{Collection, Since};
use baton_ports::memory::{Closing, Error, RETRY_AFTER, Summarised, Summary};
use baton_ports::models::Asker;

use crate::episodic;
use crate::long::Long;
use crate::short::{self, Short, Standing};
use crate::summary::Summaries;

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
        let document = episodic::conversation(name, &whole, &summary, &closing.outcome);
        // The words are findable before they leave: whoever closes again after a crash in between closes the same.
        match self.long.add_since(tenant, of, document, kept_since).await {
            Ok(_) => {}
            Err(Error::Forgotten { .. }) => return Ok(Tried::Gone),
            Err(error) => return Err(error),
        }
        let left = self.short.leave(tenant, conversation, since, &whole).await?;
        Ok(if left { Tried::Closed(summary) } else { Tried::Again })
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
