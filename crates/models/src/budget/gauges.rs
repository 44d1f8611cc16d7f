//! Budget gauges. They are read from the store on each scrape, so that they include the spends of other processes, and
//! a window that has just begun is empty.

use baton_core::id::TenantId;
use baton_core::money::{BudgetWindow, Usd};
use baton_core::time::Time;
use baton_ports::budget::{AllowanceRequest, BudgetPeriod, BudgetStanding};
use baton_ports::journal::JournalError;

use super::{BudgetLedger, LedgerInner};

/// Maximum number of tenants shown: each is a label, and monitoring systems keep every label.
const TENANTS_MAX: usize = 1_000;

impl BudgetLedger {
    /// Sets the gauges `budget_limit_usd`, `budget_spent_usd` and `budget_reserved_usd` for the lines of every tenant
    /// that the settings name, that this process spends for, or that is given. Keys are too many to be labels. On an
    /// error the gauges keep their values.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn update_gauges(&self, tenant: &TenantId) -> Result<(), JournalError> {
        let inner = &self.inner;
        let mut tenants = inner.lock().tenants.clone();
        tenants.extend(inner.config.now().tenants.keys().map(|name| TenantId::from(name.as_str())));
        tenants.insert(tenant.clone());
        let now = inner.clock.now();
        for tenant in tenants.iter().take(TENANTS_MAX) {
            let standings = inner.port.standings(tenant, now).await?;
            for window in BudgetWindow::ALL {
                inner.update_window_gauges(tenant, window, &standings, now);
            }
        }
        Ok(())
    }
}

impl LedgerInner {
    fn update_window_gauges(&self, tenant: &TenantId, window: BudgetWindow, standings: &[BudgetStanding], now: Time) {
        let line = BudgetPeriod::of(tenant, None, window, now);
        let known = standings.iter().find(|standing| standing.line == line);
        let (spent, held) = known.map_or_else(Default::default, |known| (known.spent, known.held));
        // Spends that are not settled yet count as spent, no longer as reserved.
        let here = self.lock().spent(&line).map_or(Usd::ZERO, |here| (here - spent).max(Usd::ZERO));
        let labels = [("company_id", tenant.to_string()), ("window", window.word().to_owned())];
        if let Some(limit) = self.config.now().of_tenant(tenant, window) {
            metrics::gauge!("budget_limit_usd", &labels).set(limit.as_f64());
        }
        metrics::gauge!("budget_spent_usd", &labels).set((spent + here).as_f64());
        metrics::gauge!("budget_reserved_usd", &labels).set((held - here).max(Usd::ZERO).as_f64());
    }

    /// Remembers the tenants whose lines are shown.
    pub(super) fn remember_tenants(&self, wants: &[AllowanceRequest]) {
        let mut state = self.lock();
        for want in wants {
            if state.tenants.len() < TENANTS_MAX && !state.tenants.contains(&want.line.tenant) {
                state.tenants.insert(want.line.tenant.clone());
            }
        }
    }
}
