//! What the tests of this room share.

use baton_core::model::{Message, Profile, Request};
use baton_ports::models::Asker;

/// A request whose messages are written as `role: text`, with role `s`, `u`, `a` or `t`.
pub(crate) fn request(agent: &str, messages: &[&str]) -> Request {
    let message = |text: &&str| {
        let (role, content) = text.split_once(": ").expect("`role: text`");
        let content = content.to_owned();
        match role {
            "s" => Message::System { content },
            "u" => Message::user(content),
            "a" => Message::Assistant { content, tool_calls: Vec::new(), thinking: None },
            "t" => Message::Tool { tool_call_id: "c1".into(), content },
            other => panic!("no role `{other}`"),
        }
    };
    Request {
        agent: agent.to_owned(),
        profile: Profile::Fast,
        model: None,
        messages: messages.iter().map(message).collect(),
        tools: Vec::new(),
        schema: None,
        temperature: 0.0,
        ..Request::default()
    }
}

/// The asker of an attempt, counted from 1.
pub(crate) fn asker(attempt: u32) -> Asker {
    Asker {
        tenant: "clinic".into(),
        run: Some("r1".into()),
        key: format!("r1/ask/0/{}", attempt - 1),
        workflow: None,
        key_id: None,
        api_key: None,
        resets: false,
    }
}
