//! Why a call was refused: messages that name the line, what is available, and when more will be.

use baton_core::fault::Fault;
use baton_core::money::{PriceQuote, Usd};
use baton_core::run::{BlockReason, ModelCallError};
use baton_core::time::Time;
use baton_ports::journal::JournalError;

use super::config::OnExceeded;
use super::state::BudgetShortfall;
use crate::fault::{code, transient};

/// The message says when the next window of the line begins.
pub(super) fn budget_exceeded(
    short: &BudgetShortfall,
    quote: PriceQuote,
    now: Time,
    on_exceeded: OnExceeded,
) -> ModelCallError {
    let line = &short.limited.line;
    let (limit, resets_at) = (short.limited.limit, line.ends());
    let (spent, held) = short.standing.as_ref().map_or_else(Default::default, |known| (known.spent, known.held));
    let held = if held > Usd::ZERO { format!(", and {held} is held for calls under way") } else { String::new() };
    let message = format!(
        "{line} is used up: {spent} of {limit} is spent{held}; this call may cost {}; it begins anew at {resets_at}",
        quote.most
    );
    let mut fault = Fault::new(code::BUDGET_EXCEEDED, message);
    fault.suggested_action = Some("raise the limit under [budgets], or wait until it begins anew".into());
    let wait = u64::try_from(resets_at.since(now).as_millis()).unwrap_or(u64::MAX);
    let block = match on_exceeded {
        OnExceeded::Pause => Some(BlockReason::Budget { line: line.to_string(), until: resets_at }),
        OnExceeded::Refuse => None,
    };
    ModelCallError { retry_after: Some(wait), block, ..ModelCallError::permanent(fault) }
}

/// The store cannot be reached, so the available budget is unknown.
pub(super) fn budget_unavailable(error: &JournalError) -> ModelCallError {
    transient(code::SERVICE_UNAVAILABLE, format!("the budgets cannot be asked: {error}"))
}

/// Too many spends wait for settlement.
pub(super) fn settlement_backlog() -> ModelCallError {
    transient(code::SERVICE_UNAVAILABLE, "what was spent cannot be written down as fast as it is spent")
}
