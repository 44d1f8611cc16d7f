//! Settings of Calendly.

use serde::Deserialize;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// The documented address of the API.
const API: BaseUrl = BaseUrl::documented("https://api.calendly.com");

/// One account. Calendly decides the times: an event type has its own length, which must equal the treatment's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendlyConfig {
    /// A personal access token.
    pub token: SecretString,
    /// The first one that matches a call is booked.
    pub event_types: Vec<CalendlyEventType>,
    /// The organization whose bookings are searched. Default: those of the token's own user.
    #[serde(default)]
    pub organization: Option<String>,
    /// The location of the appointment, if the event type requires one.
    #[serde(default)]
    pub location: Option<EventLocation>,
    /// Whether Baton books, or gives the customer a link to book with. Booking requires a paid plan.
    #[serde(default)]
    pub booking: BookingMode,
    #[serde(default = "api")]
    pub base_url: BaseUrl,
}

/// A Calendly event type that can be booked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendlyEventType {
    /// `https://api.calendly.com/event_types/…`.
    pub uri: String,
    /// Only for this treatment. Default: any.
    #[serde(default)]
    pub treatment: Option<String>,
    /// Only for this resource. Default: any.
    #[serde(default)]
    pub resource: Option<String>,
}

/// A location in Calendly's terms: `physical`, `ask_invitee`, `google_conference`, …
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventLocation {
    pub kind: String,
    #[serde(default)]
    pub location: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BookingMode {
    #[default]
    Api,
    Link,
}

fn api() -> BaseUrl {
    API
}
