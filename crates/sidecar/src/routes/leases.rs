//! Leases of repair work.
use floe_api::{ApiError, ErrorCode};
use super::Answer;
pub(super) fn later() -> Answer {
    Err(ApiError::new(ErrorCode::NotServing, "this node gives no leases yet"))
}
