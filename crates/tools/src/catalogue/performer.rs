//! Who performs a tool, which may differ by tenant.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::money::Usd;
use baton_core::tool::EffectClass;
use serde::Serialize;
use serde_json::Value;

use crate::code;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// A provider of a tool, as it is set up.
#[derive(Clone)]
pub(crate) struct ToolPerformer {
    /// `internal`, `outbox`, `smtp`, `twilio`, `script`, `http`.
    pub(crate) provider: &'static str,
    /// What may be done when nobody knows whether it acted.
    pub(crate) class: EffectClass,
    /// The price of one call.
    pub(crate) cost: Usd,
    pub(crate) tool: Arc<dyn ToolHandler>,
    /// The setting without which it can do nothing, if that is not there.
    pub(crate) missing_setting: Option<String>,
}

impl ToolPerformer {
    pub(crate) fn new(provider: &'static str, class: EffectClass, tool: Arc<dyn ToolHandler>) -> Self {
        Self { provider, class, cost: Usd::ZERO, tool, missing_setting: None }
    }

    pub(crate) fn with_cost(self, cost: Usd) -> Self {
        Self { cost, ..self }
    }

    /// One that cannot be called before the setting is there. A project without its secrets can still be read, checked
    /// and tested.
    pub(crate) fn unavailable(provider: &'static str, class: EffectClass, setting: String) -> Self {
        let tool = Arc::new(UnavailableTool { provider, setting: setting.clone() });
        Self { missing_setting: Some(setting), ..Self::new(provider, class, tool) }
    }
}

struct UnavailableTool {
    provider: &'static str,
    setting: String,
}

impl UnavailableTool {
    fn message(&self) -> String {
        format!("`{}` is chosen and the setting `{}` is not there", self.provider, self.setting)
    }
}

#[async_trait]
impl ToolHandler for UnavailableTool {
    async fn attempt(&self, _request: &PreparedRequest) -> Result<Value, ToolError> {
        Err(ToolError::permanent(code::SERVICE_NOT_CONFIGURED, self.message()))
    }
}

/// What a provider that was chosen lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UnavailableProvider {
    pub tool: String,
    pub provider: &'static str,
    /// Its whole name: `tools.message.twilio.auth_token`.
    pub setting: String,
}
