//! The compiler in a process of its own: what it takes of the machine is bounded whatever it is given, and its end harms nobody.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// More are hardly faster, and messages want them too.
const THREADS_MAX: usize = 4;

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
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // One that dies reads no more, and its end says why.
        scope.spawn(|| input.is_some_and(|mut input| input.write_all(wasm).is_ok()));
        let output = scope.spawn(|| everything(output));
        let errors = scope.spawn(|| everything(errors));
        let ended = wait(&mut child, limits.time_max).map_err(failed)?;
        let (output, errors) = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
        match ended {
            Some(status) if status.success() => Ok(output),
            Some(status) if status.code() == Some(REFUSED.into()) => Err(String::from_utf8_lossy(&output).into_owned()),
            Some(status) => Err(died(status, &errors, limits)),
            None => {
                let limit = limits.time_max;
                Err(format!(
                    "it took longer than {limit:?}\nhint: `compile_time` of the module is how long it may take"
                ))
            }
        }
    })
}

/// The other side: reads a component from standard input, writes its code, or why there is none, to standard output. Returns
/// the exit code.
///
/// # Errors
/// If the pipes break or the machine gives no engine.
pub fn serve(interruption: Interruption, memory_bytes_max: u64) -> Result<u8, String> {
    bound(memory_bytes_max).map_err(|error| error.to_string())?;
    let mut wasm = Vec::new();
    io::stdin().read_to_end(&mut wasm).map_err(|error| error.to_string())?;
    let engine = Engine::new(interruption).map_err(|error| error.to_string())?;
    let (said, code) = match engine.compile(&wasm) {
        Ok(code) => (code, 0),
        Err(error) => (error.into_bytes(), REFUSED),
    };
    io::stdout().write_all(&said).map_err(|error| error.to_string())?;
    Ok(code)
}

fn start(interruption: Interruption, limits: CompileLimits) -> io::Result<Child> {
    let mut command = Command::new(this_program()?);
    command.arg(COMMAND).arg(limits.memory_bytes_max.to_string());
    if interruption == Interruption::Off {
        command.arg("--interruption-off");
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    command.env("RAYON_NUM_THREADS", cores.min(THREADS_MAX).to_string()).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Even if its file was replaced meanwhile: another version would make other code.
fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// None if it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn everything(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before a pipe broke is what there is.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    bytes
}

fn died(status: ExitStatus, errors: &[u8], limits: CompileLimits) -> String {
    let errors = String::from_utf8_lossy(errors);
    // Of a panic, its place and its text.
    let words: Vec<_> = errors.lines().filter(|line| !line.is_empty() && !line.starts_with("note:")).take(2).collect();
    let (words, mib) = (words.join(" "), limits.memory_bytes_max >> 20);
    format!("the compiler ended with {status}: {words}\nhint: it may have {mib} MiB, `compile_memory` of the module")
}

/// Of this process, from now on.
#[allow(clippy::unnecessary_wraps)]
fn bound(memory_bytes_max: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        for (what, most) in [(libc::RLIMIT_DATA, memory_bytes_max), (libc::RLIMIT_CORE, 0)] {
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            // SAFETY: the limit outlives the call; no pointers are kept.
            if unsafe { libc::setrlimit(what, &limit) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // Whoever started us is gone, or goes: nobody waits for the code.
        // SAFETY: the call takes no pointers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // Where memory ends sooner, it is this process that goes.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
    Ok(())
}
