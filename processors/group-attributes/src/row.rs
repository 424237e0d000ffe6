//! The row: its columns, and what goes into each, in the same order.

use shared::datetime::{milliseconds, seconds};
use tidegate_processor::{Message, Rejection, Rows};

use crate::snapshot::Snapshot;

/// Every column of the table.
pub const COLUMNS: &[(&str, &str)] = &[
    ("project_id", "UInt64"),
    ("group_id", "UInt64"),
    ("group_status", "UInt8"),
    ("group_substatus", "Nullable(UInt8)"),
    ("group_priority", "Nullable(UInt8)"),
    ("group_first_release", "Nullable(UInt64)"),
    ("group_first_seen", "DateTime"),
    ("group_num_comments", "UInt64"),
    ("assignee_user_id", "Nullable(UInt64)"),
    ("assignee_team_id", "Nullable(UInt64)"),
    ("owner_suspect_commit_user_id", "Nullable(UInt64)"),
    ("owner_ownership_rule_user_id", "Nullable(UInt64)"),
    ("owner_ownership_rule_team_id", "Nullable(UInt64)"),
    ("owner_codeowners_user_id", "Nullable(UInt64)"),
    ("owner_codeowners_team_id", "Nullable(UInt64)"),
    ("deleted", "UInt8"),
    ("message_timestamp", "DateTime"),
    ("partition", "UInt16"),
    ("offset", "UInt64"),
];

/// Writes the snapshot as one row.
pub fn write(group: &Snapshot<'_>, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let date_time = |text| seconds(milliseconds(Some(text), message.now_ms()));
    let small = |number: Option<u64>| number.and_then(|number| u8::try_from(number).ok());
    let mut row = rows.begin(0);
    row.u64(group.project_id).u64(group.group_id);
    row.u8(group.status).nullable(small(group.substatus)).nullable(small(group.priority));
    row.nullable(group.first_release).date_time(date_time(&group.first_seen)).u64(group.num_comments);
    row.nullable(group.assignee_user_id).nullable(group.assignee_team_id);
    row.nullable(group.owner_suspect_commit_user_id);
    row.nullable(group.owner_ownership_rule_user_id).nullable(group.owner_ownership_rule_team_id);
    row.nullable(group.owner_codeowners_user_id).nullable(group.owner_codeowners_team_id);
    row.u8(u8::from(group.group_deleted)).date_time(date_time(&group.timestamp));
    row.u16(message.partition() as u16).u64(message.offset() as u64);
    row.end()
}
