//! `baton models savings`: the savings of model routing.

use baton_core::definition::parse_duration;
use baton_core::model::TokenUsage;
use baton_core::money::Usd;
use baton_models::savings::{self, SavingsInputs, SavingsReport, TrafficShare};
use baton_models::{ModelSpec, price};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::decisions::{DecisionLog as _, DecisionSum};
use serde_json::{Value, json};

use super::{ProjectModels, store};
use crate::cli::models::SavingsArgs;
use crate::project::Project;
use crate::{CommandExit, UsageError, print};

pub async fn run(project: &Project, args: &SavingsArgs) -> anyhow::Result<CommandExit> {
    if args.recorded {
        return show_recorded(project, args).await;
    }
    let savings = table(args)?.savings().map_err(UsageError::new)?;
    if args.json {
        print::pretty(&json!(savings));
    } else {
        print_savings(&savings);
    }
    Ok(CommandExit::Completed)
}

/// The default table, with the values of the arguments.
fn table(args: &SavingsArgs) -> anyhow::Result<SavingsInputs> {
    let mut table = savings::default_inputs();
    table.conversations_per_day = args.conversations;
    table.days = args.days;
    if let Some(naive) = args.naive {
        table.naive_usd = usd("--naive", naive)?;
    }
    if !args.shares.is_empty() {
        table.shares = args.shares.iter().map(|text| share(text)).collect::<anyhow::Result<_>>()?;
    }
    Ok(table)
}

/// Parses `PROFILE=PERCENT:USD`.
fn share(text: &str) -> anyhow::Result<TrafficShare> {
    let wrong = || UsageError::new(format!("`{text}` is no share")).hint("write it as fast=60:0.001");
    let (profile, rest) = text.split_once('=').ok_or_else(wrong)?;
    let (percent, cost) = rest.split_once(':').ok_or_else(wrong)?;
    let percent: f64 = percent.trim_end_matches('%').parse().map_err(|_| wrong())?;
    let cost: f64 = cost.parse().map_err(|_| wrong())?;
    let model =
        savings::default_inputs().shares.into_iter().find(|share| share.profile == profile).map(|share| share.model);
    Ok(TrafficShare {
        profile: profile.to_owned(),
        model: model.unwrap_or_default(),
        percent,
        usd_per_conversation: usd("--share", cost)?,
    })
}

fn usd(what: &str, amount: f64) -> anyhow::Result<Usd> {
    const USD_MAX: f64 = 1e6;
    if (0.0..=USD_MAX).contains(&amount) {
        return Ok(Usd::from_f64(amount));
    }
    Err(UsageError::new(format!("{what}: {amount} is not from 0 to {USD_MAX} US dollars")).into())
}

fn print_savings(savings: &SavingsReport) {
    print::line(format_args!(
        "{} conversations a day, all with {}: ${:.2} a day, ${:.2} a month of {} days",
        savings.conversations_per_day,
        savings.naive_model,
        savings.naive_usd_per_day,
        savings.naive_usd_per_month,
        savings.days
    ));
    for row in &savings.rows {
        print::line(format_args!(
            "  {:>3} % {:<9} {:<16} ${} x {} = ${:.2} a day",
            row.percent, row.profile, row.model, row.usd_per_conversation, row.conversations_per_day, row.usd_per_day
        ));
    }
    print::line(format_args!(
        "routed: ${:.2} a day, ${:.2} a month",
        savings.routed_usd_per_day, savings.routed_usd_per_month
    ));
    print::line(format_args!("saved: {:.0} % (${:.2} a month)", savings.saved_percent, savings.saved_usd_per_month));
}

/// The recorded costs, compared with the same tokens at one model's price.
async fn show_recorded(project: &Project, args: &SavingsArgs) -> anyhow::Result<CommandExit> {
    let since = parse_duration(&args.since)
        .map_err(|problem| UsageError::new(format!("--since: {problem}")).hint("write it as 30d or 12h"))?;
    let known = ProjectModels::read(project).await?;
    let spec = known.gateway.facts(&known.tenant, &args.against).ok_or_else(|| known.unknown_model(&args.against))?;
    let sums = match store(project)? {
        Some(store) => store.sums(&known.tenant, SystemClock.now() - since).await?,
        None => Vec::new(),
    };
    let report = RecordedSavings::of(&sums, &args.against, &spec);
    if args.json {
        print::pretty(&report.as_json());
    } else {
        report.print_recorded(&args.since);
    }
    Ok(CommandExit::Completed)
}

struct RecordedSavings<'s> {
    sums: &'s [DecisionSum],
    against: &'s str,
    paid: Usd,
    naive: Usd,
}

impl<'s> RecordedSavings<'s> {
    fn of(sums: &'s [DecisionSum], against: &'s str, spec: &ModelSpec) -> Self {
        // A total over many calls does not show which ones were long. The prices of short calls are the conservative
        // assumption.
        let spec = ModelSpec { long_input_prices: Vec::new(), ..spec.clone() };
        let naive = sums.iter().map(|sum| price::cost(&spec, &sum.usage)).sum();
        Self { sums, against, paid: sums.iter().map(|sum| sum.cost).sum(), naive }
    }

    fn has_tokens(&self) -> bool {
        self.sums.iter().any(|sum| sum.usage != TokenUsage::default())
    }

    fn percent(&self) -> f64 {
        let naive = self.naive.as_f64();
        if naive > 0.0 { (naive - self.paid.as_f64()) / naive * 100.0 } else { 0.0 }
    }

    fn as_json(&self) -> Value {
        let row = |sum: &DecisionSum| {
            let mut shown = json!(sum);
            if let Value::Object(fields) = &mut shown {
                fields.insert("cost".into(), json!(sum.cost.as_f64()));
            }
            shown
        };
        json!({
            "rows": self.sums.iter().map(row).collect::<Vec<_>>(), "against": self.against,
            "paid_usd": self.paid.as_f64(), "naive_usd": self.naive.as_f64(), "saved_percent": self.has_tokens().then(|| self.percent()),
        })
    }

    fn print_recorded(&self, since: &str) {
        if self.sums.is_empty() {
            print::line(format_args!("no model was asked in the last {since}"));
            return;
        }
        for sum in self.sums {
            print::line(format_args!(
                "  {:<9} {:<20} {:>8} calls  {}",
                baton_models::profile::word(sum.profile),
                sum.model,
                sum.calls,
                sum.cost
            ));
        }
        print::line(format_args!("paid in the last {since}: {}", self.paid));
        if !self.has_tokens() {
            print::line("no tokens were counted in these calls, so there is nothing to compare: scripted replies have");
            print::line("those that their `usage` says, and a model of a provider those that it counts");
            return;
        }
        print::line(format_args!("the same tokens with {}: {}", self.against, self.naive));
        print::line(format_args!("saved: {:.0} %", self.percent()));
    }
}
