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
        && !project.database().exists()
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
            let all = tenants.all().await?;
            let near = nearest(id, all.iter().map(|tenant| tenant.id.as_str()));
            let hint = near
                .map_or_else(|| "`baton tenants list` shows all".to_owned(), |near| format!("did you mean `{near}`?"));
            Err(Misuse::new(error.to_string()).hint(hint).into())
        }
        Err(error) => Err(misused(error)),
    }
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
