//! Calendly, through its API v2.
//!
//! It accepts no idempotency key, so a booking is of class `verify`: its `tracking` carries an id derived from the
//! effect's key. After a lost response, the booking is looked up by that id before anything is sent again.

pub(super) mod config;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use serde_json::{Value, json};

use self::config::{BookingMode, CalendlyConfig, CalendlyEventType};
use super::booking_request::{BookingRequest, zone};
use super::calendars::CalendarServices;
use super::config::CalendarConfig;
use super::provider::{CalendarProvider, booking_output};
use super::range::TimeRange;
use super::slot::{CalendarSlot, clock};
use crate::account_binding::ProviderAccount;
use crate::code;
use crate::outbound::OutboundResponse;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;
use crate::vendor::{VendorApi, VendorAuth, VendorError, VendorErrorMeaning, VendorRequest};

pub(super) const NAME: &str = "calendly";
/// The prefix of the ids of links.
const LINK: &str = "link_";
/// Margin for clock differences: Calendly returns only future times, by its own clock.
const AHEAD_MS: i64 = 60_000;
/// Maximum number of an invitee's events at one time that are searched.
const EVENTS_MAX: &str = "100";

pub(super) struct CalendlyProvider {
    settings: CalendlyConfig,
    vendor: VendorApi,
    means: CalendarServices,
}

impl CalendlyProvider {
    /// Creates the provider. The error states what is wrong with the settings.
    pub(super) fn new(
        settings: &CalendlyConfig,
        calendar: &CalendarConfig,
        means: &CalendarServices,
    ) -> Result<Self, String> {
        if settings.event_types.is_empty() {
            return Err("`calendly.event_types` names nothing that could be booked".to_owned());
        }
        for CalendlyEventType { uri, treatment, resource } in &settings.event_types {
            let known = treatment.as_ref().is_none_or(|name| calendar.treatment(name).is_some());
            if !known {
                return Err(format!("`calendly.event_types`: `{uri}` is for a treatment that there is not"));
            }
            if resource.as_ref().is_some_and(|name| !calendar.resources.contains(name)) {
                return Err(format!("`calendly.event_types`: `{uri}` is for a resource that there is not"));
            }
        }
        let vendor = VendorApi::new(NAME, settings.base_url.clone(), means.outbound.clone(), complaint);
        Ok(Self { settings: settings.clone(), vendor, means: means.clone() })
    }

    /// Returns the event type for each wanted resource, in order.
    fn event_types<'s, 'w>(
        &'s self,
        wanted: &'w BookingRequest<'_>,
        request: &PreparedRequest,
    ) -> Result<Vec<(&'w str, &'s str)>, ToolError> {
        let same = |one: &str, other: &str| one.trim().to_lowercase() == other.trim().to_lowercase();
        let treatment = request.text("treatment");
        let fits = |kind: &CalendlyEventType, resource: &str| {
            let this = kind.treatment.as_ref().is_none_or(|own| treatment.is_some_and(|asked| same(own, asked)));
            this && kind.resource.as_ref().is_none_or(|own| own == resource)
        };
        let found: Vec<_> = wanted
            .resources
            .iter()
            .filter_map(|resource| {
                let kind = self.settings.event_types.iter().find(|kind| fits(kind, resource))?;
                Some((*resource, kind.uri.as_str()))
            })
            .collect();
        if found.is_empty() {
            let message = "no event type of `calendly.event_types` fits the treatment and the resource";
            return Err(ToolError::permanent(code::CALENDAR_NOT_CONFIGURED, message));
        }
        Ok(found)
    }

    /// Sends a request. Calendly states its rate-limit delay in a header of its own.
    async fn send(
        &self,
        ask: VendorRequest<'_>,
        also: &[u16],
        class: EffectClass,
    ) -> Result<OutboundResponse, ToolError> {
        let answer =
            ask.auth(VendorAuth::Bearer(&self.settings.token)).accepting(also).accepting(&[429]).send(class).await?;
        if answer.status != 429 {
            return Ok(answer);
        }
        let header = |name: &str| answer.headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let seconds = header("retry-after").or_else(|| header("x-ratelimit-reset"));
        Err(ToolError::NotDone {
            fault: Fault::new(code::RATE_LIMIT_EXCEEDED, format!("{} answered 429", answer.from)),
            retryable: true,
            retry_after: seconds.map(|seconds| seconds.min(3_600) * 1_000),
        })
    }

    async fn read(&self, ask: VendorRequest<'_>) -> Result<Value, ToolError> {
        Ok(self.send(ask, &[], EffectClass::Read).await?.value())
    }

    /// Returns the available start times of an event type within a range.
    async fn starts(&self, event_type: &str, within: TimeRange) -> Result<Vec<i64>, ToolError> {
        let from = within.from.max(self.means.clock.now().as_ms() + AHEAD_MS);
        if from >= within.to {
            return Ok(Vec::new());
        }
        let (from, to) = (utc(from), utc(within.to));
        let query = [("event_type", event_type), ("start_time", from.as_str()), ("end_time", to.as_str())];
        let body = self.read(self.vendor.get(&["event_type_available_times"]).query(&query)).await?;
        let times = body["collection"].as_array().ok_or_else(|| unread("the available times"))?;
        let open = times.iter().filter(|time| time["status"] == "available");
        open.map(|time| instant(&time["start_time"]).ok_or_else(|| unread("an available time"))).collect()
    }

    async fn invite(&self, booking: &CalendlyInvitation<'_>) -> Result<Value, ToolError> {
        let CalendlyInvitation { request, wanted, slot, email, .. } = booking;
        let id = request.id("bk");
        let mut starting = Vec::new();
        for (resource, kind) in self.event_types(wanted, request)? {
            // Only start times are returned; the event type has its own length.
            let around = TimeRange { from: slot.range.from, to: slot.range.to };
            if self.starts(kind, around).await?.contains(&slot.range.from) {
                starting.push((resource, kind));
            }
        }
        let Some((resource, kind)) = starting.first() else {
            let message = format!("{} {} is taken at calendly", wanted.date, slot.label());
            return Err(ToolError::permanent(code::SLOT_TAKEN, message));
        };
        let mut body = json!({
            "event_type": kind,
            "start_time": utc(slot.range.from),
            "invitee": {"name": name(request, email), "email": email, "timezone": request.zone()},
            "tracking": {"utm_source": "baton", "utm_content": id},
        });
        if let Some(place) = &self.settings.location {
            body["location"] = json!({"kind": place.kind});
            if let Some(location) = &place.location {
                body["location"]["location"] = location.as_str().into();
            }
        }
        let answer = self.send(self.vendor.post(&["invitees"]).json(&body), &[409], EffectClass::Verify).await?;
        if answer.status == 409 {
            let message = format!("{} {} was just taken at calendly", wanted.date, slot.label());
            return Err(ToolError::permanent(code::SLOT_TAKEN, message));
        }
        self.confirmed(&answer.value()["resource"], booking, resource)
    }

    fn confirmed(&self, invitee: &Value, booking: &CalendlyInvitation<'_>, resource: &str) -> Result<Value, ToolError> {
        let event = invitee["event"].as_str().and_then(|uri| uri.rsplit('/').next());
        let Some(event) = event.filter(|event| is_uuid(event)) else {
            let message = "calendly has booked, and does not tell the event";
            return Err(ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) });
        };
        let mut output = booking_output(event, booking.wanted, booking.slot, (resource, NAME), booking.request);
        output["cancel_url"] = invitee["cancel_url"].clone();
        output["reschedule_url"] = invitee["reschedule_url"].clone();
        Ok(output)
    }

    /// Creates a link with which the customer books once; nothing is booked yet.
    async fn link(
        &self,
        wanted: &BookingRequest<'_>,
        slot: &CalendarSlot,
        request: &PreparedRequest,
    ) -> Result<Value, ToolError> {
        let kinds = self.event_types(wanted, request)?;
        let Some((resource, kind)) = kinds.first() else { return Err(unread("no event type")) };
        let body = json!({"max_event_count": 1, "owner": kind, "owner_type": "EventType"});
        let answer = self.send(self.vendor.post(&["scheduling_links"]).json(&body), &[], EffectClass::Verify).await?;
        let url = answer.value()["resource"]["booking_url"].clone();
        if !url.is_string() {
            return Err(ToolError::transient(code::CALENDAR_UNAVAILABLE, "calendly gave a link without an address"));
        }
        let mut output =
            booking_output(&request.id(LINK.trim_end_matches('_')), wanted, slot, (resource, NAME), request);
        output["status"] = "awaiting_customer".into();
        output["booking_url"] = url;
        Ok(output)
    }

    /// Finds the booking with the effect's id among the invitee's events at that time.
    async fn find(&self, booking: &CalendlyInvitation<'_>) -> Result<Option<Value>, ToolError> {
        let CalendlyInvitation { request, wanted, slot, email, .. } = booking;
        let id = request.id("bk");
        let whose = match &self.settings.organization {
            Some(organization) => ("organization", organization.clone()),
            None => {
                let me = self.read(self.vendor.get(&["users", "me"])).await?;
                let uri = me["resource"]["uri"].as_str().ok_or_else(|| unread("the token's user"))?;
                ("user", uri.to_owned())
            }
        };
        let (from, to) = (utc(slot.range.from), utc(slot.range.from + 1_000));
        let query = [
            (whose.0, whose.1.as_str()),
            ("invitee_email", email),
            ("min_start_time", from.as_str()),
            ("max_start_time", to.as_str()),
            ("status", "active"),
            ("count", EVENTS_MAX),
        ];
        let body = self.read(self.vendor.get(&["scheduled_events"]).query(&query)).await?;
        let events = body["collection"].as_array().ok_or_else(|| unread("the scheduled events"))?;
        for event in events {
            let Some(uuid) = event["uri"].as_str().and_then(|uri| uri.rsplit('/').next()) else { continue };
            if !is_uuid(uuid) {
                continue;
            }
            let ask = self.vendor.get(&["scheduled_events", uuid, "invitees"]).query(&[("email", email)]);
            let body = self.read(ask).await?;
            let invitees = body["collection"].as_array().ok_or_else(|| unread("the invitees"))?;
            let ours = invitees.iter().find(|invitee| invitee["tracking"]["utm_content"] == id.as_str());
            if let Some(invitee) = ours {
                let mut invitee = invitee.clone();
                invitee["event"] = event["uri"].clone();
                let kinds = self.event_types(wanted, request)?;
                let same = kinds.iter().find(|(_, kind)| event["event_type"] == *kind);
                let resource = same.or(kinds.first()).map_or("", |(resource, _)| resource);
                return self.confirmed(&invitee, booking, resource).map(Some);
            }
        }
        Ok(None)
    }
}

/// Who is invited to what.
struct CalendlyInvitation<'r> {
    request: &'r PreparedRequest,
    wanted: &'r BookingRequest<'r>,
    slot: &'r CalendarSlot,
    email: &'r str,
}

impl<'r> CalendlyInvitation<'r> {
    fn new(
        request: &'r PreparedRequest,
        wanted: &'r BookingRequest<'r>,
        slot: &'r CalendarSlot,
    ) -> Result<Self, ToolError> {
        let email = request.text("email").filter(|email| email.contains('@'));
        let email = email.ok_or_else(|| {
            let message = "calendly invites by e-mail: `email` is missing, or is no address";
            ToolError::permanent(code::INVALID_PARAMETERS, message)
        })?;
        Ok(Self { request, wanted, slot, email })
    }
}

#[async_trait]
impl CalendarProvider for CalendlyProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self, _calendar: &CalendarConfig) -> Option<String> {
        ProviderAccount::of(NAME, &self.settings.base_url, &self.settings.token).display_name()
    }

    async fn free(
        &self,
        wanted: &BookingRequest<'_>,
        offered: Vec<CalendarSlot>,
        request: &PreparedRequest,
    ) -> Result<Vec<CalendarSlot>, ToolError> {
        let (Some(first), Some(last)) = (offered.first(), offered.last()) else { return Ok(Vec::new()) };
        let whole = TimeRange { from: first.range.from, to: last.range.to };
        let mut starts = Vec::new();
        for (_, kind) in self.event_types(wanted, request)? {
            starts.extend(self.starts(kind, whole).await?);
        }
        Ok(offered.into_iter().filter(|slot| starts.contains(&slot.range.from)).collect())
    }

    async fn book(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        let wanted = BookingRequest::read(calendar, request)?;
        let slot = wanted.requested_slot(self.means.clock.now())?;
        match self.settings.booking {
            BookingMode::Api => self.invite(&CalendlyInvitation::new(request, &wanted, &slot)?).await,
            BookingMode::Link => self.link(&wanted, &slot, request).await,
        }
    }

    async fn cancel(&self, _calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        let id = request.text("booking_id").unwrap_or_default();
        let missing = |message: String| Err(ToolError::permanent(code::BOOKING_NOT_FOUND, message));
        if id.starts_with(LINK) {
            return missing(format!(
                "`{id}` is a link, which the customer may still use; nothing of it can be cancelled"
            ));
        }
        if !is_uuid(id) {
            return missing(format!("there is no booking `{id}`"));
        }
        let zone = zone(request)?;
        let reason = request.text("reason").unwrap_or("Cancelled");
        let ask = self.vendor.post(&["scheduled_events", id, "cancellation"]).json(&json!({"reason": reason}));
        // Calendly refuses to cancel a cancelled event, so the event itself is read then.
        let answer = self.send(ask, &[400, 403, 404, 409], EffectClass::Keyed).await?;
        let event = self.send(self.vendor.get(&["scheduled_events", id]), &[404], EffectClass::Read).await;
        let event = match (answer.status, event) {
            (200..300, event) => event.map(|answer| answer.value()).unwrap_or_default(),
            (_, Ok(event)) if event.status == 404 => return missing(format!("calendly knows no booking `{id}`")),
            (status, Ok(event)) => {
                let event = event.value();
                if event["resource"]["status"] != "canceled" {
                    let message = format!("calendly answered {status} and has not cancelled `{id}`");
                    return Err(ToolError::permanent(code::SERVICE_REJECTED, message));
                }
                event
            }
            (_, Err(failure)) => return Err(failure),
        };
        let starts = instant(&event["resource"]["start_time"]);
        let at = starts.map(|at| zone.to_datetime(baton_core::time::Time::from_ms(at).to_timestamp()));
        Ok(json!({
            "booking_id": id,
            "id": id,
            "status": "cancelled",
            "date": at.map(|at| at.date().to_string()),
            "time": starts.map(|starts| clock(starts, &zone)),
            "cancelled_at": self.means.clock.now().to_string(),
            "provider": NAME,
        }))
    }

    async fn look_up(&self, calendar: &CalendarConfig, request: &PreparedRequest) -> Result<Value, ToolError> {
        let wanted = BookingRequest::read(calendar, request).map_err(ToolError::into_unknown)?;
        let slot = wanted.requested_slot(request.call.at).map_err(ToolError::into_unknown)?;
        let found = match self.settings.booking {
            // A link that nobody received books nothing.
            BookingMode::Link => None,
            BookingMode::Api => {
                let invitation = CalendlyInvitation::new(request, &wanted, &slot).map_err(ToolError::into_unknown)?;
                self.find(&invitation).await.map_err(ToolError::into_unknown)?
            }
        };
        found.ok_or_else(|| {
            ToolError::transient(
                code::CALENDAR_UNAVAILABLE,
                format!("calendly has no booking of `{}`", request.call.key),
            )
        })
    }
}

/// The customer's name, as far as the call provides it.
fn name(request: &PreparedRequest, email: &str) -> String {
    let customer = request.argument("customer");
    let told = customer.as_str().or_else(|| customer["name"].as_str()).filter(|name| !name.trim().is_empty());
    told.or_else(|| email.split('@').next()).unwrap_or(email).to_owned()
}

fn is_uuid(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn utc(at: i64) -> String {
    baton_core::time::Time::from_ms(at).to_string()
}

fn instant(text: &Value) -> Option<i64> {
    text.as_str()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn unread(what: &str) -> ToolError {
    ToolError::transient(code::CALENDAR_UNAVAILABLE, format!("the answer of calendly: {what} cannot be read"))
}

/// Reads an error `{"title": "Permission Denied", "message": …}`.
fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    let complaint = VendorError::from_response(answer, &["/message", "/title"])?;
    Some(match answer.status {
        401 | 403 => VendorError { meaning: VendorErrorMeaning::Refused(code::CALENDAR_NOT_CONFIGURED), ..complaint },
        _ => complaint,
    })
}

#[cfg(test)]
mod tests;
