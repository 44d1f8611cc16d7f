use std::sync::Arc;

use baton_core::tool::EffectClass;
use serde_json::{Value, json};

use super::EarlyOutcome;
use crate::check;
use crate::code;
use crate::rules::ToolRules;
use crate::testing::ToolsFixture;

/// Returns why a call of this class is stopped, whatever location its arguments claim.
fn stopped(settings: &Value, tool: &str, arguments: Value, class: EffectClass, at: &Value) -> Option<String> {
    let world = ToolsFixture::with(settings.clone());
    let mut call = world.call("k", tool, arguments);
    call.class = class;
    let catalogue = world.registry.catalogue();
    let entry = catalogue.find(tool).unwrap();
    let rules = ToolRules::new(&serde_json::from_value(settings.clone()).unwrap());
    let mut request = check::settle(&catalogue, &rules, &call, entry).unwrap();
    // Bypasses the schema, as if the tool accepted any argument.
    Arc::make_mut(&mut request.call.arguments)["at"] = at.clone();
    match super::check(&request, entry) {
        Ok(()) => None,
        Err(EarlyOutcome::Refused { fault, .. }) => Some(fault.code.into_owned()),
        Err(_) => panic!("neither refused nor let on"),
    }
}

#[test]
fn a_call_that_says_that_it_stays_inside_is_believed_only_of_a_tool_that_does() {
    let twilio = json!({"message": {"twilio": {
        "account_sid": "ACaaaa", "auth_token": "s3cr3t", "from": "+14155552345",
    }}});
    let message = || json!({"to": "+34 612 345 678", "message": "hello"});
    for at in [json!("internal"), Value::Null, json!("outbox")] {
        let refused = stopped(&twilio, "send_sms", message(), EffectClass::Keyed, &at);
        assert_eq!(refused.as_deref(), Some(code::PROVIDER_CHANGED), "{at}");
        assert_eq!(stopped(&twilio, "send_sms", message(), EffectClass::Verify, &at), None);
    }
    let crm = json!({"crm": {"rest": {"base_url": "https://crm.example", "token": "t0k3n"}}});
    let contact = || json!({"contact_id": "ana", "fields": {"city": "Sevilla"}});
    assert_eq!(stopped(&crm, "update_crm", contact(), EffectClass::Keyed, &json!("internal")), None);
    let elsewhere = stopped(&crm, "update_crm", contact(), EffectClass::Keyed, &json!("https://crm.example/"));
    assert_eq!(elsewhere.as_deref(), Some(code::PROVIDER_CHANGED));
}
