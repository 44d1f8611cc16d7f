//! A hook: an address that is told of something, in a form of ours or in that of Slack.

use serde::Deserialize;
use serde_json::json;

use super::ToolDefinition;
use crate::config::SecretString;
use crate::error::ToolSetupError;

/// Milliseconds of one attempt.
const TIMEOUT_MS: u64 = 10_000;

/// Where, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationHook {
    /// Shown nowhere: with many services it is the key.
    pub url: SecretString,
    #[serde(default)]
    pub form: HookForm,
}

/// What is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookForm {
    /// All that is known, as one object, with the text in it.
    #[default]
    Json,
    /// `{"text": ...}`, as Slack's incoming webhooks take it, and many besides.
    Slack,
}

impl NotificationHook {
    /// The tool that posts its arguments there: again, under the same `Idempotency-Key`, while the address does not answer.
    ///
    /// # Errors
    /// What is wrong with its name or its address.
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
            // Being told twice harms nobody, and what became of it is no question for a person.
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
