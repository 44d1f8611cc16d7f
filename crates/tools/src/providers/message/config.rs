//! Settings of messages to phones.

use serde::Deserialize;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// The settings. Without a provider, messages go into the outbox.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageConfig {
    pub twilio: Option<TwilioConfig>,
}

/// An account at Twilio.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TwilioConfig {
    /// `AC…`.
    pub account_sid: String,
    /// The token of the account, or the secret of the API key that `api_key_sid` names.
    pub auth_token: Option<SecretString>,
    /// `SK…`: the API key to authenticate with, instead of the account's token.
    pub api_key_sid: Option<String>,
    /// The number or name that sends text messages: `+15551234567`.
    pub from: Option<String>,
    /// `MG…`: the service that chooses the sender of text messages, instead of `from`.
    pub messaging_service_sid: Option<String>,
    /// The number that sends WhatsApp messages.
    pub whatsapp_from: Option<String>,
    /// The address of the API, if not Twilio's own: a region, a proxy.
    pub base_url: Option<BaseUrl>,
}

impl TwilioConfig {
    /// A token alone does not choose Twilio: the variable `TWILIO_AUTH_TOKEN` may be set for other software.
    fn is_chosen(&self) -> bool {
        let others = [&self.api_key_sid, &self.from, &self.messaging_service_sid, &self.whatsapp_from];
        !self.account_sid.is_empty() || others.iter().any(|other| other.is_some())
    }
}

impl MessageConfig {
    /// The account that sends, if one is configured.
    pub(super) fn twilio(&self) -> Option<&TwilioConfig> {
        self.twilio.as_ref().filter(|twilio| twilio.is_chosen())
    }

    /// Checks that the settings are consistent; the error states why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(twilio) = &self.twilio else { return Ok(()) };
        if twilio.from.is_some() && twilio.messaging_service_sid.is_some() {
            return Err("`from` and `messaging_service_sid` are both there; only one chooses the sender".to_owned());
        }
        Ok(())
    }
}
