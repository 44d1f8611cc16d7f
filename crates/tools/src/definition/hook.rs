//! A notification hook: an address that is notified, in Baton's own format or in Slack's.

use serde::Deserialize;
use serde_json::json;

use super::ToolDefinition;
use crate::config::SecretString;
use crate::error::ToolSetupError;

/// Time-out of one attempt, in milliseconds.
const TIMEOUT_MS: u64 = 10_000;

/// The address of the hook, and its format.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationHook {
    /// Never shown: with many services the URL is the key.
    pub url: SecretString,
    #[serde(default)]
    pub form: HookForm,
}

/// The format of the posted body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookForm {
    /// All fields as one object, including the text.
    #[default]
    Json,
    /// `{"text": ...}`, as Slack's incoming webhooks and many other services accept it.
    Slack,
}

impl NotificationHook {
    /// Creates the tool that posts its arguments to the hook. It retries under the same `Idempotency-Key` while the
    /// address does not respond.
    ///
    /// # Errors
    /// The name or the address is invalid.
    pub fn tool(&self, name: &str) -> Result<ToolDefinition, ToolSetupError> {
        let body = match self.form {
            HookForm::Json => json!("{{ arguments }}"),
            HookForm::Slack => json!({"text": "{{ arguments.text }}"}),
        };
        let tool = json!({
            "name": name,
            "kind": "http",
            "description": "Posts to a hook of the settings",
            "category": "notification",
            "risk": "low",
            "url": self.url.expose(),
            "secret_url": true,
            "idempotency_header": "Idempotency-Key",
            // A duplicate notification does no harm, and no person needs to settle an unknown outcome.
            "errors": [{
                "when": "status >= `500` && status != `501` && status != `505`",
                "code": "SERVICE_UNAVAILABLE", "retryable": true,
            }],
            "timeout_ms": TIMEOUT_MS,
            "on_unavailable": "queue",
            "irreversible": "what was told cannot be taken back",
            "parameters": {
                "type": "object", "required": ["text"], "properties": {"text": {"type": "string", "maxLength": 4_000}},
            },
            "body": body,
        });
        let mut parsed = ToolDefinition::parse(tool)?.tools;
        parsed.pop().ok_or_else(|| ToolSetupError::Definition {
            tool: name.to_owned(),
            place: String::new(),
            reason: "is no hook".to_owned(),
        })
    }
}
