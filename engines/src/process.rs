//! A server's process: it ends when its handle is dropped, and when we die.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::EngineError;

/// A child that watches its standard input: its end is the sign to stop.
pub(crate) struct Server {
    child: Child,
    /// Of the server itself, which may be a child of the child.
    pid: libc::pid_t,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with its output in `log`. If the command writes `pid_file`, the server is that process.
    pub(crate) fn start(mut command: Command, log: PathBuf, pid_file: Option<&Path>) -> io::Result<Self> {
        let output = fs::File::create(&log)?;
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn()?;
        let mut pid = child.id() as libc::pid_t;
        let started = Instant::now();
        while let Some(file) = pid_file {
            if let Some(written) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) {
                pid = written;
                break;
            }
            if started.elapsed() > Duration::from_secs(5) {
                return Err(io::Error::other("the process id was not written"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { child, pid, log })
    }

    /// Waits until `ready` says so.
    pub(crate) fn wait(
        &mut self,
        name: &'static str,
        seconds: u64,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), EngineError> {
        let started = Instant::now();
        while !ready() {
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended || started.elapsed() > Duration::from_secs(seconds) {
                return Err(EngineError::NotReady { name, seconds, log: self.log_tail() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(3000)..]).into_owned()
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: a signal to a process of ours; a wrong number is an error, nothing more.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Ends the process and waits for it.
    pub(crate) fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }

    /// Closes standard input and waits; kills what does not end within ten seconds.
    pub(crate) fn stop(&mut self) {
        drop(self.child.stdin.take());
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if started.elapsed() > Duration::from_secs(10) {
                return self.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// A port that nothing listens on, below those that the system gives to connections.
pub(crate) fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 11_000 + (std::process::id() % 997) as u16 * 20;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 500;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A program that does not watch its standard input, watched by a shell: that belongs to whoever started us, and when it
/// ends, so does the program. Its process id is written into `pid_file`.
pub(crate) fn watched(program: &str, pid_file: &Path) -> Command {
    let _ = fs::remove_file(pid_file);
    let mut command = Command::new("sh");
    command.args(["-c", WATCHED, "sh", program]).env("PID_FILE", pid_file);
    command
}

const WATCHED: &str =
    "\"$@\" < /dev/null & pid=$!; echo $pid > \"$PID_FILE\"; cat > /dev/null; kill -9 $pid; wait $pid";

pub(crate) fn prepare<T>(what: &Path, done: io::Result<T>) -> Result<T, EngineError> {
    done.map_err(|cause| EngineError::Prepare { what: what.display().to_string(), cause })
}
