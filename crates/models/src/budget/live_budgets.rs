//! Limits that can change at run time.

use std::sync::{Arc, PoisonError, RwLock};

use baton_ports::budget::{BudgetPeriod, BudgetPolicy, BudgetRule};

use super::config::{BudgetConfig, TenantBudgets};

/// The limits of the files combined with those that tenants set. Each call reads the current limits when it arrives.
#[derive(Debug)]
pub struct LiveBudgets {
    files: BudgetConfig,
    now: RwLock<Arc<BudgetConfig>>,
}

impl LiveBudgets {
    pub fn new(files: BudgetConfig) -> Self {
        Self { now: RwLock::new(Arc::new(files.clone())), files }
    }

    /// Replaces the limits that tenants set; effective immediately.
    pub fn set(&self, own: &TenantBudgets) {
        let all = Arc::new(self.files.with(own));
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    pub fn now(&self) -> Arc<BudgetConfig> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl BudgetPolicy for LiveBudgets {
    fn rule_for(&self, line: &BudgetPeriod) -> BudgetRule {
        self.now().rule_for(line)
    }

    fn keys(&self) -> Vec<String> {
        self.now().keys.keys().cloned().collect()
    }
}
