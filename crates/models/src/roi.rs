//! Computes the return on investment of Baton, from the user's own numbers and from recorded costs. It assumes no
//! values. The formulas are those of `docs/concepts/money.md`.

use baton_core::money::Usd;
use serde::Serialize;

const DAYS_OF_YEAR: f64 = 365.0;

/// The inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoiInputs {
    /// Conversations of the period, including those that people took over.
    pub conversations: u64,
    /// The percentage of conversations that needed no person.
    pub handled_percent: f64,
    /// Minutes that a person spends on one conversation.
    pub minutes: f64,
    /// The cost of a person per minute.
    pub minute_usd: f64,
    /// The cost of running Baton in the period in addition to recorded costs: machines, contracts, people.
    pub other_usd: f64,
    /// The one-time cost of introducing it.
    pub once_usd: f64,
    /// Length of the period.
    pub days: u32,
}

/// The costs that were recorded in the period.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecordedCosts {
    pub models: Usd,
    pub tools: Usd,
}

/// The results, in US dollars.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoiReport {
    /// The cost of people if they had handled every conversation.
    pub people_before_usd: f64,
    /// The cost of people for the conversations that they still handled.
    pub people_after_usd: f64,
    pub models_usd: f64,
    pub tools_usd: f64,
    pub other_usd: f64,
    /// The cost of running it: models, tools and the rest.
    pub running_usd: f64,
    pub per_conversation_before_usd: Option<f64>,
    pub per_conversation_after_usd: Option<f64>,
    /// People before, minus people after, minus running costs.
    pub saved_usd: f64,
    pub saved_usd_per_year: f64,
    /// Days until the savings have paid for the introduction; `None` if there are no savings.
    pub payback_days: Option<f64>,
    /// The return of the first year on the investment. `None` if nothing was invested.
    pub first_year_percent: Option<f64>,
}

impl RoiInputs {
    /// Computes the report.
    ///
    /// # Errors
    /// An input that is out of range.
    pub fn roi(&self, recorded: RecordedCosts) -> Result<RoiReport, String> {
        const MOST: f64 = 1e12;
        let amounts = [
            ("minutes", self.minutes),
            ("minute-usd", self.minute_usd),
            ("other-usd", self.other_usd),
            ("once-usd", self.once_usd),
        ];
        if let Some((name, amount)) = amounts.into_iter().find(|(_, amount)| !(0.0..=MOST).contains(amount)) {
            return Err(format!("--{name} is from 0 to {MOST}, not {amount}"));
        }
        if !(0.0..=100.0).contains(&self.handled_percent) {
            return Err(format!("--handled is a share of a hundred, from 0 to 100, not {}", self.handled_percent));
        }
        #[expect(clippy::cast_precision_loss, reason = "conversations of a period are far below 2^53")]
        let conversations = self.conversations as f64;
        let people_before = conversations * self.minutes * self.minute_usd;
        let people_after = people_before * (1.0 - self.handled_percent / 100.0);
        let (models, tools) = (recorded.models.as_f64(), recorded.tools.as_f64());
        let running = models + tools + self.other_usd;
        let saved = people_before - people_after - running;
        let years = f64::from(self.days.max(1)) / DAYS_OF_YEAR;
        let per_year = saved / years;
        let each = |sum: f64| (self.conversations > 0).then(|| sum / conversations);
        let put_in = self.once_usd + running / years;
        Ok(RoiReport {
            people_before_usd: people_before,
            people_after_usd: people_after,
            models_usd: models,
            tools_usd: tools,
            other_usd: self.other_usd,
            running_usd: running,
            per_conversation_before_usd: each(people_before),
            per_conversation_after_usd: each(people_after + running),
            saved_usd: saved,
            saved_usd_per_year: per_year,
            payback_days: (saved > 0.0).then(|| self.once_usd / per_year * DAYS_OF_YEAR),
            first_year_percent: (put_in > 0.0).then(|| (per_year - self.once_usd) / put_in * 100.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> RoiInputs {
        RoiInputs {
            conversations: 10_000,
            handled_percent: 80.0,
            minutes: 5.0,
            minute_usd: 0.5,
            other_usd: 900.0,
            once_usd: 36_500.0,
            days: 73,
        }
    }

    #[test]
    fn it_comes_out_as_the_page_says() {
        let recorded = RecordedCosts { models: Usd::from_f64(80.0), tools: Usd::from_f64(20.0) };
        let roi = inputs().roi(recorded).expect("numbers");
        assert_eq!((roi.people_before_usd, roi.running_usd), (25_000.0, 1_000.0));
        assert!((roi.people_after_usd - 5_000.0).abs() < 1e-6 && (roi.saved_usd - 19_000.0).abs() < 1e-6, "{roi:?}");
        // 73 days are a fifth of a year.
        assert!((roi.saved_usd_per_year - 95_000.0).abs() < 1e-6);
        assert!((roi.payback_days.expect("pays") - 36_500.0 / 95_000.0 * 365.0).abs() < 1e-6);
        assert!((roi.first_year_percent.expect("put in") - 58_500.0 / 41_500.0 * 100.0).abs() < 1e-6);
        assert_eq!(roi.per_conversation_before_usd, Some(2.5));
        assert!((roi.per_conversation_after_usd.expect("some") - 0.6).abs() < 1e-9);
    }

    #[test]
    fn what_saves_nothing_never_pays_and_nothing_of_nothing_is_no_number() {
        let dear = RoiInputs { handled_percent: 0.0, ..inputs() }.roi(RecordedCosts::default()).expect("numbers");
        assert_eq!((dear.payback_days, dear.saved_usd), (None, -900.0));
        let none = RoiInputs { conversations: 0, other_usd: 0.0, once_usd: 0.0, ..inputs() };
        let none = none.roi(RecordedCosts::default()).expect("numbers");
        assert_eq!((none.first_year_percent, none.per_conversation_after_usd, none.payback_days), (None, None, None));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (wrong, name) in [
            (RoiInputs { handled_percent: 101.0, ..inputs() }, "--handled"),
            (RoiInputs { minutes: -1.0, ..inputs() }, "--minutes"),
            (RoiInputs { minute_usd: f64::NAN, ..inputs() }, "--minute-usd"),
            (RoiInputs { once_usd: f64::INFINITY, ..inputs() }, "--once-usd"),
        ] {
            assert!(wrong.roi(RecordedCosts::default()).expect_err("refused").starts_with(name));
        }
    }
}
