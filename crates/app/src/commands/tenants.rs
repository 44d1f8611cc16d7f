//! `baton tenants`: whose work one database keeps.

use std::path::Path;

use baton_core::expr::nearest;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::tenants::{Change, Error, Tenant};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::keys::{DAYS_DEFAULT, Keys as _, Role};
use serde_json::json;

use super::keys;
use crate::cli::Tenants;
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(folder: &Path, args: Tenants) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    let now = SystemClock.now();
    if let Tenants::List { json } = args
        && !project.has_database()
    {
        // Looking makes no database where nothing has run.
        tell(&[], json);
        return Ok(Exit::Completed);
    }
    let system = System::open(&project)?;
    match args {
        Tenants::Create { id, name, tier, json } => {
            let tenant = Tenant::new(parsed(&id)?, name, tier, now);
            create(&system, &tenant, json, now).await?;
        }
        Tenants::List { json } => tell(&system.roster.tenants().all().await?, json),
        Tenants::Disable { id } => {
            check_known(&system, &id).await?;
            let before = changed(&system, &id, Change::Disable, now).await?;
            if before.is_some_and(|before| !before.is_open()) {
                return Err(Misuse::new(format!("`{id}` is disabled already")).into());
            }
            print::line(format_args!(
                "Nobody of `{id}` comes in any more, a second from now at the latest; its runs go on. \
                 `baton tenants enable {id}` undoes it."
            ));
        }
        Tenants::Enable { id } => {
            let before = changed(&system, &id, Change::Enable, now).await?;
            if before.is_some_and(|before| before.is_open()) {
                return Err(Misuse::new(format!("`{id}` is not disabled")).into());
            }
            print::line(format_args!("Whoever has a good key of `{id}` comes in again."));
        }
    }
    Ok(Exit::Completed)
}

fn parsed(id: &str) -> anyhow::Result<TenantId> {
    TenantId::parse(id).map_err(|error| Misuse::new(format!("`{id}` is no id of a tenant: {error}")).into())
}

async fn create(system: &System, tenant: &Tenant, as_json: bool, now: Time) -> anyhow::Result<()> {
    let id = &tenant.id;
    match system.roster.tenants().create(tenant, now).await {
        Ok(()) => {}
        Err(error @ Error::Taken(_)) => {
            let hint = format!("`BATON_TENANT={id} baton keys create NAME` makes a key of it");
            return Err(Misuse::new(error.to_string()).hint(hint).into());
        }
        Err(error) => return Err(misused(error)),
    }
    let new = keys::New::mint(id, "first admin", Role::Admin, DAYS_DEFAULT, None, now)?;
    system.store.add(&new.key, &new.hash).await?;
    if as_json {
        let mut told = tenant.as_json();
        told["key"] = json!(new.secret);
        print::pretty(&told);
    } else {
        print::line(format_args!("`{id}` is made. Here is an admin key of it, good for 90 days and shown this once:"));
        print::line(format_args!("  {}", new.secret));
    }
    system.tell_act(&system.tenant, ("tenants.create", id.as_str()), None, Some(json!(tenant))).await?;
    Ok(())
}

/// What it was before.
async fn changed(system: &System, id: &str, change: Change, now: Time) -> anyhow::Result<Option<Tenant>> {
    let tenants = system.roster.tenants();
    let action = if matches!(change, Change::Disable) { "tenants.disable" } else { "tenants.enable" };
    match tenants.change(&parsed(id)?, &[change], None, now).await {
        Ok((before, (_, after))) => {
            let (was, is) = (before.as_ref().map(|before| json!(before)), Some(json!(after)));
            system.tell_act(&system.tenant, (action, id), was, is).await?;
            Ok(before)
        }
        Err(error @ Error::Unknown(_)) => {
            Err(unknown(system, id, &error, "`baton tenants list` shows all").await?.into())
        }
        Err(error) => Err(misused(error)),
    }
}

/// A mistyped name would shut out nobody, and be told as done. A tenant that has a key is known too.
async fn check_known(system: &System, id: &str) -> anyhow::Result<()> {
    let tenant = parsed(id)?;
    let is_known = tenant == system.tenant
        || system.roster.tenants().find(&tenant).await.map_err(misused)?.is_some()
        || !system.store.list(&tenant, None, 1).await?.is_empty();
    if is_known {
        return Ok(());
    }
    let way_out = format!("one that only tokens name is made first: `baton tenants create {id}`");
    Err(unknown(system, id, &Error::Unknown(tenant), &way_out).await?.into())
}

async fn unknown(system: &System, id: &str, error: &Error, way_out: &str) -> anyhow::Result<Misuse> {
    let all = system.roster.tenants().all().await?;
    let hint = match nearest(id, all.iter().map(|tenant| tenant.id.as_str())) {
        Some(near) => format!("did you mean `{near}`? Else {way_out}"),
        None => way_out.to_owned(),
    };
    Ok(Misuse::new(error.to_string()).hint(hint))
}

fn misused(error: Error) -> anyhow::Error {
    match error {
        Error::Records(error) => error.into(),
        other => Misuse::new(other.to_string()).into(),
    }
}

fn tell(tenants: &[Tenant], as_json: bool) {
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
