//! Messages through Twilio's Messages resource (API 2010-04-01).
//!
//! Twilio accepts no idempotency key. After a lost response, the message is therefore searched among those sent to
//! the number: the same text, created since the call was scheduled. A message that is found was sent. A message that
//! is not found may still appear, so it is never treated as not sent: the look-ups end with a person, and no customer
//! receives a message twice.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::time::Time;
use baton_core::tool::EffectClass;
use serde_json::{Value, json};

use super::TwilioConfig;
use crate::code;
use crate::config::SecretString;
use crate::outbound::{OutboundClient, OutboundResponse};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;
use crate::vendor::{BaseUrl, VendorApi, VendorAuth, VendorError, VendorErrorMeaning};

pub(super) const NAME: &str = "twilio";
/// The prefix that a trial account adds to a message.
const TRIAL: &str = "Sent from your Twilio trial account -";
const BASE: BaseUrl = BaseUrl::documented("https://api.twilio.com");
const VERSION: &str = "2010-04-01";
/// Maximum number of messages to one number that are searched, newest first.
const LISTED_MAX: &str = "100";
/// How far Twilio's clock may be behind this machine's, in milliseconds.
const CLOCKS_DIFFER_MS: i64 = 5_000;

/// Twilio's error codes that are more precise than their HTTP status: <https://www.twilio.com/docs/api/errors>.
const NOT_A_NUMBER: [u64; 9] = [21211, 21214, 21217, 21401, 21602, 21604, 21605, 21614, 21617];
const NOT_DELIVERED: [u64; 6] = [21408, 21610, 21612, 63003, 63007, 63016];
const TOO_OFTEN: [u64; 5] = [14107, 20429, 21611, 63018, 63038];

/// The address of the API of an account.
pub(super) fn base(config: &TwilioConfig) -> BaseUrl {
    config.base_url.clone().unwrap_or(BASE)
}

/// An account, and the sender of one channel.
pub(super) struct TwilioTool {
    vendor: VendorApi,
    account: String,
    username: String,
    password: SecretString,
    channel: &'static str,
    from: TwilioSender,
}

#[derive(Clone, Debug)]
pub(super) enum TwilioSender {
    Number(String),
    Service(String),
}

impl TwilioTool {
    pub(super) fn new(
        config: &TwilioConfig,
        password: SecretString,
        channel: &'static str,
        from: TwilioSender,
        outbound: Arc<OutboundClient>,
    ) -> Self {
        Self {
            vendor: VendorApi::new(NAME, base(config), outbound, complaint),
            account: config.account_sid.clone(),
            username: config.api_key_sid.clone().unwrap_or_else(|| config.account_sid.clone()),
            password,
            channel,
            from,
        }
    }

    fn path(&self) -> [&str; 4] {
        [VERSION, "Accounts", &self.account, "Messages.json"]
    }

    fn auth(&self) -> VendorAuth<'_> {
        VendorAuth::Basic { username: &self.username, password: &self.password }
    }

    /// Returns the recipient's address on this channel.
    fn to(&self, request: &PreparedRequest) -> Result<String, ToolError> {
        let number = international(request.text("to").unwrap_or_default());
        let number = number.map_err(|reason| ToolError::permanent(code::INVALID_PARAMETERS, reason))?;
        Ok(if self.channel == super::WHATSAPP { format!("whatsapp:{number}") } else { number })
    }

    fn output(&self, message: &Value, request: &PreparedRequest) -> Option<Value> {
        let id = message["sid"].as_str()?;
        Some(json!({
            "message_id": id,
            "id": id,
            "status": message["status"],
            "delivered": NAME,
            "channel": self.channel,
            "to": request.argument("to"),
            "provider": NAME,
        }))
    }
}

#[async_trait]
impl ToolHandler for TwilioTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let to = self.to(request)?;
        let (from, whom) = match &self.from {
            TwilioSender::Number(number) => ("From", number),
            TwilioSender::Service(service) => ("MessagingServiceSid", service),
        };
        let fields = [("To", to.as_str()), (from, whom), ("Body", request.text("message").unwrap_or_default())];
        let answer = self.vendor.post(&self.path()).auth(self.auth()).form(&fields).send(request.call.class).await?;
        let message = answer.value();
        if message["status"] == "failed" {
            let said = message["error_message"].as_str().unwrap_or("it says nothing more");
            return Err(ToolError::permanent(code::MESSAGE_REJECTED, format!("Twilio could not send it: {said}")));
        }
        self.output(&message, request).ok_or_else(|| {
            let message = format!("{} answered {} without the message's `sid`", answer.from, answer.status);
            ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) }
        })
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(self.vendor.name()))
    }

    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let unknown = |message: String| ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) };
        let to = self.to(request)?;
        let query = [("To", to.as_str()), ("PageSize", LISTED_MAX)];
        let asked = self.vendor.get(&self.path()).auth(self.auth()).query(&query).send(EffectClass::Read).await;
        let answer = asked.map_err(|failure| unknown(failure.fault().message.clone()))?.value();
        let listed = answer["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let words = request.text("message").unwrap_or_default();
        let found = listed.iter().find(|message| is_own_message(message, words, request.call.at));
        found.and_then(|message| self.output(message, request)).ok_or_else(|| {
            unknown("no message with these words to this number is among the newest that Twilio lists".to_owned())
        })
    }
}

/// Returns whether a listed message has exactly this text, was created since then, and has not failed. A trial
/// account adds a prefix.
fn is_own_message(message: &Value, words: &str, since: Time) -> bool {
    let text = |name: &str| message[name].as_str().unwrap_or_default();
    let made = jiff::fmt::rfc2822::parse(text("date_created")).map(|at| at.timestamp().as_millisecond());
    text("direction").starts_with("outbound")
        && text("body").trim().strip_prefix(TRIAL).unwrap_or(text("body")).trim() == words.trim()
        && !matches!(text("status"), "failed" | "undelivered" | "canceled")
        && made.is_ok_and(|made| made + CLOCKS_DIFFER_MS >= since.as_ms())
}

/// Converts a number to E.164, which Twilio requires: `+34612345678`.
fn international(given: &str) -> Result<String, String> {
    let digits: String = given.chars().filter(char::is_ascii_digit).collect();
    if given.trim_start().starts_with('+') {
        return Ok(format!("+{digits}"));
    }
    match digits.strip_prefix("00") {
        Some(digits) => Ok(format!("+{digits}")),
        None => Err("`to` has no country; write it as `+34 612 345 678`".to_owned()),
    }
}

fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    let complaint = VendorError::from_response(answer, &["/message", "/detail"])?;
    let code = answer.value()["code"].as_u64().unwrap_or(0);
    let meaning = if NOT_A_NUMBER.contains(&code) {
        VendorErrorMeaning::Refused(code::INVALID_PARAMETERS)
    } else if NOT_DELIVERED.contains(&code) {
        VendorErrorMeaning::Refused(code::MESSAGE_REJECTED)
    } else if TOO_OFTEN.contains(&code) {
        VendorErrorMeaning::RetryLater(code::RATE_LIMIT_EXCEEDED)
    } else {
        VendorErrorMeaning::AsStatus
    };
    Some(VendorError { message: format!("{} ({code})", complaint.message), meaning })
}

#[cfg(test)]
mod tests;
