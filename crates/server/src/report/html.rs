//! A report as a self-contained HTML page: no script, no other file, no network requests.

use std::fmt::Write as _;

use super::ReportTable;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid #ddd}\
th:first-child,td:first-child,th:last-child,td:last-child{text-align:left}dt{font-weight:600;float:left;margin-right:.5em}\
dd{margin:0}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}th,td{border-color:#444}}";

pub fn page(title: &str, intro: &[(&'static str, String)], tables: &[ReportTable]) -> String {
    let title = text(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n<dl>\n"
    );
    for (name, value) in intro {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", text(value));
    }
    page.push_str("</dl>\n");
    for table in tables {
        let _ = writeln!(page, "<h2>{}</h2>", text(&table.heading));
        if table.rows.is_empty() {
            let _ = writeln!(page, "<p>{}</p>", table.none);
            continue;
        }
        let titles: String = table.columns.iter().map(|title| format!("<th scope=\"col\">{title}</th>")).collect();
        let _ = writeln!(page, "<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>");
        for row in &table.rows {
            let cells: String = row.iter().map(|said| format!("<td>{}</td>", text(said))).collect();
            let _ = writeln!(page, "<tr>{cells}</tr>");
        }
        page.push_str("</tbody>\n</table>\n");
    }
    page.push_str("</body>\n</html>");
    page
}

/// Escapes text for HTML.
fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_nothing_but_text() {
        let rows = vec![vec!["<script>alert('x')</script>".to_owned()]];
        let table = ReportTable { heading: "By tool".to_owned(), columns: vec!["Tool"], rows, none: "None." };
        let page = page("Report", &[("Company", "a & b".to_owned())], &[table]);
        assert!(page.contains("<td>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;</td>"), "{page}");
        assert!(page.contains("<dd>a &amp; b</dd>") && !page.contains("<script>"), "{page}");
    }
}
