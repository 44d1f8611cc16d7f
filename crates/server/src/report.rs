//! The weekly report on tool usage, for people. The command line prints it, the API returns it, and `baton serve`
//! sends it by e-mail.

mod html;
mod markdown;

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_core::time::{Time, TimeZone};
use baton_core::usage::{IsoWeek, UNDER_USED_CALLS, UNDER_USED_DAYS, UsageDimension, UsageTally};
use baton_ports::audit::{AuditTrail, UsageFilter, UsageSum};
use baton_ports::catalogue::{ToolCatalogue, ToolListing};
use baton_ports::journal;
use serde_json::{Map, Value, json};

use crate::tool_usage::{DAY, error_summary, part_label, query_usage, tally_json};

/// Maximum number of under-used tools that a page lists; the rest are counted.
const NAMED_MAX: usize = 30;

/// The usage of one week.
pub struct UsageReport {
    tenant: TenantId,
    week: IsoWeek,
    /// The time zone of its days.
    zone: TimeZone,
    whole: UsageTally,
    tools: Vec<UsageSum>,
    apps: Vec<UsageSum>,
    agents: Vec<UsageSum>,
    days: Vec<UsageSum>,
    under_used: Vec<(String, u64)>,
}

/// A table with a heading; `none` is the text for an empty table.
struct ReportTable {
    heading: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    none: &'static str,
}

impl UsageReport {
    /// Reads a tenant's usage from the audit trail, if there is one, and the catalogue's tools.
    pub async fn read(
        audit: Option<&dyn AuditTrail>,
        catalogue: &dyn ToolCatalogue,
        tenant: TenantId,
        (week, zone): (IsoWeek, TimeZone),
    ) -> Result<Self, journal::JournalError> {
        let by = async |part: &[UsageDimension]| {
            let (from, to) = (Some(week.begin(&zone)), Some(week.end(&zone)));
            let (tenant, zone) = (Some(tenant.clone()), Some(zone.clone()));
            let filter = UsageFilter { tenant, from, to, by: part.to_vec(), zone, ..UsageFilter::default() };
            usage(audit, catalogue, filter).await
        };
        let mut tools = by(&[UsageDimension::Tool]).await?;
        tools.sort_by_key(|usage| (std::cmp::Reverse(usage.tally.executions), usage.parts.clone()));
        let mut whole = UsageTally::default();
        tools.iter().for_each(|usage| whole.merge(&usage.tally));
        let mut apps = by(&[UsageDimension::App]).await?;
        // Tools that belong to no app are listed above.
        apps.retain(|usage| usage.parts.iter().any(|app| !app.is_empty()));
        let (agents, days) = (by(&[UsageDimension::Agent]).await?, by(&[UsageDimension::Day]).await?);
        let under_used = under_used(audit, catalogue, &tenant, week.end(&zone)).await?;
        Ok(Self { tenant, week, zone, whole, tools, apps, agents, days, under_used })
    }

    pub fn markdown(&self) -> String {
        markdown::page(&self.title(), &self.intro(), &self.tables())
    }

    pub fn html(&self) -> String {
        html::page(&self.title(), &self.intro(), &self.tables())
    }

    pub fn title(&self) -> String {
        format!("Tool usage report, {}", self.week)
    }

    /// The lines before the tables: name and value.
    fn intro(&self) -> Vec<(&'static str, String)> {
        let [first, last] = self.week.days();
        let zone = self.zone.iana_name().filter(|_| self.zone != TimeZone::UTC);
        let zone = zone.map(|zone| format!(", by the clocks of {zone}")).unwrap_or_default();
        let saved =
            if self.whole.cached > 0 { format!(", {} from what is kept", self.whole.cached) } else { String::new() };
        vec![
            ("Company", self.tenant.to_string()),
            ("Period", format!("{first} to {last}{zone}")),
            ("Total executions", format!("{}{saved}", self.whole.executions)),
            ("Success", percent(&self.whole)),
            ("Estimated cost", self.whole.cost.to_string()),
        ]
    }

    fn tables(&self) -> Vec<ReportTable> {
        let none = "No tool was used.";
        let figures = vec!["Count", "Success", "p50", "p95", "p99", "Cost", "Errors"];
        let with = |first: &'static str| [vec![first], figures.clone()].concat();
        let rows = |usage: &[UsageSum]| usage.iter().map(row).collect();
        let under_used =
            self.under_used.iter().take(NAMED_MAX).map(|(tool, count)| vec![tool.clone(), count.to_string()]);
        let mut under_used: Vec<Vec<String>> = under_used.collect();
        if let Some(more) = self.under_used.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            under_used.push(vec![format!("… and {more} more"), String::new()]);
        }
        vec![
            ReportTable { heading: "By tool".to_owned(), columns: with("Tool"), rows: rows(&self.tools), none },
            ReportTable {
                heading: "By app: Composio's, MCP servers, documents".to_owned(),
                columns: with("App"),
                rows: rows(&self.apps),
                none: "No tool of an app was used.",
            },
            ReportTable { heading: "By agent".to_owned(), columns: with("Agent"), rows: rows(&self.agents), none },
            ReportTable { heading: "By day".to_owned(), columns: with("Day"), rows: rows(&self.days), none },
            ReportTable {
                heading: format!(
                    "Under-used: fewer than {UNDER_USED_CALLS} uses in the {UNDER_USED_DAYS} days before the week's end"
                ),
                columns: vec!["Tool", "Uses"],
                rows: under_used,
                none: "None.",
            },
        ]
    }

    /// The JSON form.
    pub fn as_json(&self) -> Value {
        let named = |usage: &[UsageSum]| {
            let rows = usage.iter().map(|usage| (usage.parts.concat(), tally_json(&usage.tally)));
            Value::Object(rows.collect::<Map<String, Value>>())
        };
        let under_used: Vec<&String> = self.under_used.iter().map(|(tool, _)| tool).collect();
        json!({
            "week": self.week.to_string(),
            "company_id": self.tenant,
            "from": self.week.begin(&self.zone).to_string(),
            "to": self.week.end(&self.zone).to_string(),
            "zone": self.zone.iana_name().unwrap_or("UTC"),
            "total_executions": self.whole.executions,
            "success_rate": (self.whole.executions > 0).then(|| self.whole.success_rate()),
            "cost_estimate": self.whole.cost.as_f64(),
            "tools": named(&self.tools),
            "by_app": named(&self.apps),
            "by_agent": named(&self.agents),
            "by_day": named(&self.days),
            "underutilized_tools": under_used,
        })
    }
}

/// Tools of the catalogue with few calls in the days before the week's end, the least used first.
async fn under_used(
    audit: Option<&dyn AuditTrail>,
    catalogue: &dyn ToolCatalogue,
    tenant: &TenantId,
    end: Time,
) -> Result<Vec<(String, u64)>, journal::JournalError> {
    let filter = UsageFilter {
        tenant: Some(tenant.clone()),
        from: Some(end - DAY * UNDER_USED_DAYS),
        to: Some(end),
        by: vec![UsageDimension::Tool],
        ..UsageFilter::default()
    };
    let counted = usage(audit, catalogue, filter).await?;
    let used: BTreeMap<&str, u64> =
        counted.iter().filter_map(|usage| Some((usage.parts.first()?.as_str(), usage.tally.executions))).collect();
    // No other tool is a preset of a tenant's own tool.
    let is_base = |tool: &Arc<str>| catalogue.base_tool(tool).is_none_or(|base| base == *tool);
    let tools = catalogue.all(tenant).into_iter().filter(|listed| is_base(&listed.tool.name));
    let tools = tools
        .map(|ToolListing { tool, .. }| (used.get(&*tool.name).copied().unwrap_or_default(), tool.name.to_string()));
    let mut few: Vec<(u64, String)> = tools.filter(|(count, _)| *count < UNDER_USED_CALLS).collect();
    few.sort();
    Ok(few.into_iter().map(|(count, tool)| (tool, count)).collect())
}

/// Empty if nothing has run yet.
async fn usage(
    audit: Option<&dyn AuditTrail>,
    catalogue: &dyn ToolCatalogue,
    filter: UsageFilter,
) -> Result<Vec<UsageSum>, journal::JournalError> {
    match audit {
        Some(audit) => query_usage(audit, catalogue, filter, None).await,
        None => Ok(Vec::new()),
    }
}

fn row(usage: &UsageSum) -> Vec<String> {
    let UsageSum { parts, tally } = usage;
    let ms = |of| tally.percentile_ms(of).map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let first = parts.first().map_or("", String::as_str);
    vec![
        part_label(first).to_owned(),
        tally.executions.to_string(),
        percent(tally),
        ms(50),
        ms(95),
        ms(99),
        tally.cost.to_string(),
        error_summary(tally),
    ]
}

fn percent(tally: &UsageTally) -> String {
    match tally.executions {
        0 => "no calls".to_owned(),
        _ => format!("{:.1} %", tally.success_rate() * 100.0),
    }
}
