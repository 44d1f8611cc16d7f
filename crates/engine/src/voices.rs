//! Who reads along while models speak. Nothing of it is recorded, and no run waits for it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use baton_core::id::{RunId, TenantId};
use baton_core::run::EffectId;
use baton_ports::models::Piece;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::driver::lock;

/// Parts kept for a slow reader; one that falls further behind misses some.
const SAID_MAX: usize = 1_024;

/// A part of a reply that a run's model is giving. Provisional: the reply that is recorded is the one that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub effect: EffectId,
    pub piece: Piece,
}

/// By tenant and run; whom nobody reads along with is not in here for long.
#[derive(Default)]
pub(crate) struct Voices {
    heard: Mutex<BTreeMap<(TenantId, RunId), Sender<Said>>>,
}

impl Voices {
    /// What a run's models say from now on, in this process.
    pub fn listen(&self, tenant: &TenantId, run: &RunId) -> Receiver<Said> {
        let mut heard = lock(&self.heard);
        heard.retain(|_, voice| voice.receiver_count() > 0);
        heard.entry((tenant.clone(), run.clone())).or_insert_with(|| Sender::new(SAID_MAX)).subscribe()
    }

    /// Where to say it, if anybody reads along.
    pub fn of(&self, tenant: &TenantId, run: &RunId) -> Option<Sender<Said>> {
        let heard = lock(&self.heard);
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
        let (voices, acme, other) = (Voices::default(), TenantId::from("acme"), TenantId::from("other"));
        assert!(voices.of(&acme, &"one".into()).is_none());
        let mut reader = voices.listen(&acme, &"one".into());
        assert!(voices.of(&other, &"one".into()).is_none() && voices.of(&acme, &"two".into()).is_none());
        let effect = EffectId::parse("ask#0.0").expect("an effect");
        let said = Said { effect, piece: Piece::Text("half".into()) };
        voices.of(&acme, &"one".into()).expect("a reader").send(said.clone()).expect("heard");
        assert_eq!(reader.try_recv(), Ok(said));
        drop(reader);
        assert!(voices.of(&acme, &"one".into()).is_none());
        let _next = voices.listen(&acme, &"two".into());
        assert_eq!(lock(&voices.heard).len(), 1);
    }
}
