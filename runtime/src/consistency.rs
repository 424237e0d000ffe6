//! Whether a table can keep what the consistency profile of its storage promises, and what somebody should know who chose
//! it. The same for `dry-run`, which prints it, and for `run`, which does not start over a promise that cannot be kept.

use tidegate_client::Consistency;

use crate::clickhouse::{Cluster, Copies, Error};

/// A profile beside the table that is really there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What the table is, in a few words.
    pub found: String,
    pub remarks: Vec<Remark>,
}

/// Something about a profile and its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The promise cannot be kept, and nothing would say so later.
    Refused(String),
    /// It is kept, and this is what comes with it.
    Warning(String),
}

/// Asks the cluster what the table is. Nothing is asked for a profile that promises nothing.
///
/// # Errors
/// If the cluster cannot be asked, or its answer is not understood.
pub async fn look(consistency: Consistency, cluster: &Cluster, table: &str) -> Result<Option<Look>, Error> {
    if consistency == Consistency::Eventual {
        return Ok(None);
    }
    let copies = cluster.copies(table).await?;
    Ok(Some(Look { found: describe(&copies), remarks: judge(consistency, table, &copies) }))
}

impl Look {
    /// Why the pipeline must not start.
    pub fn refusals(&self) -> Vec<String> {
        let refused = |remark: &Remark| match remark {
            Remark::Refused(text) => Some(text.clone()),
            Remark::Warning(_) => None,
        };
        self.remarks.iter().filter_map(refused).collect()
    }

    pub fn warnings(&self) -> Vec<String> {
        let warning = |remark: &Remark| match remark {
            Remark::Warning(text) => Some(text.clone()),
            Remark::Refused(_) => None,
        };
        self.remarks.iter().filter_map(warning).collect()
    }
}

fn describe(copies: &Copies) -> String {
    match copies {
        Copies::One { engine } => format!("{engine}, one copy"),
        Copies::Replicas { total, active } if total == active => format!("{total} replica(s)"),
        Copies::Replicas { total, active } => format!("{total} replica(s), {active} of them active"),
        Copies::Shared => "SharedMergeTree".into(),
        Copies::Shards { cluster, table, shards } => {
            let mut kinds: Vec<String> = shards.iter().map(describe).collect();
            kinds.dedup();
            format!("Distributed over {table} on {} shard(s) of cluster {cluster}: {}", shards.len(), kinds.join("; "))
        }
    }
}

/// What there is to say, the refusals first.
fn judge(consistency: Consistency, table: &str, copies: &Copies) -> Vec<Remark> {
    let mut remarks = match copies {
        Copies::Shards { table: local, shards, .. } => {
            let mut remarks = of_distributed(consistency, table, local);
            remarks.extend(shards.iter().flat_map(|copies| of_table(consistency, local, copies)));
            remarks
        }
        copies => of_table(consistency, table, copies),
    };
    remarks.sort_by_key(|remark| matches!(remark, Remark::Warning(_)));
    // Shards are alike most of the time.
    remarks.dedup();
    remarks
}

fn of_distributed(consistency: Consistency, table: &str, local: &str) -> Vec<Remark> {
    let refused = |why: &str, hint: &str| {
        vec![Remark::Refused(format!(
            "consistency {consistency}: table {table:?} is Distributed, {why}\n\nhint: {hint}"
        ))]
    };
    match consistency {
        Consistency::ShardLocal => refused(
            "so its rows go to other nodes than the one that is written to",
            &format!("name the table below it, {local}, with a cluster for each node"),
        ),
        Consistency::Synced => refused(
            "and SYSTEM SYNC REPLICA waits for the rows of one node only",
            &format!("name the table below it, {local}, or use in-order+quorum"),
        ),
        _ => Vec::new(),
    }
}

fn of_table(consistency: Consistency, table: &str, copies: &Copies) -> Vec<Remark> {
    let remark = |text: String| format!("consistency {consistency}: table {table:?} {text}");
    let warning = |text: &str| Remark::Warning(remark(text.to_owned()));
    match copies {
        Copies::One { engine } if consistency.has_quorum() => vec![Remark::Refused(remark(format!(
            "has engine {engine}, which keeps one copy: the server passes over insert_quorum without a word\n\nhint: use a \
             Replicated engine, or another profile"
        )))],
        Copies::One { .. } if consistency == Consistency::InOrder => vec![warning(
            "keeps one copy: there is nothing to order, and what another host takes while the first is down is not there \
             afterwards",
        )],
        Copies::Shared if consistency.has_quorum() => {
            vec![warning("keeps its rows in a storage that all nodes share, where insert_quorum changes nothing")]
        }
        Copies::Replicas { total, active } if consistency.has_quorum() => {
            of_replicas(consistency, *total, *active).iter().map(|text| warning(text)).collect()
        }
        Copies::Replicas { .. } if consistency == Consistency::ShardLocal => {
            vec![warning("has replicas, which nobody reads: the storage has one node")]
        }
        Copies::One { .. } | Copies::Shared | Copies::Replicas { .. } | Copies::Shards { .. } => Vec::new(),
    }
}

/// What `insert_quorum=auto`, a majority, means for so many replicas.
fn of_replicas(consistency: Consistency, total: u64, active: u64) -> Vec<String> {
    let quorum = total / 2 + 1;
    let mut texts = Vec::new();
    match total {
        1 => texts.push("has one replica: a quorum of it adds nothing".to_owned()),
        2 => texts.push("has 2 replicas, and a quorum is both: one replica down stops writes".to_owned()),
        _ => {
            let missed = format!("has {total} replicas, and inserts wait for {quorum} of them");
            match consistency {
                Consistency::Quorum => texts.push(format!("{missed}: stale reads possible, of the others")),
                Consistency::InOrderQuorum => {
                    texts.push(format!("{missed}: stale reads possible after a failover to one of the others"));
                }
                _ => {}
            }
        }
    }
    if active < quorum {
        texts.push(format!("has {active} of {total} replicas active: inserts wait until {quorum} are"));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Vec<Copies> {
        let one = || Copies::One { engine: "MergeTree".into() };
        let replicas = |total, active| Copies::Replicas { total, active };
        let distributed = |shards| Copies::Shards { cluster: "c".into(), table: "default.local".into(), shards };
        vec![
            one(),
            replicas(1, 1),
            replicas(2, 2),
            replicas(2, 1),
            replicas(3, 3),
            Copies::Shared,
            distributed(vec![one(), one()]),
            distributed(vec![replicas(2, 2), replicas(2, 2)]),
            distributed(vec![replicas(3, 3), one()]),
        ]
    }

    /// Every profile beside every kind of table, as text. `UPDATE_GOLDEN=1` writes it anew.
    #[test]
    fn what_is_said_of_each_profile_and_table() {
        let mut said = String::new();
        for copies in tables() {
            said += &format!("# {}\n", describe(&copies));
            for consistency in Consistency::ALL {
                let remarks = judge(consistency, "t", &copies);
                let lines = remarks.iter().map(|remark| match remark {
                    Remark::Refused(text) => format!("refused  {text}\n"),
                    Remark::Warning(text) => format!("warning  {text}\n"),
                });
                let lines: String = lines.collect();
                said += &if lines.is_empty() { format!("ok       consistency {consistency}\n") } else { lines };
            }
            said.push('\n');
        }
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/consistency/remarks.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, &said).unwrap();
        }
        assert_eq!(said, std::fs::read_to_string(golden).unwrap());
    }
}
