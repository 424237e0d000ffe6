//! A real Apache Kafka of one broker (KRaft), with times that make tests quick.

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
    port: u16,
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
        let (port, controller) = (free_port(), free_port());
        prepare(folder, fs::create_dir_all(folder))?;
        let properties = folder.join("server.properties");
        prepare(&properties, fs::write(&properties, properties_text(folder, port, controller)))?;
        format(folder)?;
        let server = run(folder, port)?;
        Ok(Self { server, folder: folder.to_owned(), port })
    }

    /// `127.0.0.1:PORT`
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts again after [`kill`](Self::kill), on the same port and data.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn restart(&mut self) -> Result<(), EngineError> {
        self.server = run(&self.folder, self.port)?;
        Ok(())
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

fn format(folder: &Path) -> Result<(), EngineError> {
    let formatted = Command::new("java")
        .args(java(&class_path()?, "kafka.tools.StorageTool"))
        .args(["format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", "server.properties"])
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

fn properties_text(folder: &Path, port: u16, controller: u16) -> String {
    let folder = folder.display();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
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
broker.session.timeout.ms=1000
"
    )
}
