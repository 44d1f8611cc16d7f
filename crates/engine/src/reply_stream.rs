//! Who reads along while models speak. Nothing of it is recorded, and no run waits for it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use baton_core::id::{RunId, TenantId};
use baton_core::run::EffectId;
use baton_ports::models::ReplyDelta;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::driver::lock;

/// Parts kept for a slow reader; one that falls further behind misses some.
const CHUNKS_MAX: usize = 1_024;

/// A part of a reply that a run's model is giving. Provisional: the reply that is recorded is the one that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyChunk {
    pub effect: EffectId,
    pub delta: ReplyDelta,
}

/// By tenant and run; whom nobody reads along with is not in here for long.
#[derive(Default)]
pub(crate) struct ReplyStreams {
    senders: Mutex<BTreeMap<(TenantId, RunId), Sender<ReplyChunk>>>,
}

impl ReplyStreams {
    /// What a run's models say from now on, in this process.
    pub fn subscribe(&self, tenant: &TenantId, run: &RunId) -> Receiver<ReplyChunk> {
        let mut heard = lock(&self.senders);
        heard.retain(|_, voice| voice.receiver_count() > 0);
        heard.entry((tenant.clone(), run.clone())).or_insert_with(|| Sender::new(CHUNKS_MAX)).subscribe()
    }

    /// Where to say it, if anybody reads along.
    pub fn sender(&self, tenant: &TenantId, run: &RunId) -> Option<Sender<ReplyChunk>> {
        let heard = lock(&self.senders);
        // Most runs are nobody's: their names are not copied to find that out.
        if heard.is_empty() {
            return None;
        }
        heard.get(&(tenant.clone(), run.clone())).filter(|voice| voice.receiver_count() > 0).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_left_is_not_spoken_to_and_nobody_hears_anothers_run() {
        let (voices, acme, other) = (ReplyStreams::default(), TenantId::from("acme"), TenantId::from("other"));
        assert!(voices.sender(&acme, &"one".into()).is_none());
        let mut reader = voices.subscribe(&acme, &"one".into());
        assert!(voices.sender(&other, &"one".into()).is_none() && voices.sender(&acme, &"two".into()).is_none());
        let effect = EffectId::parse("ask#0.0").expect("an effect");
        let said = ReplyChunk { effect, delta: ReplyDelta::Text("half".into()) };
        voices.sender(&acme, &"one".into()).expect("a reader").send(said.clone()).expect("heard");
        assert_eq!(reader.try_recv(), Ok(said));
        drop(reader);
        assert!(voices.sender(&acme, &"one".into()).is_none());
        let _next = voices.subscribe(&acme, &"two".into());
        assert_eq!(lock(&voices.senders).len(), 1);
    }
}
