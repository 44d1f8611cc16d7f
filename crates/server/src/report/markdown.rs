//! A report as Markdown.

use std::fmt::Write as _;

use super::ReportTable;

pub fn page(title: &str, intro: &[(&'static str, String)], tables: &[ReportTable]) -> String {
    let mut text = format!("# {}\n\n", cell(title));
    for (name, value) in intro {
        let _ = writeln!(text, "- **{name}:** {}", cell(value));
    }
    for table in tables {
        let _ = write!(text, "\n## {}\n\n", table.heading);
        if table.rows.is_empty() {
            let _ = writeln!(text, "{}", table.none);
            continue;
        }
        let _ = writeln!(text, "| {} |", table.columns.join(" | "));
        let _ = writeln!(text, "|{}", " --- |".repeat(table.columns.len()));
        for row in &table.rows {
            let cells: Vec<String> = row.iter().map(|said| cell(said)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Escapes text for a table cell. Names of tools and agents may contain anything.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' => {
                safe.push('\\');
                safe.push(char);
            }
            '&' => safe.push_str("&amp;"),
            control if control.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_cell() {
        let rows = vec![vec!["a|b\n# c <b>".to_owned(), "1".to_owned()]];
        let table = ReportTable { heading: "By tool".to_owned(), columns: vec!["Tool", "Count"], rows, none: "None." };
        let page = page("Report", &[("Company", "c|d".to_owned())], &[table]);
        assert_eq!(
            page,
            "# Report\n\n- **Company:** c\\|d\n\n## By tool\n\n| Tool | Count |\n| --- | --- |\n| a\\|b \\# c \\<b\\> | 1 |"
        );
    }
}
