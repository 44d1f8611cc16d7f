//! Google Calendar, through its API v3.
//!
//! An event's id derives from the effect's key, so a repeated insert returns 409 and the event is looked up: one
//! booking. A deleted id stays used, so a call that was undone never books a second time.

pub(super) mod config;
mod credentials;
mod event;
mod tokens;

use std::collections::BTreeMap;

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use baton_core::tool::EffectClass;
use jiff::tz::TimeZone;
use reqwest::Method;
use serde_json::{Value, json};

use self::config::GoogleCalendarConfig;
use self::credentials::GoogleCredentials;
use self::tokens::AccessTokenCache;
use super::calendars::CalendarServices;
use super::config::CalendarConfig;
use super::range::TimeRange;
use super::remote::remote_calendar::{EntryDraft, EntryPutResult, ForeignEntry, RemoteCalendar, RemoteEntry};
use crate::code;
use crate::outbound::OutboundResponse;
use crate::tool_error::ToolError;
use crate::vendor::{VendorApi, VendorAuth, VendorError, VendorErrorMeaning, VendorRequest};

pub(super) const NAME: &str = "google";
/// Maximum number of calendars of one free-busy query, which is Google's limit.
const CALENDARS_MAX: usize = 50;
/// Maximum number of pages of events around one day that are read.
const PAGES_MAX: usize = 10;

pub(super) struct GoogleCalendar {
    vendor: VendorApi,
    tokens: AccessTokenCache,
    /// The API's address and the owner of the account.
    account: String,
    /// The account as shown to people.
    shown: String,
    /// By resource.
    calendars: BTreeMap<String, String>,
    /// The longest buffer of any treatment, in milliseconds; 0 saves the query for this installation's own events.
    buffer: i64,
}

impl GoogleCalendar {
    /// Creates the provider. The error states what is wrong with the settings.
    pub(super) fn new(
        settings: &GoogleCalendarConfig,
        calendar: &CalendarConfig,
        means: &CalendarServices,
    ) -> Result<Self, String> {
        let credentials = GoogleCredentials::read(settings).map_err(|reason| format!("`google` {reason}"))?;
        let vendor =
            |base: &crate::vendor::BaseUrl| VendorApi::new(NAME, base.clone(), means.outbound.clone(), complaint);
        Ok(Self {
            account: format!("{}\n{}", settings.base_url, credentials.holder()),
            shown: format!("{NAME} at {} as {}", settings.base_url, credentials.shown()),
            tokens: AccessTokenCache::new(credentials, vendor(&settings.token_url), means.clock.clone()),
            vendor: vendor(&settings.base_url),
            calendars: calendar.places("google.calendars", &settings.calendars, Some("primary"))?,
            buffer: calendar.buffer_max(),
        })
    }

    fn calendar(&self, resource: &str) -> &str {
        self.calendars.get(resource).map_or("primary", String::as_str)
    }

    /// Sends the request that `ask` builds, with an access token, and retries once with another if the first is
    /// refused. The statuses in `also` count as responses too.
    async fn authorised<'v>(
        &'v self,
        class: EffectClass,
        also: &[u16],
        ask: impl Fn() -> VendorRequest<'v> + Send,
    ) -> Result<OutboundResponse, ToolError> {
        let token = self.tokens.token(None).await?;
        let answer = ask().auth(VendorAuth::Bearer(&token)).accepting(also).accepting(&[401]).send(class).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let token = self.tokens.token(Some(&token)).await?;
        ask().auth(VendorAuth::Bearer(&token)).accepting(also).send(class).await
    }

    /// Returns events around a range, page by page.
    async fn events(&self, resource: &str, within: TimeRange, only: &[(&str, &str)]) -> Result<Vec<Value>, ToolError> {
        let (from, to) = (event::utc(within.from), event::utc(within.to));
        let mut events = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut query = vec![("timeMin", from.as_str()), ("timeMax", to.as_str()), ("singleEvents", "true")];
            query.extend([("maxResults", "250")]);
            query.extend(only);
            query.extend(page.as_deref().map(|page| ("pageToken", page)));
            let ask = || self.vendor.get(&["calendars", self.calendar(resource), "events"]).query(&query);
            let mut body = self.authorised(EffectClass::Read, &[], ask).await?.value();
            match body.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => events.extend(items),
                _ => return Err(unread("events.list has no `items`")),
            }
            match body["nextPageToken"].as_str() {
                Some(next) => page = Some(next.to_owned()),
                None => return Ok(events),
            }
        }
        Err(unread("events.list has more pages than are read"))
    }

    async fn free_busy(&self, calendars: &[&str], within: TimeRange) -> Result<Value, ToolError> {
        let items: Vec<Value> = calendars.iter().map(|id| json!({"id": id})).collect();
        let body = json!({"timeMin": event::utc(within.from), "timeMax": event::utc(within.to), "items": items});
        let ask = || self.vendor.post(&["freeBusy"]).json(&body);
        Ok(self.authorised(EffectClass::Read, &[], ask).await?.value())
    }
}

#[async_trait]
impl RemoteCalendar for GoogleCalendar {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self) -> String {
        self.shown.clone()
    }

    fn location_hash(&self, resource: &str) -> ContentHash {
        ContentHash::of(format!("{NAME}\n{}\n{}", self.account, self.calendar(resource)).as_bytes())
    }

    async fn busy(
        &self,
        resources: &[&str],
        within: TimeRange,
        zone: &TimeZone,
    ) -> Result<Vec<Vec<TimeRange>>, ToolError> {
        let mut all = Vec::with_capacity(resources.len());
        for chunk in resources.chunks(CALENDARS_MAX) {
            let ids: Vec<&str> = chunk.iter().map(|resource| self.calendar(resource)).collect();
            let body = self.free_busy(&ids, within).await?;
            for id in ids {
                all.push(busy_of(&body["calendars"][id], id)?);
            }
        }
        if self.buffer > 0 {
            // Google has no buffers: those of Baton's own bookings are stored with the events.
            for (resource, ranges) in resources.iter().zip(&mut all) {
                let only = [("privateExtendedProperty", event::MARK)];
                let own = self.events(resource, within.widened(self.buffer), &only).await?;
                let own = own.iter().filter_map(|event| event::other(event, zone));
                ranges.extend(own.map(|other| other.range));
            }
        }
        Ok(all)
    }

    async fn find(&self, resource: &str, id: &str) -> Result<Option<RemoteEntry>, ToolError> {
        let event = event::id(id);
        let ask = || self.vendor.get(&["calendars", self.calendar(resource), "events", &event]);
        let answer = self.authorised(EffectClass::Read, &[404, 410], ask).await?;
        match answer.status {
            404 | 410 => Ok(None),
            _ => Ok(Some(event::entered(id, &answer.value()))),
        }
    }

    async fn insert(&self, resource: &str, draft: &EntryDraft<'_>) -> Result<EntryPutResult, ToolError> {
        let body = event::body(draft);
        let path = ["calendars", self.calendar(resource), "events"];
        let ask = || self.vendor.post(&path).query(&[("sendUpdates", "none")]).json(&body);
        let answer = self.authorised(EffectClass::Keyed, &[409], ask).await?;
        match answer.status {
            409 => Ok(EntryPutResult::Exists),
            // The event was created, even if the response cannot be read.
            _ => Ok(EntryPutResult::Created(event::entered(draft.id, &answer.value()))),
        }
    }

    async fn foreign_entries(
        &self,
        resource: &str,
        draft: &EntryDraft<'_>,
        zone: &TimeZone,
    ) -> Result<Vec<ForeignEntry>, ToolError> {
        let events = self.events(resource, draft.blocked.widened(self.buffer), &[]).await?;
        let own = event::id(draft.id);
        let others = events.iter().filter(|event| event["id"] != own.as_str());
        Ok(others.filter_map(|event| event::other(event, zone)).collect())
    }

    async fn remove(&self, resource: &str, entered: &RemoteEntry) -> Result<(), ToolError> {
        let event = event::id(&entered.id);
        let path = ["calendars", self.calendar(resource), "events", &event];
        let ask = || self.vendor.request(Method::DELETE, &path).query(&[("sendUpdates", "none")]);
        // 404 and 410: already gone.
        self.authorised(EffectClass::Keyed, &[404, 410], ask).await.map(drop)
    }
}

/// Reads the busy times of a calendar. A calendar with an error is not treated as free.
fn busy_of(calendar: &Value, id: &str) -> Result<Vec<TimeRange>, ToolError> {
    if let Some(error) = calendar["errors"].get(0) {
        let reason = error["reason"].as_str().unwrap_or("without a reason");
        let message = format!("google does not tell what is busy in the calendar `{id}`: {reason}");
        return Err(match reason {
            "notFound" | "notACalendarUser" => ToolError::permanent(code::CALENDAR_NOT_CONFIGURED, message),
            _ => ToolError::transient(code::CALENDAR_UNAVAILABLE, message),
        });
    }
    let ranges = calendar["busy"].as_array().map(|busy| busy.iter().map(event::busy).collect::<Option<Vec<_>>>());
    ranges.flatten().ok_or_else(|| unread(&format!("freeBusy does not tell of the calendar `{id}`")))
}

fn unread(what: &str) -> ToolError {
    ToolError::transient(code::CALENDAR_UNAVAILABLE, format!("the answer of google: {what}"))
}

/// Reads Google's error: from its APIs `{"error": {"errors": [{"reason": …}], "message": …}}`, from its token
/// endpoint `{"error": "invalid_grant", "error_description": …}`.
fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    let body = answer.value();
    if let Some(error) = body["error"].as_str() {
        let told = body["error_description"].as_str().unwrap_or_default();
        let meaning = match error {
            "temporarily_unavailable" | "internal_failure" => VendorErrorMeaning::AsStatus,
            _ => VendorErrorMeaning::Refused(code::CALENDAR_NOT_CONFIGURED),
        };
        return Some(VendorError { message: format!("{error}: {told}"), meaning });
    }
    let message = body["error"]["message"].as_str()?.to_owned();
    let reason = body["error"]["errors"][0]["reason"].as_str().unwrap_or_default();
    let meaning = match (answer.status, reason) {
        (403, "rateLimitExceeded" | "userRateLimitExceeded" | "quotaExceeded" | "dailyLimitExceeded") => {
            VendorErrorMeaning::RetryLater(code::RATE_LIMIT_EXCEEDED)
        }
        // The account, its permissions, or the calendar's id is wrong.
        (401 | 403 | 404, _) => VendorErrorMeaning::Refused(code::CALENDAR_NOT_CONFIGURED),
        _ => VendorErrorMeaning::AsStatus,
    };
    Some(VendorError { message, meaning })
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod reconfigured;
#[cfg(test)]
mod tests;
