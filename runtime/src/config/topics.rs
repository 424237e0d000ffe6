//! Which topic is for what, in a pipeline and between pipelines.

use std::collections::HashMap;

use super::check::Found;
use super::{Config, Pipeline};

impl Pipeline {
    /// Every topic that it writes to, and what for.
    pub fn writes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let commit_log = self.commit_log.as_ref().map(|log| ("commit log", log.topic.value.as_str()));
        let replacements = self.replacements.as_ref().map(|to| ("replacements", to.topic.as_str()));
        let letters = self.dead_letters.value.topic.as_ref().map(|topic| ("dead letters", topic.as_str()));
        [commit_log, replacements, letters].into_iter().flatten()
    }
}

impl Found {
    pub(super) fn topics(&mut self, config: &Config) {
        for (name, pipeline) in &config.pipelines.value {
            self.topics_of(name, pipeline);
        }
        self.twice(config);
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
        let colon = pipeline.topic.value.0.contains(':') || pipeline.group.0.contains(':');
        if colon && pipeline.commit_log.is_some() {
            let text = format!("pipeline {name:?} has a colon in its topic or group");
            self.at(
                &pipeline.topic,
                text,
                "keys of the commit log are topic:partition:group; readers split them there",
            );
        }
    }

    /// Two pipelines in one group on one topic would share its partitions, and speak for each other in the commit log.
    fn twice(&mut self, config: &Config) {
        let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
        for (name, pipeline) in &config.pipelines.value {
            let key = (pipeline.topic.value.0.as_str(), pipeline.group.0.as_str());
            if let Some(other) = seen.insert(key, name) {
                let text = format!("pipelines {other:?} and {name:?} read topic {:?} in group {:?}", key.0, key.1);
                self.at(&pipeline.topic, text, "give each pipeline a group of its own");
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
