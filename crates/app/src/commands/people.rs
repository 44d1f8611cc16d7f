//! `baton people`: who is on the desk, where decision links reach them, and which roles and skills they have.

use std::path::Path;
use std::time::Duration;

use baton_core::desk::{CAPACITY_DEFAULT, Command, Desk, Person, Profile};
use baton_core::id::PersonId;
use baton_engine::{Desks, Told};
use serde_json::{Value, json};

use crate::cli::{People, PeoplePut};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

/// How long the desk may take.
const TAKE: Duration = Duration::from_secs(10);

pub async fn run(folder: &Path, args: People) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        People::List { json } => list(&project, json).await,
        People::Put(args) => tell(&project, Command::PutPerson(profile(args)?)).await,
        People::Remove { id } => tell(&project, Command::RemovePerson { person: parsed(&id)? }).await,
    }
}

async fn list(project: &Project, as_json: bool) -> anyhow::Result<Exit> {
    // Looking makes no database where nothing has run.
    let desk = match project.has_database() {
        true => {
            let system = System::open(project)?;
            Desks::default().look(&system.store, &system.tenant).await?
        }
        false => std::sync::Arc::default(),
    };
    if as_json {
        print::pretty(&Value::Array(desk.people().map(shown).collect()));
        return Ok(Exit::Completed);
    }
    if desk.people().next().is_none() {
        let command = project.command();
        print::line(format_args!("nobody is registered; `{command} people put ID --email ADDRESS` registers somebody"));
    }
    for Person { profile, presence, .. } in desk.people() {
        let Profile { id, email, roles, skills, .. } = profile;
        let part = |word: &str, names: &std::collections::BTreeSet<String>| match names.is_empty() {
            true => String::new(),
            false => format!("  {word} {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
        };
        let (roles, skills) = (part("roles", roles), part("skills", skills));
        print::line(format_args!("{}  {email}  {}{roles}{skills}", print::paint("1", id.as_str()), presence.word()));
    }
    Ok(Exit::Completed)
}

fn shown(Person { profile, presence, .. }: &Person) -> Value {
    let mut shown = json!(profile);
    shown["roles"] = json!(profile.roles);
    shown["status"] = json!(presence);
    shown
}

fn profile(args: PeoplePut) -> anyhow::Result<Profile> {
    let PeoplePut { id, email, name, roles, skills, languages, max_capacity } = args;
    Ok(Profile {
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
    PersonId::parse(id).map_err(|error| Misuse::new(format!("`{id}` is no id of a person: {error}")).into())
}

/// Durable once it is said; whoever serves the project takes it, or this does.
async fn tell(project: &Project, command: Command) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    let told = system.working(async |engine| {
        let id = uuid::Uuid::now_v7().to_string();
        let before = Desks::default().look(&system.store, &system.tenant).await?;
        let told = Desks::default().tell(engine, &system.tenant, &id, &command, TAKE).await?;
        Ok((before, told))
    });
    let refused = match told.await? {
        (_, Told::Taken | Told::Again) => None,
        (_, Told::Refused { code, message }) => Some(format!("refused[{code}]: {message}")),
        // Whoever moves it says no where nobody here hears it.
        (before, Told::Accepted) => {
            let decided = Desk::clone(&before).decide(command.clone(), system.clock.now());
            decided.err().map(|refusal| format!("refused[{}]: {refusal}", refusal.code()))
        }
    };
    match (refused, command) {
        (Some(refused), _) => return Err(Misuse::new(refused).into()),
        (None, Command::PutPerson(profile)) => {
            print::line(format_args!("`{}` is registered; decision links go to {}", profile.id, profile.email));
        }
        (None, _) => print::line("they are off the desk"),
    }
    Ok(Exit::Completed)
}
