//! The wasmtime engine: one per way of interruption, because that is compiled into the code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::Interruption;
use super::compiler::{self, CompileLimits};

/// Compiles and runs modules. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    interruption: Interruption,
    clock: Arc<Clock>,
    /// Of the compiler in a process of its own; none where it runs in this one.
    compiler: Option<CompileLimits>,
}

/// Ticks the epoch while calls run; sleeps while none does.
struct Clock {
    running: AtomicUsize,
    stopped: Arc<AtomicBool>,
    thread: thread::Thread,
}

/// Held while a call runs.
pub(super) struct Running<'a>(&'a Clock);

/// A call may run on by one tick past its deadline.
pub(super) const TICK: Duration = Duration::from_millis(5);

impl Engine {
    /// # Errors
    /// If wasmtime refuses the settings on this machine.
    pub fn new(interruption: Interruption) -> wasmtime::Result<Self> {
        let mut config = wasmtime::Config::new();
        config.cranelift_opt_level(wasmtime::OptLevel::Speed);
        config.wasm_memory64(false);
        // A processor is a pure function, on every machine.
        config.relaxed_simd_deterministic(true);
        // Debug information of a guest is not to be trusted with the host's time.
        config.wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
        config.epoch_interruption(interruption == Interruption::Epoch);
        let wasmtime = wasmtime::Engine::new(&config)?;
        let clock = Clock::start(wasmtime.clone());
        Ok(Self { wasmtime, interruption, clock, compiler: None })
    }

    /// The same, but it compiles in a child process under these limits. The program must be `tidegate`, which it starts.
    #[must_use]
    pub fn compiling_apart(self, limits: CompileLimits) -> Self {
        Self { compiler: Some(limits), ..self }
    }

    pub fn interruption(&self) -> Interruption {
        self.interruption
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    /// The code of a component.
    pub(super) fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, String> {
        match self.compiler {
            Some(limits) => compiler::compile(wasm, self.interruption, limits),
            None => self.wasmtime.precompile_component(wasm).map_err(|error| format!("{error:#}")),
        }
    }

    /// Keeps the clock ticking until dropped.
    pub(super) fn run(&self) -> Running<'_> {
        if self.clock.running.fetch_add(1, Ordering::AcqRel) == 0 && self.interruption == Interruption::Epoch {
            self.clock.thread.unpark();
        }
        Running(&self.clock)
    }
}

impl Clock {
    fn start(engine: wasmtime::Engine) -> Arc<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = std::sync::mpsc::channel::<std::sync::Weak<Clock>>();
        let stop = stopped.clone();
        let handle = thread::spawn(move || {
            let Ok(clock) = receiver.recv() else { return };
            while !stop.load(Ordering::Acquire) {
                if clock.upgrade().is_some_and(|clock| clock.running.load(Ordering::Acquire) > 0) {
                    thread::sleep(TICK);
                    engine.increment_epoch();
                } else {
                    thread::park();
                }
            }
        });
        let clock = Arc::new(Self { running: AtomicUsize::new(0), stopped, thread: handle.thread().clone() });
        sender.send(Arc::downgrade(&clock)).expect("the clock thread waits for it");
        clock
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}
