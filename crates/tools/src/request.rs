//! A call as its tool sees it: arguments settled, language and zone known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use baton_core::bundle::ContentHash;
use baton_core::canonical;
use baton_core::tool::ToolInvocation;
use baton_ports::budget::ChargeCollector;
use serde_json::Value;

use crate::language::CustomerLanguage;

/// Hexadecimal digits of a derived id: 80 bits, so that a tenant's ids do not meet by chance.
const ID_DIGITS: usize = 20;

/// Made by the check, never from outside.
#[derive(Debug)]
pub(crate) struct PreparedRequest {
    /// The call, its arguments with presets, defaults, overrides and relative dates settled.
    pub(crate) call: ToolInvocation,
    /// The arguments as they were journaled, where settling changed them.
    pub(crate) journaled_arguments: Option<Arc<Value>>,
    pub(crate) language: CustomerLanguage,
    /// The IANA name of the zone that dates and times are in.
    pub(crate) zone: Arc<str>,
    /// The account that people allowed it to act with, where they were asked and the tool has one.
    pub(crate) account: Option<String>,
    /// Where models that the tool asks are charged.
    pub(crate) tab: ChargeCollector,
    /// Whether the attempt waits for something before anything goes out: given up there, it did nothing.
    pub(crate) is_waiting: AtomicBool,
}

impl PreparedRequest {
    /// A settled argument; null if it is not there.
    pub(crate) fn argument(&self, name: &str) -> &Value {
        self.call.arguments.get(name).unwrap_or(&Value::Null)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.argument(name).as_str()
    }

    pub(crate) fn zone(&self) -> &str {
        &self.zone
    }

    /// Waits for what must be there before anything goes out, such as a connection.
    pub(crate) async fn before_sending<T>(&self, ready: impl Future<Output = T>) -> T {
        self.is_waiting.store(true, Ordering::Relaxed);
        let ready = ready.await;
        self.is_waiting.store(false, Ordering::Relaxed);
        ready
    }

    /// Whether it certainly did nothing yet.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// A hash of what was asked. The same key must always carry the same one.
    pub(crate) fn fingerprint(&self) -> ContentHash {
        ContentHash::of(canonical::text(self.journaled_arguments.as_ref().unwrap_or(&self.call.arguments)).as_bytes())
    }

    /// An id that this call makes, the same however often it is sent: `bk_5f3c…`.
    pub(crate) fn id(&self, prefix: &str) -> String {
        let source = format!("{prefix}\n{}\n{}", self.call.tenant, self.call.key);
        let hash = ContentHash::of(source.as_bytes());
        format!("{prefix}_{}", hash.as_str().get(..ID_DIGITS).unwrap_or_default())
    }
}
