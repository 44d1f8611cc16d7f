//! A call as its tool receives it: arguments settled, language and zone known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use baton_core::bundle::ContentHash;
use baton_core::canonical;
use baton_core::tool::ToolInvocation;
use baton_ports::budget::ChargeCollector;
use serde_json::Value;

use crate::language::CustomerLanguage;

/// Hexadecimal digits of a derived id: 80 bits, so that a tenant's ids do not collide by chance.
const ID_DIGITS: usize = 20;

/// A prepared request. Only the check creates it.
#[derive(Debug)]
pub(crate) struct PreparedRequest {
    /// The call, with presets, defaults, overrides and relative dates applied to its arguments.
    pub(crate) call: ToolInvocation,
    /// The arguments as journaled, if settling changed them.
    pub(crate) journaled_arguments: Option<Arc<Value>>,
    pub(crate) language: CustomerLanguage,
    /// The IANA name of the zone for dates and times.
    pub(crate) zone: Arc<str>,
    /// The approved account, if an approval was required and the tool has an account.
    pub(crate) account: Option<String>,
    /// Collects the charges of models that the tool calls.
    pub(crate) tab: ChargeCollector,
    /// Whether the attempt is waiting for something before anything is sent: if it is dropped then, it did nothing.
    pub(crate) is_waiting: AtomicBool,
}

impl PreparedRequest {
    /// Returns a settled argument; null if it is missing.
    pub(crate) fn argument(&self, name: &str) -> &Value {
        self.call.arguments.get(name).unwrap_or(&Value::Null)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.argument(name).as_str()
    }

    pub(crate) fn zone(&self) -> &str {
        &self.zone
    }

    /// Waits for something that must exist before anything is sent, such as a connection.
    pub(crate) async fn before_sending<T>(&self, ready: impl Future<Output = T>) -> T {
        self.is_waiting.store(true, Ordering::Relaxed);
        let ready = ready.await;
        self.is_waiting.store(false, Ordering::Relaxed);
        ready
    }

    /// Returns whether nothing has certainly been done yet.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// A hash of the request. The same key must always have the same hash.
    pub(crate) fn fingerprint(&self) -> ContentHash {
        ContentHash::of(canonical::text(self.journaled_arguments.as_ref().unwrap_or(&self.call.arguments)).as_bytes())
    }

    /// Returns an id derived from this call, the same for every attempt: `bk_5f3c…`.
    pub(crate) fn id(&self, prefix: &str) -> String {
        let source = format!("{prefix}\n{}\n{}", self.call.tenant, self.call.key);
        let hash = ContentHash::of(source.as_bytes());
        format!("{prefix}_{}", hash.as_str().get(..ID_DIGITS).unwrap_or_default())
    }
}
