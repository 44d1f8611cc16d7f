//! The estimated cost of one call, before it is made.

use serde::{Deserialize, Serialize};

use super::Usd;

/// The bounds on the price of a call in advance. The default is a call that costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceQuote {
    /// The maximum, with the longest possible reply.
    pub most: Usd,
    /// With a reply of usual length.
    pub usual: Usd,
    /// With a short reply: a call with a smaller budget is not worth making.
    pub least: Usd,
}

impl PriceQuote {
    /// Creates a quote for a price that is known in advance.
    pub const fn exactly(price: Usd) -> Self {
        Self { most: price, usual: price, least: price }
    }

    /// Returns a quote that covers either of two calls.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { most: self.most.max(other.most), usual: self.usual.max(other.usual), least: self.least.min(other.least) }
    }

    /// Returns the same call with at most `left` to spend; `None` if that is too little for the call.
    pub fn capped(self, left: Usd) -> Option<Self> {
        (left >= self.least).then(|| Self { most: self.most.min(left), usual: self.usual.min(left), ..self })
    }

    /// Returns the amount to reserve for this call out of the remaining limit `left`, so that concurrent calls find a
    /// share, too: the maximum if that is at most half of `left`, otherwise half, but at least the usual cost if `left`
    /// covers it. `None` if too little is left.
    pub fn hold(self, left: Usd) -> Option<Usd> {
        let half = Usd::from_nanos(left.as_nanos() / 2);
        self.capped(self.most.min(half.max(self.usual)).min(left)).map(|within| within.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: PriceQuote =
        PriceQuote { most: Usd::from_nanos(100), usual: Usd::from_nanos(20), least: Usd::from_nanos(5) };

    fn hold(quote: PriceQuote, left: i64) -> Option<i64> {
        quote.hold(Usd::from_nanos(left)).map(Usd::as_nanos)
    }

    #[test]
    fn a_call_holds_all_it_may_cost_where_enough_is_left_for_others_too() {
        assert_eq!([hold(WIDE, 1_000), hold(WIDE, 200), hold(WIDE, 150)], [Some(100), Some(100), Some(75)]);
    }

    #[test]
    fn with_little_left_it_holds_a_usual_reply_then_a_short_one_then_is_not_made() {
        assert_eq!([hold(WIDE, 30), hold(WIDE, 10), hold(WIDE, 4), hold(WIDE, -10)], [Some(20), Some(10), None, None]);
    }

    #[test]
    fn a_known_price_is_held_whole_or_the_call_is_not_made() {
        let known = PriceQuote::exactly(Usd::from_nanos(10));
        assert_eq!([hold(known, 100), hold(known, 10), hold(known, 9)], [Some(10), Some(10), None]);
        assert_eq!([hold(PriceQuote::default(), 10), hold(PriceQuote::default(), 0)], [Some(0), Some(0)]);
    }

    #[test]
    fn many_calls_beside_each_other_never_hold_more_than_there_is() {
        let mut left = Usd::from_nanos(500);
        let held: i64 = std::iter::from_fn(|| {
            let hold = WIDE.hold(left)?;
            left -= hold;
            Some(hold.as_nanos())
        })
        .sum();
        assert!(held <= 500 && left < WIDE.least, "{held} held, {left} left");
    }
}
