//! `baton tenants`: the tenants of a database.

use std::path::Path;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::tenants::{Tenant, TenantChange, TenantError};
use baton_expr::nearest;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::keys::{AccessRole, ApiKeyStore as _, DAYS_DEFAULT};
use serde_json::json;

use super::keys;
use crate::cli::TenantsCommand;
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(folder: &Path, args: TenantsCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    let now = SystemClock.now();
    if let TenantsCommand::List { json } = args
        && !project.has_database()
    {
        // Does not create a database if nothing has run.
        print_tenants(&[], json);
        return Ok(CommandExit::Completed);
    }
    let system = ProjectSystem::open(&project)?;
    match args {
        TenantsCommand::Create { id, name, tier, json } => {
            let tenant = Tenant::new(parsed(&id)?, name, tier, now);
            create(&system, &tenant, json, now).await?;
        }
        TenantsCommand::List { json } => print_tenants(&system.agent_registry.tenants().all().await?, json),
        TenantsCommand::Disable { id } => {
            check_known(&system, &id).await?;
            let before = apply_change(&system, &id, TenantChange::Disable, now).await?;
            if before.is_some_and(|before| !before.is_enabled()) {
                return Err(UsageError::new(format!("`{id}` is disabled already")).into());
            }
            print::line(format_args!(
                "Nobody of `{id}` comes in any more, a second from now at the latest; its runs go on. \
                 `baton tenants enable {id}` undoes it."
            ));
        }
        TenantsCommand::Enable { id } => {
            let before = apply_change(&system, &id, TenantChange::Enable, now).await?;
            if before.is_some_and(|before| before.is_enabled()) {
                return Err(UsageError::new(format!("`{id}` is not disabled")).into());
            }
            print::line(format_args!("Whoever has a good key of `{id}` comes in again."));
        }
    }
    Ok(CommandExit::Completed)
}

fn parsed(id: &str) -> anyhow::Result<TenantId> {
    TenantId::parse(id).map_err(|error| UsageError::new(format!("`{id}` is no id of a tenant: {error}")).into())
}

async fn create(system: &ProjectSystem, tenant: &Tenant, as_json: bool, now: Time) -> anyhow::Result<()> {
    let id = &tenant.id;
    match system.agent_registry.tenants().create(tenant, now).await {
        Ok(()) => {}
        Err(error @ TenantError::Taken(_)) => {
            let hint = format!("`BATON_TENANT={id} baton keys create NAME` makes a key of it");
            return Err(UsageError::new(error.to_string()).hint(hint).into());
        }
        Err(error) => return Err(usage_error(error)),
    }
    let new = keys::UnsavedKey::mint(id, "first admin", AccessRole::Admin, DAYS_DEFAULT, None, now)?;
    system.store.add(&new.key, &new.hash).await?;
    if as_json {
        let mut told = tenant.as_json();
        told["key"] = json!(new.secret);
        print::pretty(&told);
    } else {
        print::line(format_args!("`{id}` is made. Here is an admin key of it, good for 90 days and shown this once:"));
        print::line(format_args!("  {}", new.secret));
    }
    system.audit_action(&system.tenant, ("tenants.create", id.as_str()), None, Some(json!(tenant))).await?;
    Ok(())
}

/// Applies a change. Returns the previous state.
async fn apply_change(
    system: &ProjectSystem,
    id: &str,
    change: TenantChange,
    now: Time,
) -> anyhow::Result<Option<Tenant>> {
    let tenants = system.agent_registry.tenants();
    let action = if matches!(change, TenantChange::Disable) { "tenants.disable" } else { "tenants.enable" };
    match tenants.change(&parsed(id)?, &[change], None, now).await {
        Ok((before, (_, after))) => {
            let (was, is) = (before.as_ref().map(|before| json!(before)), Some(json!(after)));
            system.audit_action(&system.tenant, (action, id), was, is).await?;
            Ok(before)
        }
        Err(error @ TenantError::Unknown(_)) => {
            Err(unknown_tenant(system, id, &error, "`baton tenants list` shows all").await?.into())
        }
        Err(error) => Err(usage_error(error)),
    }
}

/// Rejects unknown tenants: disabling a misspelt name would have no effect and report success. A tenant with a key
/// counts as known.
async fn check_known(system: &ProjectSystem, id: &str) -> anyhow::Result<()> {
    let tenant = parsed(id)?;
    let is_known = tenant == system.tenant
        || system.agent_registry.tenants().find(&tenant).await.map_err(usage_error)?.is_some()
        || !system.store.list(&tenant, None, 1).await?.is_empty();
    if is_known {
        return Ok(());
    }
    let way_out = format!("one that only tokens name is made first: `baton tenants create {id}`");
    Err(unknown_tenant(system, id, &TenantError::Unknown(tenant), &way_out).await?.into())
}

async fn unknown_tenant(
    system: &ProjectSystem,
    id: &str,
    error: &TenantError,
    way_out: &str,
) -> anyhow::Result<UsageError> {
    let all = system.agent_registry.tenants().all().await?;
    let hint = match nearest(id, all.iter().map(|tenant| tenant.id.as_str())) {
        Some(near) => format!("did you mean `{near}`? Else {way_out}"),
        None => way_out.to_owned(),
    };
    Ok(UsageError::new(error.to_string()).hint(hint))
}

fn usage_error(error: TenantError) -> anyhow::Error {
    match error {
        TenantError::Records(error) => error.into(),
        other => UsageError::new(other.to_string()).into(),
    }
}

fn print_tenants(tenants: &[Tenant], as_json: bool) {
    if as_json {
        print::pretty(&tenants.iter().map(Tenant::as_json).collect());
    } else if tenants.is_empty() {
        print::line("no tenants were made: `baton tenants create ID` makes one; the project's own needs no making");
    }
    for tenant in tenants.iter().filter(|_| !as_json) {
        let state = tenant.disabled_at.map_or_else(|| "open".to_owned(), |at| format!("disabled {at}"));
        let tier = tenant.tier.as_deref().unwrap_or("-");
        print::line(format_args!("{}  {}  {tier}  {state}", tenant.id, tenant.name));
    }
}
