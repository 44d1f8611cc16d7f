//! The rows of a result: objects by column, up to a number of rows and of bytes.

use serde_json::{Map, Value, json};

use crate::value_size::json_size;

/// A column of a result.
#[derive(Clone, Debug)]
pub(super) struct ResultColumn {
    pub(super) name: String,
    /// The database's name of its type.
    pub(super) kind: String,
    /// The text format of values that have no JSON type.
    pub(super) written: Option<&'static str>,
}

/// A result that grows row by row.
pub(super) struct ResultRows {
    columns: Vec<ResultColumn>,
    rows: Vec<Value>,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
    truncated: bool,
    /// Number of values that alone exceed the size limit of a result, returned as null.
    cut: usize,
}

impl ResultRows {
    /// Creates an empty result. Columns of the same name get numbers: `id`, `id_2`.
    pub(super) fn new(mut columns: Vec<ResultColumn>, rows_max: usize, bytes_max: usize) -> Self {
        for index in 1..columns.len() {
            let (before, rest) = columns.split_at_mut(index);
            let Some(column) = rest.first_mut() else { break };
            let is_taken = |name: &str| before.iter().any(|other| other.name == name);
            if is_taken(&column.name) {
                let free = (2_usize..).map(|number| format!("{}_{number}", column.name)).find(|name| !is_taken(name));
                column.name = free.unwrap_or_default();
            }
        }
        Self { columns, rows: Vec::new(), bytes: 0, rows_max, bytes_max, truncated: false, cut: 0 }
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Adds a row, its values in the order of the columns. Returns false when no more rows are accepted.
    pub(super) fn push(&mut self, values: Vec<Value>) -> bool {
        if self.rows.len() >= self.rows_max {
            self.truncated = true;
            return false;
        }
        let names = self.columns.iter().map(|column| column.name.clone());
        let row = Value::Object(names.zip(values).collect::<Map<_, _>>());
        let bytes = json_size(&row);
        if self.bytes + bytes > self.bytes_max {
            self.truncated = true;
            return false;
        }
        self.bytes += bytes;
        self.rows.push(row);
        true
    }

    /// Returns the placeholder of a value that is too large to return.
    pub(super) fn too_large(&mut self) -> Value {
        self.truncated = true;
        self.cut += 1;
        Value::Null
    }

    pub(super) fn output(self) -> Value {
        let column = |column: ResultColumn| {
            let mut told = json!({"name": column.name, "type": column.kind});
            if let Some(written) = column.written {
                told["as"] = json!(written);
            }
            told
        };
        let mut output = json!({
            "count": self.rows.len(), "rows": self.rows, "truncated": self.truncated,
            "columns": self.columns.into_iter().map(column).collect::<Vec<_>>(),
        });
        if self.cut > 0 {
            output["values_left_out"] = json!(self.cut);
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> ResultColumn {
        ResultColumn { name: name.to_owned(), kind: String::new(), written: None }
    }

    #[test]
    fn columns_of_one_name_are_told_apart() {
        let mut rows = ResultRows::new(["id", "id", "id_2", "id"].map(column).into(), 9, 999);
        rows.push(vec![json!(1), json!(2), json!(3), json!(4)]);
        assert_eq!(rows.output()["rows"][0], json!({"id": 1, "id_2": 2, "id_2_2": 3, "id_3": 4}));
    }

    #[test]
    fn what_is_beyond_a_limit_is_left_out_and_said_to_be() {
        let mut rows = ResultRows::new(vec![column("a")], 2, 999);
        assert!(rows.push(vec![json!(1)]) && rows.push(vec![json!(2)]));
        assert!(!rows.push(vec![json!(3)]));
        let output = rows.output();
        assert_eq!((&output["count"], &output["truncated"]), (&json!(2), &json!(true)));
        let mut rows = ResultRows::new(vec![column("a")], 9, 40);
        assert!(rows.push(vec![json!("x".repeat(20))]) && !rows.push(vec![json!("x".repeat(20))]));
        assert_eq!(rows.output()["truncated"], json!(true));
    }
}
