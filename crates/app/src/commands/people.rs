//! `baton people`: human agents, their addresses for decision links, and their roles and skills.

use std::path::Path;
use std::time::Duration;

use baton_core::id::PersonId;
use baton_core::routing::{CAPACITY_DEFAULT, HumanAgent, PersonProfile, RoutingCommand, RoutingQueue};
use baton_engine::{RoutingQueues, SubmitResult};
use serde_json::{Value, json};

use crate::cli::{PeopleCommand, PersonPutArgs};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

/// Time limit for a command to the routing queue.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn run(folder: &Path, args: PeopleCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        PeopleCommand::List { json } => list(&project, json).await,
        PeopleCommand::Put(args) => submit_command(&project, RoutingCommand::PutPerson(profile(args)?)).await,
        PeopleCommand::Remove { id } => {
            submit_command(&project, RoutingCommand::RemovePerson { person: parsed(&id)? }).await
        }
    }
}

async fn list(project: &Project, as_json: bool) -> anyhow::Result<CommandExit> {
    // Does not create a database if nothing has run.
    let desk = match project.has_database() {
        true => {
            let system = ProjectSystem::open(project)?;
            RoutingQueues::default().current(&system.store, &system.tenant).await?
        }
        false => std::sync::Arc::default(),
    };
    if as_json {
        print::pretty(&Value::Array(desk.people().map(person_row).collect()));
        return Ok(CommandExit::Completed);
    }
    if desk.people().next().is_none() {
        let command = project.command();
        print::line(format_args!("nobody is registered; `{command} people put ID --email ADDRESS` registers somebody"));
    }
    for HumanAgent { profile, presence, .. } in desk.people() {
        let PersonProfile { id, email, roles, skills, .. } = profile;
        let part = |word: &str, names: &std::collections::BTreeSet<String>| match names.is_empty() {
            true => String::new(),
            false => format!("  {word} {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
        };
        let (roles, skills) = (part("roles", roles), part("skills", skills));
        print::line(format_args!("{}  {email}  {}{roles}{skills}", print::paint("1", id.as_str()), presence.word()));
    }
    Ok(CommandExit::Completed)
}

fn person_row(HumanAgent { profile, presence, .. }: &HumanAgent) -> Value {
    let mut shown = json!(profile);
    shown["roles"] = json!(profile.roles);
    shown["status"] = json!(presence);
    shown
}

fn profile(args: PersonPutArgs) -> anyhow::Result<PersonProfile> {
    let PersonPutArgs { id, email, name, roles, skills, languages, max_capacity } = args;
    Ok(PersonProfile {
        name: name.unwrap_or_else(|| id.clone()),
        id: parsed(&id)?,
        email,
        skills: skills.into_iter().collect(),
        roles: roles.into_iter().collect(),
        max_capacity: max_capacity.unwrap_or(CAPACITY_DEFAULT),
        languages: languages.into_iter().collect(),
    })
}

fn parsed(id: &str) -> anyhow::Result<PersonId> {
    PersonId::parse(id).map_err(|error| UsageError::new(format!("`{id}` is no id of a person: {error}")).into())
}

/// The command is durable once it is submitted. The process that serves the project applies it, or this one does.
async fn submit_command(project: &Project, command: RoutingCommand) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let told = system.run_with_engine(async |engine| {
        let id = uuid::Uuid::now_v7().to_string();
        let before = RoutingQueues::default().current(&system.store, &system.tenant).await?;
        let told = RoutingQueues::default().submit(engine, &system.tenant, &id, &command, COMMAND_TIMEOUT).await?;
        Ok((before, told))
    });
    let refused = match told.await? {
        (_, SubmitResult::Applied | SubmitResult::Duplicate) => None,
        (_, SubmitResult::Refused { code, message }) => Some(format!("refused[{code}]: {message}")),
        // The process that owns the queue may refuse the command later, and this process would not see it.
        (before, SubmitResult::Accepted) => {
            let decided = RoutingQueue::clone(&before).decide(command.clone(), system.clock.now());
            decided.err().map(|refusal| format!("refused[{}]: {refusal}", refusal.code()))
        }
    };
    match (refused, command) {
        (Some(refused), _) => return Err(UsageError::new(refused).into()),
        (None, RoutingCommand::PutPerson(profile)) => {
            print::line(format_args!("`{}` is registered; decision links go to {}", profile.id, profile.email));
        }
        (None, _) => print::line("they are off the desk"),
    }
    Ok(CommandExit::Completed)
}
