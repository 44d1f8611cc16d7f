//! Model API keys that consumers provide for their runs. They are held in memory while the run moves in this process,
//! and nowhere else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use baton_core::id::{RunId, TenantId};
use baton_ports::models::ConsumerKey;
use serde_json::Value;

/// Maximum number of keys in one process. Above it the oldest key is dropped, and its run waits until the key is
/// provided again.
const KEYS_MAX: usize = 100_000;
/// The field of a run's context that carries the key.
const FIELD: &str = "api_key";

/// Keys by tenant and run; child runs use the key of their root run.
#[derive(Default)]
pub struct ConsumerKeys {
    table: Mutex<ConsumerKeyTable>,
}

#[derive(Default)]
struct ConsumerKeyTable {
    keys: BTreeMap<(TenantId, RunId), (u64, ConsumerKey)>,
    given: u64,
}

impl ConsumerKeys {
    pub fn put(&self, tenant: &TenantId, run: &RunId, key: ConsumerKey) {
        let mut held = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        held.given += 1;
        let given = held.given;
        held.keys.insert((tenant.clone(), root_run(run)), (given, key));
        if held.keys.len() > KEYS_MAX
            && let Some(oldest) = held.keys.iter().min_by_key(|(_, (given, _))| *given).map(|(of, _)| of.clone())
        {
            held.keys.remove(&oldest);
        }
    }

    pub fn of(&self, tenant: &TenantId, run: &RunId) -> Option<ConsumerKey> {
        let held = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        held.keys.get(&(tenant.clone(), root_run(run))).map(|(_, key)| key.clone())
    }

    /// Forgets the key when the run has ended here. A child run leaves the key to its root run.
    pub fn forget(&self, tenant: &TenantId, run: &RunId) {
        if root_run(run) == *run {
            let mut held = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            held.keys.remove(&(tenant.clone(), run.clone()));
        }
    }
}

/// The run that was started from outside: ids of child runs begin with its id.
fn root_run(run: &RunId) -> RunId {
    run.as_str().split_once('/').map_or_else(|| run.clone(), |(first, _)| RunId::from(first))
}

/// Removes the key from a context, so that it is never written or logged. A value that is not a valid key is removed
/// too.
pub fn take(context: &mut Value) -> Option<ConsumerKey> {
    match context.as_object_mut()?.remove(FIELD)? {
        Value::String(key) if !key.trim().is_empty() => Some(ConsumerKey::new(key.trim())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_leaves_its_context_for_good() {
        let mut context = json!({"api_key": " sk-1 ", "user_id": "u"});
        assert_eq!(take(&mut context), Some(ConsumerKey::new("sk-1")));
        assert_eq!(context, json!({"user_id": "u"}));
        for none in [json!({"api_key": "  "}), json!({"api_key": ["sk-1"]}), json!({}), json!(null), json!("sk-1")] {
            let mut context = none.clone();
            assert_eq!(take(&mut context), None);
            assert!(!context.to_string().contains("api_key"), "{none}");
        }
    }

    #[test]
    fn a_runs_key_is_that_of_the_runs_it_runs_and_of_no_other_tenants() {
        let (keys, acme) = (ConsumerKeys::default(), TenantId::from("acme"));
        keys.put(&acme, &"one".into(), ConsumerKey::new("sk-1"));
        assert_eq!(keys.of(&acme, &"one/ask/sub".into()), Some(ConsumerKey::new("sk-1")));
        assert_eq!(keys.of(&acme, &"onemore".into()), None);
        assert_eq!(keys.of(&"other".into(), &"one".into()), None);
        keys.forget(&acme, &"one/ask/sub".into());
        assert!(keys.of(&acme, &"one".into()).is_some());
        keys.forget(&acme, &"one".into());
        assert_eq!(keys.of(&acme, &"one/ask/sub".into()), None);
    }

    #[test]
    fn beyond_the_limit_the_oldest_key_goes() {
        let (keys, acme) = (ConsumerKeys::default(), TenantId::from("acme"));
        for number in 0..=KEYS_MAX {
            keys.put(&acme, &format!("run-{number}").into(), ConsumerKey::new("sk-1"));
        }
        assert_eq!(keys.of(&acme, &"run-0".into()), None);
        assert!(keys.of(&acme, &"run-1".into()).is_some());
    }
}
