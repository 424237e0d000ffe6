//! The program itself, as a process: configured, started, watched, stopped or killed.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::servers;
use crate::usage::Usage;

/// A running `tidegate run`.
pub struct Tidegate {
    child: Child,
    admin: u16,
    log: PathBuf,
}

impl Tidegate {
    /// Starts the program. `{admin}` in the configuration becomes a free port.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(folder: &Path, name: &str, config: &str) -> Result<Self> {
        let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let file = folder.join(format!("{name}.yaml"));
        std::fs::write(&file, config.replace("{admin}", &format!("127.0.0.1:{admin}")))?;
        let log = folder.join(format!("{name}.log"));
        let output = std::fs::File::create(&log)?;
        let child = Command::new(servers::built("tidegate"))
            .arg("run")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { child, admin, log })
    }

    /// `tidegate module …` of this process: whether it succeeded, and what it printed.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn module(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let output = Command::new(servers::built("tidegate"))
            .arg("module")
            .args(arguments)
            .arg(format!("--admin=http://127.0.0.1:{}", self.admin))
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ok((output.status.success(), text))
    }

    /// `/status`, if it answers.
    pub fn status(&self) -> Option<Value> {
        let body = self.get("/status").ok()?;
        serde_json::from_str(&body).ok()
    }

    /// # Errors
    /// If the port does not answer.
    pub fn get(&self, path: &str) -> Result<String> {
        use std::io::Write;
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split_once("\r\n\r\n").context("no body")?.1.to_owned())
    }

    /// What the process uses.
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// If it does not end within a minute.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.end()
    }

    /// Sends a signal: `STOP` holds the process where it is, `CONT` lets it go on.
    ///
    /// # Errors
    /// If there is no `kill`.
    pub fn signal(&self, name: &str) -> Result<()> {
        Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        Ok(())
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// If it does not within a minute.
    pub fn end(&mut self) -> Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > Duration::from_secs(60) {
                bail!("tidegate does not stop:\n{}", self.log());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Tidegate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`, looking every 50 ms.
///
/// # Errors
/// If it is not within the time; with what `done` said last.
pub fn wait_until(limit: Duration, done: impl FnMut() -> Result<bool>) -> Result<()> {
    look_every(Duration::from_millis(50), limit, done)
}

/// The same for what is over soon.
///
/// # Errors
/// As above.
pub fn look_every(pause: Duration, limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !done()? {
        if started.elapsed() > limit {
            bail!("not within {limit:?}");
        }
        std::thread::park_timeout(pause);
    }
    Ok(())
}
