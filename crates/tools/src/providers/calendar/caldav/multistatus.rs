//! Parses a server's response to a REPORT (RFC 4918, 13; RFC 4791, 7.8).

use roxmltree::{Document, Node, ParsingOptions};

const DAV: &str = "DAV:";
const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
/// Maximum number of elements and texts of one response.
const NODES_MAX: u32 = 200_000;

/// Returns the calendar objects of a response, as text. The error states what cannot be read.
pub(super) fn calendars(xml: &str) -> Result<Vec<String>, String> {
    let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(xml, options).map_err(|error| error.to_string())?;
    let root = document.root_element();
    if !root.has_tag_name((DAV, "multistatus")) {
        return Err(format!("it is a `{}`, not a multistatus", root.tag_name().name()));
    }
    let mut found = Vec::new();
    for response in root.children().filter(|node| node.has_tag_name((DAV, "response"))) {
        let parts = response.children().filter(|node| node.has_tag_name((DAV, "propstat")));
        for part in parts.filter(|part| is_ok(*part)) {
            let data = part.descendants().find(|node| node.has_tag_name((CALDAV, "calendar-data")));
            found.extend(data.map(|data| data.text().unwrap_or_default().to_owned()));
        }
    }
    Ok(found)
}

fn is_ok(part: Node<'_, '_>) -> bool {
    let status = part.children().find(|node| node.has_tag_name((DAV, "status"))).and_then(|node| node.text());
    status.is_some_and(|status| status.split_whitespace().nth(1) == Some("200"))
}
