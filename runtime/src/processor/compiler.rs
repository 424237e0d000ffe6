//! The compiler in a process of its own: what it takes of the machine is bounded whatever it is given, and its end harms nobody.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Engine, Interruption};

/// What compiling one module may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompileLimits {
    /// Data of the compiler's process, bytes: heap and stacks. Linux keeps to it, macOS does not.
    pub memory_bytes_max: u64,
    /// By the clock on the wall.
    pub time_max: Duration,
}

/// The hidden command of this program that runs [`serve`].
const COMMAND: &str = "compiler";
/// What it ends with when standard output says why the module cannot be compiled.
const REFUSED: u8 = 65;
/// More are hardly faster, and messages want them too.
const THREADS_MAX: usize = 4;
/// Of machine code, which this process holds twice for a moment. That of the largest known modules has 36 MB.
const CODE_BYTES_MAX: usize = 256 << 20;

impl Default for CompileLimits {
    /// The largest known modules, Python's and JavaScript's of 18 and 12 MB, take some 20 seconds of CPU and 400 MiB.
    fn default() -> Self {
        Self { memory_bytes_max: 1 << 30, time_max: Duration::from_secs(60) }
    }
}

/// Compiles a component elsewhere, as an engine of this program with that interruption would here.
pub(super) fn compile(wasm: &[u8], interruption: Interruption, limits: CompileLimits) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("failed to run the compiler: {error}");
    let mut child = start(interruption, limits).map_err(failed)?;
    // It reads to the end before it says anything. One that dies reads no more, and its end says why.
    let _ = child.stdin.take().map(|mut input| input.write_all(wasm));
    let ended = child.wait_with_output().map_err(failed)?;
    match ended.status.code() {
        Some(0) => Ok(ended.stdout),
        Some(code) if code == i32::from(REFUSED) => Err(String::from_utf8_lossy(&ended.stdout).into_owned()),
        _ => Err(died(&ended, limits)),
    }
}

/// One compiler of this process at a time: its limits are what loading takes, however many pipelines load.
pub(super) fn one_at_a_time<T>(work: impl FnOnce() -> T) -> T {
    static COMPILING: Mutex<()> = Mutex::new(());
    let _alone = COMPILING.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// The other side: reads a component from standard input, writes its code, or why there is none, to standard output. Returns
/// the exit code. The process dies when its limits are passed.
///
/// # Errors
/// If the limits cannot be set, the pipes break, or the machine gives no engine.
pub fn serve(interruption: Interruption, limits: CompileLimits) -> Result<u8, String> {
    let failed = |what: &'static str| move |error: io::Error| format!("failed to {what}: {error}");
    bound_time(limits.time_max).map_err(failed("bound the compiler's time"))?;
    #[cfg(target_os = "linux")]
    bound_memory(limits.memory_bytes_max).map_err(failed("bound the compiler's memory"))?;
    let mut wasm = Vec::new();
    io::stdin().read_to_end(&mut wasm).map_err(failed("read the component"))?;
    let engine = Engine::new(interruption).map_err(|error| error.to_string())?;
    let (said, code) = match engine.compile(&wasm) {
        Ok(code) if code.len() > CODE_BYTES_MAX => {
            (format!("its code has {} bytes and may have {CODE_BYTES_MAX}", code.len()).into_bytes(), REFUSED)
        }
        Ok(code) => (code, 0),
        Err(error) => (error.into_bytes(), REFUSED),
    };
    let mut output = io::stdout();
    output.write_all(&said).and_then(|()| output.flush()).map_err(failed("write the code"))?;
    Ok(code)
}

fn start(interruption: Interruption, limits: CompileLimits) -> io::Result<Child> {
    let mut command = Command::new(this_program()?);
    command.arg0("tidegate").arg(COMMAND);
    command.arg(limits.memory_bytes_max.to_string()).arg(limits.time_max.as_millis().to_string());
    if interruption == Interruption::Off {
        command.arg("--interruption-off");
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    command.env("RAYON_NUM_THREADS", cores.min(THREADS_MAX).to_string());
    // Standard error is for its last words.
    command.env("RUST_BACKTRACE", "0").env("TIDEGATE_LOG", "off");
    // A signal from the terminal is for us.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Even if its file was replaced meanwhile: another version would make other code.
fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

fn died(ended: &Output, limits: CompileLimits) -> String {
    let status = ended.status;
    if status.signal() == Some(libc::SIGALRM) {
        let limit = limits.time_max;
        return format!("it took longer than {limit:?}\nhint: `modules.NAME.compile_time` is how long it may take");
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    // Of a panic, its place and its text.
    let words: Vec<_> = said.lines().filter(|line| !line.is_empty() && !line.starts_with("note:")).take(2).collect();
    let words = words.join(" ");
    if words.contains("memory allocation of") {
        let mib = limits.memory_bytes_max >> 20;
        return format!("it takes more than {mib} MiB\nhint: `modules.NAME.compile_memory` is what it may take");
    }
    let why = if status.signal() == Some(libc::SIGKILL) {
        "was killed: the machine or the container has no memory for it, or somebody killed it"
    } else {
        words.as_str()
    };
    format!("the compiler ended with {status}: {why}")
}

/// Of this process, from now on, whether somebody waits for it or not.
fn bound_time(time_max: Duration) -> io::Result<()> {
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // Nothing at all would be no limit.
    let time_max = time_max.max(Duration::from_millis(1));
    let value = libc::timeval { tv_sec: time_max.as_secs() as _, tv_usec: time_max.subsec_micros() as _ };
    let timer = libc::itimerval { it_interval: never, it_value: value };
    // SAFETY: the timer outlives the call; nobody wants to know what was before.
    match unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Of this process, from now on. Where memory ends sooner, it is this process that goes first, and it leaves no image of it.
#[cfg(target_os = "linux")]
fn bound_memory(bytes_max: u64) -> io::Result<()> {
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit outlives the calls; no pointers are kept.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        // Whoever started us is gone: nobody waits for the code.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getrlimit(libc::RLIMIT_DATA, &mut limit);
        limit.rlim_cur = bytes_max.min(limit.rlim_max);
        match libc::setrlimit(libc::RLIMIT_DATA, &limit) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
