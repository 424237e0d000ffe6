//! Which topic is for what, in a pipeline and between pipelines.

use std::collections::HashMap;

use super::check::Found;
use super::{Config, Pipeline};
use crate::share::PIPELINES_MAX;

/// Of a pipeline that shares its group: all of them are named beside each position.
const NAME_MAX: usize = 100;

impl Pipeline {
    /// Every topic that it writes to, and what for.
    pub fn writes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let commit_log = self.commit_log.as_ref().map(|log| ("commit log", log.topic.value.as_str()));
        let replacements = self.replacements.as_ref().map(|to| ("replacements", to.topic.as_str()));
        let letters = self.dead_letters.value.topic.as_ref().map(|topic| ("dead letters", topic.as_str()));
        [commit_log, replacements, letters].into_iter().flatten()
    }

    /// Whether the two share what is read.
    pub fn reads_as(&self, other: &Pipeline) -> bool {
        (self.topic.value.as_str(), self.group.as_str()) == (other.topic.value.as_str(), other.group.as_str())
    }

    /// Keys that are about reading, and that the two say different things of.
    fn differences(&self, other: &Pipeline) -> impl Iterator<Item = &'static str> {
        let pairs = [
            ("start", self.start == other.start),
            ("out_of_range", self.out_of_range == other.out_of_range),
            ("read_ahead", self.read_ahead == other.read_ahead),
            ("drain_timeout", self.drain_timeout == other.drain_timeout),
        ];
        pairs.into_iter().filter(|(_, same)| !same).map(|(key, _)| key)
    }

    /// The group that its records in the commit log are of.
    pub fn group_in_commit_log(&self) -> &str {
        self.commit_log.as_ref().and_then(|log| log.group.as_ref()).unwrap_or(&self.group).as_str()
    }
}

impl Found {
    pub(super) fn topics(&mut self, config: &Config) {
        for (name, pipeline) in &config.pipelines.value {
            self.topics_of(name, pipeline);
        }
        self.commit_log_keys(config);
        self.readers(config);
        self.kinds(config);
        self.control(config);
    }

    /// What a pipeline writes must not come back to it, and each topic has one kind of message.
    fn topics_of(&mut self, name: &str, pipeline: &Pipeline) {
        let mut topics: Vec<&str> = pipeline.writes().map(|(_, topic)| topic).collect();
        topics.push(&pipeline.topic.value.0);
        topics.sort_unstable();
        if let Some(pair) = topics.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format!("pipeline {name:?} uses topic {:?} for two things", pair[0]);
            self.at(&pipeline.topic, text, "its topic, commit log, replacements and dead letters are four topics");
        }
        let colon = pipeline.topic.value.0.contains(':') || pipeline.group_in_commit_log().contains(':');
        if colon && pipeline.commit_log.is_some() {
            let text = format!("pipeline {name:?} has a colon in its topic or group");
            self.at(
                &pipeline.topic,
                text,
                "keys of the commit log are topic:partition:group; readers split them there",
            );
        }
    }

    /// Two pipelines must not speak for each other in the commit log.
    fn commit_log_keys(&mut self, config: &Config) {
        let mut seen: HashMap<(&str, &str, &str), &str> = HashMap::new();
        for (name, pipeline) in &config.pipelines.value {
            let Some(log) = &pipeline.commit_log else { continue };
            let (topic, group) = (pipeline.topic.value.as_str(), pipeline.group_in_commit_log());
            if let Some(other) = seen.insert((log.topic.value.as_str(), topic, group), name) {
                let text = format!(
                    "pipelines {other:?} and {name:?} write records of group {group:?} for topic {topic:?} to one commit log"
                );
                self.at(
                    &log.topic,
                    text,
                    "give each a name that followers wait for: commit_log: { topic: …, group: NAME }",
                );
            }
        }
    }

    /// Pipelines that share a reader must say the same of it.
    fn readers(&mut self, config: &Config) {
        for reader in config.readers().into_iter().filter(|reader| reader.len() > 1) {
            let first = &config.pipelines.value[reader[0]];
            let of = format!("topic {:?} in group {:?}", first.topic.value.0, first.group.0);
            for name in &reader[1..] {
                let other = &config.pipelines.value[*name];
                for key in first.differences(other) {
                    let text = format!("pipelines {:?} and {name:?} read {of} together and differ in {key}", reader[0]);
                    self.at(&other.topic, text, "write the same in both, or give each a group of its own");
                }
            }
            if reader.len() > PIPELINES_MAX || reader.iter().any(|name| name.len() > NAME_MAX) {
                let text = format!("{} pipelines read {of} together", reader.len());
                let hint = format!("{PIPELINES_MAX} may, with names of up to {NAME_MAX} characters");
                self.at(&first.topic, text, hint);
            }
        }
    }

    /// Pipelines may write to one topic for the same purpose only: of a compacted topic, such as a commit log, one record
    /// of a key remains.
    fn kinds(&mut self, config: &Config) {
        let mut seen: HashMap<&str, (&str, &str)> = HashMap::new();
        for (name, pipeline) in &config.pipelines.value {
            for (what, topic) in pipeline.writes() {
                let (of_other, other) = *seen.entry(topic).or_insert((what, name));
                if of_other != what && other != name {
                    let text = format!(
                        "topic {topic:?} is for the {of_other} of pipeline {other:?} and the {what} of pipeline {name:?}"
                    );
                    self.at(
                        &pipeline.topic,
                        text,
                        "give each kind of record a topic; a compacted one forgets the others",
                    );
                }
            }
        }
    }

    fn control(&mut self, config: &Config) {
        let Some(control) = &config.control else { return };
        for (name, pipeline) in &config.pipelines.value {
            let read = [("messages", pipeline.topic.value.as_str())];
            if let Some((what, topic)) =
                read.into_iter().chain(pipeline.writes()).find(|(_, topic)| *topic == control.topic.value.as_str())
            {
                let text = format!("the control topic {topic:?} is for the {what} of pipeline {name:?} as well");
                self.at(&control.topic, text, "give control a topic of its own; it keeps one record of each pipeline");
            }
        }
    }
}
