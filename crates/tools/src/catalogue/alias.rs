//! Aliases of shipped tools.

const ALIASES: &[(&str, &str)] = &[
    ("make_payment", "charge_payment"),
    ("process_payment", "charge_payment"),
    ("search_kb", "knowledge_base"),
    ("search_web", "web_search"),
];

/// Every alias, with the tool it leads to.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALIASES.iter().copied()
}

pub(super) fn target(name: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, target)| *target)
}
