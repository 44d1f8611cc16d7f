//! Tests against a real mail server with TLS and passwords: aiosmtpd, which `cargo xtask test` starts and announces
//! through the variables below.

use std::path::{Path, PathBuf};

use baton_core::tool::ToolOutcome;
use serde_json::{Value, json};

use crate::testing::{ToolsFixture, done, not_done};

/// Ports at which `baton` can log in with the password `s3cr3t`: with STARTTLS, and with implicit TLS.
const PORTS: [(&str, &str); 2] = [("starttls", "TEST_SMTP_STARTTLS_PORT"), ("implicit", "TEST_SMTP_IMPLICIT_PORT")];
/// The certificate authority of the server. Its certificate names 127.0.0.1 but not 127.0.0.2, where the server
/// listens too.
const AUTHORITY: &str = "TEST_SMTP_CA";
/// The folder of what the server received: `LOGIN`, `MAIL` and `LETTER`, one JSON line each.
const HEARD: &str = "TEST_SMTP_HEARD";

struct SmtpServerFixture {
    heard: PathBuf,
    /// The number of lines received before this test.
    before: usize,
}

impl SmtpServerFixture {
    fn now() -> Self {
        let heard = PathBuf::from(told(HEARD));
        let before = lines(&heard).len();
        Self { heard, before }
    }

    fn heard(&self) -> Vec<Value> {
        lines(&self.heard).split_off(self.before)
    }
}

fn told(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; `cargo xtask test` sets it"))
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn sent(tls: &str, port: &str, change: Value) -> ToolOutcome {
    let mut smtp = json!({
        "host": "127.0.0.1", "port": told(port).parse::<u16>().unwrap(), "tls": tls, "ca": told(AUTHORITY),
        "username": "baton", "password": "s3cr3t", "from": "Clinic <hello@clinic.example>", "hello": "baton.test",
    });
    smtp.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    smtp.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let world = ToolsFixture::with(json!({"email": {"smtp": smtp}}));
    let letter = json!({"to": "ana@clinic.example", "subject": "Confirmación", "body": "Mañana a las 10."});
    world.send(&world.call("k", "send_email", letter)).await.outcome
}

/// A single test, so that no other test uses the server at the same time.
#[tokio::test]
#[ignore = "`cargo xtask test` starts the server"]
async fn a_real_mail_server_takes_a_letter_by_tls_from_whom_it_knows() {
    for (tls, port) in PORTS {
        let server = SmtpServerFixture::now();
        let answer = done(sent(tls, port, json!({})).await);
        assert_eq!((&answer["delivered"], &answer["status"]), (&json!("smtp"), &json!("sent")), "{tls}");
        let heard = server.heard();
        let letter = heard.iter().find(|line| line["what"] == "LETTER").expect("a letter");
        assert_eq!((&letter["tls"], &letter["user"]), (&json!(true), &json!("baton")), "{tls}: {heard:?}");
        assert!(letter["text"].as_str().unwrap().contains("To: ana@clinic.example"), "{tls}: {letter}");
        assert!(heard.iter().all(|line| line["tls"] == true), "{tls}: nothing is said in the clear: {heard:?}");

        let server = SmtpServerFixture::now();
        let (code, message) = not_done(sent(tls, port, json!({"password": "wrong-one"})).await);
        assert_eq!(code, "MESSAGE_REJECTED", "{tls}: {message}");
        assert!(message.contains("535") && !message.contains("wrong-one"), "{tls}: {message}");
        assert!(server.heard().iter().all(|line| line["what"] == "LOGIN"), "{tls}: {:?}", server.heard());

        // An unknown authority, and a server with another name.
        for (change, why) in
            [(json!({"ca": null}), "UnknownIssuer"), (json!({"host": "127.0.0.2"}), "not valid for name")]
        {
            let server = SmtpServerFixture::now();
            let (code, message) = not_done(sent(tls, port, change).await);
            assert_eq!(code, "SERVICE_UNAVAILABLE", "{tls}: {message}");
            assert!(message.contains(why), "{tls}: {message}");
            assert!(server.heard().is_empty(), "{tls}: nothing was said: {:?}", server.heard());
        }
    }
}
