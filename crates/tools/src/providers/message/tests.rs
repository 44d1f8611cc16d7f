use serde_json::json;

use crate::testing::{ToolsFixture, done};

#[tokio::test]
async fn a_message_goes_into_the_outbox_once_per_key_and_says_so() {
    let world = ToolsFixture::new();
    for (tool, channel) in [("send_whatsapp", "whatsapp"), ("send_sms", "sms")] {
        let call = world.call(tool, tool, json!({"to": "+34 612 345 678", "message": "Tu cita está confirmada"}));
        let first = done(world.send(&call).await.outcome);
        assert_eq!((&first["delivered"], &first["channel"]), (&json!("outbox"), &json!(channel)));
        assert_eq!(done(world.send(&call).await.outcome), first);
    }
    let messages = world.records.space("outbox");
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["message"]["message"], "Tu cita está confirmada");
}

#[tokio::test]
async fn a_message_to_no_phone_is_refused() {
    let world = ToolsFixture::new();
    for to in ["ana", "", "1"] {
        let (code, message) = world.refused("k", "send_whatsapp", json!({"to": to, "message": "x"})).await;
        assert_eq!(code, "INVALID_PARAMETERS");
        assert!(message.contains("`to`"), "{message}");
    }
}
