//! Checks agent definitions, so that a defect is found before a run meets it.

use baton_core::agent::{AgentDefinition, AgentKind};
use baton_expr::JinjaTemplate;

use crate::schema;

/// Checks that the definition describes a usable agent.
///
/// # Errors
/// A sentence that says what is wrong: a prompt that is not a valid template, a schema that is not a JSON Schema,
/// an `endpoint` on an agent whose type is not `custom`, or an endpoint whose scheme is neither `https` nor `http`.
pub fn check(agent: &AgentDefinition) -> Result<(), String> {
    let name = &agent.name;
    let own = [("system_prompt", &agent.system_prompt), ("prompt", &agent.prompt)];
    let more = agent.prompts.iter().map(|(name, text)| (name.as_str(), text));
    for (prompt, text) in own.into_iter().chain(more) {
        JinjaTemplate::parse(text)
            .map_err(|error| format!("agent `{name}`: its `{prompt}` is no template: {error}"))?;
    }
    schema::of(agent).map_err(|fault| fault.message)?;
    match (agent.kind, &agent.endpoint) {
        (AgentKind::Simple | AgentKind::Reasoning | AgentKind::Code, Some(_)) => {
            let kind = agent.kind.word();
            Err(format!("agent `{name}`: an `endpoint` thinks for agents of type `custom`, and this is `{kind}`"))
        }
        (_, Some(endpoint)) if !["https://", "http://"].iter().any(|scheme| endpoint.starts_with(scheme)) => {
            Err(format!("agent `{name}`: its endpoint `{endpoint}` is neither https nor http"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shipped_agents_are_agents() {
        for agent in crate::shipped().values() {
            assert_eq!(check(agent), Ok(()));
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let wrong = |change: &dyn Fn(&mut AgentDefinition)| {
            let mut agent = AgentDefinition::new("greeter", AgentKind::Simple);
            change(&mut agent);
            check(&agent).unwrap_err()
        };
        assert!(wrong(&|agent| agent.prompt = "{{ message".to_owned()).contains("`prompt`"));
        assert!(wrong(&|agent| drop(agent.prompts.insert("plan.en".into(), "{% if %}".into()))).contains("`plan.en`"));
        assert!(wrong(&|agent| agent.output_schema = Some(json!({"type": 7}))).contains("output_schema"));
        assert!(wrong(&|agent| agent.endpoint = Some("https://a.example".into())).contains("type `custom`"));
        let ftp = wrong(&|agent| (agent.kind, agent.endpoint) = (AgentKind::Custom, Some("ftp://a.example".into())));
        assert!(ftp.contains("neither https nor http"), "{ftp}");
    }
}
