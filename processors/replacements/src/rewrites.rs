//! Which rows a replacement is about, and what becomes of their columns.

use std::borrow::Cow;
use std::collections::BTreeMap;

use shared::errors_table::COLUMNS;
use shared::uuid;
use tidegate_processor::sql::{self, Condition, Expression, call, column, date_time, null, number, text};
use tidegate_processor::{DateTime, Rejection, Rewrite, Uuid};

use crate::message::{DeleteGroups, DeleteTag, Events, Merge, Unmerge};

/// The output of the rewritten table.
const ERRORS: usize = 0;

/// What a row that says "deleted" must carry: the key of the table, its partition, and what readers filter by.
const TOMBSTONE: &[&str] =
    &["event_id", "primary_hash", "project_id", "group_id", "timestamp", "deleted", "retention_days"];

/// Columns that repeat a tag, by tag.
pub struct Promoted(BTreeMap<String, (&'static str, Expression)>);

impl Promoted {
    /// # Errors
    /// If a column is none of the table's, or no text.
    pub fn new(columns: BTreeMap<String, String>) -> Result<Self, String> {
        let promoted = columns.into_iter().map(|(tag, name)| {
            let (column, kind) = COLUMNS.iter().find(|(column, _)| *column == name).copied().ok_or_else(|| {
                format!("promoted_tags: tag {tag:?} has column {name:?}, which the table of errors has not")
            })?;
            if !kind.contains("String") || kind.contains("Array") {
                return Err(format!("promoted_tags: tag {tag:?} has column {name:?}, which is {kind} and not a text"));
            }
            Ok((tag, (column, if kind.contains("Nullable") { null() } else { text("") })))
        });
        promoted.collect::<Result<_, _>>().map(Self)
    }
}

pub fn delete_groups(message: &DeleteGroups) -> Rewrite {
    tombstone(of_groups(message.project_id, &message.group_ids, message.datetime))
}

pub fn merge(message: &Merge<'_>) -> Rewrite {
    let mut new = vec![("group_id", number(message.new_group_id))];
    new.extend(message.first_seen().map(|at| ("group_first_seen", date_time(at))));
    all_columns(&new, of_groups(message.project_id, &message.previous_group_ids, message.datetime))
}

pub fn unmerge(message: &Unmerge<'_>) -> Rewrite {
    let hashes = message.hashes.iter().map(|hash| sql::uuid(uuid::of(hash)));
    let rows = in_project(message.project_id)
        .and(column("primary_hash").is_in(hashes))
        .and(column("group_id").eq(number(message.previous_group_id)))
        .and(until(message.datetime))
        .and(alive());
    all_columns(&[("group_id", number(message.new_group_id))], rows)
}

/// Every pair of the tag goes, and what its column repeats.
pub fn delete_tag(message: &DeleteTag<'_>, promoted: &Promoted) -> Rewrite {
    let others = |array| sql::filter(column(array), column("tags.key"), |_, key| key.ne(text(&message.tag)));
    let mut new = vec![("tags.key", others("tags.key")), ("tags.value", others("tags.value"))];
    new.extend(promoted.0.get(&*message.tag).cloned());
    let rows = in_project(message.project_id)
        .and(column("received").at_most(date_time(message.datetime)))
        .and(alive())
        .and(column("tags.key").has(text(&message.tag)));
    all_columns(&new, rows)
}

/// # Errors
/// If an id is no UUID.
pub fn tombstone_events(events: &Events<'_>) -> Result<Rewrite, Rejection> {
    Ok(tombstone(of_events(events)?))
}

/// # Errors
/// If an id is no UUID.
pub fn replace_group(events: &Events<'_>, new_group_id: u64) -> Result<Rewrite, Rejection> {
    Ok(all_columns(&[("group_id", number(new_group_id))], of_events(events)?))
}

fn of_groups(project_id: u64, group_ids: &[u64], at: DateTime) -> Condition {
    let groups = group_ids.iter().map(|group| number(*group));
    in_project(project_id).and(column("group_id").is_in(groups)).and(until(at)).and(alive())
}

fn of_events(events: &Events<'_>) -> Result<Condition, Rejection> {
    let id = |text: &Cow<'_, str>| {
        Uuid::parse(text).map(sql::uuid).ok_or_else(|| Rejection::new(format!("event id {text:?} is no UUID")))
    };
    let ids = events.event_ids.iter().map(id).collect::<Result<Vec<_>, _>>()?;
    let mut rows = column("event_id").is_in(ids).and(in_project(events.project_id)).and(alive());
    if let Some((from, to)) = events.between() {
        let time = |at| call("toDateTime", [text(&sql::clock(at))]);
        rows = rows.and(column("timestamp").at_least(time(from))).and(column("timestamp").at_most(time(to)));
    }
    if let Some(hash) = events.old_primary_hash.as_deref().filter(|hash| !hash.is_empty()) {
        rows = rows.and(column("primary_hash").eq(sql::uuid(uuid::of(hash))));
    }
    Ok(rows)
}

fn in_project(project_id: u64) -> Condition {
    column("project_id").eq(number(project_id))
}

/// Received by then. A bound of the time is beside it, because the table is ordered by days; clocks of senders may be
/// ahead.
fn until(at: DateTime) -> Condition {
    let day_later = date_time(at).plus_days(1);
    column("timestamp").at_most(day_later).and(column("received").at_most(date_time(at)))
}

fn alive() -> Condition {
    !column("deleted").is_set()
}

fn tombstone(rows: Condition) -> Rewrite {
    let value = |name: &&str| if *name == "deleted" { number(1) } else { column(name) };
    let columns = TOMBSTONE.iter().map(|name| ((*name).to_owned(), value(name))).collect();
    Rewrite { output: ERRORS, columns, predicate: rows }
}

/// All columns as they are, but for the new ones.
fn all_columns(new: &[(&str, Expression)], rows: Condition) -> Rewrite {
    let value =
        |name: &str| new.iter().find(|(of, _)| *of == name).map_or_else(|| column(name), |(_, new)| new.clone());
    let columns = COLUMNS.iter().map(|(name, _)| ((*name).to_owned(), value(name))).collect();
    Rewrite { output: ERRORS, columns, predicate: rows }
}
