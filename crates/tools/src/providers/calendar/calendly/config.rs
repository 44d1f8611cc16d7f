//! Settings of Calendly.

use serde::Deserialize;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// Where the API is documented to be.
const API: BaseUrl = BaseUrl::documented("https://api.calendly.com");

/// One account. Times are Calendly's: an event type has its own length, which must be the treatment's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendlyConfig {
    /// A personal access token.
    pub token: SecretString,
    /// The first that fits a call is booked.
    pub event_types: Vec<CalendlyEventType>,
    /// Where bookings are looked up: unsaid, among those of the token's own user.
    #[serde(default)]
    pub organization: Option<String>,
    /// Where the appointment is, if the event type asks for it.
    #[serde(default)]
    pub location: Option<EventLocation>,
    /// Whether we book, or give the customer a link to book with. Booking needs a paid plan.
    #[serde(default)]
    pub booking: BookingMode,
    #[serde(default = "api")]
    pub base_url: BaseUrl,
}

/// What is booked there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendlyEventType {
    /// `https://api.calendly.com/event_types/…`.
    pub uri: String,
    /// Only for this treatment; unsaid, for any.
    #[serde(default)]
    pub treatment: Option<String>,
    /// Only for this resource; unsaid, for any.
    #[serde(default)]
    pub resource: Option<String>,
}

/// A location as Calendly knows it: `physical`, `ask_invitee`, `google_conference`, …
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
