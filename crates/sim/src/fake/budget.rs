//! Allowances and costs in memory.

use std::collections::BTreeMap;

use baton_core::id::TenantId;
use baton_core::money::{BudgetWindow, Usd};
use baton_core::time::Time;
use baton_ports::budget::{
    AllowanceGrant, AllowanceRequest, BudgetHolder, BudgetPeriod, BudgetSettlement, BudgetStanding, COST_ROWS_MAX,
    CallSpend, CostDimension, CostFilter, CostRow, notice_id, notice_item, reached,
};
use baton_ports::journal::{ProjectionRow, TaskItem};

/// The state of the budget port. The caller of a write must file the task inbox items that it returns.
#[derive(Debug, Default)]
pub struct FakeBudget {
    lines: BTreeMap<BudgetPeriod, FakeBudgetRow>,
    holds: BTreeMap<(BudgetPeriod, BudgetHolder), Usd>,
    /// The number of each holder's last settlement.
    holders: BTreeMap<BudgetHolder, u64>,
    opened: i64,
    costs: Vec<CallSpend>,
}

#[derive(Debug, Default)]
struct FakeBudgetRow {
    spent: Usd,
    limit: Option<Usd>,
    notified_percent: u8,
}

impl FakeBudget {
    pub fn open(&mut self) -> BudgetHolder {
        self.opened += 1;
        let holder = BudgetHolder(self.opened);
        self.holders.insert(holder, 0);
        holder
    }

    pub fn reserve(
        &mut self,
        holder: BudgetHolder,
        want: &AllowanceRequest,
        now: Time,
    ) -> (AllowanceGrant, Vec<ProjectionRow>) {
        let held = self.held(&want.line);
        let mut desk =
            if self.lines.contains_key(&want.line) { Vec::new() } else { self.expire_windows(&want.line.tenant, now) };
        let row = self.lines.entry(want.line.clone()).or_default();
        if row.limit != Some(want.limit) {
            row.limit = Some(want.limit);
            row.notified_percent = row.notified_percent.min(reached(row.spent, want.limit));
        }
        let amount = want.grant(want.limit - row.spent - held);
        let percent = if amount < want.need { 100 } else { reached(row.spent, want.limit) };
        let line = want.line.clone();
        let standing = BudgetStanding { line, limit: Some(want.limit), spent: row.spent, held: held + amount };
        desk.extend(row.notify_threshold(&standing, percent, now).map(ProjectionRow::TaskOpened));
        *self.holds.entry((want.line.clone(), holder)).or_default() += amount;
        (AllowanceGrant { amount, standing }, desk)
    }

    /// Removes the inbox items of windows that have ended.
    fn expire_windows(&self, tenant: &TenantId, now: Time) -> Vec<ProjectionRow> {
        let over = self.lines.keys().filter(|line| line.tenant == *tenant && line.ends() <= now);
        let outcome = "its window is over".to_owned();
        over.map(|line| ProjectionRow::TaskClosed { id: notice_id(line), at: now, outcome: outcome.clone() }).collect()
    }

    pub fn settle(&mut self, settlement: BudgetSettlement) -> Vec<TaskItem> {
        let BudgetSettlement { holder, number, spends, returned: back } = settlement;
        let settled = self.holders.entry(holder).or_default();
        if *settled >= number {
            return Vec::new();
        }
        *settled = number;
        let told = spends.into_iter().flat_map(|spend| self.record_spend(spend)).collect();
        for (line, amount) in back {
            self.release(&line, holder, amount);
        }
        told
    }

    pub fn record_spend(&mut self, spend: CallSpend) -> Vec<TaskItem> {
        let mut told = Vec::new();
        if let Some(holder) = spend.holder.filter(|_| spend.cost > Usd::ZERO) {
            for line in BudgetPeriod::all(&spend.tenant, spend.key_id.as_deref(), spend.at) {
                self.release(&line, holder, spend.cost);
                let held = self.held(&line);
                let row = self.lines.entry(line.clone()).or_default();
                row.spent += spend.cost;
                if let Some(limit) = row.limit {
                    let standing = BudgetStanding { line, limit: Some(limit), spent: row.spent, held };
                    told.extend(row.notify_threshold(&standing, reached(row.spent, limit), spend.at));
                }
            }
        }
        self.costs.push(spend);
        told
    }

    fn release(&mut self, line: &BudgetPeriod, holder: BudgetHolder, amount: Usd) {
        if let Some(held) = self.holds.get_mut(&(line.clone(), holder)) {
            *held = (*held - amount).max(Usd::ZERO);
        }
    }

    fn held(&self, line: &BudgetPeriod) -> Usd {
        let first = (line.clone(), BudgetHolder(i64::MIN));
        self.holds.range(first..).take_while(|((of, _), _)| of == line).map(|(_, held)| *held).sum()
    }

    pub fn close(&mut self, holder: BudgetHolder) {
        self.holds.retain(|(_, of), _| *of != holder);
        self.holders.remove(&holder);
    }

    pub fn standings(&self, tenant: &TenantId, now: Time) -> Vec<BudgetStanding> {
        let is_current = |line: &BudgetPeriod| line.tenant == *tenant && line.begins == line.window.begin(now);
        let mut found: Vec<BudgetStanding> = self
            .lines
            .iter()
            .filter(|(line, _)| is_current(line))
            .map(|(line, row)| BudgetStanding {
                line: line.clone(),
                limit: row.limit,
                spent: row.spent,
                held: self.held(line),
            })
            .collect();
        found.sort_by_key(|standing| BudgetWindow::ALL.iter().position(|window| *window == standing.line.window));
        found
    }

    pub fn costs(&self, filter: &CostFilter) -> Vec<CostRow> {
        let mut rows: BTreeMap<Vec<String>, CostRow> = BTreeMap::new();
        if filter.by.is_empty() {
            rows.insert(Vec::new(), CostRow::default());
        }
        for spend in &self.costs {
            let day = spend.at.to_date();
            let is_wanted = filter.tenant.as_ref().is_none_or(|tenant| *tenant == spend.tenant)
                && filter.from.as_ref().is_none_or(|from| day >= *from)
                && filter.to.as_ref().is_none_or(|to| day <= *to);
            if is_wanted {
                let parts = filter.by.iter().map(|by| group_value(spend, *by)).collect();
                add_to_cost_row(rows.entry(parts).or_insert_with(|| empty_cost_row(spend, &filter.by)), spend);
            }
        }
        let mut rows: Vec<CostRow> = rows.into_values().collect();
        rows.sort_by(|one, two| two.day.cmp(&one.day).then(two.cost.cmp(&one.cost)));
        rows.truncate(COST_ROWS_MAX);
        rows
    }
}

impl FakeBudgetRow {
    fn notify_threshold(&mut self, standing: &BudgetStanding, percent: u8, now: Time) -> Option<TaskItem> {
        (percent > self.notified_percent).then(|| {
            self.notified_percent = percent;
            notice_item(standing, self.limit.unwrap_or_default(), percent, now)
        })
    }
}

fn group_value(spend: &CallSpend, by: CostDimension) -> String {
    match by {
        CostDimension::Day => spend.at.to_date(),
        CostDimension::Tenant => spend.tenant.to_string(),
        CostDimension::Key => spend.key_id.clone().unwrap_or_default(),
        CostDimension::Workflow => spend.account.workflow.clone(),
        CostDimension::Agent => spend.account.agent.clone(),
        CostDimension::Profile => spend.account.profile.clone(),
        CostDimension::Model => spend.account.model.clone(),
        CostDimension::Provider => spend.account.provider.clone(),
    }
}

fn empty_cost_row(spend: &CallSpend, parts: &[CostDimension]) -> CostRow {
    let mut row = CostRow::default();
    for by in parts {
        let text = group_value(spend, *by);
        match by {
            CostDimension::Day => row.day = Some(text),
            CostDimension::Tenant => row.tenant = Some(text.into()),
            CostDimension::Key => row.key = Some(text),
            CostDimension::Workflow => row.workflow = Some(text),
            CostDimension::Agent => row.agent = Some(text),
            CostDimension::Profile => row.profile = Some(text),
            CostDimension::Model => row.model = Some(text),
            CostDimension::Provider => row.provider = Some(text),
        }
    }
    row
}

fn add_to_cost_row(row: &mut CostRow, spend: &CallSpend) {
    row.calls += spend.calls;
    row.answered += spend.answered;
    row.estimated += spend.estimated;
    row.cost += spend.cost;
    row.latency_ms += spend.latency_ms;
    row.saved += spend.saved;
    row.usage.add(&spend.usage);
}
