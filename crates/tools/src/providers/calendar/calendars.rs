//! The calendar of each tenant, with who keeps it.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::records::Records;
use serde_json::{Value, json};

use super::caldav::{self, CalDav};
use super::calendly::{self, Calendly};
use super::config::{Config, Provider};
use super::google::{self, Google};
use super::internal::Internal;
use super::keeper::Keeper;
use super::outside::Outside;
use super::outside::placed::Placed;
use super::wanted::Wanted;
use crate::by_tenant::ByTenant;
use crate::code;
use crate::failure::Failure;
use crate::outbound::Outbound;
use crate::request::Request;
use crate::tool::Tool;

pub(super) struct Calendars {
    calendars: ByTenant<Calendar>,
    /// Has what was booked here before another kept the calendar.
    internal: Internal,
    means: Means,
}

/// What every keeper may need.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) outbound: Arc<Outbound>,
}

struct Calendar {
    settings: Config,
    keeper: Box<dyn Keeper>,
}

impl Calendars {
    /// The error is what is wrong with the settings.
    pub(super) fn new(settings: &ByTenant<Config>, means: &Means) -> Result<Self, String> {
        Ok(Self {
            calendars: settings.map(|_place, settings| Calendar::new(settings.clone(), means))?,
            internal: Internal::new(means.records.clone(), means.clock.clone()),
            means: means.clone(),
        })
    }

    fn of(&self, tenant: &TenantId) -> &Calendar {
        self.calendars.of(tenant)
    }

    async fn act(&self, request: &Request) -> Result<Value, Failure> {
        let calendar = self.of(&request.call.tenant);
        if !calendar.settings.is_set_up() {
            let message = format!("the calendar of `{}` has no opening hours or no resources", request.call.tenant);
            return Err(Failure::refused(code::CALENDAR_NOT_CONFIGURED, message));
        }
        match request.text("action") {
            Some("create_booking") => calendar.keeper.book(&calendar.settings, request).await,
            Some("cancel_booking") => self.cancel(calendar, request).await,
            _ => self.check_availability(calendar, request).await,
        }
    }

    /// Where it was booked, which may be with another than who keeps the calendar now.
    async fn cancel(&self, calendar: &Calendar, request: &Request) -> Result<Value, Failure> {
        let Calendar { settings, keeper } = calendar;
        let (tenant, id) = (&request.call.tenant, request.text("booking_id").unwrap_or_default());
        let name = keeper.name();
        if keeper.is_outside() && self.internal.has(tenant, id).await? {
            return self.internal.cancel(settings, request).await;
        }
        if let Some(other) = Placed::find(&self.means, tenant, id).await?.provider().filter(|other| *other != name) {
            let message = format!(
                "the booking `{id}` was made at {other}, and {name} keeps the calendar now: cancel it at {other}"
            );
            return Err(Failure::refused(code::BOOKING_NOT_FOUND, message));
        }
        keeper.cancel(settings, request).await
    }

    async fn check_availability(&self, calendar: &Calendar, request: &Request) -> Result<Value, Failure> {
        let wanted = Wanted::read(&calendar.settings, request)?;
        let offered = wanted.offered(self.means.clock.now());
        let why = if offered.is_empty() { Some(wanted.why_closed(self.means.clock.now())) } else { None };
        let free = match why {
            Some(_) => Vec::new(),
            None => calendar.keeper.free(&wanted, offered, request).await?,
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
            "provider": calendar.keeper.name(),
        }))
    }
}

impl Calendar {
    fn new(settings: Config, means: &Means) -> Result<Self, String> {
        settings.check()?;
        let keeper = keeper(&settings, means)?;
        Ok(Self { settings, keeper })
    }
}

fn keeper(settings: &Config, means: &Means) -> Result<Box<dyn Keeper>, String> {
    let missing = |name: &str| format!("`provider` is `{name}`, and there is no `{name}` table");
    Ok(match settings.provider {
        Provider::Internal => Box::new(Internal::new(means.records.clone(), means.clock.clone())),
        Provider::Google => {
            let google = settings.google.as_ref().ok_or_else(|| missing(google::NAME))?;
            Box::new(Outside::new(Google::new(google, settings, means)?, means.clone()))
        }
        Provider::CalDav => {
            let caldav = settings.caldav.as_ref().ok_or_else(|| missing(caldav::NAME))?;
            Box::new(Outside::new(CalDav::new(caldav, settings, means)?, means.clone()))
        }
        Provider::Calendly => {
            let calendly = settings.calendly.as_ref().ok_or_else(|| missing(calendly::NAME))?;
            Box::new(Calendly::new(calendly, settings, means)?)
        }
    })
}

#[async_trait]
impl Tool for Calendars {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        self.act(request).await.map_err(unavailable)
    }

    fn service<'a>(&'a self, request: &'a Request) -> Option<Cow<'a, str>> {
        let keeper = &self.of(&request.call.tenant).keeper;
        keeper.is_outside().then(|| Cow::Borrowed(keeper.name()))
    }

    async fn account(&self, request: &Request) -> Option<String> {
        let Calendar { settings, keeper } = self.of(&request.call.tenant);
        keeper.account(settings)
    }

    async fn look_up(&self, request: &Request) -> Result<Value, Failure> {
        let calendar = self.of(&request.call.tenant);
        let found = match request.text("action") {
            Some("create_booking") => calendar.keeper.look_up(&calendar.settings, request).await,
            // Cancelling what is cancelled is done, so it is sent again.
            _ => Err(Failure::later(code::CALENDAR_UNAVAILABLE, "only bookings are looked up")),
        };
        found.map_err(unavailable)
    }
}

/// In the calendar's own words, whatever it was that did not answer.
fn unavailable(failure: Failure) -> Failure {
    failure.map_fault(|mut fault| {
        if matches!(&*fault.code, code::STORAGE_UNAVAILABLE | code::SERVICE_UNAVAILABLE) {
            fault.code = code::CALENDAR_UNAVAILABLE.into();
        }
        fault
    })
}
