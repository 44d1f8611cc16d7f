//! Other names that the seeds use for shipped tools.

const ALIASES: &[(&str, &str)] =
    &[("make_payment", "charge_payment"), ("process_payment", "charge_payment"), ("search_web", "web_search")];

pub(super) fn target(name: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, target)| *target)
}
