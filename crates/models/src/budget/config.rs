//! Budget limits as the settings define them.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::id::TenantId;
use baton_core::money::{BudgetWindow, Usd};
use baton_core::time::Time;
use baton_ports::budget::{BudgetPeriod, BudgetPolicy, BudgetRule};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::state::LimitedLine;

/// Above any realistic budget; keeps sums far from overflow.
const USD_MAX: f64 = 1e9;

/// The section `budgets` of the settings: the default limits of a tenant, and limits of single tenants and keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    pub hourly_usd: Option<SpendLimit>,
    pub daily_usd: Option<SpendLimit>,
    pub monthly_usd: Option<SpendLimit>,
    pub on_exceeded: Option<OnExceeded>,
    /// Limits of single tenants; omitted values are the defaults above.
    pub tenants: BTreeMap<String, SpendLimits>,
    /// Limits of single API keys, by key id; omitted values are unlimited. A key's calls count for its tenant too.
    pub keys: BTreeMap<String, SpendLimits>,
    /// The limits that were set at run time, by the names of their settings.
    #[serde(skip)]
    set: BTreeSet<String>,
}

/// The limits that tenants set themselves at run time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantBudgets {
    /// The server's own tenant. Its limits replace those of the files. Limits of other tenants never exceed them.
    pub server_tenant: Option<TenantId>,
    /// By tenant.
    pub tenants: BTreeMap<String, SpendLimits>,
    /// By key id.
    pub keys: BTreeMap<String, SpendLimits>,
}

/// Limits of one tenant or key, in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpendLimits {
    pub hourly_usd: Option<SpendLimit>,
    pub daily_usd: Option<SpendLimit>,
    pub monthly_usd: Option<SpendLimit>,
    pub on_exceeded: Option<OnExceeded>,
}

/// What happens to a call that exceeds a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceeded {
    /// The call fails.
    #[default]
    Refuse,
    /// The run waits for a person, or until the next budget window begins. Calls that belong to no run are refused.
    Pause,
}

impl OnExceeded {
    pub fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Pause => "pause",
        }
    }
}

/// US dollars, or `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendLimit {
    Usd(Usd),
    Unlimited,
}

const UNLIMITED: &str = "unlimited";

impl<'de> Deserialize<'de> for SpendLimit {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum RawSpendLimit {
            Usd(f64),
            Word(String),
        }
        match RawSpendLimit::deserialize(d) {
            Ok(RawSpendLimit::Usd(usd)) if (0.0..=USD_MAX).contains(&usd) => Ok(Self::Usd(Usd::from_f64(usd))),
            Ok(RawSpendLimit::Word(word)) if word == UNLIMITED => Ok(Self::Unlimited),
            _ => Err(serde::de::Error::custom(format!(
                "a budget is a number of US dollars from 0 to {USD_MAX}, or \"{UNLIMITED}\""
            ))),
        }
    }
}

impl Serialize for SpendLimit {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Usd(usd) => s.serialize_f64(usd.as_f64()),
            Self::Unlimited => s.serialize_str(UNLIMITED),
        }
    }
}

/// The default limit of a tenant.
fn default_of(window: BudgetWindow) -> Usd {
    Usd::from_f64(match window {
        BudgetWindow::Hour => 50.0,
        BudgetWindow::Day => 500.0,
        BudgetWindow::Month => 5_000.0,
    })
}

impl SpendLimit {
    /// Whether this limit is at most the other one. Without another limit, always true.
    fn is_within(self, other: Option<Usd>) -> bool {
        match (self, other) {
            (_, None) => true,
            (Self::Unlimited, Some(_)) => false,
            (Self::Usd(own), Some(other)) => own <= other,
        }
    }
}

impl SpendLimits {
    /// Reads limits from JSON.
    ///
    /// # Errors
    /// Says why the value is not valid.
    pub fn read(value: &serde_json::Value) -> Result<Self, String> {
        serde_json::from_value(value.clone()).map_err(|error| {
            let is_wrong = |name: &&str| {
                let said = value.get(*name).filter(|said| !said.is_null());
                said.is_some_and(|said| SpendLimit::deserialize(said).is_err())
            };
            match ["hourly_usd", "daily_usd", "monthly_usd"].into_iter().find(is_wrong) {
                Some(name) => format!("`{name}`: {error}"),
                None => error.to_string(),
            }
        })
    }

    fn set_limit(&mut self, window: BudgetWindow, limit: SpendLimit) {
        match window {
            BudgetWindow::Hour => self.hourly_usd = Some(limit),
            BudgetWindow::Day => self.daily_usd = Some(limit),
            BudgetWindow::Month => self.monthly_usd = Some(limit),
        }
    }

    fn of(&self, window: BudgetWindow) -> Option<SpendLimit> {
        match window {
            BudgetWindow::Hour => self.hourly_usd,
            BudgetWindow::Day => self.daily_usd,
            BudgetWindow::Month => self.monthly_usd,
        }
    }
}

impl BudgetConfig {
    /// Returns these settings with the tenants' own limits applied.
    pub(super) fn with(&self, own: &TenantBudgets) -> Self {
        let mut all = self.clone();
        for (tenant, limits) in &own.tenants {
            let (id, known) = (TenantId::from(tenant.as_str()), all.tenants.entry(tenant.clone()).or_default());
            let is_house = own.server_tenant.as_ref() == Some(&id);
            for window in BudgetWindow::ALL {
                let fits = |limit: &SpendLimit| is_house || limit.is_within(self.of_tenant(&id, window));
                if let Some(limit) = limits.of(window).filter(fits) {
                    known.set_limit(window, limit);
                    all.set.insert(setting_of_tenant(tenant, window));
                }
            }
            known.on_exceeded = match is_house {
                true => limits.on_exceeded.or(known.on_exceeded),
                false => known.on_exceeded.or(limits.on_exceeded),
            };
        }
        for (key, limits) in &own.keys {
            let known = all.keys.entry(key.clone()).or_default();
            for window in BudgetWindow::ALL {
                let fits = |limit: &SpendLimit| limit.is_within(self.of_key(key, window));
                if let Some(limit) = limits.of(window).filter(fits) {
                    known.set_limit(window, limit);
                    all.set.insert(setting_of_key(key, window));
                }
            }
            known.on_exceeded = known.on_exceeded.or(limits.on_exceeded);
        }
        all
    }

    /// A tenant's limit; `None` if it has none.
    pub fn of_tenant(&self, tenant: &TenantId, window: BudgetWindow) -> Option<Usd> {
        let own = self.tenants.get(tenant.as_str()).and_then(|limits| limits.of(window));
        match own.or_else(|| self.default_limit(window)) {
            Some(SpendLimit::Usd(usd)) => Some(usd),
            Some(SpendLimit::Unlimited) => None,
            None => Some(default_of(window)),
        }
    }

    /// A key's own limit; `None` if it has none.
    pub fn of_key(&self, key_id: &str, window: BudgetWindow) -> Option<Usd> {
        match self.keys.get(key_id).and_then(|limits| limits.of(window)) {
            Some(SpendLimit::Usd(usd)) => Some(usd),
            Some(SpendLimit::Unlimited) | None => None,
        }
    }

    /// The name of the setting that defines a line's limit; `None` if no setting does and the default applies, or there
    /// is no limit.
    pub fn setting_of(&self, line: &BudgetPeriod) -> Option<String> {
        let window = line.window;
        let own =
            |limits: &BTreeMap<String, SpendLimits>, of: &str| limits.get(of).and_then(|own| own.of(window)).is_some();
        let (setting, whose) = match &line.key_id {
            Some(key) => (own(&self.keys, key).then(|| setting_of_key(key, window)), key.as_str()),
            None if own(&self.tenants, line.tenant.as_str()) => {
                (Some(setting_of_tenant(line.tenant.as_str(), window)), "tenant")
            }
            None => (self.default_limit(window).map(|_| setting("budgets", window)), ""),
        };
        // A limit that was set at run time is named by its endpoint.
        setting.map(|setting| if self.set.contains(&setting) { format!("/api/v1/budgets/{whose}") } else { setting })
    }

    fn default_limit(&self, window: BudgetWindow) -> Option<SpendLimit> {
        match window {
            BudgetWindow::Hour => self.hourly_usd,
            BudgetWindow::Day => self.daily_usd,
            BudgetWindow::Month => self.monthly_usd,
        }
    }

    /// What happens to a call that exceeds its budget: the key's setting, else the tenant's, else the default.
    pub fn on_exceeded(&self, tenant: &TenantId, key_id: Option<&str>) -> OnExceeded {
        let keys = key_id.and_then(|key| self.keys.get(key)).and_then(|limits| limits.on_exceeded);
        let tenants = || self.tenants.get(tenant.as_str()).and_then(|limits| limits.on_exceeded);
        keys.or_else(tenants).or(self.on_exceeded).unwrap_or_default()
    }

    /// Whether any line limits the calls of a tenant or key.
    pub(super) fn has_limit(&self, tenant: &TenantId, key_id: Option<&str>) -> bool {
        let of_key = |window| key_id.is_some_and(|key| self.of_key(key, window).is_some());
        BudgetWindow::ALL.into_iter().any(|window| self.of_tenant(tenant, window).is_some() || of_key(window))
    }

    /// Returns the lines that limit a call at `at`.
    pub(super) fn lines(&self, tenant: &TenantId, key_id: Option<&str>, at: Time) -> Vec<LimitedLine> {
        let limited = |key_id: Option<&str>, window: BudgetWindow, limit: Usd| LimitedLine {
            line: BudgetPeriod::of(tenant, key_id, window, at),
            limit,
        };
        let of_tenant = |window| self.of_tenant(tenant, window).map(|limit| limited(None, window, limit));
        let of_key = |key, window| self.of_key(key, window).map(|limit| limited(Some(key), window, limit));
        let keys = key_id.filter(|key| self.keys.contains_key(*key));
        let keys = keys
            .into_iter()
            .flat_map(|key| BudgetWindow::ALL.into_iter().filter_map(move |window| of_key(key, window)));
        BudgetWindow::ALL.into_iter().filter_map(of_tenant).chain(keys).collect()
    }
}

fn setting(prefix: &str, window: BudgetWindow) -> String {
    format!("{prefix}.{}_usd", window.adjective())
}

fn setting_of_tenant(tenant: &str, window: BudgetWindow) -> String {
    setting(&format!("budgets.tenants.{tenant}"), window)
}

fn setting_of_key(key: &str, window: BudgetWindow) -> String {
    setting(&format!("budgets.keys.{key}"), window)
}

impl BudgetPolicy for BudgetConfig {
    fn rule_for(&self, line: &BudgetPeriod) -> BudgetRule {
        let limit = match &line.key_id {
            None => self.of_tenant(&line.tenant, line.window),
            Some(key) => self.of_key(key, line.window),
        };
        let on_exceeded = self.on_exceeded(&line.tenant, line.key_id.as_deref()).word();
        BudgetRule { limit, on_exceeded, setting: self.setting_of(line) }
    }

    fn keys(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: serde_json::Value) -> Result<BudgetConfig, String> {
        serde_json::from_value(settings).map_err(|error| error.to_string())
    }

    fn limits(config: &BudgetConfig, tenant: &str, key: Option<&str>) -> Vec<(String, f64)> {
        let lines = config.lines(&tenant.into(), key, Time::EPOCH);
        let shown = |limited: LimitedLine| {
            let whose = limited.line.key_id.clone().unwrap_or_default();
            (format!("{}{whose}", limited.line.window.word()), limited.limit.as_f64())
        };
        lines.into_iter().map(shown).collect()
    }

    #[test]
    fn a_tenant_has_limits_unless_told_and_a_key_has_none() {
        let config = read(json!({})).unwrap();
        let usual = vec![("hour".to_owned(), 50.0), ("day".to_owned(), 500.0), ("month".to_owned(), 5_000.0)];
        assert_eq!(limits(&config, "acme", None), usual);
        assert_eq!(limits(&config, "acme", Some("k1")), usual);
    }

    #[test]
    fn a_tenants_own_limits_come_before_everyones_and_a_keys_beside_them() {
        let config = read(json!({
            "daily_usd": 20, "monthly_usd": "unlimited", "on_exceeded": "pause",
            "tenants": {"acme": {"hourly_usd": 0.5, "daily_usd": "unlimited"}},
            "keys": {"k1": {"daily_usd": 1, "on_exceeded": "refuse"}},
        }))
        .unwrap();
        assert_eq!(limits(&config, "acme", Some("k1")), [("hour".into(), 0.5), ("dayk1".into(), 1.0)]);
        assert_eq!(limits(&config, "other", None), [("hour".into(), 50.0), ("day".into(), 20.0)]);
        assert_eq!(config.on_exceeded(&"acme".into(), None), OnExceeded::Pause);
        assert_eq!(config.on_exceeded(&"acme".into(), Some("k1")), OnExceeded::Refuse);
    }

    #[test]
    fn the_setting_that_limits_a_line_is_named() {
        let config = read(json!({
            "daily_usd": 20, "tenants": {"acme": {"hourly_usd": 0.5}}, "keys": {"k1": {"daily_usd": 1}},
        }))
        .unwrap();
        let lines = BudgetPeriod::all(&"acme".into(), Some("k1"), Time::EPOCH);
        let settings: Vec<Option<String>> = lines.iter().map(|line| config.setting_of(line)).collect();
        let of = |name: &str| Some(name.to_owned());
        let tenants = [of("budgets.tenants.acme.hourly_usd"), of("budgets.daily_usd"), None];
        assert_eq!(settings, [&tenants[..], &[None, of("budgets.keys.k1.daily_usd"), None]].concat());
    }

    #[test]
    fn what_a_tenant_sets_is_within_the_files_and_the_houses_own_stands_in_their_place() {
        let files = read(json!({"daily_usd": 20, "keys": {"k1": {"daily_usd": 1}}})).unwrap();
        let set = |limits: serde_json::Value| SpendLimits::read(&limits).unwrap();
        let more = set(json!({"hourly_usd": "unlimited", "daily_usd": 30, "monthly_usd": 7}));
        let own = TenantBudgets {
            server_tenant: Some("house".into()),
            tenants: [("acme".to_owned(), more), ("house".to_owned(), more)].into(),
            keys: [
                ("k1".to_owned(), set(json!({"daily_usd": 2, "hourly_usd": 3, "on_exceeded": "pause"}))),
                ("k2".to_owned(), set(json!({"monthly_usd": 4}))),
            ]
            .into(),
        };
        let config = files.with(&own);
        let hours = ("hour".to_owned(), 50.0);
        assert_eq!(limits(&config, "acme", None), [hours.clone(), ("day".into(), 20.0), ("month".into(), 7.0)]);
        assert_eq!(limits(&config, "house", None), [("day".into(), 30.0), ("month".into(), 7.0)]);
        let keys = limits(&config, "house", Some("k1"));
        assert_eq!(keys[2..], [("hourk1".into(), 3.0), ("dayk1".into(), 1.0)]);
        assert_eq!(limits(&config, "house", Some("k2"))[2..], [("monthk2".into(), 4.0)]);
        assert_eq!(config.on_exceeded(&"house".into(), Some("k1")), OnExceeded::Pause);
        let of =
            |key: Option<&str>, window| config.setting_of(&BudgetPeriod::of(&"acme".into(), key, window, Time::EPOCH));
        assert_eq!(of(None, BudgetWindow::Month).as_deref(), Some("/api/v1/budgets/tenant"));
        assert_eq!(of(None, BudgetWindow::Day).as_deref(), Some("budgets.daily_usd"));
        assert_eq!(of(Some("k1"), BudgetWindow::Hour).as_deref(), Some("/api/v1/budgets/k1"));
        assert_eq!(of(Some("k1"), BudgetWindow::Day).as_deref(), Some("budgets.keys.k1.daily_usd"));
        assert_eq!(files.with(&TenantBudgets::default()), files, "nothing set, nothing changed");
    }

    #[test]
    fn what_is_no_budget_is_refused_with_what_is_one() {
        for wrong in [json!(-1), json!(1e30), json!("much"), json!([1])] {
            let error = read(json!({ "hourly_usd": wrong })).expect_err("is no budget");
            assert!(error.contains("US dollars from 0"), "{error}");
        }
        assert!(read(json!({"hourly": 1})).expect_err("unknown").contains("hourly"));
    }
}
