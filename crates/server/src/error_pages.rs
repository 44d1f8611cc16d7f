//! The pages of the stable error codes, from `docs/errors`. The `type` of a problem links to them. They need no
//! key.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use crate::api::PathParams;
use crate::code;
use crate::problem::HttpProblem;

/// The prefix under which they are served, followed by the code.
pub(crate) const URL_PREFIX: &str = "/docs/errors";
const INDEX: &str = "README.md";

#[derive(Embed)]
#[folder = "../../docs/errors"]
struct ErrorPageAssets;

/// The address of a code's page. `None` if it has none, as for a project's own codes.
pub(crate) fn page_url(code: &str) -> Option<String> {
    pages().contains_key(code).then(|| format!("{URL_PREFIX}/{code}"))
}

/// The index of all pages.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    text(ErrorPageAssets::get(INDEX).map(|file| String::from_utf8_lossy(&file.data).into_owned()), &headers)
}

/// The page of one code.
pub(crate) async fn page(PathParams(code): PathParams<String>, headers: HeaderMap) -> Response {
    let files = pages().get(code.trim_end_matches(".md"));
    let all = files.map(|files| {
        let each = files.iter().filter_map(|file| ErrorPageAssets::get(file));
        let each: Vec<String> = each.map(|file| String::from_utf8_lossy(&file.data).into_owned()).collect();
        each.join("\n---\n\n")
    });
    text(all, &headers)
}

/// The files of each code. Some codes are used by several crates.
fn pages() -> &'static BTreeMap<String, Vec<String>> {
    static PAGES: OnceLock<BTreeMap<String, Vec<String>>> = OnceLock::new();
    PAGES.get_or_init(|| {
        let mut pages: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in ErrorPageAssets::iter().filter(|file| file.contains('/')) {
            let code = file.rsplit('/').next().and_then(|name| name.strip_suffix(".md"));
            pages.entry(code.unwrap_or_default().to_owned()).or_default().push(file.into_owned());
        }
        // The meaning in the API comes first.
        pages.values_mut().for_each(|files| files.sort_by_key(|file| (!file.starts_with("api/"), file.clone())));
        pages
    })
}

fn text(page: Option<String>, headers: &HeaderMap) -> Response {
    let Some(page) = page else {
        let problem = HttpProblem::new(StatusCode::NOT_FOUND, code::NOT_FOUND, "no code of Baton's has this name");
        return problem.with_hint(format!("GET {URL_PREFIX} lists those there are")).into_response();
    };
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A browser displays plain text, but would download Markdown as a file.
    let kind = if accepts.contains("text/html") { "text/plain; charset=utf-8" } else { "text/markdown; charset=utf-8" };
    ([(CONTENT_TYPE, kind)], page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_doors_has_its_page_and_others_have_none() {
        for (code, _) in code::ALL {
            assert_eq!(page_url(code), Some(format!("/docs/errors/{code}")));
        }
        assert_eq!(page_url("CARD_DECLINED_HERE"), None);
        assert_eq!(pages()["MODEL_NOT_FOUND"][0], "api/MODEL_NOT_FOUND.md");
        assert!(pages()["MODEL_NOT_FOUND"].len() > 1);
    }
}
