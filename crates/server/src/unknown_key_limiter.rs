//! Limits requests with unknown keys, per client address.
//!
//! A valid key is never refused because of another client behind the same address: the address is checked only
//! after a key was found to be unknown.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::openai;
use crate::problem::HttpProblem;
use crate::rate_limit::TokenBuckets;
use crate::state::AppState;

/// Marks a response to a request with an unknown key.
#[derive(Clone, Copy)]
pub(crate) struct UnknownKeyMarker;

/// One bucket per address. An IPv6 address is reduced to its /64 network, because one host may have all addresses
/// of it.
#[derive(Debug, Default)]
pub(crate) struct UnknownKeyLimiter(TokenBuckets<IpAddr>);

pub(crate) async fn limit(state: &AppState, is_openais: bool, request: Request, next: Next) -> Response {
    let Some(per_minute) = state.config.unknown_key_rate() else { return next.run(request).await };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let response = next.run(request).await;
    match (response.extensions().get::<UnknownKeyMarker>(), peer) {
        (Some(UnknownKeyMarker), Some(peer)) => {
            state.unknown_keys.check_limit(state, peer, per_minute, is_openais, response)
        }
        (Some(_) | None, _) => response,
    }
}

impl UnknownKeyLimiter {
    fn check_limit(
        &self,
        state: &AppState,
        peer: IpAddr,
        per_minute: NonZeroU32,
        is_openais: bool,
        response: Response,
    ) -> Response {
        let now = state.clock.now();
        let Err(standing) = self.0.of(network(peer), per_minute, now).take(now) else { return response };
        let detail = format!(
            "{per_minute} requests came from your address within a minute with keys that are not known here; the next \
             one is looked at in {} s",
            standing.resets_in.as_millis().div_ceil(1_000)
        );
        let problem = HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", detail)
            .with_hint("send a good key: `baton keys list` shows how yours stands")
            .with_rate(standing);
        if is_openais { openai::OpenAiError::from(problem).into_response() } else { problem.into_response() }
    }
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        IpAddr::V4(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_network_of_ipv6_are_one_and_mapped_ones_are_of_ipv4() {
        let of = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:10.0.0.9"), "10.0.0.9");
        assert_eq!(of("10.0.0.9"), "10.0.0.9");
    }
}
