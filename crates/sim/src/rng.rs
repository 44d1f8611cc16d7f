//! The only source of randomness: a seed gives the same numbers on every machine and in every process.

/// xoshiro256++ (Blackman and Vigna 2019), seeded by splitmix64.
#[derive(Clone, Debug)]
pub struct SeededRng([u64; 4]);

impl SeededRng {
    pub fn new(seed: u64) -> Self {
        let mut at = seed;
        Self(std::array::from_fn(|_| {
            at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (at ^ (at >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }))
    }

    pub fn number(&mut self) -> u64 {
        let Self([a, b, c, d]) = self;
        let out = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        out
    }

    /// From 0 to `end`, exclusive; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high half of the product: the bias is negligible for the small numbers used here.
        let product = u128::from(self.number()) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// Both bounds are inclusive.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One item of a non-empty list.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.index(from.len());
        &from[index]
    }

    /// One item of a non-empty list of weighted choices.
    pub fn choose_weighted<T: Copy>(&mut self, from: &[(u64, T)]) -> T {
        let mut at = self.below(from.iter().map(|(weight, _)| weight).sum());
        for (weight, what) in from {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return *what,
            }
        }
        from[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut rng = SeededRng::new(7);
        let first: Vec<u64> = (0..3).map(|_| rng.below(1_000)).collect();
        let mut again = SeededRng::new(7);
        assert_eq!(first, (0..3).map(|_| again.below(1_000)).collect::<Vec<_>>());
        assert_eq!(first, [55, 172, 717], "a change here changes what every seed means");
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        let mut rng = SeededRng::new(1);
        assert!((0..1_000).all(|_| rng.below(7) < 7));
        assert!((0..1_000).all(|_| (3..=5).contains(&rng.between(3, 5))));
        assert_eq!(rng.below(0), 0);
    }
}
