//! A real ClickHouse: `clickhouse` from the PATH if there is one, otherwise the library in a process of its own.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Server, free_port, prepare};
use crate::{EngineError, libchdb};

/// How the library becomes a process: a program that calls [`launch`](crate::launch) with the three paths that are
/// added to these arguments.
#[derive(Clone, Debug)]
pub struct Launcher {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

/// What a server has besides the usual, as XML.
#[derive(Clone, Debug, Default)]
pub struct Customs {
    /// More of config.xml.
    pub config: String,
    /// More of users.xml, under `users` and under `profiles`.
    pub users: String,
    pub profiles: String,
}

/// A server on the loopback. Dropped, it ends.
pub struct ClickHouse {
    server: Server,
    launcher: Launcher,
    folder: PathBuf,
    port: u16,
    customs: Customs,
}

impl ClickHouse {
    /// Starts a server whose data is in `folder`, fetching it first if needed.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start(launcher: Launcher, folder: &Path) -> Result<Self, EngineError> {
        Self::start_with(launcher, folder, Customs::default())
    }

    /// The same, with customs of its own.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start_with(launcher: Launcher, folder: &Path, customs: Customs) -> Result<Self, EngineError> {
        let port = free_port();
        prepare(folder, fs::create_dir_all(folder.join("data")))?;
        let server = run(&launcher, folder, port, &customs)?;
        Ok(Self { server, launcher, folder: folder.to_owned(), port, customs })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops answering, keeps connections: SIGSTOP.
    pub fn suspend(&self) {
        self.server.signal(libc::SIGSTOP);
    }

    pub fn resume(&self) {
        self.server.signal(libc::SIGCONT);
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }

    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port and data.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn restart(&mut self) -> Result<(), EngineError> {
        self.server = run(&self.launcher, &self.folder, self.port, &self.customs)?;
        Ok(())
    }
}

fn run(launcher: &Launcher, folder: &Path, port: u16, customs: &Customs) -> Result<Server, EngineError> {
    // The system database is in memory; its old folders keep the logs from being made again.
    let _ = fs::remove_dir_all(folder.join("data/data/system"));
    let config = folder.join("config.xml");
    prepare(&config, fs::write(&config, config_text(folder, port, &customs.config)))?;
    let users = folder.join("users.xml");
    prepare(&users, fs::write(&users, users_text(customs)))?;
    let command = match which("clickhouse") {
        Some(program) => {
            let mut command = Command::new(program);
            command.arg("server").arg("--config-file").arg(&config).current_dir(folder);
            command
        }
        None => {
            let mut command = Command::new(&launcher.program);
            command.args(&launcher.arguments).arg(libchdb()?).arg(&config).arg(folder.join("stop.pipe"));
            command
        }
    };
    let mut server = prepare(folder, Server::start(command, folder.join("output.txt"), None))?;
    server.wait("ClickHouse", 60, || ping(port))?;
    Ok(server)
}

pub(crate) fn ping(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let asked = stream.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains("Ok.")
}

fn which(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn config_text(folder: &Path, port: u16, more: &str) -> String {
    let folder = folder.display();
    format!(
        "<clickhouse>
  <path>{folder}/data/</path>
  <log-level>warning</log-level>
  <logger><level>warning</level><log>{folder}/log.txt</log></logger>
  <http_port>{port}</http_port>
  <tcp_port>0</tcp_port>
  <listen_host>127.0.0.1</listen_host>
  <users_config>{folder}/users.xml</users_config>
  <user_directories><users_xml><path>{folder}/users.xml</path></users_xml></user_directories>
  {more}
</clickhouse>
"
    )
}

fn users_text(Customs { users, profiles, .. }: &Customs) -> String {
    format!(
        "<clickhouse>
  <users><default>
    <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    <access_management>1</access_management>
  </default>{users}</users>
  <profiles><default/>{profiles}</profiles>
  <quotas><default/></quotas>
</clickhouse>
"
    )
}
