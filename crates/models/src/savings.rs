//! Computes the savings of routing by profile, with default inputs or the user's own.

use baton_core::money::Usd;
use serde::Serialize;

/// A share of the conversations, and the cost of one of them with its model.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficShare {
    pub profile: String,
    pub model: String,
    /// Percentage of the conversations.
    pub percent: f64,
    pub usd_per_conversation: Usd,
}

/// The default inputs ("Cost Savings Analysis"): 1,000 conversations a day, all with GPT-4 at 0.15 USD each, against 60
/// % fast, 30 % balanced and 10 % powerful.
pub fn default_inputs() -> SavingsInputs {
    let share = |profile: &str, model: &str, percent, usd| TrafficShare {
        profile: profile.to_owned(),
        model: model.to_owned(),
        percent,
        usd_per_conversation: Usd::from_f64(usd),
    };
    SavingsInputs {
        conversations_per_day: 1_000,
        days: 30,
        naive_model: "gpt-4".to_owned(),
        naive_usd: Usd::from_f64(0.15),
        shares: vec![
            share("fast", "gpt-3.5-turbo", 60.0, 0.001),
            share("balanced", "gpt-4-turbo", 30.0, 0.03),
            share("powerful", "gpt-4", 10.0, 0.15),
        ],
    }
}

/// The inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct SavingsInputs {
    pub conversations_per_day: u64,
    /// Days of a month.
    pub days: u64,
    /// The single model for everything.
    pub naive_model: String,
    pub naive_usd: Usd,
    pub shares: Vec<TrafficShare>,
}

/// The results, in US dollars.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SavingsReport {
    pub conversations_per_day: u64,
    pub days: u64,
    pub naive_model: String,
    pub naive_usd_per_day: f64,
    pub naive_usd_per_month: f64,
    pub rows: Vec<SavingsRow>,
    pub routed_usd_per_day: f64,
    pub routed_usd_per_month: f64,
    pub saved_usd_per_month: f64,
    /// The savings in per cent.
    pub saved_percent: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SavingsRow {
    pub profile: String,
    pub model: String,
    pub percent: f64,
    pub conversations_per_day: f64,
    pub usd_per_conversation: f64,
    pub usd_per_day: f64,
}

impl SavingsInputs {
    /// Computes the report.
    ///
    /// # Errors
    /// The shares do not add up to 100 %.
    pub fn savings(&self) -> Result<SavingsReport, String> {
        const NEAR: f64 = 1e-6;
        let sum: f64 = self.shares.iter().map(|share| share.percent).sum();
        if self.shares.iter().any(|share| share.percent < 0.0) || (sum - 100.0).abs() > NEAR {
            return Err(format!("the shares come to {sum} %, not to 100 %"));
        }
        #[expect(clippy::cast_precision_loss, reason = "conversations of a day are far below 2^53")]
        let (per_day, days) = (self.conversations_per_day as f64, self.days as f64);
        let row = |share: &TrafficShare| {
            let conversations = per_day * share.percent / 100.0;
            let usd = share.usd_per_conversation.as_f64();
            SavingsRow {
                profile: share.profile.clone(),
                model: share.model.clone(),
                percent: share.percent,
                conversations_per_day: conversations,
                usd_per_conversation: usd,
                usd_per_day: nanos(conversations * usd),
            }
        };
        let rows: Vec<SavingsRow> = self.shares.iter().map(row).collect();
        let naive = nanos(per_day * self.naive_usd.as_f64());
        let routed = nanos(rows.iter().map(|row| row.usd_per_day).sum());
        Ok(SavingsReport {
            conversations_per_day: self.conversations_per_day,
            days: self.days,
            naive_model: self.naive_model.clone(),
            naive_usd_per_day: naive,
            naive_usd_per_month: nanos(naive * days),
            rows,
            routed_usd_per_day: routed,
            routed_usd_per_month: nanos(routed * days),
            saved_usd_per_month: nanos((naive - routed) * days),
            saved_percent: if naive > 0.0 { (naive - routed) / naive * 100.0 } else { 0.0 },
        })
    }
}

/// Rounds to the nano-dollar, so that sums have no floating-point noise.
fn nanos(usd: f64) -> f64 {
    Usd::from_f64(usd).as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_table_comes_out() {
        let savings = default_inputs().savings().expect("a whole");
        assert_eq!((savings.naive_usd_per_day, savings.naive_usd_per_month), (150.0, 4_500.0));
        assert_eq!(savings.rows.iter().map(|row| row.usd_per_day).collect::<Vec<_>>(), [0.6, 9.0, 15.0]);
        assert_eq!((savings.routed_usd_per_day, savings.routed_usd_per_month), (24.6, 738.0));
        assert_eq!(savings.saved_usd_per_month, 3_762.0);
        assert_eq!(savings.saved_percent.round(), 84.0);
    }

    #[test]
    fn shares_that_are_no_whole_are_refused() {
        let mut table = default_inputs();
        table.shares[0].percent = 50.0;
        assert!(table.savings().expect_err("refused").contains("90 %"));
    }
}
