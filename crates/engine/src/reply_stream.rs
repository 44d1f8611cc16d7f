//! Streams of model replies while they are generated. Nothing in them is recorded, and no run waits for a subscriber.

use std::collections::BTreeMap;
use std::sync::Mutex;

use baton_core::id::{RunId, TenantId};
use baton_core::run::EffectId;
use baton_ports::models::ReplyDelta;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::driver::lock;

/// Chunks buffered for a slow subscriber; a subscriber that falls further behind misses some.
const CHUNKS_MAX: usize = 1_024;

/// A chunk of the reply that a run's model is generating. Provisional: only the recorded reply counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyChunk {
    pub effect: EffectId,
    pub delta: ReplyDelta,
}

/// Streams by tenant and run; a stream without subscribers is removed soon.
#[derive(Default)]
pub(crate) struct ReplyStreams {
    senders: Mutex<BTreeMap<(TenantId, RunId), Sender<ReplyChunk>>>,
}

impl ReplyStreams {
    /// Subscribes to the replies of a run's models from now on, in this process.
    pub fn subscribe(&self, tenant: &TenantId, run: &RunId) -> Receiver<ReplyChunk> {
        let mut heard = lock(&self.senders);
        heard.retain(|_, voice| voice.receiver_count() > 0);
        heard.entry((tenant.clone(), run.clone())).or_insert_with(|| Sender::new(CHUNKS_MAX)).subscribe()
    }

    /// The sender for a run's chunks, if it has subscribers.
    pub fn sender(&self, tenant: &TenantId, run: &RunId) -> Option<Sender<ReplyChunk>> {
        let heard = lock(&self.senders);
        // Most runs have no subscriber: this check avoids copying their names.
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
