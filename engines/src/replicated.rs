//! Replicated tables on a real, old ClickHouse: Debian's 18.16, two shards of two replicas, and one ZooKeeper. What it
//! lacks beside a new one: `insert_deduplication_token`, `insert_quorum_parallel`, `insert_quorum=auto`, codes in headers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use crate::clickhouse::ping;
use crate::process::{Server, free_port, prepare, watched};
use crate::{EngineError, debian_replication};

/// A cluster `c1` on the loopback: nodes 1 and 2 are the first shard, 3 and 4 the second. Dropped, it ends.
///
/// Macros of a node: `{shard}`, and `{replica}`, which is `n` and its number.
pub struct Replicated {
    /// They end before what they depend on.
    nodes: Vec<Node>,
    _zookeeper: Server,
}

struct Node {
    server: Server,
    home: PathBuf,
    ports: Ports,
}

#[derive(Clone, Copy)]
struct Ports {
    http: u16,
    tcp: u16,
    interserver: u16,
}

const NODES: usize = 4;
const REPLICAS: usize = 2;

impl Replicated {
    /// Starts all nodes with their data in `folder`, installing them first if needed.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start(folder: &Path) -> Result<Self, EngineError> {
        debian_replication()?;
        let zookeeper_port = free_port();
        let zookeeper = start_zookeeper(&folder.join("zookeeper"), zookeeper_port)?;
        let ports: Vec<Ports> =
            (0..NODES).map(|_| Ports { http: free_port(), tcp: free_port(), interserver: free_port() }).collect();
        let mut nodes = Vec::new();
        for (index, own) in ports.iter().enumerate() {
            let home = folder.join(format!("n{}", index + 1));
            prepare(&home, fs::create_dir_all(home.join("tmp")))?;
            let config = home.join("config.xml");
            prepare(&config, fs::write(&config, config_text(&home, index, &ports, zookeeper_port)))?;
            let users = home.join("users.xml");
            prepare(&users, fs::write(&users, USERS))?;
            nodes.push(Node { server: run(&home)?, home, ports: *own });
        }
        for node in &mut nodes {
            node.wait()?;
        }
        Ok(Self { nodes, _zookeeper: zookeeper })
    }

    /// HTTP port of a node, from 1.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn port(&self, node: usize) -> u16 {
        self.nodes[node - 1].ports.http
    }

    /// # Panics
    /// If there is no such node.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node - 1].server.kill();
    }

    /// Starts a killed node again, on the same ports and data.
    ///
    /// # Errors
    /// See [`EngineError`].
    ///
    /// # Panics
    /// If there is no such node.
    pub fn restart(&mut self, node: usize) -> Result<(), EngineError> {
        let node = &mut self.nodes[node - 1];
        node.server = run(&node.home)?;
        node.wait()
    }
}

impl Node {
    fn wait(&mut self) -> Result<(), EngineError> {
        let port = self.ports.http;
        self.server.wait("ClickHouse 18.16", 60, || ping(port))
    }
}

fn run(home: &Path) -> Result<Server, EngineError> {
    let pid_file = home.join("pid");
    let mut command = watched("/usr/sbin/clickhouse-server", &pid_file);
    command.arg(format!("--config-file={}", home.join("config.xml").display())).current_dir(home);
    prepare(home, Server::start(command, home.join("output.txt"), Some(&pid_file)))
}

fn start_zookeeper(home: &Path, port: u16) -> Result<Server, EngineError> {
    prepare(home, fs::create_dir_all(home))?;
    let config = home.join("zoo.cfg");
    let data = home.join("data");
    let text = format!(
        "tickTime=500
initLimit=10
syncLimit=5
dataDir={}
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr
maxClientCnxns=0
",
        data.display()
    );
    prepare(&config, fs::write(&config, text))?;
    let pid_file = home.join("pid");
    let mut command = watched("java", &pid_file);
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-cp", "/usr/share/java/zookeeper.jar"]);
    command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(&config);
    let mut server = prepare(home, Server::start(command, home.join("output.txt"), Some(&pid_file)))?;
    server.wait("ZooKeeper", 30, || serves(port))?;
    Ok(server)
}

/// It listens before it serves.
fn serves(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = String::new();
    stream.write_all(b"srvr").is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains("Mode: ")
}

fn config_text(home: &Path, index: usize, all: &[Ports], zookeeper: u16) -> String {
    let (home, number, shard) = (home.display(), index + 1, index / REPLICAS + 1);
    let Ports { http, tcp, interserver } = all[index];
    let replica = |ports: &Ports| format!("<replica><host>127.0.0.1</host><port>{}</port></replica>", ports.tcp);
    let shards = all.chunks(REPLICAS).map(|replicas| {
        let replicas: String = replicas.iter().map(replica).collect();
        format!("<shard><internal_replication>true</internal_replication>{replicas}</shard>")
    });
    let shards: String = shards.collect();
    format!(
        "<yandex>
  <path>{home}/data/</path>
  <tmp_path>{home}/tmp/</tmp_path>
  <users_config>{home}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <logger><level>warning</level><log>{home}/log.txt</log><errorlog>{home}/errors.txt</errorlog></logger>
  <http_port>{http}</http_port>
  <tcp_port>{tcp}</tcp_port>
  <interserver_http_port>{interserver}</interserver_http_port>
  <interserver_http_host>127.0.0.1</interserver_http_host>
  <listen_host>127.0.0.1</listen_host>
  <mark_cache_size>67108864</mark_cache_size>
  <zookeeper>
    <node index=\"1\"><host>127.0.0.1</host><port>{zookeeper}</port></node>
    <session_timeout_ms>4000</session_timeout_ms>
  </zookeeper>
  <macros><shard>s{shard}</shard><replica>n{number}</replica></macros>
  <remote_servers><c1>{shards}</c1></remote_servers>
</yandex>
"
    )
}

const USERS: &str = "<yandex>
  <users><default>
    <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
</yandex>
";
