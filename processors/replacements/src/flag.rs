//! Flags: what readers that do not merge rows themselves must know of a project for a while.

use tidegate_processor::{DateTime64, Message, Rejection, Rows};

/// The output of flags.
const FLAGS: usize = 1;

pub const COLUMNS: &[(&str, &str)] = &[
    ("project_id", "UInt64"),
    ("flag", "LowCardinality(String)"),
    ("group_id", "UInt64"),
    ("set_at", "DateTime64(3)"),
];

/// The rows of these groups are elsewhere or gone, and old versions of them may still be seen.
pub fn exclude_groups(
    project_id: u64,
    groups: &[u64],
    message: &Message<'_>,
    rows: &mut Rows,
) -> Result<(), Rejection> {
    groups.iter().try_for_each(|group| write(project_id, "exclude_group", *group, message, rows))
}

/// Rows of groups that stay have changed: only FINAL tells their versions apart.
pub fn needs_final(project_id: u64, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    write(project_id, "needs_final", 0, message, rows)
}

fn write(project_id: u64, flag: &str, group: u64, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let mut row = rows.begin(FLAGS);
    row.u64(project_id).string(flag).u64(group).date_time64(DateTime64(message.now_ms()));
    row.end()
}
