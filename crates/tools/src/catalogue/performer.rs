//! The provider that performs a tool, which may differ by tenant.

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

/// A configured provider of a tool.
#[derive(Clone)]
pub(crate) struct ToolPerformer {
    /// The provider's name: `internal`, `outbox`, `smtp`, `twilio`, `script` or `http`.
    pub(crate) provider: &'static str,
    /// What may be done when it is unknown whether a call acted.
    pub(crate) class: EffectClass,
    /// The price of one call.
    pub(crate) cost: Usd,
    pub(crate) tool: Arc<dyn ToolHandler>,
    /// The required setting that is missing, if any.
    pub(crate) missing_setting: Option<String>,
}

impl ToolPerformer {
    pub(crate) fn new(provider: &'static str, class: EffectClass, tool: Arc<dyn ToolHandler>) -> Self {
        Self { provider, class, cost: Usd::ZERO, tool, missing_setting: None }
    }

    pub(crate) fn with_cost(self, cost: Usd) -> Self {
        Self { cost, ..self }
    }

    /// A provider that cannot be called until the setting is present. A project without its secrets can still be
    /// read, checked and tested.
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

/// A chosen provider that lacks a setting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UnavailableProvider {
    pub tool: String,
    pub provider: &'static str,
    /// The full path of the setting: `tools.message.twilio.auth_token`.
    pub setting: String,
}
