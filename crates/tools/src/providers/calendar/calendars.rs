//! The calendar of each tenant, with its provider.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::records::RecordStore;
use serde_json::{Value, json};

use super::booking_request::BookingRequest;
use super::caldav::{self, CalDavCalendar};
use super::calendly::{self, CalendlyProvider};
use super::config::{CalendarConfig, CalendarProviderKind};
use super::google::{self, GoogleCalendar};
use super::internal::InternalCalendar;
use super::provider::CalendarProvider;
use super::remote::RemoteCalendarProvider;
use super::remote::booking_record::BookingRecord;
use crate::by_tenant::ByTenant;
use crate::code;
use crate::outbound::OutboundClient;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

pub(super) struct CalendarTool {
    calendars: ByTenant<TenantCalendar>,
    /// Stores the bookings that were made here before the provider was changed.
    internal: InternalCalendar,
    services: CalendarServices,
}

/// Services that every provider may need.
#[derive(Clone)]
pub(crate) struct CalendarServices {
    pub(crate) records: Arc<dyn RecordStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) outbound: Arc<OutboundClient>,
}

struct TenantCalendar {
    settings: CalendarConfig,
    provider: Box<dyn CalendarProvider>,
}

impl CalendarTool {
    /// Creates the calendars. The error states what is wrong with the settings.
    pub(super) fn new(settings: &ByTenant<CalendarConfig>, means: &CalendarServices) -> Result<Self, String> {
        Ok(Self {
            calendars: settings.try_map(|_place, settings| TenantCalendar::new(settings.clone(), means))?,
            internal: InternalCalendar::new(means.records.clone(), means.clock.clone()),
            services: means.clone(),
        })
    }

    fn of(&self, tenant: &TenantId) -> &TenantCalendar {
        self.calendars.of(tenant)
    }

    async fn act(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let calendar = self.of(&request.call.tenant);
        if !calendar.settings.is_set_up() {
            let message = format!("the calendar of `{}` has no opening hours or no resources", request.call.tenant);
            return Err(ToolError::permanent(code::CALENDAR_NOT_CONFIGURED, message));
        }
        match request.text("action") {
            Some("create_booking") => calendar.provider.book(&calendar.settings, request).await,
            Some("cancel_booking") => self.cancel(calendar, request).await,
            _ => self.check_availability(calendar, request).await,
        }
    }

    /// Cancels at the provider where it was booked, which may differ from the current one.
    async fn cancel(&self, calendar: &TenantCalendar, request: &PreparedRequest) -> Result<Value, ToolError> {
        let TenantCalendar { settings, provider: keeper } = calendar;
        let (tenant, id) = (&request.call.tenant, request.text("booking_id").unwrap_or_default());
        let name = keeper.name();
        if keeper.is_remote() && self.internal.has(tenant, id).await? {
            return self.internal.cancel(settings, request).await;
        }
        if let Some(other) =
            BookingRecord::find(&self.services, tenant, id).await?.provider().filter(|other| *other != name)
        {
            let message = format!(
                "the booking `{id}` was made at {other}, and {name} keeps the calendar now: cancel it at {other}"
            );
            return Err(ToolError::permanent(code::BOOKING_NOT_FOUND, message));
        }
        keeper.cancel(settings, request).await
    }

    async fn check_availability(
        &self,
        calendar: &TenantCalendar,
        request: &PreparedRequest,
    ) -> Result<Value, ToolError> {
        let wanted = BookingRequest::read(&calendar.settings, request)?;
        let offered = wanted.slots(self.services.clock.now());
        let why = if offered.is_empty() { Some(wanted.no_slots_reason(self.services.clock.now())) } else { None };
        let free = match why {
            Some(_) => Vec::new(),
            None => calendar.provider.free(&wanted, offered, request).await?,
        };
        let why = why.or_else(|| free.is_empty().then_some("full"));
        let available = match &wanted.time {
            Some(time) => free.iter().any(|slot| slot.start == *time),
            None => !free.is_empty(),
        };
        Ok(json!({
            "date": wanted.date.to_string(),
            "zone": request.zone(),
            "treatment": request.argument("treatment"),
            "duration_minutes": wanted.duration_minutes(),
            "available": available,
            "slots": free.iter().map(|slot| slot.label()).collect::<Vec<_>>(),
            "available_slots": free.iter().map(|slot| slot.start.as_str()).collect::<Vec<_>>(),
            "reason": why,
            "provider": calendar.provider.name(),
        }))
    }
}

impl TenantCalendar {
    fn new(settings: CalendarConfig, means: &CalendarServices) -> Result<Self, String> {
        settings.check()?;
        let keeper = provider(&settings, means)?;
        Ok(Self { settings, provider: keeper })
    }
}

fn provider(settings: &CalendarConfig, means: &CalendarServices) -> Result<Box<dyn CalendarProvider>, String> {
    let missing = |name: &str| format!("`provider` is `{name}`, and there is no `{name}` table");
    Ok(match settings.provider {
        CalendarProviderKind::Internal => Box::new(InternalCalendar::new(means.records.clone(), means.clock.clone())),
        CalendarProviderKind::Google => {
            let google = settings.google.as_ref().ok_or_else(|| missing(google::NAME))?;
            Box::new(RemoteCalendarProvider::new(GoogleCalendar::new(google, settings, means)?, means.clone()))
        }
        CalendarProviderKind::CalDav => {
            let caldav = settings.caldav.as_ref().ok_or_else(|| missing(caldav::NAME))?;
            Box::new(RemoteCalendarProvider::new(CalDavCalendar::new(caldav, settings, means)?, means.clone()))
        }
        CalendarProviderKind::Calendly => {
            let calendly = settings.calendly.as_ref().ok_or_else(|| missing(calendly::NAME))?;
            Box::new(CalendlyProvider::new(calendly, settings, means)?)
        }
    })
}

#[async_trait]
impl ToolHandler for CalendarTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        self.act(request).await.map_err(unavailable)
    }

    fn service<'a>(&'a self, request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        let keeper = &self.of(&request.call.tenant).provider;
        keeper.is_remote().then(|| Cow::Borrowed(keeper.name()))
    }

    async fn account(&self, request: &PreparedRequest) -> Option<String> {
        let TenantCalendar { settings, provider: keeper } = self.of(&request.call.tenant);
        keeper.account(settings)
    }

    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let calendar = self.of(&request.call.tenant);
        let found = match request.text("action") {
            Some("create_booking") => calendar.provider.look_up(&calendar.settings, request).await,
            // Cancelling is idempotent, so it is sent again instead of looked up.
            _ => Err(ToolError::transient(code::CALENDAR_UNAVAILABLE, "only bookings are looked up")),
        };
        found.map_err(unavailable)
    }
}

/// Maps a failure to the calendar's own error code, whatever part did not respond.
fn unavailable(failure: ToolError) -> ToolError {
    failure.map_fault(|mut fault| {
        if matches!(&*fault.code, code::STORAGE_UNAVAILABLE | code::SERVICE_UNAVAILABLE) {
            fault.code = code::CALENDAR_UNAVAILABLE.into();
        }
        fault
    })
}
