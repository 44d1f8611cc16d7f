//! Schedules run a workflow at the instants of a cron expression.
//!
//! **Never twice, never lost.** The id of a run is derived from the schedule and the instant, so two processes that
//! start it start one run. An instant is recorded as done after its run is durable. A crash in between starts the same
//! run again, which changes nothing.

use std::time::Duration;

use baton_core::actor;
use baton_core::id::{RunId, TenantId};
use baton_core::time::{Time, TimeZone};
use baton_core::triggers::cron::CronSchedule;
use baton_ports::records::{self, RecordOp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    NamedDefinition, TriggerError, TriggerService, TriggeredRun, check_name, find, list, render_input, save,
    trigger_run_id,
};

/// Record space of the schedules' state.
pub const STATE: &str = "schedule_state";
/// An instant that is started later than this counts as missed.
pub const GRACE: Duration = Duration::from_secs(60);
/// Maximum number of missed runs that are started at once; the latest ones are taken.
pub const RUN_ALL_MAX: usize = 100;
/// Retry delay if the previous run is still active, or if something did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Maximum size of an input and of a context, in bytes.
const INPUT_BYTES_MAX: usize = 256 << 10;
/// Maximum number of upcoming instants that are shown.
pub const NEXT_MAX: usize = 50;

/// Runs a workflow at the instants of a cron expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleTrigger {
    pub name: String,
    pub workflow: String,
    /// See [`baton_core::triggers::cron`].
    pub cron: String,
    /// IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// May contain templates with `scheduled_at` and `schedule`.
    #[serde(default = "nothing")]
    pub input: Value,
    #[serde(default)]
    pub context: Map<String, Value>,
    #[serde(default)]
    pub missed: MissedRunPolicy,
    #[serde(default)]
    pub overlap: OverlapPolicy,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Defined by the project's folder, which controls its changes.
    #[serde(default)]
    pub from_project: bool,
    #[serde(default)]
    pub created_at: Time,
    /// The name of the key that last set it over HTTP: that person counts as the requester of its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
}

fn nothing() -> Value {
    Value::Object(Map::new())
}

fn yes() -> bool {
    true
}

/// What happens to instants that were missed while no server was running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedRunPolicy {
    /// One run for all of them.
    #[default]
    #[serde(alias = "once")]
    RunOnce,
    /// One run each, for the latest [`RUN_ALL_MAX`].
    #[serde(alias = "all")]
    RunAll,
    /// No run.
    Skip,
}

/// What happens to an instant while the previous run is still active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// Its run starts in parallel.
    #[default]
    Allow,
    /// It is skipped.
    Skip,
    /// It waits for the end of the other run; it may count as missed by then.
    Wait,
}

impl NamedDefinition for ScheduleTrigger {
    const KIND: &'static str = "schedule";
    const SPACE: &'static str = "schedule";
    const MAX: usize = 1_000;

    fn name(&self) -> &str {
        &self.name
    }
}

/// The progress of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// Instants up to this one are done.
    pub done: Time,
    pub last_run: Option<RunId>,
    pub last_instant: Option<Time>,
    /// Number of instants that were skipped: missed, or while another run was active.
    #[serde(default)]
    pub left_out: u64,
    /// Why the last one could not be started.
    pub error: Option<String>,
}

impl ScheduleTrigger {
    /// Checks the definition by itself. `zone` is the default time zone.
    ///
    /// # Errors
    /// The invalid field, and why.
    pub fn check(&self, zone: Option<&str>) -> Result<(), TriggerError> {
        check_name(&self.name)?;
        self.cron()?;
        self.time_zone(zone)?;
        for (field, value) in [("input", self.input.clone()), ("context", json!(self.context))] {
            let bytes = value.to_string().len();
            if bytes > INPUT_BYTES_MAX {
                let why = format!("it has {bytes} bytes, over the limit of {INPUT_BYTES_MAX}");
                return Err(TriggerError::invalid(field, why));
            }
        }
        if self.context.contains_key("api_key") {
            return Err(TriggerError::invalid(
                "context",
                "an `api_key` is written nowhere, so a schedule cannot have one",
            ));
        }
        Ok(())
    }

    pub fn cron(&self) -> Result<CronSchedule, TriggerError> {
        self.cron.parse().map_err(|invalid: baton_core::triggers::cron::CronError| {
            let hint = invalid.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            TriggerError::invalid("cron", format!("{invalid}{hint}"))
        })
    }

    fn time_zone(&self, otherwise: Option<&str>) -> Result<TimeZone, TriggerError> {
        let name = self.zone.as_deref().or(otherwise).unwrap_or("UTC");
        TimeZone::get(name).map_err(|_| {
            TriggerError::invalid(
                "zone",
                format!("`{name}` is no time zone; write an IANA name such as `Europe/Madrid`"),
            )
        })
    }

    /// The upcoming instants, at most `count`; none while it is disabled.
    pub fn next_instants(&self, zone: Option<&str>, now: Time, count: usize) -> Vec<Time> {
        let (Ok(cron), Ok(zone), true) = (self.cron(), self.time_zone(zone), self.enabled) else { return Vec::new() };
        let first = cron.next(now, &zone);
        std::iter::successors(first, |at| cron.next(*at, &zone)).take(count.min(NEXT_MAX)).collect()
    }

    fn input_at(&self, instant: Time) -> Result<Value, TriggerError> {
        let names = json!({ "schedule": self.name, "scheduled_at": instant.to_string() });
        render_input(&self.input, &names, instant)
    }

    fn run_id_at(&self, tenant: &TenantId, instant: Time) -> RunId {
        trigger_run_id("schedule", tenant, &self.name, self.created_at, &instant.as_ms().to_string())
    }
}

impl TriggerService {
    /// Creates a schedule, or replaces one. Only instants from now on count.
    ///
    /// # Errors
    /// A field is invalid, or the workflow does not exist or does not accept the input.
    pub async fn save_schedule(
        &self,
        tenant: &TenantId,
        before: Option<(u64, ScheduleTrigger)>,
        mut schedule: ScheduleTrigger,
        now: Time,
    ) -> Result<ScheduleTrigger, TriggerError> {
        schedule.check(self.zone.as_deref())?;
        let version = self.version(tenant, &schedule.workflow).await?;
        let declared = self.engine.workflows().version(&version.bundle).await?;
        declared.input.validate(&schedule.input_at(now)?).map_err(crate::EngineError::Input)?;
        schedule.created_at = before.as_ref().map_or(now, |(_, before)| before.created_at);
        let goes_on = before.as_ref().is_some_and(|(_, before)| {
            (&before.cron, &before.zone, before.enabled) == (&schedule.cron, &schedule.zone, schedule.enabled)
        });
        let mut beside = Vec::new();
        if !goes_on {
            let state = ScheduleState { done: now, ..self.schedule_state(tenant, &schedule).await?.1 };
            beside.push(RecordOp::Put { space: STATE.to_owned(), key: schedule.name.clone(), value: json!(state) });
        }
        save(&*self.records, tenant, before.map(|(version, _)| version), &schedule, beside, now).await?;
        Ok(schedule)
    }

    /// Disables or enables a schedule. Instants missed while it was disabled are not made up for. The person who
    /// enables it counts as the requester of its runs.
    pub async fn enable_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        enabled: bool,
        by: Option<&str>,
        now: Time,
    ) -> Result<ScheduleTrigger, TriggerError> {
        let (version, before) = find::<ScheduleTrigger>(&*self.records, tenant, name).await?;
        if before.enabled == enabled {
            return Ok(before);
        }
        let set_by = by.filter(|_| enabled).map(str::to_owned).or_else(|| before.set_by.clone());
        let schedule = ScheduleTrigger { enabled, set_by, ..before };
        let state = ScheduleState { done: now, ..self.schedule_state(tenant, &schedule).await?.1 };
        let beside = vec![RecordOp::Put { space: STATE.to_owned(), key: name.to_owned(), value: json!(state) }];
        save(&*self.records, tenant, Some(version), &schedule, beside, now).await?;
        Ok(schedule)
    }

    /// Starts a run now, in addition to the scheduled ones, on behalf of `by`. The same `command` is the same run.
    pub async fn run_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        (command, by): (&str, Option<&str>),
        now: Time,
    ) -> Result<RunId, TriggerError> {
        let (_, schedule) = find::<ScheduleTrigger>(&*self.records, tenant, name).await?;
        let run = trigger_run_id("schedule", tenant, name, schedule.created_at, &format!("by hand\n{command}"));
        self.fire(tenant, &schedule, run.clone(), now, by).await?;
        Ok(run)
    }

    /// The progress and the version of its record.
    pub async fn schedule_state(
        &self,
        tenant: &TenantId,
        schedule: &ScheduleTrigger,
    ) -> Result<(Option<u64>, ScheduleState), TriggerError> {
        let record = self.records.get(tenant, STATE, &schedule.name).await?;
        let version = record.as_ref().map(|record| record.version);
        let state = record.and_then(|record| serde_json::from_value(record.value).ok());
        Ok((version, state.unwrap_or(ScheduleState { done: schedule.created_at, ..ScheduleState::default() })))
    }

    /// The schedule as JSON, with its progress and `count` upcoming instants.
    pub async fn schedule_json(
        &self,
        tenant: &TenantId,
        schedule: &ScheduleTrigger,
        next: usize,
        now: Time,
    ) -> Result<Value, TriggerError> {
        let (_, state) = self.schedule_state(tenant, schedule).await?;
        let next = schedule.next_instants(self.zone.as_deref(), now, next);
        Ok(json!({
            "name": schedule.name, "workflow_id": schedule.workflow, "cron": schedule.cron, "zone": schedule.zone,
            "input_data": schedule.input, "context": schedule.context, "missed": schedule.missed,
            "overlap": schedule.overlap, "enabled": schedule.enabled, "from_project": schedule.from_project,
            "created_at": schedule.created_at.to_string(),
            "next": next.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "last_execution_id": state.last_run, "last_instant": state.last_instant.map(|at| at.to_string()),
            "left_out": state.left_out, "error": state.error,
        }))
    }

    /// Starts the due runs of a tenant's schedules. Returns when the next work is due, as far as is known.
    ///
    /// # Errors
    /// The store does not answer; what is due stays due.
    pub async fn start_due(&self, tenant: &TenantId, now: Time) -> Result<Option<Time>, TriggerError> {
        // What a disabled tenant misses is treated like what is missed while no server was running.
        if !self.engine.agent_registry().tenants().is_enabled(tenant, now).await? {
            return Ok(Some(now + RETRY_DELAY));
        }
        let (mut next, mut after): (Option<Time>, Option<String>) = (None, None);
        loop {
            let page: Vec<ScheduleTrigger> = list(&*self.records, tenant, after.as_deref(), super::PAGE_MAX).await?;
            for schedule in &page {
                let turn = self.start_due_of(tenant, schedule, now).await.unwrap_or_else(|error| {
                    tracing::warn!(%tenant, schedule = schedule.name, %error, "what is due cannot be begun; it is tried again");
                    Some(now + RETRY_DELAY)
                });
                next = [next, turn].into_iter().flatten().min();
            }
            match page.last() {
                Some(last) if page.len() == super::PAGE_MAX => after = Some(last.name.clone()),
                _ => return Ok(next),
            }
        }
    }

    /// Starts what is due of one schedule, and returns when the next work is due.
    async fn start_due_of(
        &self,
        tenant: &TenantId,
        schedule: &ScheduleTrigger,
        now: Time,
    ) -> Result<Option<Time>, TriggerError> {
        if !schedule.enabled {
            return Ok(None);
        }
        let (cron, zone) = (schedule.cron()?, schedule.time_zone(self.zone.as_deref())?);
        let (mut version, mut state) = self.schedule_state(tenant, schedule).await?;
        let (due, _more) = cron.latest(state.done, now, &zone, RUN_ALL_MAX);
        let Some(last) = due.last().copied() else { return Ok(cron.next(now.max(state.done), &zone)) };
        let in_time: Vec<Time> = due.iter().copied().filter(|at| *at + GRACE >= now).collect();
        let chosen = match schedule.missed {
            MissedRunPolicy::RunAll => due.clone(),
            MissedRunPolicy::RunOnce if in_time.is_empty() => vec![last],
            MissedRunPolicy::RunOnce | MissedRunPolicy::Skip => in_time,
        };
        state.left_out += u64::try_from(due.len() - chosen.len()).unwrap_or_default();
        for instant in chosen {
            if schedule.overlap != OverlapPolicy::Allow && self.is_running(tenant, state.last_run.as_ref()).await? {
                if schedule.overlap == OverlapPolicy::Wait {
                    return Ok(Some(now + RETRY_DELAY));
                }
                state.left_out += 1;
                continue;
            }
            let run = schedule.run_id_at(tenant, instant);
            state.error = match self.fire(tenant, schedule, run.clone(), instant, None).await {
                Ok(()) => None,
                Err(error) if error.is_permanent() => {
                    tracing::warn!(%tenant, schedule = schedule.name, %error, "a scheduled run could not be begun");
                    Some(error.to_string())
                }
                Err(error) => return Err(error),
            };
            let begun = state.error.is_none().then_some(run);
            state = ScheduleState {
                done: instant,
                last_instant: Some(instant),
                last_run: begun.or(state.last_run),
                ..state
            };
            if instant < last && !self.save_state(tenant, schedule, &mut version, &state, now).await? {
                return Ok(Some(now));
            }
        }
        state.done = last;
        // A concurrent writer may know more.
        let is_kept = self.save_state(tenant, schedule, &mut version, &state, now).await?;
        Ok(if is_kept { cron.next(now.max(last), &zone) } else { Some(now) })
    }

    async fn is_running(&self, tenant: &TenantId, run: Option<&RunId>) -> Result<bool, TriggerError> {
        let Some(run) = run else { return Ok(false) };
        Ok(self.read.run(tenant, run).await?.is_some_and(|head| !head.state.is_end()))
    }

    async fn fire(
        &self,
        tenant: &TenantId,
        schedule: &ScheduleTrigger,
        run: RunId,
        instant: Time,
        by_hand: Option<&str>,
    ) -> Result<(), TriggerError> {
        let mut context = schedule.context.clone();
        context.insert("schedule".to_owned(), schedule.name.clone().into());
        context.insert("scheduled_at".to_owned(), instant.to_string().into());
        let (input, by) = (schedule.input_at(instant)?, format!("{} {}", actor::SCHEDULE, schedule.name));
        let set_up_by = schedule.set_by.as_deref().into_iter().chain(by_hand).map(str::to_owned).collect();
        self.begin(tenant, TriggeredRun { run, workflow: &schedule.workflow, input, context, by, set_up_by }).await
    }

    /// Saves the progress unless another process has written it.
    async fn save_state(
        &self,
        tenant: &TenantId,
        schedule: &ScheduleTrigger,
        version: &mut Option<u64>,
        state: &ScheduleState,
        now: Time,
    ) -> Result<bool, TriggerError> {
        let (space, key, value) = (STATE.to_owned(), schedule.name.clone(), json!(state));
        let op = match *version {
            Some(version) => RecordOp::CompareAndSet { space, key, version, value },
            None => RecordOp::Insert { space, key, value },
        };
        match self.records.commit(tenant, vec![op], now).await {
            Ok(()) => {
                *version = Some(version.unwrap_or(0) + 1);
                Ok(true)
            }
            Err(records::RecordError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
