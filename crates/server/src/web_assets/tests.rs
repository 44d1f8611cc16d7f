use axum::body::to_bytes;
use axum::http::HeaderValue;

use super::*;

const BODY_BYTES_MAX: usize = 8 << 20;

/// The largest text file of the page, which also has compressed variants.
fn script() -> String {
    let texts =
        WebAssets::iter().filter(|name| name.ends_with(".js") && WebAssets::get(&format!("{name}.br")).is_some());
    let size = |name: &Cow<'static, str>| WebAssets::get(name).map_or(0, |file| file.data.len());
    texts.max_by_key(size).expect("a packed text in web/dist").into_owned()
}

fn asked(name: HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

fn get(path: &str, headers: &HeaderMap) -> Response {
    serve_path(&Method::GET, path, headers).expect("a file of the page")
}

fn said(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

#[test]
fn a_text_is_sent_packed_to_who_takes_it_so() {
    let path = format!("/{}", script());
    let check = |accepts: &str, expect: Option<&str>| {
        let response = get(&path, &asked(ACCEPT_ENCODING, accepts));
        assert_eq!(said(&response, CONTENT_ENCODING), expect, "{accepts}");
        assert_eq!(said(&response, VARY), Some("accept-encoding"), "{accepts}");
        assert_eq!(said(&response, CONTENT_TYPE), Some("text/javascript; charset=utf-8"), "{accepts}");
    };
    check("gzip, deflate, br, zstd", Some("br"));
    check("BR", Some("br"));
    check("gzip", Some("gzip"));
    check("*", Some("br"));
    check("br;q=0, *", Some("gzip"));
    check("br; q=0, gzip; q=0.5", Some("gzip"));
    check("identity", None);
    check("*;q=0", None);
    check("", None);
    assert_eq!(said(&get(&path, &HeaderMap::new()), CONTENT_ENCODING), None);
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let path = format!("/{}", script());
    let plain = said(&get(&path, &HeaderMap::new()), ETAG).map(str::to_owned).expect("a tag");
    let packed = said(&get(&path, &asked(ACCEPT_ENCODING, "br")), ETAG).map(str::to_owned).expect("a tag");
    assert_ne!(plain, packed, "a cache must tell them apart");
    for kept in [plain.clone(), format!("W/{plain}"), format!("\"other\", {plain}"), "*".to_owned()] {
        let response = get(&path, &asked(IF_NONE_MATCH, &kept));
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{kept}");
        assert_eq!(said(&response, ETAG), Some(plain.as_str()));
    }
    assert_eq!(get(&path, &asked(IF_NONE_MATCH, &packed)).status(), StatusCode::OK);
    assert_eq!(get("/runs", &asked(ACCEPT, "text/html")).headers().get(CACHE_CONTROL).unwrap(), "no-cache");
}

#[test]
fn a_packed_file_has_no_address_of_its_own() {
    let name = format!("/{}.br", script());
    assert!(serve_path(&Method::GET, &name, &asked(ACCEPT, "text/html")).is_none());
}

#[tokio::test]
async fn packed_is_smaller_and_whole() {
    let path = format!("/{}", script());
    let mut sizes = Vec::new();
    for accepts in ["br", "gzip", "identity"] {
        let body = to_bytes(get(&path, &asked(ACCEPT_ENCODING, accepts)).into_body(), BODY_BYTES_MAX).await.unwrap();
        sizes.push(body.len());
    }
    assert!(sizes[0] < sizes[1] && sizes[1] * 2 < sizes[2], "{sizes:?}");
}
