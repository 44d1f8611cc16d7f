//! `baton schedules`: on the project's database, with or without a server beside.

use std::path::Path;

use baton_core::expr::nearest;
use baton_core::time::Time;
use baton_engine::triggers::schedule::Schedule;
use baton_engine::triggers::{self, Error, Triggers};
use serde_json::{Value, json};

use crate::cli::{Schedules, SchedulesOne};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(folder: &Path, args: Schedules) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    let mut system = System::open(&project)?;
    let saved = system.save(&project).await?;
    // It begins runs and moves none: whoever serves the project does.
    system.accept_only();
    system
        .serving(async |engine| {
            system.keep_triggers(&project, &saved.workflows, engine, true).await?;
            let triggers = system.triggers(&project, engine);
            act(&system, &triggers, args).await
        })
        .await?;
    Ok(Exit::Completed)
}

async fn act(system: &System, triggers: &Triggers, args: Schedules) -> anyhow::Result<()> {
    let (tenant, now) = (&system.tenant, system.clock.now());
    match args {
        Schedules::List { json } => {
            let all = all(system).await?;
            if json {
                let mut shown = Vec::new();
                for schedule in &all {
                    shown.push(told(system, triggers, schedule, 1, now).await?);
                }
                print::pretty(&shown.into());
                return Ok(());
            }
            if all.is_empty() {
                print::line("no schedules: write triggers/*.yaml, or POST /api/v1/schedules");
            }
            for schedule in &all {
                let next = schedule.coming(triggers.zone.as_deref(), now, 1);
                let next = next.first().map_or_else(|| "paused".to_owned(), |at| format!("next {at}"));
                let Schedule { name, workflow, cron, .. } = schedule;
                print::line(format_args!("{name}  {workflow}  {cron}  {next}"));
            }
        }
        Schedules::Show { name, next, json } => {
            let schedule = find(system, &name).await?;
            let shown = told(system, triggers, &schedule, next.into(), now).await?;
            if json {
                print::pretty(&shown);
                return Ok(());
            }
            let Value::Object(fields) = shown else { return Ok(()) };
            for (field, value) in fields {
                match value {
                    Value::Array(many) => {
                        many.iter().for_each(|one| print::line(format_args!("{field}: {}", plain(one))))
                    }
                    Value::Null => {}
                    one => print::line(format_args!("{field}: {}", plain(&one))),
                }
            }
        }
        Schedules::Run(SchedulesOne { name, json }) => {
            let schedule = find(system, &name).await?;
            let command = uuid::Uuid::now_v7().to_string();
            let run = triggers.run_schedule(tenant, &schedule.name, (&command, None), now).await?;
            match json {
                true => print::pretty(&json!({ "execution_id": run })),
                false => print::line(format_args!("begun as {run}; `{} runs show {run}` shows it", system.command)),
            }
        }
        Schedules::Pause(one) => enable(system, triggers, &one, false, now).await?,
        Schedules::Resume(one) => enable(system, triggers, &one, true, now).await?,
    }
    Ok(())
}

async fn enable(system: &System, triggers: &Triggers, one: &SchedulesOne, on: bool, now: Time) -> anyhow::Result<()> {
    let schedule = find(system, &one.name).await?;
    let schedule = triggers.enable_schedule(&system.tenant, &schedule.name, on, None, now).await?;
    let shown = told(system, triggers, &schedule, 1, now).await?;
    if one.json {
        print::pretty(&shown);
    } else if on {
        print::line(format_args!("`{}` comes round again, next at {}", schedule.name, plain(&shown["next"][0])));
    } else {
        print::line(format_args!("`{}` comes round no more until it is resumed", schedule.name));
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn all(system: &System) -> anyhow::Result<Vec<Schedule>> {
    let mut all: Vec<Schedule> = Vec::new();
    loop {
        let after = all.last().map(|last| last.name.clone());
        let page = triggers::list(&system.store, &system.tenant, after.as_deref(), triggers::PAGE_MAX).await?;
        let is_last = page.len() < triggers::PAGE_MAX;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

async fn find(system: &System, name: &str) -> anyhow::Result<Schedule> {
    match triggers::find::<Schedule>(&system.store, &system.tenant, name).await {
        Ok((_, schedule)) => Ok(schedule),
        Err(error @ Error::Unknown { .. }) => {
            let all = all(system).await?;
            let near = nearest(name, all.iter().map(|schedule| schedule.name.as_str()));
            let hint = near.map_or_else(
                || "`baton schedules list` shows those there are".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            Err(Misuse::new(error.to_string()).hint(hint).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// As the API shows one.
async fn told(
    system: &System,
    triggers: &Triggers,
    schedule: &Schedule,
    next: usize,
    now: Time,
) -> anyhow::Result<Value> {
    Ok(triggers.shown(&system.tenant, schedule, next, now).await?)
}
