//! Slices: one stream in parts, by logical partition, each part with topics, tables and clusters of its own. `{slice}` in a
//! name is the number of the part. It is filled in right after parsing, and nothing else knows of it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Location;

use super::error::Problem;
use super::{Cluster, Config, Count, Pipeline, Storage, Text};
use crate::select::{self, LOGICAL_PARTITIONS};

/// Which part of a stream a pipeline reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// From 0.
    pub id: Count,
    /// How many slices there are.
    pub of: Count,
    /// The header whose number says to which slice a message belongs, where all slices share a topic.
    #[serde(default)]
    pub key: Option<Text>,
}

/// What stands for the id.
const MARK: &str = "{slice}";

/// Fills in every `{slice}`, and says where that cannot be.
pub(super) fn resolve(config: &mut Config) -> Vec<Problem> {
    let mut problems = overlaps(config);
    for (name, pipeline) in &config.pipelines.value {
        problems.extend(pipeline.slice.as_ref().and_then(|slice| slice.value.problem(name, pipeline)));
    }
    if let Some(control) = config.control.as_ref().filter(|control| is_marked(&control.topic.value)) {
        let text = format!("the control topic has {MARK} in its name");
        problems.push(Problem::new(
            control.topic.referenced,
            text,
            Some("it is for the pipelines of all slices".into()),
        ));
    }
    let mut storages = BTreeSet::new();
    for (name, pipeline) in &mut config.pipelines.value {
        let id = pipeline.id();
        let named = pipeline.outputs.value.values().flatten().filter(|storage| is_marked(&storage.value));
        storages.extend(named.map(|storage| (storage.value.0.clone(), id)));
        problems.extend(pipeline.fill(name, id));
    }
    let clusters = storages.iter().filter_map(|(name, id)| {
        let cluster = &config.storages.get(name)?.cluster.value;
        is_marked(cluster).then(|| (cluster.0.clone(), *id))
    });
    let clusters = clusters.collect();
    problems.extend(expand(&mut config.storages, &storages));
    problems.extend(expand(&mut config.clickhouse, &clusters));
    problems
}

impl Slice {
    fn problem(&self, name: &str, pipeline: &Pipeline) -> Option<Problem> {
        let (id, of, topic) = (self.id.0, self.of.0, &pipeline.topic.value);
        let (text, hint) = if id >= of {
            (format!("pipeline {name:?} is slice {id} of {of}"), "ids are 0 to of - 1".to_owned())
        } else {
            match (&self.key, is_marked(topic)) {
                (None, false) => (
                    format!("pipeline {name:?} is a slice and reads all of topic {:?}", topic.0),
                    format!(
                        "write topic: \"{}-{MARK}\" if each slice has a topic, or key: HEADER if all share it",
                        topic.0
                    ),
                ),
                (Some(_), true) => (
                    format!("pipeline {name:?} takes a slice by key of a topic that is one slice"),
                    "leave out key; whoever fills the topics has decided".into(),
                ),
                (Some(_), false) if of > LOGICAL_PARTITIONS => (
                    format!("pipeline {name:?} is one slice of {of}"),
                    format!(
                        "numbers fall into {LOGICAL_PARTITIONS} logical partitions; there are no more slices than these"
                    ),
                ),
                _ => return None,
            }
        };
        Some(Problem::new(pipeline.slice_at(), text, Some(hint)))
    }

    /// `4 by "org_id"`
    fn cut(&self) -> String {
        match &self.key {
            Some(key) => format!("{} by {:?}", self.of.0, key.0),
            None => self.of.0.to_string(),
        }
    }

    /// None: the topic is the slice.
    pub(super) fn rule(&self) -> Option<select::Rule> {
        let header = self.key.as_ref()?.0.clone();
        Some(select::Rule::Slice { header, id: self.id.0, of: self.of.0 })
    }
}

impl Pipeline {
    /// What stands for the id of a slice where there is none: a problem that was told already.
    fn id(&self) -> u64 {
        self.slice.as_ref().map_or(0, |slice| slice.value.id.0)
    }

    fn slice_at(&self) -> Location {
        self.slice.as_ref().map_or(Location::UNKNOWN, |slice| slice.referenced)
    }

    /// Every name of something that a slice may have for itself.
    fn names(&mut self) -> Vec<&mut Text> {
        let mut names = vec![&mut self.topic.value, &mut self.group];
        names.extend(self.outputs.value.values_mut().flatten().map(|storage| &mut storage.value));
        if let Some(log) = &mut self.commit_log {
            names.extend([&mut log.topic.value].into_iter().chain(&mut log.group));
        }
        names.extend(self.replacements.as_mut().map(|to| &mut to.topic));
        names.extend(self.dead_letters.value.topic.as_mut());
        names
    }

    fn fill(&mut self, name: &str, id: u64) -> Option<Problem> {
        let (at, is_slice) = (self.topic.referenced, self.slice.is_some());
        let mut problem = None;
        for written in self.names().into_iter().filter(|written| is_marked(written)) {
            if !is_slice {
                let text = format!("pipeline {name:?} names {:?} and is no slice", written.0);
                problem = Some(Problem::new(at, text, Some("write slice: { id: 0, of: 4 }".into())));
            }
            fill(written, id);
        }
        problem
    }

    /// Where its rows come from and go to, with the slice filled in.
    fn stream(&self) -> (&str, String, Vec<(&str, String)>, Option<select::Select>) {
        let filled = |text: &Text| text.0.replace(MARK, &self.id().to_string());
        let outputs = self.outputs.value.iter().flat_map(|(output, storages)| {
            storages.iter().map(move |storage| (output.as_str(), filled(&storage.value)))
        });
        let select = self.select.as_ref().map(|select| select.value.rules());
        (&self.module.value.0, filled(&self.topic.value), outputs.collect(), select.map(select::Select::new))
    }
}

/// Pipelines that take the same messages to the same tables, and those that do not agree how a topic is cut.
fn overlaps(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let pipelines: Vec<_> = config.pipelines.value.iter().collect();
    for (number, (name, pipeline)) in pipelines.iter().enumerate() {
        for (other_name, other) in &pipelines[..number] {
            if let Some((at, text, hint)) = overlap((other_name, other), (name, pipeline)) {
                problems.push(Problem::new(at, text, Some(hint.into())));
            }
        }
    }
    problems
}

fn overlap(
    (first_name, first): (&str, &Pipeline),
    (second_name, second): (&str, &Pipeline),
) -> Option<(Location, String, &'static str)> {
    let who = format!("pipelines {first_name:?} and {second_name:?}");
    let topic = &second.topic.value.0;
    let doubled = "let one pipeline have each message; every row would be there twice";
    match (&first.slice, &second.slice) {
        (Some(one), Some(two)) => {
            let (cut, other_cut) = (one.value.cut(), two.value.cut());
            if first.topic.value == second.topic.value && cut != other_cut {
                let text = format!("{who} cut topic {topic:?} into {cut} and into {other_cut} slices");
                return Some((
                    two.referenced,
                    text,
                    "a topic is cut one way; give all its pipelines the same of and key",
                ));
            }
            let same = one.value.id == two.value.id && first.stream() == second.stream();
            same.then(|| (two.referenced, format!("{who} are the same slice of topic {topic:?}"), doubled))
        }
        (None, None) => None,
        (Some(slice), None) | (None, Some(slice)) => {
            let same = first.stream() == second.stream();
            same.then(|| (slice.referenced, format!("{who} read a slice of topic {topic:?} and all of it"), doubled))
        }
    }
}

/// What may be there once for each slice.
trait Sliced: Clone {
    const WHAT: &'static str;

    fn names(&mut self) -> Vec<&mut Text>;

    fn at(&self) -> Location;
}

impl Sliced for Storage {
    const WHAT: &'static str = "storage";

    fn names(&mut self) -> Vec<&mut Text> {
        vec![&mut self.cluster.value, &mut self.table]
    }

    fn at(&self) -> Location {
        self.cluster.referenced
    }
}

impl Sliced for Cluster {
    const WHAT: &'static str = "cluster";

    fn names(&mut self) -> Vec<&mut Text> {
        let mut names = vec![&mut self.database, &mut self.user];
        names.extend(&mut self.hosts.value);
        names
    }

    fn at(&self) -> Location {
        self.hosts.referenced
    }
}

/// Puts one for each slice that is `wanted` in the place of what has `{slice}` in its name. What is written out for a
/// slice goes first.
fn expand<T: Sliced>(all: &mut BTreeMap<String, T>, wanted: &BTreeSet<(String, u64)>) -> Vec<Problem> {
    let what = T::WHAT;
    let mut problems = Vec::new();
    for (name, one) in all.iter_mut() {
        if name.contains(MARK) {
            if !wanted.iter().any(|(template, _)| template == name) {
                let text = format!("{what} {name:?} is of no slice");
                problems.push(Problem::new(one.at(), text, Some("name it where a slice is, or remove it".into())));
            }
        } else if one.names().iter().any(|written| is_marked(written)) {
            let text = format!("{what} {name:?} has {MARK} in what it names, and not in its own name");
            problems.push(Problem::new(
                one.at(),
                text,
                Some(format!("call it \"{name}-{MARK}\" here and where it is named")),
            ));
            one.names().into_iter().for_each(|written| fill(written, 0));
        }
    }
    for (template, id) in wanted {
        let Some(mut one) = all.get(template).cloned() else { continue };
        one.names().into_iter().for_each(|written| fill(written, *id));
        all.entry(template.replace(MARK, &id.to_string())).or_insert(one);
    }
    all.retain(|name, _| !name.contains(MARK));
    problems
}

fn is_marked(name: &Text) -> bool {
    name.0.contains(MARK)
}

fn fill(name: &mut Text, id: u64) {
    name.0 = name.0.replace(MARK, &id.to_string());
}
