//! Which tools an agent of a given type may have. The lists contain every name that workflows use for a tool.

use super::AgentKind;
use crate::tool::EffectClass;

/// Tools that change nothing. Every agent may be offered them, as long as they only read.
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

/// Tools that must be granted by their own name, not by a wildcard for the whole app.
const DANGEROUS: [&str; 7] = [
    "execute_code",
    "modify_database",
    "send_email",
    "make_payment",
    "process_payment",
    "charge_payment",
    "delete_resource",
];

/// How a tool was granted to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolGrant {
    /// The agent's `tools` list names it.
    ByName,
    /// The agent's `tools` list names the whole app: `shopify.*`.
    WithItsApp,
    /// The tool was not granted.
    None,
}

/// Checks that an agent of this type may call a tool, for a call of this effect class.
///
/// # Errors
/// A clause that gives the reason.
pub fn check_grant(kind: AgentKind, tool: &str, grant: ToolGrant, class: EffectClass) -> Result<(), String> {
    let is_safe = !class.has_side_effects() && (SAFE.contains(&tool) || class == EffectClass::Pure);
    let is_dangerous = DANGEROUS.contains(&base_name(tool));
    match (kind, grant) {
        (AgentKind::Simple, _) if !is_safe => {
            Err(format!("`{tool}` may change something, and simple agents only read"))
        }
        (_, ToolGrant::WithItsApp) if is_dangerous => Err(format!("`{tool}` is granted by its own name only")),
        (AgentKind::Code | AgentKind::Custom, ToolGrant::None) => {
            Err(format!("`{tool}` is not among this agent's tools"))
        }
        (AgentKind::Reasoning, ToolGrant::None) if !is_safe => Err(format!("`{tool}` is not among this agent's tools")),
        _ => Ok(()),
    }
}

/// Returns a tool's name without its app: `gmail.send_email` is as dangerous as `send_email`.
fn base_name(tool: &str) -> &str {
    tool.rsplit('.').next().unwrap_or(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(kind: AgentKind, tool: &str, grant: ToolGrant, class: EffectClass) -> bool {
        check_grant(kind, tool, grant, class).is_err()
    }

    #[test]
    fn simple_agents_only_read() {
        assert!(!is_refused(AgentKind::Simple, "search_kb", ToolGrant::ByName, EffectClass::Read));
        assert!(!is_refused(AgentKind::Simple, "calculator", ToolGrant::ByName, EffectClass::Pure));
        assert!(is_refused(AgentKind::Simple, "google_calendar", ToolGrant::ByName, EffectClass::Read));
        assert!(
            is_refused(AgentKind::Simple, "http_request", ToolGrant::ByName, EffectClass::Once),
            "a POST is no reading"
        );
    }

    #[test]
    fn reasoning_agents_may_have_what_is_safe_and_what_they_are_granted() {
        assert!(!is_refused(AgentKind::Reasoning, "search_kb", ToolGrant::None, EffectClass::Read));
        assert!(is_refused(AgentKind::Reasoning, "create_ticket", ToolGrant::None, EffectClass::Keyed));
        assert!(!is_refused(AgentKind::Reasoning, "create_ticket", ToolGrant::ByName, EffectClass::Keyed));
    }

    #[test]
    fn code_agents_have_only_what_they_are_granted() {
        assert!(is_refused(AgentKind::Code, "search_kb", ToolGrant::None, EffectClass::Read));
        assert!(!is_refused(AgentKind::Code, "search_kb", ToolGrant::ByName, EffectClass::Read));
        assert!(!is_refused(AgentKind::Code, "shopify.get_order", ToolGrant::WithItsApp, EffectClass::Read));
    }

    #[test]
    fn what_is_dangerous_comes_by_its_own_name_only() {
        for tool in ["execute_code", "gmail.send_email", "stripe.charge_payment", "make_payment"] {
            assert!(is_refused(AgentKind::Code, tool, ToolGrant::WithItsApp, EffectClass::Once), "{tool}");
            assert!(!is_refused(AgentKind::Code, tool, ToolGrant::ByName, EffectClass::Once), "{tool}");
        }
    }
}
