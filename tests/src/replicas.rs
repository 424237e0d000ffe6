//! Replicated tables on the new ClickHouse: nodes of one shard and a ZooKeeper, run by a tool that lies beside the
//! repository and is no part of it. Where it is not, `tidegate_engines::Replicated` shows the same promises on an old one.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tidegate::clickhouse::{Cluster, Settings, Tls};
use tidegate_client::{Consistency, Query, Reader, ReaderSettings};

use crate::clickhouse::Database;
use crate::tidegate::wait_until;

/// Nodes `n1`, `n2`, … of cluster `c1`, each a replica of its only shard. Dropped, they end.
pub struct Nodes {
    folder: PathBuf,
    ports: Ports,
    /// Processes of the tool: the first runs the ZooKeeper and all nodes, the others a node that came back.
    starters: Vec<Child>,
    /// Of the servers.
    pids: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Ports {
    /// Node `k` listens on this + `k`, and on this + `NATIVE` + `k`.
    http: u16,
    zookeeper: u16,
}

const NATIVE: u16 = 800;

fn tool() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tools/replicated-clickhouse/start")
}

impl Nodes {
    /// None where the tool is not.
    ///
    /// # Errors
    /// If the tool is there and its servers do not start.
    pub fn start(folder: &Path, count: usize) -> Result<Option<Self>> {
        if !tool().exists() {
            eprintln!("skipped: replicas of the new ClickHouse, whose tool is not part of this repository");
            return Ok(None);
        }
        tidegate_engines::debian_replication()?;
        let mut nodes =
            Self { folder: folder.to_owned(), ports: Ports::free(count)?, starters: Vec::new(), pids: vec![0; count] };
        let told = nodes.run(&[])?;
        for (index, pid) in nodes.pids.iter_mut().enumerate() {
            *pid = told["nodes"][index]["pid"].as_u64().context("no process id")?;
        }
        Ok(Some(nodes))
    }

    /// Of a node, from 1.
    pub fn port(&self, node: usize) -> u16 {
        self.ports.http + node as u16
    }

    /// Ends a node at once.
    ///
    /// # Errors
    /// If it lives on.
    pub fn kill(&self, node: usize) -> Result<()> {
        let pid = self.pids[node - 1].to_string();
        Command::new("kill").args(["-KILL", &pid]).status()?;
        wait_until(
            Duration::from_secs(10),
            || Ok(std::net::TcpStream::connect(("127.0.0.1", self.port(node))).is_err()),
        )
    }

    /// Starts a killed node again, on the same ports and data.
    ///
    /// # Errors
    /// If it does not come back.
    pub fn restart(&mut self, node: usize) -> Result<()> {
        let told = self.run(&["--node", &node.to_string()])?;
        self.pids[node - 1] = told["nodes"][0]["pid"].as_u64().context("no process id")?;
        Ok(())
    }

    /// What the tool says when its servers answer.
    fn run(&mut self, arguments: &[&str]) -> Result<Value> {
        let log = self.folder.join(format!("starter-{}.txt", self.starters.len()));
        let mut starter = Command::new(tool())
            .arg("--lib")
            .arg(tidegate_engines::libchdb()?)
            .arg("--dir")
            .arg(&self.folder)
            .args(["--nodes", &self.pids.len().to_string(), "--http", &self.ports.http.to_string()])
            .args(["--zookeeper", &self.ports.zookeeper.to_string()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .with_context(|| tool().display().to_string())?;
        let output = starter.stdout.take().context("no output")?;
        self.starters.push(starter);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.is_empty() {
            bail!("{}: {}", tool().display(), std::fs::read_to_string(&log)?);
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // The tool stops what it started when its standard input ends; nodes before the ZooKeeper.
        for starter in self.starters.iter_mut().rev() {
            drop(starter.stdin.take());
            let _ = starter.wait();
        }
    }
}

impl Ports {
    /// Below those that the system gives to connections.
    fn free(count: usize) -> Result<Self> {
        let first = 21_000 + (std::process::id() % 83) as u16 * 20;
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let all_free = |http: &u16| {
            let nodes = 1..=count as u16;
            is_free(*http) && nodes.clone().all(|node| is_free(http + node) && is_free(http + NATIVE + node))
        };
        let http = (first..first + 2_000).step_by(20).find(all_free).context("no free ports")?;
        Ok(Self { http, zookeeper: http })
    }
}

/// The default database of a node, as a test asks it.
///
/// # Errors
/// If the node does not answer.
pub fn ask(port: u16) -> Result<Database> {
    Database::create(port, "default")
}

/// Nodes as hosts in this order.
pub fn hosts(ports: &[u16]) -> Vec<String> {
    ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect()
}

/// As tidegate reaches them. One request may take `timeout`, of which a quorum has three quarters.
pub fn cluster(ports: &[u16], timeout: Duration) -> Arc<Cluster> {
    Arc::new(Cluster::new(Settings {
        hosts: hosts(ports),
        tls: Tls::default(),
        database: "default".into(),
        user: "default".into(),
        password: Default::default(),
        timeout,
    }))
}

/// What a reader downstream has.
pub struct Reading {
    reader: Reader,
    runtime: tokio::runtime::Runtime,
}

impl Reading {
    /// # Errors
    /// If there is no HTTP client.
    pub fn new(ports: &[u16], consistency: Consistency) -> Result<Self> {
        let (database, user, password) = ("default".into(), "default".into(), String::new());
        let settings = ReaderSettings {
            hosts: hosts(ports),
            database,
            user,
            password,
            consistency,
            timeout: Duration::from_secs(5),
        };
        let runtime = crate::runtime();
        Ok(Self { reader: Reader::new(settings)?, runtime })
    }

    /// How many rows of a table a SELECT shows.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn count(&self, table: &str) -> Result<u64> {
        let query = Query::new(format!("SELECT count() FROM {table}")).table(table);
        let answer = self.runtime.block_on(self.reader.query(&query))?;
        Ok(String::from_utf8(answer)?.trim().parse()?)
    }
}
