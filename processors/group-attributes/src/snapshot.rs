//! A group as it is after a change: every message has all attributes.

use std::borrow::Cow;

use serde::Deserialize;
use shared::number::whole;

#[derive(Deserialize)]
pub struct Snapshot<'a> {
    pub group_deleted: bool,
    pub project_id: u64,
    pub group_id: u64,
    pub status: u8,
    #[serde(default, deserialize_with = "whole")]
    pub substatus: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub priority: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub first_release: Option<u64>,
    #[serde(borrow)]
    pub first_seen: Cow<'a, str>,
    pub num_comments: u64,
    #[serde(default, deserialize_with = "whole")]
    pub assignee_user_id: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub assignee_team_id: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub owner_suspect_commit_user_id: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub owner_ownership_rule_user_id: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub owner_ownership_rule_team_id: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub owner_codeowners_user_id: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub owner_codeowners_team_id: Option<u64>,
    /// When it was changed.
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
}
