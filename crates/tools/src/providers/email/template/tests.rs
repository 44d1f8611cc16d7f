use serde_json::{Value, json};

use crate::testing::ToolsFixture;

fn world() -> ToolsFixture {
    ToolsFixture::with(json!({
        "zone": "Europe/Madrid",
        "templates": {
            "confirmation": {
                "subject": {"en": "Your appointment on {{ date }}", "es": "Tu cita del {{ date }}"},
                "body": {"en": "Hello {{ name }}", "es": "Hola, {{ name }}"},
                "html": "<p>{{ name }}{% for item in items | default([]) %}<li>{{ item.what }}</li>{% endfor %}</p>",
            },
            "plain": {"subject": "{{ subject }}", "body": "x"},
        },
        "tenants": {"clinic": {"templates": {"own": {"subject": "s", "body": "of the clinic"}}}},
    }))
}

async fn kept(arguments: Value) -> Value {
    let world = world();
    world.done("k", "send_email", arguments).await;
    world.records.space("outbox")[0]["message"].clone()
}

#[tokio::test]
async fn a_template_is_filled_in_the_customers_language() {
    let letter = kept(json!({
        "to": "ana@clinic.example", "template": "confirmation", "variables": {"name": "Ana & Co <b>", "date": "15/01", "items": [{"what": "<i>"}]},
    }))
    .await;
    assert_eq!((&letter["subject"], &letter["body"]), (&json!("Tu cita del 15/01"), &json!("Hola, Ana & Co <b>")));
    assert_eq!(
        letter["html"], "<p>Ana &amp; Co &lt;b&gt;<li>&lt;i&gt;</li></p>",
        "what a variable brings is escaped in HTML"
    );
    let own = kept(json!({"to": "a@clinic.example", "template": "own"})).await;
    assert_eq!(own["body"], "of the clinic");
}

#[tokio::test]
async fn what_a_call_says_itself_stands_in_place_of_the_templates() {
    let letter = kept(json!({
        "to": "ana@clinic.example", "template": "confirmation", "subject": "Otra", "variables": {"name": "Ana", "date": "x"},
    }))
    .await;
    assert_eq!((&letter["subject"], &letter["body"]), (&json!("Otra"), &json!("Hola, Ana")));
}

#[tokio::test]
async fn a_name_that_is_not_given_sends_nothing() {
    let world = world();
    let refused = async |arguments: Value| world.refused("k", "send_email", arguments).await;
    let (code, message) =
        refused(json!({"to": "a@b.example", "template": "confirmation", "variables": {"date": "x", "nam": "A"}})).await;
    assert_eq!(code, "EXPRESSION_FAILED");
    assert!(message.contains("template confirmation.body") && message.contains("`name`"), "{message}");
    let (code, message) = refused(json!({"to": "a@b.example", "template": "confirmatio"})).await;
    assert_eq!(code, "INVALID_PARAMETERS", "{message}");
    let injected =
        json!({"to": "a@b.example", "template": "plain", "variables": {"subject": "a\r\nBcc: evil@x.example"}});
    assert_eq!(refused(injected).await.0, "INVALID_PARAMETERS");
    assert_eq!(refused(json!({"to": "a@b.example", "subject": "x"})).await.0, "INVALID_PARAMETERS");
    assert!(world.records.space("outbox").is_empty());
}

#[test]
fn a_template_that_is_none_is_refused_when_it_is_read() {
    let wrong = |template: Value| {
        let config =
            serde_json::from_value(json!({"templates": {"x": template}})).map_err(|error| error.to_string())?;
        crate::ToolRegistry::new(config, &ToolsFixture::new().services()).map(drop).map_err(|error| error.to_string())
    };
    assert!(wrong(json!({"subject": "{{ a"})).unwrap_err().contains("the template cannot be read"));
    assert!(wrong(json!({"subject": "a"})).unwrap_err().contains("neither `body` nor `html`"));
    assert!(wrong(json!({"subject": "a", "body": "b", "text": "c"})).unwrap_err().contains("text"));
    assert!(wrong(json!({"subject": 3, "body": "b"})).unwrap_err().contains("a text, or texts by language"));
    assert_eq!(wrong(json!({"subject": "a", "body": "b"})), Ok(()));
}
