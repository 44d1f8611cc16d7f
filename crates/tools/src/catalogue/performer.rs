//! Who performs a tool, which may differ by tenant.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::money::Usd;
use baton_core::tool::Class;
use serde::Serialize;
use serde_json::Value;

use crate::code;
use crate::failure::Failure;
use crate::request::Request;
use crate::tool::Tool;

/// A provider of a tool, as it is set up.
#[derive(Clone)]
pub(crate) struct Performer {
    /// `internal`, `outbox`, `smtp`, `twilio`, `script`, `http`.
    pub(crate) provider: &'static str,
    /// What may be done when nobody knows whether it acted.
    pub(crate) class: Class,
    /// The price of one call.
    pub(crate) cost: Usd,
    pub(crate) tool: Arc<dyn Tool>,
    /// The setting without which it can do nothing, if that is not there.
    pub(crate) lacks: Option<String>,
}

impl Performer {
    pub(crate) fn new(provider: &'static str, class: Class, tool: Arc<dyn Tool>) -> Self {
        Self { provider, class, cost: Usd::ZERO, tool, lacks: None }
    }

    pub(crate) fn costing(self, cost: Usd) -> Self {
        Self { cost, ..self }
    }

    /// One that cannot be called before the setting is there. A project without its secrets can still be read, checked
    /// and tested.
    pub(crate) fn lacking(provider: &'static str, class: Class, setting: String) -> Self {
        let tool = Arc::new(Lacking { provider, setting: setting.clone() });
        Self { lacks: Some(setting), ..Self::new(provider, class, tool) }
    }
}

struct Lacking {
    provider: &'static str,
    setting: String,
}

impl Lacking {
    fn message(&self) -> String {
        format!("`{}` is chosen and the setting `{}` is not there", self.provider, self.setting)
    }
}

#[async_trait]
impl Tool for Lacking {
    async fn attempt(&self, _request: &Request) -> Result<Value, Failure> {
        Err(Failure::refused(code::SERVICE_NOT_CONFIGURED, self.message()))
    }
}

/// What a provider that was chosen lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lack {
    pub tool: String,
    pub provider: &'static str,
    /// Its whole name: `tools.message.twilio.auth_token`.
    pub setting: String,
}
