//! Tool names on the wire: letters, digits, `_` and `-`, at most 64 characters. Baton's names may contain dots
//! (`shopify.get_order`).

use std::collections::BTreeMap;

use baton_core::model::{ModelToolCall, ToolOffer};
use baton_ports::models::ReplyDelta;

const NAME_CHARS_MAX: usize = 64;

/// The names of one request, in both directions. The same offers always give the same names.
#[derive(Debug)]
pub(super) struct WireToolNames {
    to_wire: BTreeMap<String, String>,
    to_ours: BTreeMap<String, String>,
}

impl WireToolNames {
    pub fn of(offers: &[ToolOffer]) -> Self {
        let mut names = Self { to_wire: BTreeMap::new(), to_ours: BTreeMap::new() };
        // Names that need no change are assigned first, so that no changed one collides with them.
        let (plain, changed): (Vec<_>, Vec<_>) =
            offers.iter().partition(|offer| wire_safe_name(&offer.name) == offer.name);
        for offer in plain.into_iter().chain(changed) {
            let mut wire = wire_safe_name(&offer.name);
            let mut number = 1_usize;
            while names.to_ours.contains_key(&wire) {
                let end = format!("_{number}");
                wire.truncate(NAME_CHARS_MAX - end.len());
                wire.push_str(&end);
                number += 1;
            }
            names.to_ours.insert(wire.clone(), offer.name.clone());
            names.to_wire.insert(offer.name.clone(), wire);
        }
        names
    }

    /// The wire name of a tool; for a tool that is not offered, the closest valid name.
    pub fn wire_name(&self, ours: &str) -> String {
        self.to_wire.get(ours).cloned().unwrap_or_else(|| wire_safe_name(ours))
    }

    /// A call under Baton's name of the tool.
    pub fn restore_call(&self, call: ModelToolCall) -> ModelToolCall {
        ModelToolCall { name: self.name(call.name), ..call }
    }

    /// A delta of a call under Baton's name of the tool.
    pub fn restore_piece(&self, piece: ReplyDelta) -> ReplyDelta {
        match piece {
            ReplyDelta::ToolCall { index, id, name: Some(name), arguments } => {
                ReplyDelta::ToolCall { index, id, name: Some(self.name(name)), arguments }
            }
            other @ (ReplyDelta::Text(_) | ReplyDelta::ToolCall { name: None, .. } | ReplyDelta::Reset) => other,
        }
    }

    fn name(&self, wire: String) -> String {
        self.to_ours.get(&wire).cloned().unwrap_or(wire)
    }
}

fn wire_safe_name(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let safe: String = name.chars().take(NAME_CHARS_MAX).map(keep).collect();
    if safe.is_empty() { "_".to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn names(of: &[&str]) -> WireToolNames {
        let offer = |name: &&str| ToolOffer {
            name: (*name).to_owned(),
            description: String::new(),
            parameters: Value::Null,
            strict: None,
        };
        WireToolNames::of(&of.iter().map(offer).collect::<Vec<_>>())
    }

    #[test]
    fn every_name_comes_back_as_it_was() {
        let long = "x".repeat(80);
        let all = [
            "shopify.get_order",
            "shopify_get_order",
            "shopify_get_order_1",
            "shopify/get_order",
            "añadir",
            &long,
            "calculator",
        ];
        let names = names(&all);
        let mut seen = std::collections::BTreeSet::new();
        for ours in all {
            let wire = names.wire_name(ours);
            assert!(wire.len() <= 64 && wire_safe_name(&wire) == wire, "{wire}");
            assert!(seen.insert(wire.clone()), "{wire} is used twice");
            let call = ModelToolCall { id: "c".into(), name: wire, arguments: json!({}) };
            assert_eq!(names.restore_call(call).name, ours);
        }
        assert_eq!(names.wire_name("shopify_get_order"), "shopify_get_order");
    }
}
