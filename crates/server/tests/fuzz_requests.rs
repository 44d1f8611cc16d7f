//! Fuzz tests of the HTTP server: whatever bytes a connection sends, the server responds with valid HTTP or closes
//! the connection, authenticates no one without a key, and serves the next request as usual.

#[path = "../../core/tests/fuzz/drive.rs"]
mod drive;
#[path = "door/fixture.rs"]
#[expect(dead_code, reason = "what other tests of the door need too")]
mod fixture;

use std::time::Duration;

use fixture::{ModelScript, ServerFixture, reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Valid and malformed requests; `KEY` stands for the header of a valid key.
const CORPUS: &[&str] = &[
    "GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /api/v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: KEY\r\n\r\n",
    "GET /api/v1/executions?limit=5&cursor=%00&state=failed HTTP/1.1\r\nHost: a\r\nAuthorization: KEY\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: KEY\r\nContent-Length: 67\r\n\r\n\
     {\"model\":\"fast\",\"messages\":[{\"role\":\"user\",\"content\":\"\\u00f1\"}],\"n\":1}",
    "POST /api/v1/workflows/execute HTTP/1.1\r\nHost: a\r\nAuthorization: KEY\r\nIdempotency-Key: k\r\n\
     Prefer: wait=5, respond-async\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n",
    "GET /api/v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.\r\n\r\n",
    "OPTIONS /api/v1/me HTTP/1.1\r\nHost: a\r\nOrigin: null\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
    "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n",
    "GET /api/v1/executions/%ff%fe/events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: -1\r\nAuthorization: KEY\r\n\r\n",
    "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
];
/// If the server sends nothing within this time, it is waiting for more bytes.
const PATIENCE: Duration = Duration::from_millis(30);

#[test]
fn whatever_comes_in_the_server_stays() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let world = runtime.block_on(ServerFixture::start(ModelScript::Answer(reply("Hola"))));
    let corpus: Vec<Vec<u8>> = CORPUS.iter().map(|text| text.replace("KEY", &world.key).into_bytes()).collect();
    drive::fuzz("requests", &corpus, |bytes| {
        runtime.block_on(async {
            let mut connection = world.connect("").await;
            // The server may close the connection in the middle.
            let _ = connection.write_all(bytes).await;
            let mut answer = vec![0; 12];
            // Nothing arrives if the server waits for the rest or closed the connection.
            let came = tokio::time::timeout(PATIENCE, connection.read_exact(&mut answer)).await;
            if let Ok(Ok(_)) = came {
                assert!(answer.starts_with(b"HTTP/1.1 ") || answer.starts_with(b"HTTP/1.0 "), "{answer:?}");
                let status = &answer[9..12];
                assert!(status < b"500".as_slice() || status == b"503", "{}", String::from_utf8_lossy(status));
            }
            drop(connection);
            assert_eq!(world.get("/health", None).await.status(), 200, "it does not answer any more");
        });
    });
}
