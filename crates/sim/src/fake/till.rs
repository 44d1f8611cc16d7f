//! Allowances and costs in memory.

use std::collections::BTreeMap;

use baton_core::id::TenantId;
use baton_core::money::{Usd, Window};
use baton_core::time::Time;
use baton_ports::budget::{
    By, COST_ROWS_MAX, CostFilter, CostRow, Grown, Holder, Line, Settlement, Spend, Standing, Want, notice, notice_id,
    reached,
};
use baton_ports::journal::{DeskItem, Projection};

/// What the budget port keeps. Whoever writes to it files the desk items it returns.
#[derive(Debug, Default)]
pub struct Till {
    lines: BTreeMap<Line, Row>,
    holds: BTreeMap<(Line, Holder), Usd>,
    /// The number of each holder's last settlement.
    holders: BTreeMap<Holder, u64>,
    opened: i64,
    costs: Vec<Spend>,
}

#[derive(Debug, Default)]
struct Row {
    spent: Usd,
    limit: Option<Usd>,
    told: u8,
}

impl Till {
    pub fn open(&mut self) -> Holder {
        self.opened += 1;
        let holder = Holder(self.opened);
        self.holders.insert(holder, 0);
        holder
    }

    pub fn grow(&mut self, holder: Holder, want: &Want, now: Time) -> (Grown, Vec<Projection>) {
        let held = self.held(&want.line);
        let mut desk = if self.lines.contains_key(&want.line) { Vec::new() } else { self.over(&want.line.tenant, now) };
        let row = self.lines.entry(want.line.clone()).or_default();
        if row.limit != Some(want.limit) {
            row.limit = Some(want.limit);
            row.told = row.told.min(reached(row.spent, want.limit));
        }
        let amount = want.grant(want.limit - row.spent - held);
        let percent = if amount < want.need { 100 } else { reached(row.spent, want.limit) };
        let line = want.line.clone();
        let standing = Standing { line, limit: Some(want.limit), spent: row.spent, held: held + amount };
        desk.extend(row.tell(&standing, percent, now).map(Projection::DeskOpened));
        *self.holds.entry((want.line.clone(), holder)).or_default() += amount;
        (Grown { amount, standing }, desk)
    }

    /// What was told of windows that are over leaves the desk.
    fn over(&self, tenant: &TenantId, now: Time) -> Vec<Projection> {
        let over = self.lines.keys().filter(|line| line.tenant == *tenant && line.ends() <= now);
        let outcome = "its window is over".to_owned();
        over.map(|line| Projection::DeskClosed { id: notice_id(line), at: now, outcome: outcome.clone() }).collect()
    }

    pub fn settle(&mut self, settlement: Settlement) -> Vec<DeskItem> {
        let Settlement { holder, number, spends, back } = settlement;
        let settled = self.holders.entry(holder).or_default();
        if *settled >= number {
            return Vec::new();
        }
        *settled = number;
        let told = spends.into_iter().flat_map(|spend| self.write_down(spend)).collect();
        for (line, amount) in back {
            self.release(&line, holder, amount);
        }
        told
    }

    pub fn write_down(&mut self, spend: Spend) -> Vec<DeskItem> {
        let mut told = Vec::new();
        if let Some(holder) = spend.holder.filter(|_| spend.cost > Usd::ZERO) {
            for line in Line::all(&spend.tenant, spend.key_id.as_deref(), spend.at) {
                self.release(&line, holder, spend.cost);
                let held = self.held(&line);
                let row = self.lines.entry(line.clone()).or_default();
                row.spent += spend.cost;
                if let Some(limit) = row.limit {
                    let standing = Standing { line, limit: Some(limit), spent: row.spent, held };
                    told.extend(row.tell(&standing, reached(row.spent, limit), spend.at));
                }
            }
        }
        self.costs.push(spend);
        told
    }

    fn release(&mut self, line: &Line, holder: Holder, amount: Usd) {
        if let Some(held) = self.holds.get_mut(&(line.clone(), holder)) {
            *held = (*held - amount).max(Usd::ZERO);
        }
    }

    fn held(&self, line: &Line) -> Usd {
        let first = (line.clone(), Holder(i64::MIN));
        self.holds.range(first..).take_while(|((of, _), _)| of == line).map(|(_, held)| *held).sum()
    }

    pub fn close(&mut self, holder: Holder) {
        self.holds.retain(|(_, of), _| *of != holder);
        self.holders.remove(&holder);
    }

    pub fn standings(&self, tenant: &TenantId, now: Time) -> Vec<Standing> {
        let is_current = |line: &Line| line.tenant == *tenant && line.begins == line.window.begin(now);
        let mut found: Vec<Standing> = self
            .lines
            .iter()
            .filter(|(line, _)| is_current(line))
            .map(|(line, row)| Standing {
                line: line.clone(),
                limit: row.limit,
                spent: row.spent,
                held: self.held(line),
            })
            .collect();
        found.sort_by_key(|standing| Window::ALL.iter().position(|window| *window == standing.line.window));
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
                let parts = filter.by.iter().map(|by| part(spend, *by)).collect();
                count(rows.entry(parts).or_insert_with(|| titled(spend, &filter.by)), spend);
            }
        }
        let mut rows: Vec<CostRow> = rows.into_values().collect();
        rows.sort_by(|one, two| two.day.cmp(&one.day).then(two.cost.cmp(&one.cost)));
        rows.truncate(COST_ROWS_MAX);
        rows
    }
}

impl Row {
    fn tell(&mut self, standing: &Standing, percent: u8, now: Time) -> Option<DeskItem> {
        (percent > self.told).then(|| {
            self.told = percent;
            notice(standing, self.limit.unwrap_or_default(), percent, now)
        })
    }
}

fn part(spend: &Spend, by: By) -> String {
    match by {
        By::Day => spend.at.to_date(),
        By::Tenant => spend.tenant.to_string(),
        By::Key => spend.key_id.clone().unwrap_or_default(),
        By::Workflow => spend.account.workflow.clone(),
        By::Agent => spend.account.agent.clone(),
        By::Profile => spend.account.profile.clone(),
        By::Model => spend.account.model.clone(),
        By::Provider => spend.account.provider.clone(),
    }
}

fn titled(spend: &Spend, parts: &[By]) -> CostRow {
    let mut row = CostRow::default();
    for by in parts {
        let text = part(spend, *by);
        match by {
            By::Day => row.day = Some(text),
            By::Tenant => row.tenant = Some(text.into()),
            By::Key => row.key = Some(text),
            By::Workflow => row.workflow = Some(text),
            By::Agent => row.agent = Some(text),
            By::Profile => row.profile = Some(text),
            By::Model => row.model = Some(text),
            By::Provider => row.provider = Some(text),
        }
    }
    row
}

fn count(row: &mut CostRow, spend: &Spend) {
    row.calls += spend.calls;
    row.answered += spend.answered;
    row.estimated += spend.estimated;
    row.cost += spend.cost;
    row.latency_ms += spend.latency_ms;
    row.saved += spend.saved;
    row.usage.add(&spend.usage);
}
