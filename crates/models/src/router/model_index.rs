//! The catalogue in the form that the router uses: models with their provider and health, profiles with their models
//! resolved. One index for all tenants, and one for each tenant with its own catalogue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::model::ModelProfile;
use baton_core::time::Time;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::catalogue::{CatalogueLayer, ModelCatalogue, ModelSpec};
use crate::config::{DEFAULT, ModelsConfig};
use crate::counters::ModelCounters;
use crate::error::ModelsError;
use crate::health::HealthTracker;
use crate::profile::{self, ProfileEntry, RoutingRules};
use crate::provider_registry::{ProviderRegistry, ServedProvider};

/// Maximum number of remembered models that were requested by name and are in no catalogue.
const AD_HOC_MODELS_MAX: usize = 1_000;

/// A model that can be requested.
#[derive(Debug)]
pub(crate) struct RoutableModel {
    pub name: String,
    /// Its name at its provider.
    pub upstream: String,
    /// Unknown models are still called; their calls have no price.
    pub spec: Option<ModelSpec>,
    /// The provider that should serve it.
    pub provider: String,
    /// The provider that serves it, if it is configured.
    pub served: Option<Arc<ServedProvider>>,
    pub health: Arc<HealthTracker>,
    pub retires: Option<RetirementDate>,
    pub counters: ModelCounters,
}

/// The date on which a model is retired, and its first instant in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetirementDate {
    pub on: Date,
    pub at: Time,
}

impl RoutableModel {
    /// The latency that the catalogue states.
    pub fn expected(&self) -> Duration {
        Duration::from_millis(self.spec.as_ref().map_or(0, |spec| spec.latency_ms))
    }
}

/// A profile with its models.
#[derive(Debug)]
pub(crate) struct ProfilePlan {
    pub rules: RoutingRules,
    pub groups: Vec<Vec<Arc<RoutableModel>>>,
}

/// One catalogue, ready for routing.
#[derive(Debug)]
pub(crate) struct TenantModels {
    models: BTreeMap<String, Arc<RoutableModel>>,
    fast: ProfilePlan,
    balanced: ProfilePlan,
    powerful: ProfilePlan,
}

impl TenantModels {
    /// Finds a model by its name, or by `provider/name` if the catalogue states that provider: it is the same model,
    /// with one price and one circuit.
    pub fn find(&self, name: &str) -> Option<Arc<RoutableModel>> {
        let with_provider = || {
            let (provider, rest) = name.split_once('/')?;
            self.models.get(rest).filter(|model| model.provider == provider)
        };
        self.models.get(name).or_else(with_provider).cloned()
    }

    pub fn models(&self) -> impl Iterator<Item = &Arc<RoutableModel>> {
        self.models.values()
    }

    pub fn plan(&self, profile: ModelProfile) -> &ProfilePlan {
        match profile {
            ModelProfile::Fast => &self.fast,
            ModelProfile::Balanced => &self.balanced,
            ModelProfile::Powerful => &self.powerful,
        }
    }
}

/// The models of all tenants.
#[derive(Debug)]
pub(crate) struct ModelIndex {
    shared_models: TenantModels,
    tenants: BTreeMap<TenantId, TenantModels>,
    healths: HealthRegistry,
    ad_hoc_models: Mutex<BTreeMap<String, Arc<RoutableModel>>>,
}

/// The health of models, by their name here: a model that fails for one tenant is avoided for all.
#[derive(Debug, Default)]
struct HealthRegistry(Mutex<BTreeMap<String, Arc<HealthTracker>>>);

impl HealthRegistry {
    fn of(&self, name: &str) -> Arc<HealthTracker> {
        Arc::clone(lock(&self.0).entry(name.to_owned()).or_default())
    }

    /// Removes a model's health unless a model still uses it.
    fn forget(&self, name: &str) {
        let mut all = lock(&self.0);
        if all.get(name).is_some_and(|health| Arc::strong_count(health) == 1) {
            all.remove(name);
        }
    }
}

impl ModelIndex {
    /// Builds the index.
    ///
    /// # Errors
    /// What makes a catalogue unusable.
    pub fn new(config: &ModelsConfig, providers: &ProviderRegistry) -> Result<Self, ModelsError> {
        let settings = CatalogueLayer {
            models: config.catalogue.clone(),
            profiles: config
                .models
                .iter()
                .map(|(profile, groups)| (*profile, ProfileEntry::of(groups.clone())))
                .collect(),
        };
        if let Some(problem) = settings.problem() {
            return Err(ModelsError::Setting { setting: "models.catalogue".into(), problem });
        }
        let healths = HealthRegistry::default();
        let layers = [&config.file.layer, &settings];
        let everyones = build_tenant_models(&ModelCatalogue::with(layers)?, providers, &healths)?;
        let of_tenant = |(tenant, layer): (&String, &CatalogueLayer)| {
            let catalogue = ModelCatalogue::with(layers.into_iter().chain([layer]))?;
            Ok((TenantId::from(tenant.as_str()), build_tenant_models(&catalogue, providers, &healths)?))
        };
        let tenants = config.file.tenants.iter().map(of_tenant).collect::<Result<_, ModelsError>>()?;
        Ok(Self { shared_models: everyones, tenants, healths, ad_hoc_models: Mutex::default() })
    }

    pub fn for_tenant(&self, tenant: &TenantId) -> &TenantModels {
        self.tenants.get(tenant).unwrap_or(&self.shared_models)
    }

    pub fn shared_models(&self) -> &TenantModels {
        &self.shared_models
    }

    pub fn health(&self, name: &str) -> Arc<HealthTracker> {
        self.healths.of(name)
    }

    /// Every model of every tenant, and those that were requested by name.
    pub fn all(&self) -> Vec<Arc<RoutableModel>> {
        let books = [&self.shared_models].into_iter().chain(self.tenants.values());
        let mut all: Vec<_> = books.flat_map(TenantModels::models).cloned().collect();
        all.extend(lock(&self.ad_hoc_models).values().cloned());
        all
    }

    /// A model by a name that no catalogue entry covers. `provider/name` names its provider; any other name goes to the
    /// default provider, which may know more models than the catalogue, as a proxy does.
    pub fn ad_hoc_model(
        &self,
        name: &str,
        known: Option<Arc<RoutableModel>>,
        providers: &ProviderRegistry,
    ) -> Arc<RoutableModel> {
        if let Some(stranger) = lock(&self.ad_hoc_models).get(name) {
            return Arc::clone(stranger);
        }
        let by_prefix = name.split_once('/').and_then(|(provider, rest)| Some((providers.find(provider)?, rest)));
        let default = providers.default();
        let (served, upstream) = match (by_prefix, &known, default) {
            (Some((served, rest)), ..) => (Some(served), rest),
            // The public API of one provider has no models of another.
            (None, Some(_), Some(served)) if served.is_public => (None, name),
            (None, _, served) => (served, name),
        };
        let provider = known.as_ref().map(|known| known.provider.clone());
        let model = Arc::new(RoutableModel {
            name: name.to_owned(),
            upstream: upstream.to_owned(),
            spec: known.and_then(|known| known.spec.clone()),
            provider: served.map(|served| served.name.clone()).or(provider).unwrap_or_else(|| DEFAULT.to_owned()),
            served: served.cloned(),
            health: self.healths.of(name),
            retires: None,
            counters: ModelCounters::default(),
        });
        let mut strangers = lock(&self.ad_hoc_models);
        if strangers.len() >= AD_HOC_MODELS_MAX
            && let Some((name, forgotten)) = strangers.pop_first()
        {
            drop(forgotten);
            self.healths.forget(&name);
        }
        strangers.insert(name.to_owned(), Arc::clone(&model));
        model
    }
}

fn build_tenant_models(
    catalogue: &ModelCatalogue,
    providers: &ProviderRegistry,
    healths: &HealthRegistry,
) -> Result<TenantModels, ModelsError> {
    let mut models: BTreeMap<String, Arc<RoutableModel>> = catalogue
        .models()
        .map(|(name, spec)| (name.to_owned(), Arc::new(model(name, Some(spec), providers, healths))))
        .collect();
    let mut plan = |profile: ModelProfile| {
        let rules = catalogue.rules(profile).cloned().ok_or_else(|| ModelsError::Catalogue {
            place: format!("profile `{}`", profile::word(profile)),
            problem: "it is not there".into(),
        })?;
        let mut find = |name: &String| {
            let unknown = || Arc::new(model(name, None, providers, healths));
            Arc::clone(models.entry(name.clone()).or_insert_with(unknown))
        };
        let groups = rules.groups.iter().map(|group| group.iter().map(&mut find).collect()).collect();
        Ok(ProfilePlan { rules, groups })
    };
    let (fast, balanced, powerful) =
        (plan(ModelProfile::Fast)?, plan(ModelProfile::Balanced)?, plan(ModelProfile::Powerful)?);
    Ok(TenantModels { models, fast, balanced, powerful })
}

fn model(
    name: &str,
    spec: Option<&ModelSpec>,
    providers: &ProviderRegistry,
    healths: &HealthRegistry,
) -> RoutableModel {
    let default = providers.default();
    let provider = match spec {
        Some(spec) => spec.provider.clone(),
        None => default.map_or_else(|| DEFAULT.to_owned(), |served| served.name.clone()),
    };
    let upstream = spec.and_then(|spec| spec.upstream.clone()).unwrap_or_else(|| name.to_owned());
    let retires = spec.and_then(|spec| spec.retires).map(|on| RetirementDate { on, at: first_instant(on) });
    let served = if providers.is_scripted() { default } else { providers.find(&provider) };
    RoutableModel {
        name: name.to_owned(),
        health: healths.of(name),
        spec: spec.cloned(),
        served: served.cloned(),
        provider,
        upstream,
        retires,
        counters: ModelCounters::default(),
    }
}

fn first_instant(day: Date) -> Time {
    day.to_zoned(TimeZone::UTC).map_or(Time::from_ms(i64::MAX), |midnight| midnight.timestamp().into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
