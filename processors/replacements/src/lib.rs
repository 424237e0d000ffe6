//! Replacements of error events: topic `event-replacements`, rewrites of table `errors`. README.md says where it differs
//! from the reference.

mod flag;
mod message;
mod rewrites;

use std::collections::BTreeMap;

use shared::errors_table;
use tidegate_processor::{Manifest, Message, Outcome, Processor, Rejection, Rows, export};

use message::Replacement;
use rewrites::Promoted;

/// The processor.
pub struct Replacements {
    promoted: Promoted,
}

/// Its settings.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Columns that repeat a tag, by tag: they are emptied when the tag is deleted.
    pub promoted_tags: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        let promoted = [
            ("environment", "environment"),
            ("level", "level"),
            ("transaction", "transaction_name"),
            ("sentry:release", "release"),
            ("sentry:dist", "dist"),
            ("sentry:user", "user"),
        ];
        Self { promoted_tags: promoted.map(|(tag, column)| (tag.into(), column.into())).into() }
    }
}

impl Processor for Replacements {
    type Config = Config;

    fn manifest() -> Manifest {
        Manifest::new("replacements", env!("CARGO_PKG_VERSION"))
            .output("errors", errors_table::COLUMNS)
            .output("flags", flag::COLUMNS)
    }

    fn new(config: Config, _topics: &[String]) -> Result<Self, String> {
        Ok(Self { promoted: Promoted::new(config.promoted_tags)? })
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let replacement = serde_json::from_slice(message.payload()?)?;
        if is_of_nothing(&replacement) {
            return Ok(Outcome::Skipped);
        }
        let rewrite = match replacement {
            Replacement::Start => return Ok(Outcome::Skipped),
            Replacement::EndDeleteGroups(delete) => {
                flag::exclude_groups(delete.project_id, &delete.group_ids, message, rows)?;
                rewrites::delete_groups(&delete)
            }
            Replacement::EndMerge(merge) => {
                flag::exclude_groups(merge.project_id, &merge.previous_group_ids, message, rows)?;
                rewrites::merge(&merge)
            }
            Replacement::EndUnmerge(unmerge) => {
                flag::needs_final(unmerge.project_id, message, rows)?;
                rewrites::unmerge(&unmerge)
            }
            Replacement::EndDeleteTag(delete) => {
                flag::needs_final(delete.project_id, message, rows)?;
                rewrites::delete_tag(&delete, &self.promoted)
            }
            Replacement::TombstoneEvents(events) => rewrites::tombstone_events(&events)?,
            Replacement::ReplaceGroup(replace) => rewrites::replace_group(&replace.events, replace.new_group_id)?,
            Replacement::ExcludeGroups(exclude) => {
                flag::exclude_groups(exclude.project_id, &exclude.group_ids, message, rows)?;
                return Ok(Outcome::Rewrite(Vec::new()));
            }
        };
        Ok(Outcome::Rewrite(vec![rewrite]))
    }
}

/// An empty list of groups, hashes or events names no row.
fn is_of_nothing(replacement: &Replacement<'_>) -> bool {
    match replacement {
        Replacement::EndDeleteGroups(delete) => delete.group_ids.is_empty(),
        Replacement::EndMerge(merge) => merge.previous_group_ids.is_empty(),
        Replacement::EndUnmerge(unmerge) => unmerge.hashes.is_empty(),
        Replacement::TombstoneEvents(events) => events.event_ids.is_empty(),
        Replacement::ReplaceGroup(replace) => replace.events.event_ids.is_empty(),
        Replacement::ExcludeGroups(exclude) => exclude.group_ids.is_empty(),
        Replacement::Start | Replacement::EndDeleteTag(_) => false,
    }
}

export!(Replacements);
