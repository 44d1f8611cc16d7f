//! Tools as a program's functions: a tool's name, with `_` for every character that is not valid there in a Python
//! name.

use std::collections::BTreeMap;

use serde_json::Value;

/// Keywords, which are not valid names in Python.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];
/// Maximum number of tools granted to one program.
const TOOLS_MAX: usize = 1_000;

/// Tools by the names of their functions.
pub(super) type FunctionNames = BTreeMap<String, String>;

/// Returns the functions of these tools, for a program with these inputs.
///
/// # Errors
/// A name that would be ambiguous, or that no program could write. The message says which.
pub(super) fn functions(tools: &[String], inputs: &BTreeMap<String, Value>) -> Result<FunctionNames, String> {
    if tools.len() > TOOLS_MAX {
        return Err(format!("{} tools are granted, over the limit of {TOOLS_MAX}", tools.len()));
    }
    let mut functions = FunctionNames::new();
    for tool in tools {
        let name = function(tool);
        if !is_name(&name) {
            return Err(format!("the tool `{tool}` has no name that a program could call; give it another name"));
        }
        if let Some(other) = functions.get(&name).filter(|other| *other != tool) {
            return Err(format!("the tools `{other}` and `{tool}` would both be called `{name}`; grant one of them"));
        }
        functions.insert(name, tool.clone());
    }
    for input in inputs.keys() {
        if !is_name(input) {
            return Err(format!("the input `{input}` is no name of a variable; rename it"));
        }
        if let Some(tool) = functions.get(input) {
            return Err(format!("the input `{input}` has the name of the tool `{tool}`; rename it"));
        }
    }
    Ok(functions)
}

/// Returns the name under which a program calls a tool.
pub(super) fn function(tool: &str) -> String {
    let fits = |(place, one): (usize, char)| match one {
        'a'..='z' | 'A'..='Z' | '_' => one,
        '0'..='9' if place > 0 => one,
        _ => '_',
    };
    tool.chars().enumerate().map(fits).collect()
}

/// Names are restricted to ASCII, so that look-alike letters, or letters that Python normalises to each other, cannot
/// be confused.
fn is_name(text: &str) -> bool {
    let is_shaped = text.starts_with(|one: char| one.is_ascii_alphabetic() || one == '_')
        && text.chars().all(|one| one.is_ascii_alphanumeric() || one == '_');
    is_shaped && !KEYWORDS.contains(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(tools: &[&str], inputs: &[&str]) -> Result<Vec<(String, String)>, String> {
        let tools: Vec<String> = tools.iter().map(|tool| (*tool).to_owned()).collect();
        let inputs = inputs.iter().map(|input| ((*input).to_owned(), json!(1))).collect();
        Ok(functions(&tools, &inputs)?.into_iter().collect())
    }

    #[test]
    fn a_tool_is_called_by_its_name_with_underscores() {
        let pair = |function: &str, tool: &str| (function.to_owned(), tool.to_owned());
        assert_eq!(
            named(&["shopify.orders-list", "3d", "añade", "crm"], &["x"]),
            Ok(vec![
                pair("_d", "3d"),
                pair("a_ade", "añade"),
                pair("crm", "crm"),
                pair("shopify_orders_list", "shopify.orders-list"),
            ])
        );
    }

    #[test]
    fn a_name_that_means_two_things_is_refused() {
        for (tools, inputs, says) in [
            (&["a.b", "a-b"][..], &[][..], "`a.b` and `a-b` would both be called `a_b`"),
            (&["a.b"], &["a_b"], "the input `a_b` has the name of the tool `a.b`"),
            (&["import"], &[], "`import` has no name"),
            (&[""], &[], "`` has no name"),
            (&[], &["é"], "the input `é` is no name"),
            (&[], &["class"], "the input `class` is no name"),
        ] {
            let refused = named(tools, inputs).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn a_tool_granted_twice_is_one_function() {
        assert_eq!(named(&["a.b", "a.b"], &[]).map(|all| all.len()), Ok(1));
    }
}
