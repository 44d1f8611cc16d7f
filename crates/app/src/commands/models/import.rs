//! `baton models import`: prices from the public LiteLLM price map.

use std::path::Path;

use anyhow::Context;
use baton_models::litellm::{self, PriceImport};
use baton_models::{CatalogueFile, CatalogueLayer, ModelCatalogue};
use serde_json::json;

use crate::cli::models::PriceImportArgs;
use crate::project::{IMPORTED, Project, display_path, read};
use crate::{CommandExit, UsageError, print};

/// The default providers to import.
const DEFAULT_PROVIDERS: [&str; 2] = ["openai", "anthropic"];

pub fn run(project: &Project, args: &PriceImportArgs) -> anyhow::Result<CommandExit> {
    let wanted = wanted(project, args)?;
    let imported = litellm::import(&read(&args.file)?, &wanted)
        .map_err(|problem| UsageError::new(format!("{}: {problem}", display_path(&args.file))))?;
    if imported.layer.models.is_empty() {
        return Err(UsageError::new(format!(
            "{} has no model of {}",
            display_path(&args.file),
            provider_list(&wanted)
        ))
        .hint("`--provider NAME` takes those of another provider, `--all` those of all")
        .into());
    }
    let kept = earlier_imports(project, &wanted)?;
    let text = text(&imported, &kept);
    check(&text)?;
    if args.print {
        print::line(text.trim_end());
        return Ok(CommandExit::Completed);
    }
    let file = project.root.join(IMPORTED);
    write(&file, &text)?;
    let left_out: usize = imported.left_out.values().sum();
    if args.json {
        print::pretty(&json!({
            "file": display_path(&file), "models": imported.layer.models, "kept": kept.models.keys().collect::<Vec<_>>(),
            "left_out": imported.left_out,
        }));
    } else {
        let (taken, kept) = (imported.layer.models.len(), kept.models.len());
        let beside = match kept {
            0 => String::new(),
            kept => format!(", beside {} of earlier imports", print::count_noun(kept, "model")),
        };
        let (taken, left_out) = (print::count_noun(taken, "model"), print::count_noun(left_out, "row"));
        print::line(format_args!(
            "{taken} of {} in {}{beside}; {left_out} left out",
            provider_list(&wanted),
            display_path(&file)
        ));
        for (why, count) in &imported.left_out {
            print::line(format_args!("  {count:>5}  {why}"));
        }
    }
    Ok(CommandExit::Completed)
}

/// Providers by their names in the price map. An empty list means all.
fn wanted(project: &Project, args: &PriceImportArgs) -> anyhow::Result<Vec<String>> {
    if args.all {
        return Ok(Vec::new());
    }
    if !args.providers.is_empty() {
        return Ok(args.providers.clone());
    }
    let here = project
        .settings
        .models
        .remote_providers()
        .map_err(|error| UsageError::new(error.to_string()).code(error.code()))?;
    let mut wanted: Vec<String> = DEFAULT_PROVIDERS.map(str::to_owned).into();
    wanted.extend(here.into_iter().map(|(name, ..)| name));
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}

fn provider_list(wanted: &[String]) -> String {
    if wanted.is_empty() { "all providers".to_owned() } else { wanted.join(", ") }
}

/// What earlier imports took of other providers. An import replaces only the last one of the same providers.
fn earlier_imports(project: &Project, wanted: &[String]) -> anyhow::Result<CatalogueLayer> {
    let file = project.root.join(IMPORTED);
    if wanted.is_empty() || !file.exists() {
        return Ok(CatalogueLayer::default());
    }
    let text = read(&file)?;
    let wrong = |found| UsageError::from_diagnostic(&found, &display_path(&file), &String::from_utf8_lossy(&text));
    let mut layer = CatalogueFile::read(&text).map_err(wrong)?.layer;
    layer.models.retain(|_, entry| entry.provider.as_ref().is_none_or(|provider| !wanted.contains(provider)));
    Ok(layer)
}

fn text(imported: &PriceImport, kept: &CatalogueLayer) -> String {
    let mut layer = kept.clone();
    layer.models.extend(imported.layer.models.clone());
    layer.to_yaml(
        "Written by `baton models import`. The next import writes the models of its providers anew.\n\
         It lies below models.yaml: write there what is to stay.",
    )
}

/// Every command reads the written file, so it is parsed once before it is written.
fn check(text: &str) -> anyhow::Result<()> {
    let file =
        CatalogueFile::read(text.as_bytes()).map_err(|found| UsageError::from_diagnostic(&found, IMPORTED, text))?;
    ModelCatalogue::with([&file.layer]).map_err(|error| UsageError::new(error.to_string()).code(error.code()))?;
    Ok(())
}

/// Writes the file atomically. Concurrent readers see the old version.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let beside = file.with_extension("yaml.new");
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file));
    written.with_context(|| format!("{} cannot be written", display_path(file)))
}
