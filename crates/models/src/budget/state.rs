//! The allowance in memory: plain arithmetic under one lock, without waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::money::{BudgetWindow, PriceQuote, Usd};
use baton_core::time::Time;
use baton_ports::budget::{
    AllowanceGrant, AllowanceRequest, BudgetHolder, BudgetPeriod, BudgetSettlement, BudgetStanding, CallSpend,
    ROWS_MAX, SpendAccount,
};

/// The number of calls, priced like the last one, that are held ahead of need at the start.
const CALLS_AHEAD: i64 = 8;
/// A line that must grow again sooner than this grows by twice as much.
const SOON: Duration = Duration::from_secs(1);
/// A line that lasted longer than this grows by the initial amount again.
const LATE: Duration = Duration::from_secs(10);
/// An allowance that is unused for this long is given back.
const IDLE: Duration = Duration::from_secs(10);
/// How often to check what can be given back.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A line with its limit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LimitedLine {
    pub line: BudgetPeriod,
    pub limit: Usd,
}

/// Everything that this process holds and has not settled.
#[derive(Default)]
pub(super) struct BudgetState {
    lines: BTreeMap<BudgetPeriod, LineBalance>,
    /// Lines that callers wait for, or that are low.
    to_grow: BTreeSet<BudgetPeriod>,
    /// The number of growths that have begun.
    pub growths: u64,
    /// A growth ahead of need is in progress.
    pub ahead: bool,
    /// Spends that no append settles, summed by kind. The key of the map carries the API key and the account.
    waiting: BTreeMap<SpendKey, CallSpend>,
    /// A settlement that was sent but not confirmed; it is sent again unchanged.
    unconfirmed: Option<BudgetSettlement>,
    /// The number of the last settlement.
    settled: u64,
    looked_at: Time,
    /// The tenants whose lines this process has spent from.
    pub tenants: BTreeSet<TenantId>,
    /// A task settles periodically.
    pub has_settler: bool,
}

/// Spends of the same tenant, key, account and hour are summed.
type SpendKey = (TenantId, Option<String>, SpendAccount, Time);

/// The balance that is held of one line.
#[derive(Debug)]
struct LineBalance {
    limit: Usd,
    /// Held and not reserved. Negative if calls cost more than was reserved.
    free: Usd,
    /// Reserved by calls in flight.
    reserved: Usd,
    /// The amount that callers wait for.
    wanted: Usd,
    /// The number of callers that wait for other calls to give some back.
    waiting: u32,
    /// The price of the last call.
    price: Usd,
    /// The amount requested ahead of need, and how much of it was granted.
    ahead: Usd,
    granted: Usd,
    /// The store granted less than was needed.
    dry: bool,
    grown_at: Option<Time>,
    used_at: Time,
    standing: Option<BudgetStanding>,
    /// The amount that is certainly spent: as the store reported or, until settled, the cost of this process's calls.
    spent: Usd,
}

/// Why the balance is too small.
#[derive(Debug)]
pub(super) struct BudgetShortfall {
    /// The store may have more of some line.
    pub can_grow: bool,
    /// Calls of this process are in flight in all short lines, and may give some back.
    pub has_calls_in_flight: bool,
    /// Of the short lines, the one whose next window begins last.
    pub limited: LimitedLine,
    pub standing: Option<BudgetStanding>,
}

impl BudgetState {
    /// Reserves in all lines or in none: the price of a long reply or, with `rest`, the remainder if it is enough for a
    /// short one.
    pub fn take(
        &mut self,
        lines: &[LimitedLine],
        quote: PriceQuote,
        rest: bool,
        now: Time,
    ) -> Result<Usd, Box<BudgetShortfall>> {
        for limited in lines {
            match self.lines.get_mut(&limited.line) {
                Some(known) => (known.limit, known.used_at) = (limited.limit, now),
                None => drop(self.lines.insert(limited.line.clone(), LineBalance::new(limited.limit, now))),
            }
        }
        let amount = self.check_available(lines, quote, rest)?;
        for limited in lines {
            if let Some(allowance) = self.lines.get_mut(&limited.line) {
                allowance.free -= amount;
                allowance.reserved += amount;
                allowance.price = quote.most;
                if allowance.is_low() {
                    self.to_grow.insert(limited.line.clone());
                }
            }
        }
        Ok(amount)
    }

    fn check_available(
        &self,
        lines: &[LimitedLine],
        quote: PriceQuote,
        rest: bool,
    ) -> Result<Usd, Box<BudgetShortfall>> {
        let known = lines.iter().filter_map(|limited| Some((limited, self.lines.get(&limited.line)?)));
        let short: Vec<(&LimitedLine, &LineBalance)> =
            known.filter(|(_, allowance)| allowance.free < quote.most).collect();
        let Some((last, allowance)) = short.iter().max_by_key(|(limited, _)| limited.line.ends()) else {
            return Ok(quote.most);
        };
        // Other calls in flight will soon give back more than the remainder, so this call need not be cut short.
        let is_at_rest = |allowance: &LineBalance| allowance.dry && allowance.reserved <= Usd::ZERO;
        let least = short.iter().map(|(_, allowance)| allowance.free).min().unwrap_or_default();
        if rest && least >= quote.least && least > Usd::ZERO && short.iter().all(|(_, short)| is_at_rest(short)) {
            return Ok(least);
        }
        Err(Box::new(BudgetShortfall {
            can_grow: short.iter().any(|(_, allowance)| !allowance.dry),
            has_calls_in_flight: short.iter().all(|(_, allowance)| allowance.reserved > Usd::ZERO),
            limited: LimitedLine::clone(last),
            standing: allowance.standing.clone(),
        }))
    }

    /// A call has ended: the part of the reservation that it did not cost is free again.
    pub fn finish(&mut self, lines: &[LimitedLine], amount: Usd, cost: Usd) {
        for limited in lines {
            // A line whose window ended long ago is no longer tracked and needs no update.
            if let Some(allowance) = self.lines.get_mut(&limited.line) {
                allowance.reserved -= amount;
                allowance.free += amount - cost;
                allowance.spent += cost;
            }
        }
    }

    /// Records that a caller begins or stops waiting for other calls to give some back. While one waits, nothing is
    /// returned to the store.
    pub fn wait(&mut self, lines: &[LimitedLine], begins: bool) {
        for limited in lines {
            if let Some(allowance) = self.lines.get_mut(&limited.line) {
                allowance.waiting = if begins { allowance.waiting + 1 } else { allowance.waiting.saturating_sub(1) };
            }
        }
    }

    /// The amount of a line that is certainly spent, as far as this process knows.
    pub fn spent(&self, line: &BudgetPeriod) -> Option<Usd> {
        self.lines.get(line).map(|known| known.spent)
    }

    // ---- growth

    /// Records the amount that a caller waits for, in the lines that have too little; the balance of the other lines
    /// may be needed by other calls. Returns the number of growths that have begun: a later one brings the amount.
    pub fn want(&mut self, lines: &[LimitedLine], need: Usd) -> u64 {
        for limited in lines {
            if let Some(allowance) = self.lines.get_mut(&limited.line).filter(|allowance| allowance.free < need) {
                allowance.wanted += need;
                self.to_grow.insert(limited.line.clone());
            }
        }
        self.growths
    }

    /// Whether some line is low and no growth ahead of need is in progress; the caller then starts one.
    pub fn begin_prefetch(&mut self) -> bool {
        let begins = !self.ahead && !self.to_grow.is_empty();
        self.ahead |= begins;
        begins
    }

    /// The requests of the growth that begins now.
    pub fn wants(&mut self, now: Time) -> Vec<AllowanceRequest> {
        self.growths += 1;
        let lines: Vec<BudgetPeriod> = self.to_grow.iter().take(ROWS_MAX).cloned().collect();
        let mut wants = Vec::with_capacity(lines.len());
        for line in lines {
            self.to_grow.remove(&line);
            let Some(allowance) = self.lines.get_mut(&line) else { continue };
            if line.ends() <= now {
                // Callers that wait use the window that has just begun.
                allowance.wanted = Usd::ZERO;
                continue;
            }
            let need = (std::mem::take(&mut allowance.wanted) - allowance.free).max(Usd::ZERO);
            wants.push(AllowanceRequest {
                line,
                limit: allowance.limit,
                need,
                prefetch: allowance.prefetch_target(now),
            });
        }
        wants
    }

    /// Applies the result of a growth; `None` if it failed.
    pub fn apply_growth(&mut self, wants: &[AllowanceRequest], grown: &[AllowanceGrant], now: Time) {
        for (want, grown) in wants.iter().zip(grown) {
            let Some(allowance) = self.lines.get_mut(&want.line) else { continue };
            allowance.free += grown.amount;
            allowance.granted = (grown.amount - want.need).max(Usd::ZERO);
            allowance.dry = grown.amount < want.need;
            allowance.grown_at = Some(now);
            allowance.standing = Some(grown.standing.clone());
            allowance.spent = allowance.spent.max(grown.standing.spent);
        }
    }

    // ---- settlement

    /// The number of spends that wait for settlement.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn add_spend(&mut self, mut spend: CallSpend) {
        let account = std::mem::take(&mut spend.account);
        let kind = (spend.tenant.clone(), spend.key_id.take(), account, BudgetWindow::Hour.begin(spend.at));
        match self.waiting.get_mut(&kind) {
            Some(known) => known.add(&spend),
            None => drop(self.waiting.insert(kind, spend)),
        }
    }

    /// The settlement to write now: the unconfirmed one unchanged, else the waiting spends and the surplus.
    pub fn settlement(&mut self, holder: BudgetHolder, now: Time) -> Option<BudgetSettlement> {
        if self.unconfirmed.is_none() {
            let whole =
                |((_, key_id, account, _), spend): (SpendKey, CallSpend)| CallSpend { key_id, account, ..spend };
            let kinds = std::iter::from_fn(|| self.waiting.pop_first());
            let spends: Vec<CallSpend> = kinds.take(ROWS_MAX).map(whole).collect();
            let back = self.give_back(now);
            if spends.is_empty() && back.is_empty() {
                return None;
            }
            self.settled += 1;
            self.unconfirmed = Some(BudgetSettlement { holder, number: self.settled, spends, returned: back });
        }
        self.unconfirmed.clone()
    }

    pub fn confirm_settlement(&mut self) {
        self.unconfirmed = None;
    }

    fn give_back(&mut self, now: Time) -> Vec<(BudgetPeriod, Usd)> {
        if now.since(self.looked_at) < LOOK_EVERY {
            return Vec::new();
        }
        self.looked_at = now;
        let mut back = Vec::new();
        self.lines.retain(|line, allowance| {
            let is_over = line.ends() <= now;
            let idle = is_over || now.since(allowance.used_at) >= IDLE;
            let surplus = allowance.surplus(idle);
            if surplus > Usd::ZERO && back.len() < ROWS_MAX {
                allowance.free -= surplus;
                back.push((line.clone(), surplus));
            }
            !idle || allowance.reserved > Usd::ZERO || allowance.waiting > 0 || allowance.free > Usd::ZERO
        });
        back
    }

    /// Whether nothing is left to settle or to give back, now or later.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.unconfirmed.is_none() && self.lines.is_empty()
    }

    /// Drops everything that is held.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.to_grow.clear();
    }
}

impl LineBalance {
    fn new(limit: Usd, now: Time) -> Self {
        Self {
            limit,
            free: Usd::ZERO,
            reserved: Usd::ZERO,
            wanted: Usd::ZERO,
            waiting: 0,
            price: Usd::ZERO,
            ahead: Usd::ZERO,
            granted: Usd::ZERO,
            dry: false,
            grown_at: None,
            used_at: now,
            standing: None,
            spent: Usd::ZERO,
        }
    }

    /// Whether the line should grow before a call has to wait. It should not if the last grant ahead of need was too
    /// small for one call.
    fn is_low(&self) -> bool {
        !self.dry && self.granted >= self.price && self.free < half(self.granted)
    }

    /// The amount to request ahead of need; it rises with the rate of spending.
    fn prefetch_target(&mut self, now: Time) -> Usd {
        let first = times(self.price, CALLS_AHEAD);
        let lasted = self.grown_at.map(|grown_at| now.since(grown_at));
        self.ahead = match lasted {
            Some(lasted) if lasted < SOON => times(self.ahead, 2).max(first).min(self.limit),
            Some(lasted) if lasted < LATE => self.ahead.max(first),
            Some(_) | None => first,
        };
        self.ahead
    }

    /// The amount that is not needed here and that other processes may need.
    fn surplus(&self, idle: bool) -> Usd {
        if self.waiting > 0 || self.wanted > Usd::ZERO {
            return Usd::ZERO;
        }
        let kept = if idle || self.dry { Usd::ZERO } else { times(self.ahead, 2) };
        (self.free - kept).max(Usd::ZERO)
    }
}

fn times(usd: Usd, factor: i64) -> Usd {
    Usd::from_nanos(usd.as_nanos().saturating_mul(factor))
}

fn half(usd: Usd) -> Usd {
    Usd::from_nanos(usd.as_nanos() / 2)
}
