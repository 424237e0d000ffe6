//! A real Apache Kafka (KRaft), with times that make tests quick: one broker, or several that keep copies. It listens in the
//! clear, and with TLS where it is given certificates.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fetch::FetchError;
use crate::process::{Server, free_port, prepare, watched};
use crate::{EngineError, kafka_jars};

/// A broker on the loopback. Dropped, it ends.
pub struct Kafka {
    server: Server,
    folder: PathBuf,
    ports: Ports,
}

/// What a broker needs to listen with TLS: at one port clients show a certificate, at another they log in by
/// SCRAM-SHA-256.
#[derive(Clone, Debug)]
pub struct Security {
    /// The broker's key and certificate, one PEM file.
    pub identity: PathBuf,
    /// The authority of its clients' certificates, PEM.
    pub clients: PathBuf,
    pub user: String,
    pub password: String,
}

/// Brokers on the loopback, each with a copy of everything. Dropped, they end.
///
/// A message is acknowledged when two have it (`acks=all`).
pub struct KafkaCluster(Vec<Kafka>);

/// One broker of a cluster.
struct Node<'a> {
    /// From 1.
    id: usize,
    ports: Ports,
    /// Controller ports of all brokers, by their ids.
    controllers: &'a [u16],
    security: Option<&'a Security>,
}

/// The broker's own are free ones; `controller` is for the brokers among themselves.
#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    controller: u16,
    ssl: u16,
    sasl_ssl: u16,
}

const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";
const JAVA: &[&str] = &[
    "-Xms128m",
    "-Xmx768m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-Djava.awt.headless=true",
    "-Dlog4j2.level=WARN",
];

impl Kafka {
    /// Formats a new broker in `folder` and starts it, fetching it first if needed.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start(folder: &Path) -> Result<Self, EngineError> {
        Self::start_with(folder, None)
    }

    /// The same, also listening with TLS.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start_secured(folder: &Path, security: &Security) -> Result<Self, EngineError> {
        Self::start_with(folder, Some(security))
    }

    fn start_with(folder: &Path, security: Option<&Security>) -> Result<Self, EngineError> {
        let ports = Ports::free();
        Self::start_node(folder, &Node { id: 1, ports, controllers: &[ports.controller], security })
    }

    fn start_node(folder: &Path, node: &Node<'_>) -> Result<Self, EngineError> {
        prepare(folder, fs::create_dir_all(folder))?;
        let properties = folder.join("server.properties");
        prepare(&properties, fs::write(&properties, properties_text(folder, node)))?;
        format(folder, node.security)?;
        let server = run(folder, node.ports.plain)?;
        Ok(Self { server, folder: folder.to_owned(), ports: node.ports })
    }

    /// `127.0.0.1:PORT`, in the clear.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// `127.0.0.1:PORT` with TLS, for clients with a certificate; only of a secured broker.
    pub fn ssl(&self) -> String {
        format!("127.0.0.1:{}", self.ports.ssl)
    }

    /// `127.0.0.1:PORT` with TLS, for users with a password; only of a secured broker.
    pub fn sasl_ssl(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sasl_ssl)
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts again after [`kill`](Self::kill), on the same port and data.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn restart(&mut self) -> Result<(), EngineError> {
        self.server = run(&self.folder, self.ports.plain)?;
        Ok(())
    }
}

impl KafkaCluster {
    /// Formats `count` new brokers below `folder` and starts them, fetching them first if needed.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start(folder: &Path, count: usize) -> Result<Self, EngineError> {
        let ports: Vec<_> = (0..count).map(|_| Ports::free()).collect();
        let controllers: Vec<_> = ports.iter().map(|ports| ports.controller).collect();
        kafka_jars()?;
        // None is ready before most are there.
        std::thread::scope(|scope| {
            let start = |(index, ports): (usize, &Ports)| {
                let (id, ports, controllers) = (index + 1, *ports, &controllers);
                let folder = folder.join(format!("broker-{id}"));
                scope.spawn(move || Kafka::start_node(&folder, &Node { id, ports, controllers, security: None }))
            };
            let starting: Vec<_> = ports.iter().enumerate().map(start).collect();
            let started = starting.into_iter().map(|broker| broker.join().expect("starting a broker does not panic"));
            started.collect::<Result<_, _>>().map(Self)
        })
    }

    /// `127.0.0.1:PORT,…` of all of them.
    pub fn bootstrap(&self) -> String {
        self.0.iter().map(Kafka::bootstrap).collect::<Vec<_>>().join(",")
    }

    /// By its id, from 1: as Kafka names leaders.
    ///
    /// # Panics
    /// If there is none with this id.
    pub fn broker(&mut self, id: usize) -> &mut Kafka {
        &mut self.0[id - 1]
    }
}

impl Ports {
    fn free() -> Self {
        Self { plain: free_port(), controller: free_port(), ssl: free_port(), sasl_ssl: free_port() }
    }
}

fn class_path() -> Result<String, EngineError> {
    let folder = kafka_jars()?;
    let entries = prepare(&folder, fs::read_dir(&folder))?;
    let mut jars: Vec<String> = entries.flatten().map(|entry| entry.path().display().to_string()).collect();
    jars.sort();
    Ok(jars.join(":"))
}

fn java(class_path: &str, main: &str) -> Vec<String> {
    let fixed = JAVA.iter().copied().chain(["-cp", class_path, main]);
    fixed.map(str::to_owned).collect()
}

fn format(folder: &Path, security: Option<&Security>) -> Result<(), EngineError> {
    let user = security.map(|Security { user, password, .. }| {
        ["--add-scram".to_owned(), format!("SCRAM-SHA-256=[name={user},password={password}]")]
    });
    let formatted = Command::new("java")
        .args(java(&class_path()?, "kafka.tools.StorageTool"))
        .args(["format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", "server.properties"])
        .args(user.into_iter().flatten())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    match formatted {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let cause = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(FetchError::Failed { what: "a formatted Kafka folder", cause }.into())
        }
        Err(_) => {
            let hint = "install a JRE 17 or later";
            Err(FetchError::Missing { program: "java", what: "a Kafka to test against", hint }.into())
        }
    }
}

fn run(folder: &Path, port: u16) -> Result<Server, EngineError> {
    let pid_file = folder.join("pid");
    let mut command = watched("java", &pid_file);
    command.args(java(&class_path()?, "kafka.Kafka")).arg("server.properties").current_dir(folder);
    let mut server = prepare(folder, Server::start(command, folder.join("output.txt"), Some(&pid_file)))?;
    server.wait("Kafka", 90, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok(server)
}

fn properties_text(folder: &Path, Node { id, ports, controllers, security }: &Node<'_>) -> String {
    let (folder, Ports { plain, controller, .. }) = (folder.display(), ports);
    let (listeners, more) = match security {
        Some(security) => (listeners_with_tls(*ports), tls_text(security)),
        None => (String::new(), String::new()),
    };
    let voter = |(index, port): (usize, &u16)| format!("{}@127.0.0.1:{port}", index + 1);
    let voters: Vec<_> = controllers.iter().enumerate().map(voter).collect();
    let (voters, copies, in_sync) = (voters.join(","), controllers.len(), controllers.len().div_ceil(2));
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain}{listeners}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
log.dirs={folder}/data
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=1000
group.min.session.timeout.ms=500
group.coordinator.append.linger.ms=0
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1500
controller.quorum.election.timeout.ms=300
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.backoff.max.ms=200
{more}"
    )
}

fn listeners_with_tls(Ports { ssl, sasl_ssl, .. }: Ports) -> String {
    format!(",SSL://127.0.0.1:{ssl},SASL_SSL://127.0.0.1:{sasl_ssl}")
}

fn tls_text(Security { identity, clients, .. }: &Security) -> String {
    let (identity, clients) = (identity.display(), clients.display());
    format!(
        "ssl.keystore.type=PEM
ssl.keystore.location={identity}
ssl.truststore.type=PEM
ssl.truststore.location={clients}
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
"
    )
}
