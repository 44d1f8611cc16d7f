//! Limits that change while they hold.

use std::sync::{Arc, PoisonError, RwLock};

use baton_ports::budget::{Allowance, Allowed, Line};

use super::config::{Config, Own};

/// What the files allow, with what tenants set themselves beside it. Each call looks at what holds when it comes.
#[derive(Debug)]
pub struct Live {
    files: Config,
    now: RwLock<Arc<Config>>,
}

impl Live {
    pub fn new(files: Config) -> Self {
        Self { now: RwLock::new(Arc::new(files.clone())), files }
    }

    /// From here on this holds beside the files.
    pub fn set(&self, own: &Own) {
        let all = Arc::new(self.files.with(own));
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    pub fn now(&self) -> Arc<Config> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Allowed for Live {
    fn of(&self, line: &Line) -> Allowance {
        self.now().of(line)
    }

    fn keys(&self) -> Vec<String> {
        self.now().keys.keys().cloned().collect()
    }
}
