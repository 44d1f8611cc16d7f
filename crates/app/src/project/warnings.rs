//! References in a project that cannot be resolved: models without a price, secrets that are not set, patterns that
//! match nothing. None of them prevents a run. Most are mistakes.

use std::collections::BTreeSet;

use baton_core::definition::source;
use baton_core::id::TenantId;
use baton_expr::nearest;
use baton_models::{ModelGateway, profile};
use baton_tools::ENDPOINT_SECRET;
use serde::Serialize;
use serde_json::Value;

use super::shape_error::{text_location, tool_location};
use super::{Project, ProjectTriggers};
use crate::{print, wiring};

/// A probable mistake in a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProjectWarning {
    /// The setting, or the file with its line and column if known.
    pub place: String,
    pub message: String,
    pub hint: String,
}

impl ProjectWarning {
    /// A warning about a tool's definition, with its place in the file.
    pub(super) fn for_tool(file: &str, tool: &str, doubt: baton_tools::ValidationWarning) -> Self {
        let baton_tools::ValidationWarning { place, message, hint } = doubt;
        Self { place: format!("{}: {place}", tool_location(file, tool, &place)), message, hint }
    }
}

impl Project {
    /// All warnings about references in the project's files and settings. Makes no network requests.
    pub fn warnings(&self, models: &ModelGateway, tenant: &TenantId) -> Vec<ProjectWarning> {
        let mut doubts = self.model_warnings(models, tenant);
        doubts.extend(self.name_warnings());
        doubts.extend(self.secret_warnings());
        doubts.extend(self.trigger_warnings());
        doubts.extend(self.tool_warnings.iter().cloned());
        doubts.extend(self.address_warnings());
        doubts
    }

    /// OpenAPI documents whose server addresses are not allowed for servers that only a document names.
    fn address_warnings(&self) -> Vec<ProjectWarning> {
        let outbound = &self.settings.tools.outbound;
        let of_document = |document: &super::ProjectDocument| {
            let tools = self.tools.iter().filter(|tool| document.tools.iter().any(|name| name == tool.name()));
            let refused: Vec<String> = tools.filter_map(|tool| tool.outbound_violation(outbound)).collect();
            let why = refused.first()?;
            let message = format!(
                "calls of {} of `{}` are refused (ADDRESS_NOT_ALLOWED), since only its document names the server: {why}",
                print::count_noun(refused.len(), "tool"),
                document.name
            );
            Some(ProjectWarning {
                place: tool_location(&document.file, &document.name, "document"),
                message,
                hint: "name the server in the definition, `server: URL`, if you mean it".to_owned(),
            })
        };
        self.documents.iter().filter_map(of_document).collect()
    }

    fn model_warnings(&self, gateway: &ModelGateway, tenant: &TenantId) -> Vec<ProjectWarning> {
        let mut named = profile_models(gateway, tenant, "");
        for other in self.settings.models.file.tenants.keys().filter(|other| *other != tenant.as_str()) {
            named.extend(profile_models(gateway, &other.as_str().into(), &format!(" of tenant `{other}`")));
        }
        let is_unknown = |model: &String| gateway.facts(tenant, model).is_none();
        named.extend(self.own_agents.iter().filter_map(|name| {
            let model = self.agents.get(name)?.model.clone().filter(is_unknown)?;
            Some((format!("agent `{name}`"), model))
        }));
        for workflow in &self.workflows {
            let document = source::read(&workflow.text).map(|tree| tree.to_json()).unwrap_or_default();
            let mut models: Vec<String> = Vec::new();
            models_of(&document, &mut models);
            let unknown = models.into_iter().filter(is_unknown);
            named.extend(unknown.map(|model| (super::display_path(&workflow.file), model)));
        }
        let mut seen = BTreeSet::new();
        // Report a model of everybody's profiles once, not once for each tenant.
        named.retain(|(place, model)| {
            let place = place.split(" of tenant").next().unwrap_or_default().to_owned();
            seen.insert((place, model.clone()))
        });
        let listed = gateway.models(tenant);
        let priced = || listed.iter().filter(|model| model.facts.is_some()).map(|model| model.name.as_str());
        let doubt = |(place, model): (String, String)| {
            let price = "write its price in models.yaml, 0 where it is free";
            let hint = match nearest(&model, priced()) {
                Some(near) => format!("did you mean `{near}`? Else {price}"),
                None => price.to_owned(),
            };
            let message =
                format!("no catalogue knows the model `{model}`: it is not asked where a budget bounds the call");
            ProjectWarning { place, message, hint }
        };
        named.into_iter().map(doubt).collect()
    }

    /// Settings for workflows that no file defines, and for tenants whose name is a near match of this project's. What
    /// such settings require, above all approvals, is never enforced.
    pub fn name_warnings(&self) -> Vec<ProjectWarning> {
        let tools = &self.settings.tools;
        let names: BTreeSet<String> = self.workflows.iter().map(super::WorkflowFile::name).collect();
        let of_all = tools.workflows.keys().map(|name| (format!("[tools.workflows.{name}]"), name));
        let of_tenants = tools.tenants.iter().flat_map(|(tenant, rules)| {
            rules.workflows.keys().map(move |name| (format!("[tools.tenants.{tenant}.workflows.{name}]"), name))
        });
        let unknown = of_all.chain(of_tenants).filter(|(_, name)| !names.contains(*name));
        let workflows = unknown.map(|(place, name)| ProjectWarning {
            place: format!("baton.toml: {place}"),
            message: format!("there is no workflow `{name}` in workflows/, so this holds for none"),
            hint: match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "its name stands in the workflow's file, under `name`".to_owned(),
            },
        });
        let budgets = self.settings.budgets.tenants.keys().map(|name| ("budgets", name.as_str()));
        let tiers = self.settings.agents.tenants.keys().map(|name| ("agents", name.as_str()));
        let rules = tools.tenants.keys().map(|name| ("tools", name.as_str()));
        let own = self.settings.tenant.as_str();
        let near = budgets.chain(tiers).chain(rules).filter(|(_, name)| nearest(name, [own]).is_some());
        let tenants = near.map(|(table, name)| ProjectWarning {
            place: format!("baton.toml: [{table}.tenants.{name}]"),
            message: format!("this project's tenant is `{own}`, and this holds for another, `{name}`"),
            hint: format!("did you mean `{own}`?"),
        });
        workflows.chain(tenants).collect()
    }

    /// Triggers that `baton serve` would reject. It logs a warning and continues without them.
    fn trigger_warnings(&self) -> Vec<ProjectWarning> {
        // A trigger that cannot be read is an error, not a warning.
        let Ok(all) = ProjectTriggers::read(&self.root) else { return Vec::new() };
        let names: BTreeSet<String> = self.workflows.iter().map(super::WorkflowFile::name).collect();
        let schedules = all.schedules.iter().map(|one| ("schedule", &one.name, &one.workflow));
        let hooks = all.webhooks.iter().map(|one| ("webhook", &one.name, &one.workflow));
        let unknown = schedules.chain(hooks).filter(|(_, _, workflow)| !names.contains(*workflow));
        let nowhere = unknown.map(|(kind, name, workflow)| ProjectWarning {
            place: format!("triggers/: {kind} `{name}`"),
            message: format!("there is no workflow `{workflow}` in workflows/"),
            hint: match nearest(workflow, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "one that is made over HTTP may be there all the same".to_owned(),
            },
        });
        let wrong = all.schedules.iter().filter_map(|one| Some((one, one.check(self.settings.own_zone()).err()?)));
        let wrong = wrong.map(|(one, error)| ProjectWarning {
            place: format!("triggers/: schedule `{}`", one.name),
            message: error.to_string(),
            hint: "see docs/guides/schedules.md; as it is, it is not kept".to_owned(),
        });
        nowhere.chain(wrong).collect()
    }

    /// Secrets that are referenced but are neither in the settings nor sealed in the database.
    fn secret_warnings(&self) -> Vec<ProjectWarning> {
        let written = &self.settings.tools.secrets;
        let by_agents = self.own_agents.iter().filter_map(|name| {
            let secret = self.agents.get(name)?.metadata.get(ENDPOINT_SECRET)?.as_str()?;
            Some((format!("agent `{name}`"), secret.to_owned()))
        });
        let by_tools = self.secrets_named.iter();
        let by_tools =
            by_tools.map(|(file, secret)| (text_location(file, &format!("secrets.{secret}")), secret.clone()));
        let named: BTreeSet<_> =
            by_tools.chain(by_agents).filter(|(_, secret)| !written.contains_key(secret)).collect();
        if named.is_empty() {
            return Vec::new();
        }
        let known = wiring::secrets_outside(self);
        let missing = named.into_iter().filter(|(_, secret)| !known.contains(secret));
        missing
            .map(|(place, secret)| {
                let set = format!("`baton secrets set {secret}`, or set {}", baton_tools::secret_env_var(&secret));
                let hint = match nearest(&secret, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`? Else {set}"),
                    None => set,
                };
                ProjectWarning { place, message: format!("there is no secret `{secret}`"), hint }
            })
            .collect()
    }
}

/// The models in a tenant's profiles that its catalogue does not know, with the profile.
fn profile_models(gateway: &ModelGateway, tenant: &TenantId, whose: &str) -> Vec<(String, String)> {
    let models = profile::ALL.into_iter().flat_map(|one| {
        let models = gateway.rules(tenant, one).groups.into_iter().flatten();
        models.map(move |model| (format!("profile `{}`{whose}", profile::word(one)), model))
    });
    models.filter(|(_, model)| gateway.facts(tenant, model).is_none()).collect()
}

/// Collects every `model` of a node, including nested nodes.
fn models_of(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| models_of(item, found)),
        Value::Object(fields) => {
            let is_node = fields.contains_key("agent") || fields.get("type").is_some_and(|kind| kind == "agent");
            let own = fields.get("model").or_else(|| fields.get("config")?.get("model"));
            if let Some(model) = own.and_then(Value::as_str).filter(|model| is_node && !model.contains("{{")) {
                found.push(model.to_owned());
            }
            fields.values().for_each(|field| models_of(field, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Collects the names after `secrets.` in the templates of a definition.
pub fn secrets_of(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| secrets_of(item, found)),
        Value::Object(fields) => {
            // An inlined document was written by a third party, so it is not searched.
            fields.iter().filter(|(name, _)| *name != "document").for_each(|(_, field)| secrets_of(field, found));
        }
        Value::String(text) => {
            for hole in text.split("{{").skip(1) {
                let hole = hole.split("}}").next().unwrap_or_default();
                for (place, _) in hole.match_indices("secrets.") {
                    let behind = &hole[place + "secrets.".len()..];
                    let is_word = |c: char| c.is_alphanumeric() || c == '_';
                    let name: String = behind.chars().take_while(|c| is_word(*c)).collect();
                    let stands_alone = !hole[..place].ends_with(|c: char| is_word(c) || c == '.');
                    if stands_alone && !name.is_empty() {
                        found.insert(name);
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_in_templates_alone() {
        let mut found = BTreeSet::new();
        let tool = json!({"name": "secrets.none", "headers": {"A": "Bearer {{ secrets.crm }}", "B": "{{ key }} secrets.no"},
            "body": [{"x": "{{ secrets.a_b | default(secrets.c) }}", "y": "{{ arguments.secrets.d }}"}],
            "document": {"x": "{{ secrets.theirs }}"}});
        secrets_of(&tool, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a_b", "c", "crm"]);
    }

    #[test]
    fn models_are_found_in_nodes_alone() {
        let mut found = Vec::new();
        let workflow = json!({"model": "no", "nodes": [
            {"id": "a", "agent": "x", "model": "one"}, {"id": "b", "tool": "t", "parameters": {"model": "no"}},
            {"id": "c", "type": "loop", "body": {"nodes": [{"id": "d", "type": "agent", "config": {"model": "two"}}]}},
            {"id": "e", "agent": "x", "model": "{{ model }}"}]});
        models_of(&workflow, &mut found);
        assert_eq!(found, ["one", "two"]);
    }
}
