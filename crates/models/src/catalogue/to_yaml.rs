//! Writes a layer as the text of a `models.yaml`.

use std::fmt::Write as _;

use serde_json::Value;

use super::CatalogueLayer;

impl CatalogueLayer {
    /// Writes the models, one key per line. Values are JSON, which is valid YAML. `comment` becomes the comment lines
    /// at the top.
    pub fn to_yaml(&self, comment: &str) -> String {
        let mut text = comment.lines().map(|line| format!("# {line}\n")).collect::<String>();
        text.push_str("models:\n");
        for (name, entry) in &self.models {
            // Writing to a string cannot fail, and an entry is plain data.
            let _ = writeln!(text, "  {}:", Value::from(name.as_str()));
            let fields = serde_json::to_value(entry).unwrap_or_default();
            for (key, value) in fields.as_object().into_iter().flatten() {
                let _ = writeln!(text, "    {key}: {value}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CatalogueEntry, CatalogueFile, ModelCatalogue};
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let catalogue = ModelCatalogue::shipped().expect("a catalogue");
        let models = catalogue.models().map(|(name, spec)| (name.to_owned(), CatalogueEntry::from(spec))).collect();
        let layer = CatalogueLayer { models, ..CatalogueLayer::default() };
        let text = layer.to_yaml("the shipped models\nonce more");
        assert!(text.starts_with("# the shipped models\n# once more\nmodels:\n"), "{text}");
        assert_eq!(CatalogueFile::read(text.as_bytes()).expect("it is read").layer, layer);
    }
}
