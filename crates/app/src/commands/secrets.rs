//! `baton secrets`: secrets sealed in the project's database, for `{{ secrets.NAME }}` in its tools and settings.

use std::io::{IsTerminal, Read};
use std::path::Path;

use baton_core::time::Time;
use baton_expr::nearest;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::feed::{FeedSpace, JournalFeed as _};
use baton_store::sqlite::{self, SqliteStore};

use crate::cli::SecretsCommand;
use crate::project::Project;
use crate::vault::{KeyRing, SECRET_BYTES_MAX, SecretSummary, SecretVault};
use crate::{CommandExit, UsageError, print};

/// Maximum length of a name, in characters.
const NAME_CHARS_MAX: usize = 100;

pub async fn run(folder: &Path, args: SecretsCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    let (tenant, now) = (project.tenant()?, SystemClock.now());
    let ring = KeyRing::of(&project.settings.secrets, &project.root)?;
    // Open only the store: a secret sealed under a lost key would prevent the whole system from opening, and must be
    // deleted here.
    let database = project.database();
    if let Some(folder) = database.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let store = SqliteStore::open(&database, sqlite::StoreOptions::default())?;
    let vault = SecretVault { records: &store, tenant: &tenant, ring: &ring };
    match args {
        SecretsCommand::Set { name } => {
            is_name(&name)?;
            vault.set(&name, &read_stdin()?, now).await?;
            print::line(format_args!(
                "`{name}` is sealed; tools and settings have it as {{{{ secrets.{name} }}}}, a server that runs from its next start on."
            ));
            if project.settings.tools.secrets.contains_key(&name) {
                print::note(format_args!("note: the settings have a `tools.secrets.{name}` too, which comes first"));
            }
        }
        SecretsCommand::List { json } => print_secrets(&vault.list().await?, json),
        SecretsCommand::Delete { name } => {
            let known = vault.list().await?;
            if !vault.delete(&name, now).await? {
                let misuse = UsageError::new(format!("there is no secret `{name}`"));
                let near = nearest(&name, known.iter().map(|known| known.name.as_str()));
                return Err(match near {
                    Some(near) => misuse.hint(format!("did you mean `{near}`?")).into(),
                    None => misuse.hint("`baton secrets list` shows all").into(),
                });
            }
            print::line(format_args!("`{name}` is forgotten, by a server that runs at its next start."));
        }
        SecretsCommand::Rotate => rotate(&store, &ring, now).await?,
    }
    Ok(CommandExit::Completed)
}

/// Rotates the secrets of all tenants, disabled ones included, because the old key is to be retired. A secret that
/// cannot be opened does not block the others. Each failure is reported, and the command fails.
async fn rotate(store: &SqliteStore, ring: &KeyRing, now: Time) -> anyhow::Result<()> {
    let (mut rotated, mut failed) = (0, Vec::new());
    for tenant in store.tenants(FeedSpace::Secrets).await? {
        match (SecretVault { records: store, tenant: &tenant, ring }).rotate(now).await {
            Ok(done) => {
                rotated += done.count;
                failed.extend(done.failed.into_iter().map(|error| (tenant.clone(), error)));
            }
            Err(error) => failed.push((tenant, error)),
        }
    }
    for (tenant, error) in &failed {
        print::note(format_args!("note: of the tenant `{tenant}`, as it was: {error:#}"));
    }
    print::line(format_args!("{} sealed anew under the current key.", print::count_noun(rotated, "secret")));
    if failed.is_empty() {
        return Ok(());
    }
    let message = format!("{} could not be sealed anew", print::count_noun(failed.len(), "secret"));
    let hint = "set the keys they are sealed under among BATON_SECRETS__OLD_KEYS, or `baton secrets delete` them";
    Err(UsageError::new(message).hint(hint).into())
}

fn is_name(name: &str) -> anyhow::Result<()> {
    let is_one = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_one) {
        let message =
            format!("`{name}` is no name of a secret: 1 to {NAME_CHARS_MAX} lower case letters, digits and `_`");
        return Err(UsageError::new(message).into());
    }
    Ok(())
}

/// Reads from standard input. A secret is never an argument, because any user of the machine could read it.
fn read_stdin() -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(UsageError::new("no secret is given").hint("pipe it in: `baton secrets set NAME < FILE`").into());
    }
    let mut bytes = Vec::new();
    stdin.lock().take(SECRET_BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| UsageError::new("a secret is text"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() || text.len() > SECRET_BYTES_MAX {
        return Err(UsageError::new(format!("a secret has 1 to {SECRET_BYTES_MAX} bytes")).into());
    }
    Ok(text.to_owned())
}

fn print_secrets(known: &[SecretSummary], as_json: bool) {
    if as_json {
        print::pretty(&serde_json::json!(known));
    } else if known.is_empty() {
        print::line("no secrets: `baton secrets set NAME < FILE` seals one");
    }
    for known in known.iter().filter(|_| !as_json) {
        let opens = if known.opens { "" } else { "  its key is not set up" };
        print::line(format_args!("{}  key {}  {}{opens}", known.name, known.key_id, known.set_at));
    }
}
