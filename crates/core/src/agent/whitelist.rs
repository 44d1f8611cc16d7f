//! Which tools an agent of a type may have: the lists, under every name that workflows use for a tool.

use super::Kind;
use crate::tool::Class;

/// Tools that change nothing. Anybody may be offered them, as far as they only read.
const SAFE: [&str; 11] = [
    "http_request",
    "query_database",
    "search_kb",
    "knowledge_base",
    "rag_query",
    "get_context",
    "similar_executions",
    "transform_json",
    "filter_list",
    "web_search",
    "search_web",
];

/// Tools that are granted by their own name only, never with all of an app.
const DANGEROUS: [&str; 7] = [
    "execute_code",
    "modify_database",
    "send_email",
    "make_payment",
    "process_payment",
    "charge_payment",
    "delete_resource",
];

/// How an agent came by a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Its `tools` name it.
    ByName,
    /// Its `tools` name all of an app: `shopify.*`.
    WithItsApp,
    /// Nobody gave it.
    None,
}

/// Whether an agent of this type may call a tool, for a call of this class; else why not.
///
/// # Errors
/// A clause that says why not.
pub fn may(kind: Kind, tool: &str, grant: Grant, class: Class) -> Result<(), String> {
    let is_safe = !class.acts() && (SAFE.contains(&tool) || class == Class::Pure);
    let is_dangerous = DANGEROUS.contains(&bare(tool));
    match (kind, grant) {
        (Kind::Simple, _) if !is_safe => Err(format!("`{tool}` may change something, and simple agents only read")),
        (_, Grant::WithItsApp) if is_dangerous => Err(format!("`{tool}` is granted by its own name only")),
        (Kind::Code | Kind::Custom, Grant::None) => Err(format!("`{tool}` is not among this agent's tools")),
        (Kind::Reasoning, Grant::None) if !is_safe => Err(format!("`{tool}` is not among this agent's tools")),
        _ => Ok(()),
    }
}

/// A tool's name without its app: `gmail.send_email` is as dangerous as `send_email`.
fn bare(tool: &str) -> &str {
    tool.rsplit('.').next().unwrap_or(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(kind: Kind, tool: &str, grant: Grant, class: Class) -> bool {
        may(kind, tool, grant, class).is_err()
    }

    #[test]
    fn simple_agents_only_read() {
        assert!(!is_refused(Kind::Simple, "search_kb", Grant::ByName, Class::Read));
        assert!(!is_refused(Kind::Simple, "calculator", Grant::ByName, Class::Pure));
        assert!(is_refused(Kind::Simple, "google_calendar", Grant::ByName, Class::Read));
        assert!(is_refused(Kind::Simple, "http_request", Grant::ByName, Class::Once), "a POST is no reading");
    }

    #[test]
    fn reasoning_agents_may_have_what_is_safe_and_what_they_are_granted() {
        assert!(!is_refused(Kind::Reasoning, "search_kb", Grant::None, Class::Read));
        assert!(is_refused(Kind::Reasoning, "create_ticket", Grant::None, Class::Keyed));
        assert!(!is_refused(Kind::Reasoning, "create_ticket", Grant::ByName, Class::Keyed));
    }

    #[test]
    fn code_agents_have_only_what_they_are_granted() {
        assert!(is_refused(Kind::Code, "search_kb", Grant::None, Class::Read));
        assert!(!is_refused(Kind::Code, "search_kb", Grant::ByName, Class::Read));
        assert!(!is_refused(Kind::Code, "shopify.get_order", Grant::WithItsApp, Class::Read));
    }

    #[test]
    fn what_is_dangerous_comes_by_its_own_name_only() {
        for tool in ["execute_code", "gmail.send_email", "stripe.charge_payment", "make_payment"] {
            assert!(is_refused(Kind::Code, tool, Grant::WithItsApp, Class::Once), "{tool}");
            assert!(!is_refused(Kind::Code, tool, Grant::ByName, Class::Once), "{tool}");
        }
    }
}
