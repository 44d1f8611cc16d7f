//! Service KPIs of a tenant: the figures and targets of seed 004 (SEEDS 37), each with its definition in words, and
//! whether the target was met. Pure: counts are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::money::Usd;
use crate::run::RunState;

/// The counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KpiTally {
    /// Ended runs that no other run started.
    pub runs: RunCounts,
    /// `None` if they are not counted.
    pub conversations: Option<ConversationCounts>,
    /// `None` if they are not counted.
    pub answers: Option<AnswerCounts>,
    /// Target time of a person's first response, from the routing queue's settings.
    pub first_response: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    pub completed: u64,
    /// Failed, timed out, or rolled back after a failure.
    pub failed: u64,
    /// Cancelled on request.
    pub cancelled: u64,
}

/// Ended conversations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConversationCounts {
    pub ended: u64,
    /// Of those, the ones that were handed to a person, by the reason of the last handover.
    pub handed_over: BTreeMap<String, u64>,
    /// Of those, the ones that were reopened.
    pub reopened: u64,
    /// Total time from start to end.
    pub total_duration: Duration,
    pub cost: Usd,
    /// Number of customer ratings.
    pub ratings: u64,
    /// Their sum, each 1 to 5.
    pub rating_sum: u64,
    /// Of those, the ones that a person answered, and their total waiting time until the answer.
    pub answered: u64,
    pub total_answer_time: Duration,
}

/// Answers of models and of read-only tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerCounts {
    pub cached: u64,
    pub all: u64,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kpi {
    pub name: &'static str,
    /// Its definition, in words.
    pub definition: &'static str,
    /// `share` (0 to 1), `seconds`, `usd` or `stars` (1 to 5).
    pub unit: &'static str,
    /// `None` if nothing was counted.
    pub value: Option<f64>,
    /// The number of counted items.
    pub of: u64,
    pub target: Option<KpiTarget>,
    pub verdict: KpiVerdict,
    /// Shares by reason, if there are reasons.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, f64>,
}

/// The target of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KpiTarget {
    AtLeast(f64),
    Above(f64),
    Below(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KpiVerdict {
    Met,
    Missed,
    NoData,
    NoTarget,
}

impl RunCounts {
    /// Counts an ended run; a run in progress is not counted.
    pub fn count(&mut self, state: RunState) {
        match state {
            RunState::Completed => self.completed += 1,
            RunState::Failed | RunState::TimedOut | RunState::Compensated => self.failed += 1,
            RunState::Cancelled => self.cancelled += 1,
            RunState::Pending | RunState::Running | RunState::Waiting | RunState::Paused | RunState::Compensating => {}
        }
    }

    /// Returns the number of runs that ended by themselves.
    fn ended(self) -> u64 {
        self.completed + self.failed
    }
}

/// Returns all figures, in the seed's order.
pub fn kpis(tally: &KpiTally) -> Vec<Kpi> {
    let none = ConversationCounts::default();
    let talks = tally.conversations.as_ref().unwrap_or(&none);
    let answers = tally.answers.unwrap_or_default();
    let handed_over: u64 = talks.handed_over.values().sum();
    let escalated = Kpi {
        reasons: talks
            .handed_over
            .iter()
            .filter_map(|(why, count)| Some((why.clone(), ratio(*count, talks.ended)?)))
            .collect(),
        ..figure(ESCALATION, share(handed_over, talks.ended))
    };
    let (name, unit, _, definition) = FIRST_RESPONSE;
    let within = tally.first_response.map(|within| KpiTarget::Below(within.as_secs_f64()));
    let first_response =
        figure((name, unit, within, definition), mean(talks.total_answer_time.as_secs_f64(), talks.answered));
    vec![
        figure(AUTOMATION, share(talks.ended.saturating_sub(handed_over), talks.ended)),
        figure(CSAT, share(talks.rating_sum, talks.ratings)),
        escalated,
        first_response,
        figure(RESOLUTION, mean(talks.total_duration.as_secs_f64(), talks.ended)),
        figure(COST, mean(talks.cost.as_f64(), talks.ended)),
        figure(REOPENED, share(talks.reopened, talks.ended)),
        figure(SUCCESS, share(tally.runs.completed, tally.runs.ended())),
        figure(ERRORS, share(tally.runs.failed, tally.runs.ended())),
        figure(CACHE, share(answers.cached, answers.all)),
    ]
}

/// A figure's name, unit, target and definition.
type KpiDefinition = (&'static str, &'static str, Option<KpiTarget>, &'static str);

const AUTOMATION: KpiDefinition = (
    "automation_rate",
    "share",
    Some(KpiTarget::AtLeast(0.8)),
    "conversations that ended without ever being handed over to a person, of all that ended",
);
const CSAT: KpiDefinition =
    ("csat", "stars", Some(KpiTarget::AtLeast(4.2)), "the mean of customers' ratings, 1 to 5, of those who gave one");
const ESCALATION: KpiDefinition = (
    "escalation_rate",
    "share",
    Some(KpiTarget::Below(0.2)),
    "conversations that were handed over to a person at least once, of all that ended; by why they were the last time",
);
const RESOLUTION: KpiDefinition = (
    "resolution_time",
    "seconds",
    Some(KpiTarget::Below(300.0)),
    "the mean time from a conversation's beginning to its end, waiting included",
);
const FIRST_RESPONSE: KpiDefinition = (
    "first_response_time",
    "seconds",
    None,
    "the mean time from when a conversation was last handed over to a person's first answer, of those that ended and were \
     answered; its target is the desk's `first_response_ms`",
);
const COST: KpiDefinition = (
    "cost_per_conversation",
    "usd",
    Some(KpiTarget::Below(0.1)),
    "what the models and tools of conversations that ended cost, divided by how many ended; people's time is not in it",
);
const REOPENED: KpiDefinition =
    ("reopen_rate", "share", None, "conversations that were opened again after they had ended, of all that ended");
const SUCCESS: KpiDefinition = (
    "success_rate",
    "share",
    Some(KpiTarget::AtLeast(0.9)),
    "runs that completed, of all that came to an end of their own; those that somebody cancelled do not count",
);
const ERRORS: KpiDefinition = (
    "error_rate",
    "share",
    Some(KpiTarget::Below(0.05)),
    "runs that failed, ran out of time or were rolled back, of all that came to an end of their own",
);
const CACHE: KpiDefinition = (
    "cache_hit_rate",
    "share",
    Some(KpiTarget::Above(0.7)),
    "answers of models and of tools that only read which came from a cache, of all such answers",
);

fn figure((name, unit, target, definition): KpiDefinition, (value, of): (Option<f64>, u64)) -> Kpi {
    let verdict = match (value, target) {
        (None, _) => KpiVerdict::NoData,
        (Some(_), None) => KpiVerdict::NoTarget,
        (Some(value), Some(target)) if target.is_met(value) => KpiVerdict::Met,
        (Some(_), Some(_)) => KpiVerdict::Missed,
    };
    Kpi { name, definition, unit, value, of, target, verdict, reasons: BTreeMap::new() }
}

impl KpiTarget {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(target) => value >= target,
            Self::Above(target) => value > target,
            Self::Below(target) => value < target,
        }
    }
}

fn share(part: u64, of: u64) -> (Option<f64>, u64) {
    (ratio(part, of), of)
}

fn ratio(part: u64, of: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "shown, never added up")]
    (of > 0).then(|| part as f64 / of as f64)
}

fn mean(sum: f64, of: u64) -> (Option<f64>, u64) {
    #[expect(clippy::cast_precision_loss, reason = "shown, never added up")]
    ((of > 0).then(|| sum / of as f64), of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'a>(kpis: &'a [Kpi], name: &str) -> &'a Kpi {
        kpis.iter().find(|kpi| kpi.name == name).unwrap()
    }

    fn check(tally: &KpiTally, name: &str, value: Option<f64>, of: u64, verdict: KpiVerdict) {
        let kpis = kpis(tally);
        let kpi = named(&kpis, name);
        assert_eq!((kpi.value, kpi.of, kpi.verdict), (value, of, verdict), "{name}");
    }

    fn talks(conversations: ConversationCounts) -> KpiTally {
        KpiTally { conversations: Some(conversations), ..KpiTally::default() }
    }

    #[test]
    fn what_was_not_counted_is_neither_met_nor_missed() {
        let all = kpis(&KpiTally::default());
        assert!(all.iter().all(|kpi| kpi.value.is_none() && kpi.verdict == KpiVerdict::NoData));
        assert_eq!(all.len(), 10);
    }

    #[test]
    fn who_was_handed_over_was_not_automated() {
        let handed_over = BTreeMap::from([("explicit_request".to_owned(), 3), ("confidence".to_owned(), 1)]);
        let tally = talks(ConversationCounts { ended: 20, handed_over, ..ConversationCounts::default() });
        check(&tally, "automation_rate", Some(0.8), 20, KpiVerdict::Met);
        check(&tally, "escalation_rate", Some(0.2), 20, KpiVerdict::Missed);
        let kpis = kpis(&tally);
        assert_eq!(named(&kpis, "escalation_rate").reasons["explicit_request"], 0.15);
    }

    #[test]
    fn means_are_by_conversation_and_ratings_by_who_gave_one() {
        let tally = talks(ConversationCounts {
            ended: 4,
            total_duration: Duration::from_secs(1_200),
            cost: Usd::from_f64(0.2),
            ratings: 2,
            rating_sum: 9,
            reopened: 1,
            ..ConversationCounts::default()
        });
        check(&tally, "resolution_time", Some(300.0), 4, KpiVerdict::Missed);
        check(&tally, "cost_per_conversation", Some(0.05), 4, KpiVerdict::Met);
        check(&tally, "csat", Some(4.5), 2, KpiVerdict::Met);
        check(&tally, "reopen_rate", Some(0.25), 4, KpiVerdict::NoTarget);
    }

    #[test]
    fn the_first_answer_is_held_against_what_the_desk_promises() {
        let counted = ConversationCounts {
            ended: 9,
            answered: 2,
            total_answer_time: Duration::from_secs(90),
            ..Default::default()
        };
        let promised = |within| KpiTally { first_response: within, ..talks(counted.clone()) };
        let minute = Duration::from_secs(60);
        check(&promised(Some(minute)), "first_response_time", Some(45.0), 2, KpiVerdict::Met);
        check(&promised(Some(minute / 2)), "first_response_time", Some(45.0), 2, KpiVerdict::Missed);
        check(&promised(None), "first_response_time", Some(45.0), 2, KpiVerdict::NoTarget);
    }

    #[test]
    fn cancelled_runs_are_neither_success_nor_error() {
        let mut tally = KpiTally::default();
        for state in
            [RunState::Completed, RunState::Cancelled, RunState::Running, RunState::TimedOut, RunState::Compensated]
        {
            tally.runs.count(state);
        }
        check(&tally, "success_rate", Some(1.0 / 3.0), 3, KpiVerdict::Missed);
        check(&tally, "error_rate", Some(2.0 / 3.0), 3, KpiVerdict::Missed);
    }

    #[test]
    fn a_cache_must_answer_more_than_its_target() {
        let cached = |cached| KpiTally { answers: Some(AnswerCounts { cached, all: 10 }), ..KpiTally::default() };
        check(&cached(7), "cache_hit_rate", Some(0.7), 10, KpiVerdict::Missed);
        check(&cached(8), "cache_hit_rate", Some(0.8), 10, KpiVerdict::Met);
    }
}
