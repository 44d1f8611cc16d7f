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

/// So many calls like the last are held ahead of need, to begin with.
const CALLS_AHEAD: i64 = 8;
/// A line that is grown again sooner than this is grown by twice as much.
const SOON: Duration = Duration::from_secs(1);
/// A line that lasted longer than this is grown as at the beginning.
const LATE: Duration = Duration::from_secs(10);
/// What nobody has used for so long is given back.
const IDLE: Duration = Duration::from_secs(10);
/// How often it is looked for what can be given back.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A line with its limit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LimitedLine {
    pub line: BudgetPeriod,
    pub limit: Usd,
}

/// Everything this process holds and has not settled.
#[derive(Default)]
pub(super) struct BudgetState {
    lines: BTreeMap<BudgetPeriod, LineBalance>,
    /// Lines that callers wait for, or that are low.
    to_grow: BTreeSet<BudgetPeriod>,
    /// Growths that have begun.
    pub growths: u64,
    /// A growth ahead of need is under way.
    pub ahead: bool,
    /// Spends that nobody settles with an append, summed up. Their keys and accounts stand in their kinds.
    waiting: BTreeMap<SpendKey, CallSpend>,
    /// What was told to the store and not heard of: it is told again as it was.
    unconfirmed: Option<BudgetSettlement>,
    /// The number of the last settlement.
    settled: u64,
    looked_at: Time,
    /// Whose lines this process has spent of.
    pub tenants: BTreeSet<TenantId>,
    /// A task settles every now and then.
    pub has_settler: bool,
}

/// Spends of one kind are summed up: the same tenant, key, account and hour.
type SpendKey = (TenantId, Option<String>, SpendAccount, Time);

/// What is held of one line.
#[derive(Debug)]
struct LineBalance {
    limit: Usd,
    /// Held and reserved by nobody. Less than nothing where calls cost more than was reserved.
    free: Usd,
    /// Reserved by calls under way.
    reserved: Usd,
    /// What callers wait for a growth to bring.
    wanted: Usd,
    /// Callers that wait for others to give back.
    waiting: u32,
    /// The last call's price.
    price: Usd,
    /// How much is asked for ahead of need, and how much of it was granted.
    ahead: Usd,
    granted: Usd,
    /// The store had less than was needed.
    dry: bool,
    grown_at: Option<Time>,
    used_at: Time,
    standing: Option<BudgetStanding>,
    /// What is certainly spent: as the store said, or, until that is told to it, as calls of this process have cost.
    spent: Usd,
}

/// Why there is not enough.
#[derive(Debug)]
pub(super) struct BudgetShortfall {
    /// The store may have more of some line.
    pub can_grow: bool,
    /// Calls of this process are under way in all of them, and may give some back.
    pub has_calls_in_flight: bool,
    /// Of the lines that are short, the one that begins anew last.
    pub limited: LimitedLine,
    pub standing: Option<BudgetStanding>,
}

impl BudgetState {
    /// Reserves in all lines or in none: the price of a long answer, or with `rest` what is left where that is enough
    /// for a short one.
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
        // Where others are under way they give back more than the rest soon, and this call need not be cut short.
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

    /// A call is over: what it did not cost is free again.
    pub fn finish(&mut self, lines: &[LimitedLine], amount: Usd, cost: Usd) {
        for limited in lines {
            // A line whose window was over long ago is not known any more, and needs nothing.
            if let Some(allowance) = self.lines.get_mut(&limited.line) {
                allowance.reserved -= amount;
                allowance.free += amount - cost;
                allowance.spent += cost;
            }
        }
    }

    /// Somebody waits for others to give back, so that nothing is given back to the store meanwhile; or no longer does.
    pub fn wait(&mut self, lines: &[LimitedLine], begins: bool) {
        for limited in lines {
            if let Some(allowance) = self.lines.get_mut(&limited.line) {
                allowance.waiting = if begins { allowance.waiting + 1 } else { allowance.waiting.saturating_sub(1) };
            }
        }
    }

    /// What is certainly spent of a line, as far as it is known here.
    pub fn spent(&self, line: &BudgetPeriod) -> Option<Usd> {
        self.lines.get(line).map(|known| known.spent)
    }

    // ---- growing

    /// Notes what a caller waits for, in the lines that have too little: what the others have, others may need. Answers
    /// how many growths have begun: a later one brings it.
    pub fn want(&mut self, lines: &[LimitedLine], need: Usd) -> u64 {
        for limited in lines {
            if let Some(allowance) = self.lines.get_mut(&limited.line).filter(|allowance| allowance.free < need) {
                allowance.wanted += need;
                self.to_grow.insert(limited.line.clone());
            }
        }
        self.growths
    }

    /// Whether some line is low and nobody sees to it: then the caller does.
    pub fn begin_prefetch(&mut self) -> bool {
        let begins = !self.ahead && !self.to_grow.is_empty();
        self.ahead |= begins;
        begins
    }

    /// What the growth that begins now asks for.
    pub fn wants(&mut self, now: Time) -> Vec<AllowanceRequest> {
        self.growths += 1;
        let lines: Vec<BudgetPeriod> = self.to_grow.iter().take(ROWS_MAX).cloned().collect();
        let mut wants = Vec::with_capacity(lines.len());
        for line in lines {
            self.to_grow.remove(&line);
            let Some(allowance) = self.lines.get_mut(&line) else { continue };
            if line.ends() <= now {
                // Whoever wanted it takes of the window that began.
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

    /// What came of it; nothing where it failed.
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

    // ---- settling

    /// Spends that wait to be settled.
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

    /// What is to be written now: what is in doubt as it was, else what waits and what can be given back.
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

    /// Nothing is held any more.
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

    /// Whether it is worth growing before anybody waits: where so little was granted ahead that it lasts for no call,
    /// it is not.
    fn is_low(&self) -> bool {
        !self.dry && self.granted >= self.price && self.free < half(self.granted)
    }

    /// How much to ask for ahead of need: more the faster it goes.
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

    /// What is not needed here, while others may need it.
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
