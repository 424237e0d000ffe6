//! `tidegate dry-run`: everything but reading and writing.

use std::path::Path;
use std::sync::Arc;

use super::{Failure, block_on};
use crate::config::Config;
use crate::kafka::{TopicError, partitions};
use crate::load::{Loader, Refusal, storages};
use crate::start::{StartError, brokers, loader, written_topics};

/// One thing that was looked at.
struct Finding {
    what: String,
    /// What does not keep it from running, and should be known.
    warnings: Vec<String>,
    problem: Option<Failure>,
}

pub fn dry_run(path: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::read(path)?;
    let findings = block_on(look(config.into()))?;
    for finding in &findings {
        finding.print(json);
    }
    // The worst decides the exit code: what cannot be reached says nothing of what would differ.
    let mut problems: Vec<Failure> = findings.into_iter().filter_map(|finding| finding.problem).collect();
    problems.sort_by_key(|problem| matches!(problem, Failure::Differs(_)));
    match problems.into_iter().next() {
        None => Ok(()),
        Some(Failure::Unreachable(_)) => Err(Failure::Unreachable("the environment cannot be reached".into())),
        Some(Failure::Usage(_)) => Err(Failure::Usage("a module cannot be used".into())),
        Some(_) => Err(Failure::Differs("the configuration does not fit what is there".into())),
    }
}

async fn look(config: Arc<Config>) -> Vec<Finding> {
    let loader = loader(config.clone());
    let mut findings = Vec::new();
    for name in config.pipelines.value.keys() {
        let loaded = loader.load(name, &loader.configured(name)).await;
        let what = match &loaded {
            Ok(fitted) => {
                let columns: usize = fitted.module.layouts().iter().map(|layout| layout.columns().len()).sum();
                let module = fitted.module.name();
                let tables: Vec<_> = fitted.routes.storages.iter().map(|route| route.storage.as_str()).collect();
                let tables = tables.join(", ");
                format!("pipeline {name}: {columns} columns of module {} {} fit {tables}", module.name, module.version)
            }
            Err(_) => format!("pipeline {name}: module and tables"),
        };
        findings.push(Finding { what, warnings: Vec::new(), problem: loaded.err().map(failed(name)) });
        findings.extend(consistency(&config, &loader, name).await);
    }
    let topics = topics(&config);
    let brokers = brokers(&config);
    let asked = topics.clone();
    let found = tokio::task::spawn_blocking(move || partitions(&brokers, &asked)).await.unwrap_or_default();
    for (topic, found) in topics.iter().zip(found) {
        findings.push(match found {
            Ok(count) => {
                let what = format!("topic {topic}: {count} partition(s)");
                Finding { what, warnings: Vec::new(), problem: None }
            }
            Err(error) => {
                let text = error.to_string();
                let problem = match error {
                    TopicError::Unreachable { .. } => Failure::Unreachable(text),
                    TopicError::Unknown { .. } => Failure::Differs(format!("{text}; create it")),
                };
                Finding { what: format!("topic {topic}"), warnings: Vec::new(), problem: Some(problem) }
            }
        });
    }
    findings
}

/// What the storages of a pipeline promise, beside the tables that are there.
async fn consistency(config: &Config, loader: &Loader, pipeline: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for storage in storages(&config.pipelines.value[pipeline]) {
        let profile = config.storages[storage].consistency.value.0;
        let what = format!("storage {storage}: consistency {profile}");
        findings.extend(match loader.look(storage).await {
            Ok(None) => None,
            Ok(Some(look)) => {
                let refusals = look.refusals();
                let problem = (!refusals.is_empty()).then(|| Failure::Differs(refusals.join("\n\n")));
                Some(Finding { what: format!("{what} on {}", look.found), warnings: look.warnings(), problem })
            }
            Err(error) => Some(Finding { what, warnings: Vec::new(), problem: Some(failed(pipeline)(error)) }),
        });
    }
    findings
}

fn failed(pipeline: &str) -> impl Fn(Refusal) -> Failure {
    |error| StartError::Module { pipeline: pipeline.to_owned(), error }.into()
}

fn topics(config: &Config) -> Vec<String> {
    let mut topics = Vec::new();
    for pipeline in config.pipelines.value.values() {
        topics.push(pipeline.topic.value.0.clone());
        topics.extend(written_topics(pipeline));
    }
    topics.sort();
    topics.dedup();
    topics
}

impl Finding {
    fn print(&self, json: bool) {
        let text = self.problem.as_ref().map(Failure::text);
        if json {
            let (what, ok, warnings) = (&self.what, text.is_none(), &self.warnings);
            println!("{}", serde_json::json!({ "what": what, "ok": ok, "warnings": warnings, "problem": text }));
            return;
        }
        match text {
            None => println!("ok      {}", self.what),
            Some(text) => println!("failed  {}\n        {text}", self.what),
        }
        for warning in &self.warnings {
            println!("warning {warning}");
        }
    }
}

impl Failure {
    fn text(&self) -> &str {
        match self {
            Failure::Running(text) | Failure::Usage(text) | Failure::Unreachable(text) | Failure::Differs(text) => text,
            Failure::Interrupted(_) => "interrupted",
        }
    }
}
