//! Pagination cursors. A caller sends a cursor back unchanged. It is valid for one list of one tenant; any other
//! use is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use baton_core::id::TenantId;

use super::idempotency::digest;
use crate::problem::HttpProblem;

/// Number of digits of the checksum that binds a cursor to its list.
const CHECK_CHARS: usize = 12;

/// A paginated list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PagedList {
    Approvals,
    ComposioActions,
    Conversations,
    Tasks,
    Documents,
    Executions,
    Keys,
    Tools,
}

impl PagedList {
    fn as_str(self) -> &'static str {
        match self {
            Self::Approvals => "approvals",
            Self::ComposioActions => "composio actions",
            Self::Conversations => "conversations",
            Self::Tasks => "desk",
            Self::Documents => "documents",
            Self::Executions => "executions",
            Self::Keys => "keys",
            Self::Tools => "tools",
        }
    }

    fn checksum(self, tenant: &TenantId, place: &str) -> String {
        let mut check = digest(&["cursor", self.as_str(), tenant.as_str(), place]);
        check.truncate(CHECK_CHARS);
        check
    }

    /// The cursor of the page after this position.
    pub(super) fn encode(self, tenant: &TenantId, place: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}{place}", self.checksum(tenant, place)))
    }

    /// The position that a cursor names, if there is one.
    ///
    /// # Errors
    /// The cursor was not issued for this list of this tenant.
    pub(super) fn decode(self, tenant: &TenantId, cursor: Option<&str>) -> Result<Option<String>, HttpProblem> {
        let Some(cursor) = cursor else { return Ok(None) };
        let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let place = text.as_deref().and_then(|text| text.split_at_checked(CHECK_CHARS));
        match place {
            Some((check, place)) if check == self.checksum(tenant, place) => Ok(Some(place.to_owned())),
            Some(_) | None => Err(invalid_cursor("it is not one of this list's")),
        }
    }
}

/// The problem for an invalid cursor.
pub(super) fn invalid_cursor(why: &str) -> HttpProblem {
    HttpProblem::invalid_parameter("cursor", why)
        .with_hint("send the `next_cursor` of the page before, or none to begin anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_the_list_it_was_given_out_for_and_for_nothing_else() {
        let (ours, theirs) = (TenantId::from("ours"), TenantId::from("theirs"));
        for place in ["run_1", "", "Größe/ünd", "a.b"] {
            let cursor = PagedList::Executions.encode(&ours, place);
            assert_eq!(PagedList::Executions.decode(&ours, Some(&cursor)).expect("ours").as_deref(), Some(place));
            let wrong = [
                PagedList::Tools.decode(&ours, Some(&cursor)),
                PagedList::Executions.decode(&theirs, Some(&cursor)),
                PagedList::Executions.decode(&ours, Some(&format!("{cursor}A"))),
            ];
            for wrong in wrong {
                let problem = wrong.expect_err(place);
                assert_eq!((problem.status.as_u16(), problem.code.as_str()), (400, "PARAMETER_INVALID"));
            }
        }
        for rubbish in ["rubbish", "", "run_1", "äöü", "%00", "AAAA"] {
            assert!(PagedList::Executions.decode(&ours, Some(rubbish)).is_err(), "{rubbish}");
        }
        assert_eq!(PagedList::Keys.decode(&ours, None).expect("none"), None);
    }
}
