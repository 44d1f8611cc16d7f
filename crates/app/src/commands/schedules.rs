//! `baton schedules`: works on the project's database, with or without a running server.

use std::path::Path;

use baton_core::time::Time;
use baton_engine::triggers::schedule::ScheduleTrigger;
use baton_engine::triggers::{self, TriggerError, TriggerService};
use baton_expr::nearest;
use serde_json::{Value, json};

use crate::cli::{ScheduleSelectorArgs, SchedulesCommand};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(folder: &Path, args: SchedulesCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    let mut system = ProjectSystem::open(&project)?;
    let saved = system.save_workflows(&project).await?;
    // The command starts runs but does not execute them. The process that serves the project does.
    system.accept_only();
    system
        .serve_with_engine(async |engine| {
            system.save_triggers(&project, &saved.workflows, engine, true).await?;
            let triggers = system.triggers(&project, engine);
            act(&system, &triggers, args).await
        })
        .await?;
    Ok(CommandExit::Completed)
}

async fn act(system: &ProjectSystem, triggers: &TriggerService, args: SchedulesCommand) -> anyhow::Result<()> {
    let (tenant, now) = (&system.tenant, system.clock.now());
    match args {
        SchedulesCommand::List { json } => {
            let all = all(system).await?;
            if json {
                let mut shown = Vec::new();
                for schedule in &all {
                    shown.push(schedule_json(system, triggers, schedule, 1, now).await?);
                }
                print::pretty(&shown.into());
                return Ok(());
            }
            if all.is_empty() {
                print::line("no schedules: write triggers/*.yaml, or POST /api/v1/schedules");
            }
            for schedule in &all {
                let next = schedule.next_instants(triggers.zone.as_deref(), now, 1);
                let next = next.first().map_or_else(|| "paused".to_owned(), |at| format!("next {at}"));
                let ScheduleTrigger { name, workflow, cron, .. } = schedule;
                print::line(format_args!("{name}  {workflow}  {cron}  {next}"));
            }
        }
        SchedulesCommand::Show { name, next, json } => {
            let schedule = find(system, &name).await?;
            let shown = schedule_json(system, triggers, &schedule, next.into(), now).await?;
            if json {
                print::pretty(&shown);
                return Ok(());
            }
            let Value::Object(fields) = shown else { return Ok(()) };
            for (field, value) in fields {
                match value {
                    Value::Array(many) => {
                        many.iter().for_each(|one| print::line(format_args!("{field}: {}", plain_text(one))))
                    }
                    Value::Null => {}
                    one => print::line(format_args!("{field}: {}", plain_text(&one))),
                }
            }
        }
        SchedulesCommand::Run(ScheduleSelectorArgs { name, json }) => {
            let schedule = find(system, &name).await?;
            let command = uuid::Uuid::now_v7().to_string();
            let run = triggers.run_schedule(tenant, &schedule.name, (&command, None), now).await?;
            match json {
                true => print::pretty(&json!({ "execution_id": run })),
                false => print::line(format_args!("begun as {run}; `{} runs show {run}` shows it", system.command)),
            }
        }
        SchedulesCommand::Pause(one) => enable(system, triggers, &one, false, now).await?,
        SchedulesCommand::Resume(one) => enable(system, triggers, &one, true, now).await?,
    }
    Ok(())
}

async fn enable(
    system: &ProjectSystem,
    triggers: &TriggerService,
    one: &ScheduleSelectorArgs,
    on: bool,
    now: Time,
) -> anyhow::Result<()> {
    let schedule = find(system, &one.name).await?;
    let schedule = triggers.enable_schedule(&system.tenant, &schedule.name, on, None, now).await?;
    let shown = schedule_json(system, triggers, &schedule, 1, now).await?;
    if one.json {
        print::pretty(&shown);
    } else if on {
        print::line(format_args!("`{}` comes round again, next at {}", schedule.name, plain_text(&shown["next"][0])));
    } else {
        print::line(format_args!("`{}` comes round no more until it is resumed", schedule.name));
    }
    Ok(())
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn all(system: &ProjectSystem) -> anyhow::Result<Vec<ScheduleTrigger>> {
    let mut all: Vec<ScheduleTrigger> = Vec::new();
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

async fn find(system: &ProjectSystem, name: &str) -> anyhow::Result<ScheduleTrigger> {
    match triggers::find::<ScheduleTrigger>(&system.store, &system.tenant, name).await {
        Ok((_, schedule)) => Ok(schedule),
        Err(error @ TriggerError::Unknown { .. }) => {
            let all = all(system).await?;
            let near = nearest(name, all.iter().map(|schedule| schedule.name.as_str()));
            let hint = near.map_or_else(
                || "`baton schedules list` shows those there are".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            Err(UsageError::new(error.to_string()).hint(hint).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The schedule in the format of the API.
async fn schedule_json(
    system: &ProjectSystem,
    triggers: &TriggerService,
    schedule: &ScheduleTrigger,
    next: usize,
    now: Time,
) -> anyhow::Result<Value> {
    Ok(triggers.schedule_json(&system.tenant, schedule, next, now).await?)
}
