//! End-to-end tests of TLS: the server's certificate, HTTP/2 and HTTP/1.1, and a certificate that is renewed.

use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, Version};

use crate::server::BatonServer;
use crate::test_folder::TestFolder;

const FIRST: [&str; 2] = [include_str!("signing/first.pem"), include_str!("signing/first.key")];
const SECOND: [&str; 2] = [include_str!("signing/second.pem"), include_str!("signing/second.key")];
const SETTINGS: &str = "[serve.tls]\ncert = \"tls/cert.pem\"\nkey = \"tls/key.pem\"\n";

fn show(place: &TestFolder, [cert, key]: [&str; 2]) {
    place.write("tls/cert.pem", cert);
    place.write("tls/key.pem", key);
}

/// A new client that trusts only this certificate.
fn trusting([cert, _]: [&str; 2], only_http1: bool) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cert = Certificate::from_pem(cert.as_bytes()).expect("a certificate");
    let client = Client::builder().tls_certs_only([cert]).timeout(Duration::from_secs(60));
    let client = if only_http1 { client.http1_only() } else { client };
    client.build().expect("a client")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_shown_http2_is_spoken_and_a_renewed_one_needs_no_restart() {
    let place = TestFolder::with(&[("baton.toml", SETTINGS)]);
    show(&place, FIRST);
    let mut server = BatonServer::start(&place);
    let url = format!("https://{}/health", server.address());
    for (only_http1, version) in [(false, Version::HTTP_2), (true, Version::HTTP_11)] {
        let answer = trusting(FIRST, only_http1).get(&url).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert!(answer.headers().contains_key("strict-transport-security"));
    }
    // An authenticated request over HTTP/2.
    let me = format!("https://{}/api/v1/me", server.address());
    let key = server.key().expect("a key");
    let answer = trusting(FIRST, false).get(&me).bearer_auth(key).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(trusting(SECOND, false).get(&url).send().await.is_err(), "another's certificate is not trusted");
    show(&place, SECOND);
    let begun = Instant::now();
    while trusting(SECOND, false).get(&url).send().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the new certificate was never shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(trusting(FIRST, false).get(&url).send().await.is_err());
    // An invalid certificate does not replace the current one.
    place.write("tls/cert.pem", "no certificate");
    server.logs("cannot be used");
    assert!(trusting(SECOND, false).get(&url).send().await.is_ok());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_certificate_that_cannot_be_shown_does_not_start() {
    let place = TestFolder::with(&[("baton.toml", SETTINGS)]);
    let start = || place.baton(&["serve", "--listen", "127.0.0.1:0"]).expect_code(2);
    start().expect_stderr("serve.tls.cert").expect_stderr("cert.pem");
    show(&place, [FIRST[0], "no key"]);
    start().expect_stderr("serve.tls.key");
    show(&place, [FIRST[0], SECOND[1]]);
    start().expect_stderr("serve.tls.key");
}
