//! `baton keys`: API keys for the HTTP API. Works on the project's database, with or without a running server.

use std::path::Path;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::settings::SettingTopic;
use baton_expr::nearest;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::keys::{AccessRole, ApiKeyRecord, ApiKeyStore as _, KeyHash};
use serde_json::json;

use crate::cli::{KeyCreateArgs, KeyRoleArg, KeyRotateArgs, KeysCommand};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

const HOUR: Duration = Duration::from_secs(60 * 60);

pub async fn run(folder: &Path, args: KeysCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    let now = SystemClock.now();
    match args {
        KeysCommand::Create(args) => create(&project, &args, now).await,
        KeysCommand::List { json } => list(&project, json, now).await,
        KeysCommand::Rotate(args) => rotate(&project, &args, now).await,
        KeysCommand::Revoke { key, json } => revoke(&project, &key, json, now).await,
    }
}

/// A new key before it is stored: its row, its hash, and the secret that is shown once.
pub struct UnsavedKey {
    pub key: ApiKeyRecord,
    pub hash: KeyHash,
    pub secret: String,
}

impl UnsavedKey {
    pub fn mint(
        tenant: &TenantId,
        name: &str,
        role: AccessRole,
        days: u32,
        per_minute: Option<u32>,
        now: Time,
    ) -> anyhow::Result<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes can be had: {error}"))?;
        let minted = baton_server::mint(&random);
        let key = ApiKeyRecord {
            id: format!("key_{}", uuid::Uuid::now_v7().simple()),
            tenant: tenant.clone(),
            name: name.to_owned(),
            role,
            created_at: now,
            expires_at: Some(now + HOUR * 24 * days),
            revoked_at: None,
            per_minute,
            scopes: None,
        };
        Ok(Self { key, hash: minted.hash, secret: minted.secret })
    }

    /// Shows the secret, for the only time.
    fn print_secret(&self, as_json: bool) {
        if as_json {
            let mut shown = self.key.as_json(self.key.created_at);
            shown["key"] = json!(self.secret);
            print::pretty(&shown);
            return;
        }
        let key = &self.key;
        print::line(format_args!("`{}` ({}, {}) is made. It is shown this once:", key.name, key.id, key.role.word()));
        print::line(format_args!("  {}", self.secret));
    }
}

async fn create(project: &Project, args: &KeyCreateArgs, now: Time) -> anyhow::Result<CommandExit> {
    if let Err(why) = ApiKeyRecord::check_name(&args.name) {
        let message = format!("`{}` is no name of a key: {why}", args.name.escape_debug());
        return Err(UsageError::new(message)
            .hint("say whose it is or what for: `baton keys create shop-frontend`")
            .into());
    }
    let role = match args.role {
        KeyRoleArg::Admin => AccessRole::Admin,
        KeyRoleArg::Builder => AccessRole::Builder,
        KeyRoleArg::Operator => AccessRole::Operator,
        KeyRoleArg::HumanAgent => AccessRole::HumanAgent,
        KeyRoleArg::Service => AccessRole::Service,
    };
    let system = ProjectSystem::open(project)?;
    let mut new = UnsavedKey::mint(&system.tenant, &args.name, role, args.days, args.per_minute, now)?;
    new.key.scopes = (!args.scope.is_empty()).then(|| args.scope.iter().map(|scope| scope.need()).collect());
    system.store.add(&new.key, &new.hash).await?;
    // Print the secret before the audit row is written. If that write fails, the secret would be lost.
    new.print_secret(args.json);
    system.audit_action(&system.tenant, ("keys.create", &new.key.id), None, Some(json!(new.key))).await?;
    Ok(CommandExit::Completed)
}

async fn list(project: &Project, as_json: bool, now: Time) -> anyhow::Result<CommandExit> {
    // Does not create a database if nothing has run.
    let keys = match project.has_database() {
        true => {
            let system = ProjectSystem::open(project)?;
            system.store.all(&system.tenant).await?
        }
        false => Vec::new(),
    };
    if as_json {
        print::pretty(&keys.iter().map(|key| key.as_json(now)).collect());
    } else if keys.is_empty() {
        print::line("no keys: `baton keys create NAME` makes one, and so does the first `baton serve`");
    } else {
        print_keys(&keys, now);
    }
    Ok(CommandExit::Completed)
}

async fn rotate(project: &Project, args: &KeyRotateArgs, now: Time) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let old = find(&system, &args.key, now).await?;
    let until = now + HOUR * args.overlap_hours;
    let mut new = UnsavedKey::mint(&system.tenant, &old.name, old.role, args.days, old.per_minute, now)?;
    new.key.scopes.clone_from(&old.scopes);
    system.settings.reload().await?;
    let ids = (old.id.as_str(), new.key.id.as_str());
    let inherits = system.settings.inherit_budget(&**system.budget.limits(), &system.tenant, ids, now).await?;
    if !system.store.rotate(&old.id, until, &new.key, &new.hash).await? {
        if inherits {
            system
                .settings
                .remove(&system.tenant, (SettingTopic::Budget, &new.key.id), None, None, Vec::new(), now)
                .await?;
        }
        let hint = format!("`baton keys create {}` makes one anew", crate::project::shell_quote(&old.name));
        return Err(UsageError::new(format!("`{}` is not good any more, so it is not rotated", old.id))
            .hint(hint)
            .into());
    }
    new.print_secret(args.json);
    let rotated = find(&system, &old.id, now).await?;
    system.audit_action(&system.tenant, ("keys.rotate", &old.id), Some(json!(old)), Some(json!(rotated))).await?;
    let ends = old.expires_at.map_or(until, |end| end.min(until));
    if !args.json {
        let when = if ends <= now { "opens no door any more".to_owned() } else { format!("is good until {ends}") };
        print::line(format_args!("The old one, {}, {when}.", old.id));
    }
    if project.settings.budgets.keys.contains_key(&old.id) {
        print::note(format_args!(
            "note: what [budgets.keys.{}] in baton.toml allows holds for {} too; a later change there does not",
            old.id, new.key.id
        ));
    }
    Ok(CommandExit::Completed)
}

async fn revoke(project: &Project, wanted: &str, as_json: bool, now: Time) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let key = find(&system, wanted, now).await?;
    if !system.store.revoke(&system.tenant, &key.id, now).await? {
        return Err(UsageError::new(format!("`{}` was revoked before", key.id)).into());
    }
    let revoked = ApiKeyRecord { revoked_at: Some(now), ..key.clone() };
    system.audit_action(&system.tenant, ("keys.delete", &key.id), Some(json!(key)), Some(json!(revoked))).await?;
    if as_json {
        print::pretty(&revoked.as_json(now));
    } else {
        print::line(format_args!(
            "`{}` ({}) opens no door any more, five seconds from now at the latest.",
            key.name, key.id
        ));
    }
    Ok(CommandExit::Completed)
}

/// The key with this id, or the only valid key with this name.
async fn find(system: &ProjectSystem, wanted: &str, now: Time) -> anyhow::Result<ApiKeyRecord> {
    let keys = system.store.all(&system.tenant).await?;
    if let Some(key) = keys.iter().find(|key| key.id == wanted) {
        return Ok(key.clone());
    }
    let good: Vec<&ApiKeyRecord> = keys.iter().filter(|key| key.name == wanted && key.is_valid(now)).collect();
    match good.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let names =
                keys.iter().filter(|key| key.is_valid(now)).flat_map(|key| [key.name.as_str(), key.id.as_str()]);
            let hint = match nearest(wanted, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`baton keys list` shows all".to_owned(),
            };
            Err(UsageError::new(format!("there is no good key `{wanted}`")).hint(hint).into())
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|key| key.id.as_str()).collect();
            let message = format!("{} good keys are called `{wanted}`", several.len());
            Err(UsageError::new(message).hint(format!("say which by its id: {}", ids.join(", "))).into())
        }
    }
}

/// Prints one line for each key.
fn print_keys(keys: &[ApiKeyRecord], now: Time) {
    let widest =
        |title: &str, of: &dyn Fn(&ApiKeyRecord) -> usize| keys.iter().map(of).max().unwrap_or(0).max(title.len());
    let (id, name) = (widest("KEY", &|key| key.id.len()), widest("NAME", &|key| key.name.chars().count()));
    let title = format!("{:<id$}  {:<name$}  {:<11}  {:<7}  {:<20}  SCOPES", "KEY", "NAME", "ROLE", "STATE", "UNTIL");
    print::line(print::paint("1", &title));
    for key in keys {
        let until = key.revoked_at.or(key.expires_at).map_or_else(|| "for ever".to_owned(), |at| at.to_string());
        let (role, state) = (key.role.word(), key.status(now));
        let scopes = key.scope_words().map_or_else(|| "all".to_owned(), |words| words.join(","));
        print::line(format_args!(
            "{:<id$}  {:<name$}  {role:<11}  {state:<7}  {until:<20}  {scopes}",
            key.id, key.name
        ));
    }
}
