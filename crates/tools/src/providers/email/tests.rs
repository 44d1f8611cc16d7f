use std::sync::{Arc, Mutex};

use baton_core::tool::{EffectClass, ToolOutcome};
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::testing::{ToolsFixture, done, not_done, unknown};

/// A mail server that implements RFC 5321, with scripted responses to `DATA`, the e-mail or a recipient.
struct FakeMailServer {
    port: u16,
    letters: SharedLines,
    heard: SharedLines,
}

type SharedLines = Arc<Mutex<Vec<String>>>;

/// The response to the line with this prefix; an empty response closes the connection.
type ReplyOverride = (&'static str, &'static str);
const AFTER_LETTER: &str = ".";

impl FakeMailServer {
    async fn start(instead: Option<ReplyOverride>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (letters, heard): (SharedLines, SharedLines) = (Arc::default(), Arc::default());
        let (to, log) = (letters.clone(), heard.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = serve(stream, instead, &to, &log).await;
            }
        });
        Self { port, letters, heard }
    }

    fn world(&self) -> ToolsFixture {
        ToolsFixture::with(json!({"email": {"smtp": {
            "host": "127.0.0.1", "port": self.port, "tls": "none", "from": "Clínica <hola@clinic.example>", "hello": "baton.test",
            "username": "me", "password": "s3cr3t"
        }}}))
    }
}

async fn serve(
    mut stream: TcpStream,
    instead: Option<ReplyOverride>,
    letters: &Mutex<Vec<String>>,
    heard: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 mail.test\r\n").await?;
    let mut letter: Option<String> = None;
    while let Some(line) = lines.next_line().await? {
        let command = match &mut letter {
            Some(text) if line != "." => {
                text.push_str(&line);
                text.push('\n');
                continue;
            }
            Some(_) => AFTER_LETTER,
            None => line.as_str(),
        };
        heard.lock().unwrap().push(command.to_owned());
        let told = instead.filter(|(begins, _)| command.starts_with(begins)).map(|(_, answer)| answer);
        if let (Some(text), None) = (letter.take(), told) {
            letters.lock().unwrap().push(text);
        }
        let usual = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-mail.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 queued as 42",
        };
        let answer = told.unwrap_or(usual);
        if answer.is_empty() {
            return Ok(());
        }
        if answer.starts_with("354") {
            letter = Some(String::new());
        }
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

fn letter() -> Value {
    json!({
        "to": "Ana López <ana@clinic.example>", "cc": ["b@clinic.example"], "bcc": "c@clinic.example", "subject": "Confirmación de cita",
        "body": "Hola, Ana.", "html": "<p>Hola</p>",
        "attachments": [{"filename": "cita.txt", "content": "mañana"}, {"filename": "a.bin", "content_base64": "AAEC"}]
    })
}

#[tokio::test]
async fn without_a_server_a_letter_goes_into_the_outbox() {
    let world = ToolsFixture::new();
    let call = world.call("k", "send_notification", letter());
    assert_eq!(call.class, EffectClass::Keyed);
    let sent = done(world.send(&call).await.outcome);
    assert_eq!((&sent["delivered"], &sent["channel"]), (&json!("outbox"), &json!("email")));
    assert_eq!(done(world.send(&call).await.outcome), sent);
    let kept = world.records.space("outbox");
    assert_eq!(kept.len(), 1);
    assert_eq!(
        kept[0]["message"]["attachments"],
        json!([{"filename": "cita.txt", "bytes": 7}, {"filename": "a.bin", "bytes": 3}])
    );
    assert_eq!(kept[0]["message"]["to"], json!(["Ana López <ana@clinic.example>"]));
}

#[tokio::test]
async fn with_a_server_a_letter_is_sent_to_all_and_says_so() {
    let server = FakeMailServer::start(None).await;
    let world = server.world();
    let call = world.call("k", "send_email", letter());
    assert_eq!(call.class, EffectClass::Once, "SMTP has no idempotency key");
    let sent = done(world.send(&call).await.outcome);
    assert_eq!((&sent["delivered"], &sent["server"]), (&json!("smtp"), &json!("queued as 42")));

    let letters = server.letters.lock().unwrap().clone();
    assert_eq!(letters.len(), 1);
    let id = sent["message_id"].as_str().unwrap();
    for part in [
        "Date: Wed, 15 Jan 2025 09:00:00 +0000",
        &format!("Message-ID: <{id}@clinic.example>"),
        "multipart/mixed",
        "multipart/alternative",
        "text/html",
        "filename=\"a.bin\"",
        "AAEC",
        "Cc: b@clinic.example",
    ] {
        assert!(letters[0].contains(part), "{part} is not in {}", letters[0]);
    }
    assert!(!letters[0].contains("c@clinic.example\n"), "{}", letters[0]);
    let heard = server.heard.lock().unwrap().clone();
    for recipient in ["ana", "b", "c"] {
        assert!(
            heard.iter().any(|line| line.starts_with(&format!("RCPT TO:<{recipient}@clinic.example>"))),
            "{heard:?}"
        );
    }
}

async fn send(instead: ReplyOverride) -> ToolOutcome {
    let server = FakeMailServer::start(Some(instead)).await;
    let world = server.world();
    let outcome = world.send(&world.call("k", "send_email", letter())).await.outcome;
    assert_eq!(server.letters.lock().unwrap().len(), 0);
    assert!(!format!("{outcome:?}").contains("s3cr3t"));
    outcome
}

#[tokio::test]
async fn what_the_server_answers_is_certain() {
    for (instead, code, again) in [
        (("AUTH", "535 who are you"), "MESSAGE_REJECTED", false),
        (("MAIL", "550 not you"), "MESSAGE_REJECTED", false),
        (("RCPT", "550 no such user"), "MESSAGE_REJECTED", false),
        (("RCPT", "451 greylisted"), "SERVICE_UNAVAILABLE", true),
        ((AFTER_LETTER, "554 looks like spam"), "MESSAGE_REJECTED", false),
        ((AFTER_LETTER, "452 disk full"), "SERVICE_UNAVAILABLE", true),
        (("AUTH", ""), "SERVICE_UNAVAILABLE", true),
    ] {
        match send(instead).await {
            ToolOutcome::NotDone { fault, retryable, .. } => {
                assert_eq!((&*fault.code, retryable), (code, again), "{instead:?}")
            }
            other => panic!("{instead:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_after_the_letter_leaves_it_unknown() {
    assert_eq!(unknown(send((AFTER_LETTER, "")).await).0, "OUTCOME_UNKNOWN");
}

#[tokio::test]
async fn a_server_that_is_not_there_was_told_nothing() {
    let smtp = json!({"host": "127.0.0.1", "port": 1, "tls": "none", "from": "a@clinic.example"});
    let world = ToolsFixture::with(json!({"email": {"smtp": smtp}}));
    let outcome = world.send(&world.call("k", "send_email", letter())).await.outcome;
    assert_eq!(not_done(outcome).0, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn a_server_without_tls_is_told_nothing_where_tls_is_asked_for() {
    let server = FakeMailServer::start(None).await;
    let smtp = json!({"host": "127.0.0.1", "port": server.port, "from": "a@clinic.example", "username": "me", "password": "x"});
    let world = ToolsFixture::with(json!({"email": {"smtp": smtp}}));
    not_done(world.send(&world.call("k", "send_email", letter())).await.outcome);
    let heard = server.heard.lock().unwrap().clone();
    assert!(heard.iter().all(|line| !line.starts_with("AUTH") && !line.starts_with("MAIL")), "{heard:?}");
}

#[tokio::test]
async fn what_is_no_letter_is_refused_by_its_place() {
    let world = ToolsFixture::new();
    for (change, expect) in [
        (json!({"to": "ana"}), "`to` is not an e-mail address"),
        (json!({"cc": ["b@c.example", "x y"]}), "`cc.1` is not an e-mail address"),
        (
            json!({"attachments": [{"filename": "a", "content_base64": "?"}]}),
            "`attachments.0`: `content_base64` is not base64",
        ),
        (json!({"attachments": [{"filename": "a", "content": "b", "content_type": "x"}]}), "`x` is no content type"),
        (json!({"attachments": [{"filename": "a", "content": "x".repeat((5 << 20) + 1)}]}), "more than 5 MB"),
        (json!({"attachments": [{"filename": "../a", "content": "x"}]}), "`attachments.0.filename`"),
        (json!({"subject": "a\r\nBcc: evil@x.example"}), "`subject`"),
    ] {
        let mut arguments = letter();
        arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (code, message) = world.refused("k", "send_email", arguments).await;
        assert_eq!(code, "INVALID_PARAMETERS", "{message}");
        assert!(message.contains(expect), "{message}");
    }
    let (_, message) = world.refused("k", "send_email", json!({"to": "a@b.example", "subject": "x"})).await;
    assert!(message.contains("not valid"), "{message}");
}

#[test]
fn the_registry_tells_the_class_of_the_provider() {
    assert_eq!(ToolsFixture::new().registry.facts("send_email").unwrap().class, EffectClass::Keyed);
}
