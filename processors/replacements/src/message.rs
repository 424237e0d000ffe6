//! The message as it comes: `[2, type, body]`, or `[type, body]` without the version. What decides which rows are
//! rewritten is strict; what only narrows the search is lenient.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use shared::datetime::{self, seconds};
use shared::lenient::Str;
use tidegate_processor::DateTime;

/// A replacement, by its type.
pub enum Replacement<'a> {
    /// Announces another one; nothing is to be done yet.
    Start,
    EndDeleteGroups(DeleteGroups),
    EndMerge(Merge<'a>),
    EndUnmerge(Unmerge<'a>),
    EndDeleteTag(DeleteTag<'a>),
    TombstoneEvents(Events<'a>),
    ReplaceGroup(ReplaceGroup<'a>),
    ExcludeGroups(ExcludeGroups),
}

#[derive(serde::Deserialize)]
pub struct DeleteGroups {
    pub project_id: u64,
    pub group_ids: Vec<u64>,
    #[serde(deserialize_with = "time")]
    pub datetime: DateTime,
}

#[derive(serde::Deserialize)]
pub struct Merge<'a> {
    pub project_id: u64,
    pub previous_group_ids: Vec<u64>,
    pub new_group_id: u64,
    #[serde(borrow, default)]
    new_group_first_seen: Str<'a>,
    #[serde(deserialize_with = "time")]
    pub datetime: DateTime,
}

#[derive(serde::Deserialize)]
pub struct Unmerge<'a> {
    pub project_id: u64,
    pub previous_group_id: u64,
    pub new_group_id: u64,
    #[serde(borrow)]
    pub hashes: Vec<Cow<'a, str>>,
    #[serde(deserialize_with = "time")]
    pub datetime: DateTime,
}

#[derive(serde::Deserialize)]
pub struct DeleteTag<'a> {
    pub project_id: u64,
    #[serde(borrow)]
    pub tag: Cow<'a, str>,
    #[serde(deserialize_with = "time")]
    pub datetime: DateTime,
}

#[derive(serde::Deserialize)]
pub struct Events<'a> {
    pub project_id: u64,
    #[serde(borrow)]
    pub event_ids: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub old_primary_hash: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    from_timestamp: Str<'a>,
    #[serde(borrow, default)]
    to_timestamp: Str<'a>,
}

#[derive(serde::Deserialize)]
pub struct ReplaceGroup<'a> {
    #[serde(borrow, flatten)]
    pub events: Events<'a>,
    pub new_group_id: u64,
}

#[derive(serde::Deserialize)]
pub struct ExcludeGroups {
    pub project_id: u64,
    pub group_ids: Vec<u64>,
}

impl Merge<'_> {
    pub fn first_seen(&self) -> Option<DateTime> {
        self.new_group_first_seen.0.as_deref().and_then(datetime::parse).map(seconds)
    }
}

impl Events<'_> {
    /// When the events happened; both ends are known, or neither.
    pub fn between(&self) -> Option<(DateTime, DateTime)> {
        let time = |text: &Str<'_>| text.0.as_deref().and_then(datetime::parse).map(seconds);
        time(&self.from_timestamp).zip(time(&self.to_timestamp))
    }
}

/// A time that must be there and be one; its fraction is cut off.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime, D::Error> {
    let text = <Cow<'de, str>>::deserialize(deserializer)?;
    let parsed = datetime::parse(&text).map(seconds);
    parsed.ok_or_else(|| D::Error::custom(format_args!("datetime {text:?} is not like 2023-03-08T16:14:18.591918Z")))
}

impl<'de: 'a, 'a> Deserialize<'de> for Replacement<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements)
    }
}

/// The version, or the type where there is none.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum First<'a> {
    Version(u64),
    #[serde(borrow)]
    Kind(Cow<'a, str>),
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Replacement<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[2, type, {project_id, …}] or [type, {project_id, …}]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let kind = match elements.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))? {
            First::Kind(kind) => kind,
            First::Version(2) => elements.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?,
            First::Version(other) => return Err(A::Error::custom(format_args!("version {other} instead of 2"))),
        };
        let replacement = body(&kind, &mut elements)?;
        match elements.next_element::<IgnoredAny>()? {
            None => Ok(replacement),
            Some(_) => Err(A::Error::custom(format_args!("too many elements for a message of type {kind:?}"))),
        }
    }
}

fn body<'de, A: SeqAccess<'de>>(kind: &str, elements: &mut A) -> Result<Replacement<'de>, A::Error> {
    fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(elements: &mut A) -> Result<T, A::Error> {
        elements.next_element()?.ok_or_else(|| A::Error::invalid_length(2, &Elements))
    }
    Ok(match kind {
        "end_delete_groups" => Replacement::EndDeleteGroups(next(elements)?),
        "end_merge" => Replacement::EndMerge(next(elements)?),
        "end_unmerge" => Replacement::EndUnmerge(next(elements)?),
        "end_delete_tag" => Replacement::EndDeleteTag(next(elements)?),
        "tombstone_events" => Replacement::TombstoneEvents(next(elements)?),
        "replace_group" => Replacement::ReplaceGroup(next(elements)?),
        "exclude_groups" => Replacement::ExcludeGroups(next(elements)?),
        "end_unmerge_hierarchical" => {
            return Err(A::Error::custom("end_unmerge_hierarchical needs hierarchical hashes, which are not stored"));
        }
        start if start.starts_with("start_") => {
            next::<IgnoredAny, A>(elements)?;
            Replacement::Start
        }
        other => return Err(A::Error::custom(format_args!("{other:?} is no type of replacement"))),
    })
}
