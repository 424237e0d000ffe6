//! `tidegate commit-log show`: what the log says last of every group and partition, beside what Kafka says.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tidegate_commit_log::{Counts, Key};

use super::super::Failure;
use super::super::aligned::{aligned, print};
use super::super::positions::{Ledgers, ledgers, or_dash, pipelines};
use crate::clock::now_ms;
use crate::config::{Config, Pipeline};
use crate::kafka::{Bystander, BystanderError, Standing, TopicError, topic_id};
use crate::start::brokers;
use crate::verify::{Account, Ledger};

/// Every group that the log speaks of: how far it has written each partition, how long ago it said so, what it has committed
/// (it is asked without being joined), and what the topic has.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate commit-log show pipeline.yaml --json | jq 'select(.mark)'")]
pub struct ShowArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// Only the commit log of this pipeline
    #[arg(long)]
    pipeline: Option<String>,
}

/// One key of the log.
struct Row<'a> {
    key: &'a Key,
    account: Option<&'a Account>,
    /// None when there is no such topic.
    standing: Option<Standing>,
    committed: Option<i64>,
    is_running: bool,
}

/// What Kafka says of a group and a topic.
struct Asked<'a> {
    /// Empty for a group that is no pipeline's.
    pipeline: &'a str,
    topic_id: Option<String>,
    /// None where there is no such topic.
    standings: Vec<Standing>,
    is_running: bool,
}

pub fn show(args: &ShowArgs, json: bool) -> Result<(), Failure> {
    let config = Config::read(&args.config)?;
    let ledgers = ledgers(&brokers(&config), &pipelines(&config, args.pipeline.as_deref())?)?;
    if ledgers.is_empty() {
        return Err(Failure::Usage("there is no such pipeline with a commit log".into()));
    }
    let rows = rows(&config, &ledgers)?;
    if json {
        return print(&rows.iter().map(Row::json).collect::<Vec<_>>());
    }
    let titles = ["PARTITION", "GROUP", "POSITION", "EPOCH", "AGE", "COMMITTED", "END", "LAG", ""].map(String::from);
    let table: Vec<_> = std::iter::once(titles).chain(rows.iter().map(Row::cells)).collect();
    let mut lines = aligned(&table);
    let mut sums: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
    for (key, account) in rows.iter().filter_map(|row| Some((row.key, row.account?))) {
        sums.entry((&key.topic, &key.group)).or_default().add(&account.sums);
    }
    lines.push(String::new());
    lines.extend(sums.iter().map(|((topic, group), sums)| format!("{topic}, group {group}: {}", super::counted(sums))));
    print(&lines)
}

fn rows<'a>(config: &Config, ledgers: &'a Ledgers) -> Result<Vec<Row<'a>>, Failure> {
    let (mut rows, mut asked) = (Vec::new(), BTreeMap::new());
    for (key, ledger) in ledgers.values().flat_map(|ledger| ledger.keys().map(move |key| (key, ledger))) {
        let asked = match asked.entry((&key.topic, &key.group)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Asked::of(config, key)?),
        };
        rows.push(asked.row(key, ledger));
    }
    Ok(rows)
}

impl<'a> Asked<'a> {
    /// A group that is a name in the log only is that of a pipeline, which has another in Kafka.
    fn of(config: &'a Config, key: &Key) -> Result<Self, Failure> {
        let is_meant = |(_, pipeline): &(&String, &Pipeline)| {
            pipeline.topic.value.as_str() == key.topic && pipeline.group_in_commit_log() == key.group
        };
        let pipeline = config.pipelines.value.iter().find(is_meant);
        let group = pipeline.map_or(key.group.as_str(), |(_, pipeline)| pipeline.group.as_str());
        let pipeline = pipeline.map_or("", |(name, _)| name.as_str());
        let brokers = brokers(config);
        let bystander = Bystander::new(&brokers, group)?;
        let is_running = !bystander.members()?.is_empty();
        let (standings, topic_id) = match bystander.standings(&key.topic) {
            // What is said of a topic that is gone is shown all the same.
            Err(BystanderError::Topic(TopicError::Unknown { .. })) => (Vec::new(), None),
            standings => (standings?, topic_id(&brokers, &key.topic)?),
        };
        Ok(Self { pipeline, topic_id, standings, is_running })
    }

    fn row<'l>(&self, key: &'l Key, ledger: &'l Ledger) -> Row<'l> {
        let standing = self.standings.iter().find(|standing| standing.number == key.partition).cloned();
        let committed = standing.as_ref().and_then(|standing| standing.committed.as_ref());
        let committed = committed.map(|last| last.place_of(self.pipeline).position);
        let account = ledger.choose(key, self.topic_id.as_deref()).account;
        Row { key, account, standing, committed, is_running: self.is_running }
    }
}

impl Row<'_> {
    fn position(&self) -> Option<i64> {
        Some(self.account?.last?.position)
    }

    fn end(&self) -> Option<i64> {
        Some(self.standing.as_ref()?.has.end)
    }

    fn lag(&self) -> Option<i64> {
        Some((self.end()? - self.position()?).max(0))
    }

    /// How long ago it was said, seconds.
    fn age_s(&self) -> Option<f64> {
        let said_ms = self.account?.last?.timestamp_ms?;
        Some((now_ms() - said_ms).max(0) as f64 / 1000.0)
    }

    /// What disagrees.
    fn mark(&self) -> Option<&'static str> {
        let Some(standing) = &self.standing else { return Some("there is no such partition") };
        let Some(position) = self.position() else { return Some("said of an earlier topic of this name") };
        match self.committed {
            _ if position > standing.has.end => Some("beyond the end of the topic"),
            _ if position < standing.has.start => Some("messages were deleted before they were read"),
            None => Some("the group has committed nothing"),
            Some(committed) if committed < position => Some("the group was set back, and followers were not told"),
            Some(committed) if committed > position && !self.is_running => Some("the log is behind the group"),
            Some(_) => None,
        }
    }

    fn cells(&self) -> [String; 9] {
        let last = self.account.and_then(|account| account.last);
        [
            format!("{}/{}", self.key.topic, self.key.partition),
            self.key.group.clone(),
            or_dash(self.position()),
            or_dash(last.map(|last| last.epoch)),
            self.age_s().map_or("-".to_owned(), |age| format!("{age:.1} s")),
            or_dash(self.committed),
            or_dash(self.end()),
            or_dash(self.lag()),
            self.mark().map(|mark| format!("! {mark}")).unwrap_or_default(),
        ]
    }

    fn json(&self) -> String {
        let last = self.account.and_then(|account| account.last);
        let row = json!({
            "topic": self.key.topic,
            "partition": self.key.partition,
            "group": self.key.group,
            "position": self.position(),
            "epoch": last.map(|last| last.epoch),
            "age_s": self.age_s(),
            "committed": self.committed,
            "end": self.end(),
            "lag": self.lag(),
            "mark": self.mark(),
            "records": self.account.map(|account| account.records),
            "counts": self.account.map(|account| &account.sums),
        });
        row.to_string()
    }
}
