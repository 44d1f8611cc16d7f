//! Large OpenAPI documents of third parties: each operation becomes a tool, or the reason is reported.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::clients;
use crate::build::{self, BuiltExecutable};
use crate::process;
use crate::report;
use crate::stages::StageClock;

/// A document in an npm package.
struct SampleDocument {
    name: &'static str,
    package: &'static str,
    file: &'static str,
    /// Additional fields of the definition.
    also: fn() -> Value,
    /// Fewer tools than this would mean that much of the document was not understood.
    tools_min: usize,
}

const DOCUMENTS: [SampleDocument; 3] = [
    SampleDocument {
        name: "github",
        package: "@octokit/openapi@23.0.2",
        file: "@octokit/openapi/generated/api.github.com.json",
        also: || json!({}),
        tools_min: 1_200,
    },
    SampleDocument {
        name: "directus",
        package: "@directus/specs@15.2.0",
        file: "@directus/specs/dist/openapi.json",
        also: || json!({"server": "https://directus.example", "auth": {"Auth": "{{ secrets.key }}", "KeyAuth": "{{ secrets.key }}"}}),
        tools_min: 130,
    },
    SampleDocument {
        name: "blockfrost",
        package: "@blockfrost/openapi@0.1.93",
        file: "@blockfrost/openapi/openapi.yaml",
        also: || json!({"auth": {"project_id": "{{ secrets.key }}"}}),
        tools_min: 100,
    },
];

pub fn run(built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let baton = build::binary(built, "baton").context("the workspace builds no binary named `baton`")?;
    let folder = tempfile::tempdir().context("no scratch folder can be made")?;
    for document in DOCUMENTS {
        if let Err(missing) = clients::node_install(folder.path(), document.package) {
            stages.leave_out("openapi", &format!("{missing:#}"));
            continue;
        }
        stages.run("openapi", || import(baton, &document, folder.path()))?;
    }
    Ok(())
}

fn import(baton: &Path, document: &SampleDocument, folder: &Path) -> anyhow::Result<()> {
    let file = folder.join("node_modules").join(document.file);
    let project = folder.join(document.name);
    for part in ["apis", "tools"] {
        std::fs::create_dir_all(project.join(part))?;
    }
    let ending = file.extension().unwrap_or_default().to_string_lossy().into_owned();
    let own = format!("apis/document.{ending}");
    std::fs::copy(&file, project.join(&own)).with_context(|| format!("{} is not in its package", document.file))?;
    let mut definition = (document.also)();
    definition["name"] = json!(document.name);
    definition["kind"] = json!("openapi");
    definition["document"] = json!(own);
    std::fs::write(project.join("tools/api.json"), definition.to_string())?;
    std::fs::write(project.join("baton.toml"), "[tools.secrets]\nkey = \"k\"\n")?;
    let asked = |arguments: &[&str]| process::output(Command::new(baton).current_dir(&project).args(arguments));
    let listed = asked(&["tools", "list", "--search", &format!("{}.", document.name)])?;
    let tools = listed.lines().filter(|line| line.starts_with(&format!("{}.", document.name))).count();
    let unsupported: Value = serde_json::from_str(&asked(&["tools", "unsupported", "--json"])?)?;
    let unsupported = unsupported["unsupported"].as_array().map_or(0, Vec::len);
    report::line(format_args!("{}: {tools} tools, {unsupported} parts that are not supported", document.name));
    ensure!(tools >= document.tools_min, "{tools} tools of at least {}", document.tools_min);
    if ending == "json" {
        let operations = operations(&serde_json::from_slice(&std::fs::read(&file)?)?);
        ensure!(
            tools + unsupported >= operations,
            "{operations} operations, {tools} tools, {unsupported} named as missing"
        );
    }
    Ok(())
}

fn operations(document: &Value) -> usize {
    let methods = ["get", "put", "post", "delete", "options", "head", "patch"];
    let items = document["paths"].as_object().into_iter().flatten();
    items.map(|(_, item)| methods.iter().filter(|method| item.get(method).is_some()).count()).sum()
}
