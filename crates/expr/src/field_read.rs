//! The fields that an expression reads of the names it references, where they are written literally.

/// A field of a root name that an expression reads: `look.total`, `look['total']`, `look.output.total`.
///
/// An expression that allows for a missing value (`default`, `is defined`) does not count as a read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldRead {
    pub root: String,
    /// The fields below it, outermost first: one or two.
    pub fields: Vec<String>,
}

impl FieldRead {
    /// Maximum number of fields reported: a field of a step's whole output is the second.
    pub(super) const FIELDS_MAX: usize = 2;

    /// Returns `None` if no field of the root is read by name.
    pub(super) fn of<'f>(root: &str, fields: impl Iterator<Item = &'f str>) -> Option<Self> {
        let fields: Vec<String> = fields.take(Self::FIELDS_MAX).map(str::to_owned).collect();
        (!fields.is_empty()).then(|| Self { root: root.to_owned(), fields })
    }
}
