//! Interprets Composio's responses.

use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use serde_json::Value;

use super::account::ConnectionStatus;
use crate::code;
use crate::outbound::{OutboundResponse, check_status};
use crate::tool_error::ToolError;
use crate::vendor::{VendorError, VendorErrorMeaning, clipped};

/// Composio's own errors: `{"error": {"message", "code", "slug", "status", "request_id", "suggested_fix"}}`.
pub(super) fn vendor_error(answer: &OutboundResponse) -> Option<VendorError> {
    let body = answer.value();
    let error = body.get("error")?;
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let message = text("message").or_else(|| error.as_str())?;
    let slug = text("slug").or_else(|| text("name")).unwrap_or_default();
    let number = ["code", "error_code"].iter().find_map(|name| error.get(name)?.as_u64());
    let state = state_in(message);
    // Only a 4xx response of Composio itself proves that nothing was performed, whatever its message says.
    let meaning = if !(400..500).contains(&answer.status) {
        VendorErrorMeaning::AsStatus
    } else if slug.ends_with("ConnectedAccountExpired") || state == Some(ConnectionStatus::Expired) {
        VendorErrorMeaning::Refused(code::CONNECTION_EXPIRED)
    } else if slug.ends_with("ConnectedAccountNotFound") || number == Some(1810) || state.is_some() {
        VendorErrorMeaning::Refused(code::CONNECTION_MISSING)
    } else {
        VendorErrorMeaning::AsStatus
    };
    let fix = text("suggested_fix").filter(|fix| !fix.trim().is_empty());
    let message = fix.map_or_else(|| message.to_owned(), |fix| format!("{message} ({fix})"));
    Some(VendorError { message, meaning })
}

/// Reads the status from `Connected account ca_1 is in EXPIRED state`, unless it is one that performs actions.
fn state_in(message: &str) -> Option<ConnectionStatus> {
    let words: Vec<&str> = message.split_whitespace().collect();
    let named = words.windows(3).find(|three| three[0] == "in" && three[2].starts_with("state"))?;
    let state = ConnectionStatus::parse(named[1]);
    (!matches!(state, ConnectionStatus::Active | ConnectionStatus::Unknown)).then_some(state)
}

/// Maps a response other than 2xx to a request that performs no action.
pub(super) fn error_from_status(answer: &OutboundResponse) -> ToolError {
    match check_status(answer, EffectClass::Read) {
        Err(failure) => failure,
        Ok(()) => ToolError::permanent(code::SERVICE_REJECTED, format!("{} answered {}", answer.from, answer.status)),
    }
}

/// Reads an action's result from a 2xx response: `{"data", "error", "successful", "log_id"}`.
pub(super) fn parse_result(
    answer: &OutboundResponse,
    class: EffectClass,
    hide: impl Fn(String) -> String,
) -> Result<Value, ToolError> {
    let unclear = |message: String| ToolError::indeterminate(class, Fault::new(code::SERVICE_UNAVAILABLE, message));
    if answer.truncated {
        let message = format!("{} answered with more than {} bytes", answer.from, answer.body.len());
        return Err(match class.has_side_effects() {
            true => unclear(message),
            false => ToolError::permanent(code::RESPONSE_TOO_LARGE, message),
        });
    }
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&answer.body) else {
        return Err(unclear(format!("{} answered with something that is no JSON object", answer.from)));
    };
    let data = body.remove("data").unwrap_or_default();
    match body.get("successful").and_then(Value::as_bool) {
        Some(true) => Ok(data),
        Some(false) => {
            let words = body.get("error").filter(|error| !error.is_null()).map(plain).filter(|text| !text.is_empty());
            let words = words.unwrap_or_else(|| plain(data.get("message").unwrap_or(&Value::Null)));
            let log = body.get("log_id").and_then(Value::as_str).map(|id| format!(" (log {id})")).unwrap_or_default();
            Err(failed(&data, &words, &format!("{}{log}", clipped(&hide(words.clone()))), class))
        }
        None => Err(unclear(format!("{} does not say whether the action was successful", answer.from))),
    }
}

/// Maps an error of the app itself, by the status in the fields that Composio documents. Message texts are not
/// reliable: without a status, an action with side effects may have acted, even if the text starts with a status or
/// mentions credentials.
fn failed(data: &Value, words: &str, shown: &str, class: EffectClass) -> ToolError {
    let message = |what: &str| if shown.is_empty() { what.to_owned() } else { format!("{what}: {shown}") };
    let unsuccessful = "the action was not successful";
    match status(data) {
        Some(401) => {
            ToolError::permanent(code::CONNECTION_EXPIRED, message("the app refused the connection's credentials"))
        }
        Some(429) => ToolError::transient(code::RATE_LIMIT_EXCEEDED, message("the app was asked too often")),
        Some(status @ 400..500) => {
            ToolError::permanent(code::SERVICE_REJECTED, message(&format!("the app answered {status}")))
        }
        Some(status) => {
            let fault = Fault::new(code::SERVICE_UNAVAILABLE, message(&format!("the app answered {status}")));
            ToolError::indeterminate(class, fault)
        }
        None if class.has_side_effects() => ToolError::Unknown {
            fault: Fault::new(
                code::OUTCOME_UNKNOWN,
                message(&format!("{unsuccessful}, and no status says whether it did something")),
            ),
        },
        None => error_from_text(words, message(unsuccessful)),
    }
}

/// Maps an error text of a read. A read may always be retried; the text only selects the message.
fn error_from_text(words: &str, message: String) -> ToolError {
    match leading_status(words) {
        Some(401) => ToolError::permanent(code::CONNECTION_EXPIRED, message),
        Some(429) => ToolError::transient(code::RATE_LIMIT_EXCEEDED, message),
        Some(500..) => ToolError::transient(code::SERVICE_UNAVAILABLE, message),
        Some(_) => ToolError::permanent(code::SERVICE_REJECTED, message),
        None => ToolError::from_message(EffectClass::Read, words, code::SERVICE_REJECTED, message),
    }
}

/// The app's HTTP status, 400 to 599, if the response has one: `status_code`, or `http_error`, which starts with it.
fn status(data: &Value) -> Option<u16> {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    let said = ["status_code", "statusCode"].iter().find_map(|name| number(data.get(name)?));
    let said = said.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status));
    said.or_else(|| leading_status(data.get("http_error")?.as_str()?))
}

/// The status at the start of a text.
fn leading_status(text: &str) -> Option<u16> {
    let digits = text.split(|char: char| !char.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|status| (400..600).contains(status))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => fields.get("message").map_or_else(|| value.to_string(), plain),
        other => other.to_string(),
    }
}
