//! The triggers and webhook subscriptions in a project's folder: `triggers/*.yaml`, and the `trigger` nodes of
//! workflows.

use std::collections::BTreeSet;
use std::path::Path;

use baton_engine::triggers::schedule::ScheduleTrigger;
use baton_engine::triggers::webhook::WebhookTrigger;
use baton_engine::webhook_delivery::WebhookSubscription;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{read_value, shape_error, yaml_files};

/// All triggers of a project.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectTriggers {
    pub schedules: Vec<ScheduleTrigger>,
    pub webhooks: Vec<WebhookTrigger>,
    pub subscriptions: Vec<WebhookSubscription>,
}

impl ProjectTriggers {
    /// Reads the files of the folder.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let (all, mut faults) = Self::read_partial(root);
        if faults.is_empty() { Ok(all) } else { Err(faults.swap_remove(0)) }
    }

    /// Reads the valid files, and returns the errors of the others.
    pub fn read_partial(root: &Path) -> (Self, Vec<anyhow::Error>) {
        let read = |file: &Path| -> anyhow::Result<Self> {
            Ok(shape_error::read_as(file, read_value(file)?, "triggers are in docs/guides/schedules.md")?)
        };
        let (mut all, mut faults) = (Self::default(), Vec::new());
        let files = yaml_files(&root.join("triggers")).map_err(|error| faults.push(error)).unwrap_or_default();
        for one in files.iter().map(|file| read(file)) {
            match one {
                Ok(one) => {
                    all.schedules.extend(one.schedules);
                    all.webhooks.extend(one.webhooks);
                    all.subscriptions.extend(one.subscriptions);
                }
                Err(error) => faults.push(error),
            }
        }
        (all, faults)
    }

    /// Adds the `trigger` nodes of a workflow, each named after the workflow and the node. A trigger of the same name
    /// in a file takes precedence.
    pub fn add_nodes(&mut self, workflow: &str, definition: &Value) {
        let nodes = definition.get("nodes").and_then(Value::as_array).into_iter().flatten();
        for node in nodes {
            let text = |key: &str| node.get(key).and_then(Value::as_str);
            let Some(id) = text("id") else { continue };
            match text("trigger") {
                Some("schedule") => {
                    let mut written: Map<String, Value> = ["cron", "zone", "missed"]
                        .into_iter()
                        .filter_map(|key| Some((key.to_owned(), node.get(key)?.clone())))
                        .collect();
                    let name = format!("{workflow}.{id}");
                    written.extend([("name".to_owned(), json!(name)), ("workflow".to_owned(), json!(workflow))]);
                    let is_there = self.schedules.iter().any(|schedule| schedule.name == name);
                    if let (Ok(schedule), false) = (serde_json::from_value(written.into()), is_there) {
                        self.schedules.push(schedule);
                    }
                }
                Some("webhook") => {
                    let name = text("path").map_or_else(|| format!("{workflow}.{id}"), str::to_owned);
                    let is_there = self.webhooks.iter().any(|hook| hook.name == name);
                    let hook = serde_json::from_value(json!({ "name": name, "workflow": workflow }));
                    if let (Ok(hook), false) = (hook, is_there) {
                        self.webhooks.push(hook);
                    }
                }
                _ => {}
            }
        }
    }

    pub fn names(&self) -> [BTreeSet<&str>; 3] {
        [
            self.schedules.iter().map(|schedule| schedule.name.as_str()).collect(),
            self.webhooks.iter().map(|hook| hook.name.as_str()).collect(),
            self.subscriptions.iter().map(|subscription| subscription.name.as_str()).collect(),
        ]
    }
}
