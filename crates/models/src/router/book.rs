//! The catalogue as the router reads it: models with who serves them and how they fare, profiles with their models at
//! hand. One book for all tenants, and one for each that has words of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::model::Profile;
use baton_core::time::Time;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::catalogue::{Catalogue, Layer, Spec};
use crate::config::{Config, DEFAULT};
use crate::counters::Counters;
use crate::error::Error;
use crate::health::Health;
use crate::profile::{self, Entry, Rules};
use crate::served::{Providers, Served};

/// Models that no catalogue knows and that were asked for by name: as many are remembered.
const STRANGERS_MAX: usize = 1_000;

/// A model that can be asked for.
#[derive(Debug)]
pub(crate) struct Model {
    pub name: String,
    /// Its name at its provider.
    pub upstream: String,
    /// Unknown models are asked all the same; their calls have no price.
    pub spec: Option<Spec>,
    /// Who should serve it.
    pub provider: String,
    /// Who serves it, where that provider is set up.
    pub served: Option<Arc<Served>>,
    pub health: Arc<Health>,
    pub retires: Option<Retires>,
    pub counters: Counters,
}

/// The day a model goes, and its first instant in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retires {
    pub on: Date,
    pub at: Time,
}

impl Model {
    /// What the catalogue says a call takes.
    pub fn expected(&self) -> Duration {
        Duration::from_millis(self.spec.as_ref().map_or(0, |spec| spec.latency_ms))
    }
}

/// A profile with its models.
#[derive(Debug)]
pub(crate) struct Plan {
    pub rules: Rules,
    pub groups: Vec<Vec<Arc<Model>>>,
}

/// One catalogue, made ready.
#[derive(Debug)]
pub(crate) struct Book {
    models: BTreeMap<String, Arc<Model>>,
    fast: Plan,
    balanced: Plan,
    powerful: Plan,
}

impl Book {
    /// By its name, or by `provider/name` where the catalogue says so of its provider: it is the same model, with one
    /// price and one circuit.
    pub fn find(&self, name: &str) -> Option<Arc<Model>> {
        let with_provider = || {
            let (provider, rest) = name.split_once('/')?;
            self.models.get(rest).filter(|model| model.provider == provider)
        };
        self.models.get(name).or_else(with_provider).cloned()
    }

    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }

    pub fn plan(&self, profile: Profile) -> &Plan {
        match profile {
            Profile::Fast => &self.fast,
            Profile::Balanced => &self.balanced,
            Profile::Powerful => &self.powerful,
        }
    }
}

/// All books.
#[derive(Debug)]
pub(crate) struct Books {
    everyones: Book,
    tenants: BTreeMap<TenantId, Book>,
    healths: Healths,
    strangers: Mutex<BTreeMap<String, Arc<Model>>>,
}

/// How models fare, by their name here: what fails for one tenant is left alone for all.
#[derive(Debug, Default)]
struct Healths(Mutex<BTreeMap<String, Arc<Health>>>);

impl Healths {
    fn of(&self, name: &str) -> Arc<Health> {
        Arc::clone(lock(&self.0).entry(name.to_owned()).or_default())
    }

    /// Unless a model still has it.
    fn forget(&self, name: &str) {
        let mut all = lock(&self.0);
        if all.get(name).is_some_and(|health| Arc::strong_count(health) == 1) {
            all.remove(name);
        }
    }
}

impl Books {
    /// # Errors
    /// What makes a catalogue unusable.
    pub fn new(config: &Config, providers: &Providers) -> Result<Self, Error> {
        let settings = Layer {
            models: config.catalogue.clone(),
            profiles: config.models.iter().map(|(profile, groups)| (*profile, Entry::of(groups.clone()))).collect(),
        };
        if let Some(problem) = settings.problem() {
            return Err(Error::Setting { setting: "models.catalogue".into(), problem });
        }
        let healths = Healths::default();
        let layers = [&config.file.layer, &settings];
        let everyones = book(&Catalogue::with(layers)?, providers, &healths)?;
        let of_tenant = |(tenant, layer): (&String, &Layer)| {
            let catalogue = Catalogue::with(layers.into_iter().chain([layer]))?;
            Ok((TenantId::from(tenant.as_str()), book(&catalogue, providers, &healths)?))
        };
        let tenants = config.file.tenants.iter().map(of_tenant).collect::<Result<_, Error>>()?;
        Ok(Self { everyones, tenants, healths, strangers: Mutex::default() })
    }

    pub fn of(&self, tenant: &TenantId) -> &Book {
        self.tenants.get(tenant).unwrap_or(&self.everyones)
    }

    pub fn everyones(&self) -> &Book {
        &self.everyones
    }

    pub fn health(&self, name: &str) -> Arc<Health> {
        self.healths.of(name)
    }

    /// Every model of every book, and those that were asked for by name.
    pub fn all(&self) -> Vec<Arc<Model>> {
        let books = [&self.everyones].into_iter().chain(self.tenants.values());
        let mut all: Vec<_> = books.flat_map(Book::models).cloned().collect();
        all.extend(lock(&self.strangers).values().cloned());
        all
    }

    /// A model by a name that nobody here can serve as the catalogue says. `provider/name` names its provider; any
    /// other name is asked of the default provider: it may know more models than we do, as a proxy does.
    pub fn stranger(&self, name: &str, known: Option<Arc<Model>>, providers: &Providers) -> Arc<Model> {
        if let Some(stranger) = lock(&self.strangers).get(name) {
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
        let model = Arc::new(Model {
            name: name.to_owned(),
            upstream: upstream.to_owned(),
            spec: known.and_then(|known| known.spec.clone()),
            provider: served.map(|served| served.name.clone()).or(provider).unwrap_or_else(|| DEFAULT.to_owned()),
            served: served.cloned(),
            health: self.healths.of(name),
            retires: None,
            counters: Counters::default(),
        });
        let mut strangers = lock(&self.strangers);
        if strangers.len() >= STRANGERS_MAX
            && let Some((name, forgotten)) = strangers.pop_first()
        {
            drop(forgotten);
            self.healths.forget(&name);
        }
        strangers.insert(name.to_owned(), Arc::clone(&model));
        model
    }
}

fn book(catalogue: &Catalogue, providers: &Providers, healths: &Healths) -> Result<Book, Error> {
    let mut models: BTreeMap<String, Arc<Model>> = catalogue
        .models()
        .map(|(name, spec)| (name.to_owned(), Arc::new(model(name, Some(spec), providers, healths))))
        .collect();
    let mut plan = |profile: Profile| {
        let rules = catalogue.rules(profile).cloned().ok_or_else(|| Error::Catalogue {
            place: format!("profile `{}`", profile::word(profile)),
            problem: "it is not there".into(),
        })?;
        let mut find = |name: &String| {
            let unknown = || Arc::new(model(name, None, providers, healths));
            Arc::clone(models.entry(name.clone()).or_insert_with(unknown))
        };
        let groups = rules.groups.iter().map(|group| group.iter().map(&mut find).collect()).collect();
        Ok(Plan { rules, groups })
    };
    let (fast, balanced, powerful) = (plan(Profile::Fast)?, plan(Profile::Balanced)?, plan(Profile::Powerful)?);
    Ok(Book { models, fast, balanced, powerful })
}

fn model(name: &str, spec: Option<&Spec>, providers: &Providers, healths: &Healths) -> Model {
    let default = providers.default();
    let provider = match spec {
        Some(spec) => spec.provider.clone(),
        None => default.map_or_else(|| DEFAULT.to_owned(), |served| served.name.clone()),
    };
    let upstream = spec.and_then(|spec| spec.upstream.clone()).unwrap_or_else(|| name.to_owned());
    let retires = spec.and_then(|spec| spec.retires).map(|on| Retires { on, at: first_instant(on) });
    let served = if providers.is_scripted() { default } else { providers.find(&provider) };
    Model {
        name: name.to_owned(),
        health: healths.of(name),
        spec: spec.cloned(),
        served: served.cloned(),
        provider,
        upstream,
        retires,
        counters: Counters::default(),
    }
}

fn first_instant(day: Date) -> Time {
    day.to_zoned(TimeZone::UTC).map_or(Time::from_ms(i64::MAX), |midnight| midnight.timestamp().into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
