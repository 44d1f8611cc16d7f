//! Slices with Python's semantics.

/// `[start:stop:step]`; the step is not 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListSlice {
    pub(crate) start: Option<i64>,
    pub(crate) stop: Option<i64>,
    pub(crate) step: i64,
}

impl ListSlice {
    /// Returns the indices that it selects from a list of `len` items, in order.
    pub(crate) fn places(self, len: usize) -> impl Iterator<Item = usize> {
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let forward = self.step > 0;
        let (lowest, highest) = if forward { (0, len) } else { (-1, len - 1) };
        let bound = |given: Option<i64>, otherwise: i64| match given {
            Some(at) if at < 0 => (at + len).clamp(lowest, highest),
            Some(at) => at.clamp(lowest, highest),
            None => otherwise,
        };
        let start = bound(self.start, if forward { 0 } else { len - 1 });
        let stop = bound(self.stop, if forward { len } else { -1 });
        std::iter::successors(Some(start), move |at| at.checked_add(self.step))
            .take_while(move |at| if forward { *at < stop } else { *at > stop })
            .filter_map(|at| usize::try_from(at).ok())
    }
}
