//! Random numbers from a seed, so that a round's plan is reproducible.

use std::time::Duration;

/// SplitMix64.
pub struct SplitMix(u64);

impl SplitMix {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// At least `from`, and below `to`.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from)))
    }

    pub fn choose<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let many = u64::try_from(of.len()).ok()?;
        of.get(usize::try_from(self.below(many)).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_plan() {
        let draw = |seed| (0..4).map(|_| 0).scan(SplitMix::of(seed), |random, _: i32| Some(random.below(1_000)));
        assert!(draw(7).eq(draw(7)) && !draw(7).eq(draw(8)));
    }

    #[test]
    fn what_is_drawn_keeps_its_bounds() {
        let mut random = SplitMix::of(1);
        for _ in 0..1_000 {
            assert!((50..60).contains(&random.millis(50, 60).as_millis()));
        }
        assert_eq!((random.below(0), random.choose::<u8>(&[]), random.choose(&[3])), (0, None, Some(3)));
    }
}
