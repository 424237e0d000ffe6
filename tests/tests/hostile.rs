//! Guests that mean harm cost their messages or their own loading, and the report blames the right one.
//! `tests/hostile/README.md` says how to add one.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tidegate::message::{MessageBatch, Parts};
use tidegate::offset::{Assignment, Counts, Partition};
use tidegate::outcome::{Processed, Rejection};
use tidegate::processor::{Engine, InstanceConfig, Interruption, Isolation, Limits, LoadError, Module};
use tidegate_tests::hostile::{Guest, guests};
use tidegate_tests::servers;

const BATCHES: i64 = 3;
const MESSAGES: i64 = 8;
/// Which message of each batch begins with `!`.
const EVIL: i64 = 3;

const LIMITS: Limits =
    Limits { memory_bytes_max: 16 << 20, base: Duration::from_millis(200), per_message: Duration::from_millis(1) };

/// Above what the host had before a guest. Compiling takes the most.
const HOST_BYTES_MAX: usize = 400 << 20;

/// Lines that a pipeline's guest may write in a second, and one that says how many were dropped.
const LOG_LINES_PER_SECOND: usize = 21;
const LOG_LINE_BYTES_MAX: usize = 2500;
/// A hundred names, and `other`.
const COUNTERS_MAX: usize = 101;
const COUNTER_NAME_BYTES_MAX: usize = 64;
const DETAIL_BYTES_MAX: usize = 2100;

#[test]
fn hostile_guests_cost_their_messages_or_their_own_loading() {
    let written = Written::default();
    let log = written.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).init();
    let engine = Engine::new(Interruption::Epoch).unwrap();
    let guests = guests().unwrap();
    assert!(guests.len() > 80, "only {} kinds", guests.len());
    let innocent = Bystander::start(&engine, guests.iter().find(|guest| guest.name == "well-behaved").unwrap());

    let only = std::env::var("HOSTILE_ONLY").unwrap_or_default();
    let mut wrong = Vec::new();
    println!("{:<36} {:>6} {:>8} {:>8}  who is blamed: why", "kind", "calls", "ms CPU", "KiB");
    for guest in guests.iter().filter(|guest| guest.name.contains(&only)) {
        let wasm = guest.assemble().unwrap_or_else(|error| panic!("{}: {error:#}", guest.name));
        let file = folder().join(format!("{}.wasm", guest.name));
        fs::write(&file, wasm).unwrap();
        let (started, cpu_before, lines_before) = (Instant::now(), cpu_ms(), written.lines());
        let memory = Memory::now();
        let met = meet(&engine, &file);
        let (grown, seconds) = (memory.grown(), started.elapsed().as_secs());
        let Report { blamed, text, calls } = &met;
        let said: String = text.replace(&file.display().to_string(), "…").chars().take(120).collect();
        let spent = cpu_ms() - cpu_before;
        println!("{:<36} {calls:>6} {spent:>8} {:>8}  {blamed}: {said}", guest.name, grown >> 10);
        let mut claim = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{}: {what}", guest.name));
            }
        };
        claim(met.blamed == guest.expected.blamed, &format!("{blamed:?} is to blame, not {:?}", guest.expected.blamed));
        claim(text.contains(&guest.expected.text), &format!("says {text:?}, not {:?}", guest.expected.text));
        claim(text.len() <= DETAIL_BYTES_MAX, &format!("says {} bytes", text.len()));
        claim(grown <= HOST_BYTES_MAX, &format!("took {} MiB", grown >> 20));
        let lines = written.lines() - lines_before;
        claim(lines <= (seconds as usize + 2) * LOG_LINES_PER_SECOND, &format!("wrote {lines} lines in {seconds} s"));
    }
    fs::remove_dir_all(folder()).unwrap();
    assert!(written.longest() <= LOG_LINE_BYTES_MAX, "a line of {} bytes", written.longest());
    let calls = innocent.calls();
    println!("{calls} calls of an innocent instance beside them, each with the right answer");
    assert!(calls > 100);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a guest did, as it was reported.
struct Report {
    /// As in the first line of its file.
    blamed: String,
    text: String,
    calls: usize,
}

impl Report {
    fn of_load(error: &LoadError) -> Self {
        let blamed = match error {
            LoadError::Read { .. } => "load read",
            LoadError::Compile { .. } => "load compile",
            LoadError::Contract { .. } => "load contract",
            LoadError::Describe { .. } => "load describe",
            LoadError::Manifest { .. } => "load manifest",
            LoadError::Init { .. } => "init",
        };
        Self { blamed: blamed.into(), text: error.to_string(), calls: 0 }
    }
}

fn meet(engine: &Engine, file: &Path) -> Report {
    let module = match Module::load(engine, file, &folder()) {
        Ok(module) => module,
        Err(error) => return Report::of_load(&error),
    };
    let mut isolation = match Isolation::new(module.clone(), config(&module)) {
        Ok(isolation) => isolation,
        Err(error) => return Report::of_load(&error),
    };
    let (mut letters, mut calls) = (BTreeMap::new(), 0);
    for number in 0..BATCHES {
        let batch = batch(number * MESSAGES, |offset| offset % MESSAGES == EVIL);
        let parts = isolation.process(&batch).unwrap();
        calls += parts.len() + isolation.take_failures().len();
        assert_all_ended(&parts, &batch);
        for letter in parts.into_iter().flat_map(|part| part.dead_letters) {
            assert!(letters.insert(letter.offset, letter.rejection).is_none(), "a message dead-lettered twice");
        }
        let counted = isolation.take_counted();
        assert!(counted.len() <= COUNTERS_MAX, "{} counters", counted.len());
        assert!(counted.iter().all(|(name, _)| name.len() <= COUNTER_NAME_BYTES_MAX), "{counted:?}");
    }
    assert!(isolation.memory_bytes().is_none_or(|bytes| bytes <= LIMITS.memory_bytes_max));
    let text = letters.values().next().map(|rejection| rejection.detail.clone()).unwrap_or_default();
    Report { blamed: blamed(&letters), text, calls }
}

fn blamed(letters: &BTreeMap<i64, Rejection>) -> String {
    let mut reasons: Vec<&str> = letters.values().map(|rejection| rejection.reason.as_str()).collect();
    reasons.dedup();
    let reasons = reasons.join(" and ");
    let evil: Vec<i64> = (0..BATCHES).map(|number| number * MESSAGES + EVIL).collect();
    let offsets: Vec<i64> = letters.keys().copied().collect();
    match offsets.len() as i64 {
        0 => "none".into(),
        _ if offsets == evil => format!("message {reasons}"),
        n if n == BATCHES * MESSAGES => format!("all {reasons}"),
        _ => format!("{offsets:?} {reasons}"),
    }
}

/// Every message has its end, once.
fn assert_all_ended(parts: &[Processed], batch: &MessageBatch) {
    let partition = Partition::new("hostile", 0);
    let mut counts = Counts::default();
    let mut end = batch.progress().get(&partition).unwrap().range.start;
    for part in parts {
        let covered = part.progress.get(&partition).unwrap();
        assert_eq!(covered.range.start, end, "progress without a gap");
        assert_eq!(covered.counts.dead_letters, part.dead_letters.len() as u64);
        end = covered.range.end;
        counts.messages += covered.counts.messages;
        counts.inserted += covered.counts.inserted;
        counts.dead_letters += covered.counts.dead_letters;
        counts.skipped += covered.counts.skipped + covered.counts.replacements + covered.counts.rewrites;
    }
    assert_eq!(end, batch.progress().get(&partition).unwrap().range.end);
    assert_eq!(counts.messages, batch.len() as u64);
    assert_eq!(counts.inserted + counts.dead_letters + counts.skipped, counts.messages);
}

fn batch(first: i64, is_evil: impl Fn(i64) -> bool) -> MessageBatch {
    let mut batch = MessageBatch::default();
    batch.begin_run(Partition::new("hostile", 0), Assignment(1), first);
    for offset in first..first + MESSAGES {
        let payload: &[u8] = if is_evil(offset) { b"!" } else { b"x" };
        batch.push(Parts { offset, payload: Some(payload), ..Parts::default() });
    }
    batch
}

fn config(module: &Module) -> InstanceConfig {
    InstanceConfig {
        params: "{}".into(),
        topics: vec!["hostile".into()],
        limits: LIMITS,
        layouts: module.layouts().to_vec(),
    }
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What the bounds on code refuse at once, given to the compiler past them: its memory is where it ends.
#[test]
fn a_bomb_of_a_kind_that_is_not_known_ends_with_the_compiler() {
    let wasm = Guest::named("too-many-joins").unwrap().assemble().unwrap();
    let mut compiler = Command::new(servers::built("tidegate"))
        .args(["compiler", &(128 << 20).to_string(), "60000"])
        .env("RAYON_NUM_THREADS", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its end says why, if it does not read it all.
    let _ = compiler.stdin.take().unwrap().write_all(&wasm);
    let ended = compiler.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("memory allocation of"), "{}: {said}", ended.status);
    assert!(ended.stdout.is_empty(), "half of an answer would be taken for one");
}

/// An instance that works on while others misbehave.
struct Bystander {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<usize>,
}

impl Bystander {
    fn start(engine: &Engine, guest: &Guest) -> Self {
        let file = folder().join("innocent.wasm");
        fs::write(&file, guest.assemble().unwrap()).unwrap();
        let module = Module::load(engine, &file, &folder()).unwrap();
        // Time enough: it is not to blame for what the others do to the machine.
        let limits = Limits { base: Duration::from_secs(60), ..LIMITS };
        let mut isolation = Isolation::new(module.clone(), InstanceConfig { limits, ..config(&module) }).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || {
            let mut calls = 0;
            while !stopped.load(Ordering::Acquire) {
                let parts = isolation.process(&batch(0, |_| false)).unwrap();
                assert_eq!(parts.len(), 1);
                assert_eq!(parts[0].rows[0].data, [0, 1, 2, 3, 4, 5, 6, 7]);
                assert!(parts[0].dead_letters.is_empty());
                calls += 1;
                thread::park_timeout(Duration::from_millis(2));
            }
            calls
        };
        Self { stop, thread: thread::spawn(work) }
    }

    fn calls(self) -> usize {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// Resident memory of this process, and its peak since then.
struct Memory {
    bytes: usize,
}

impl Memory {
    fn now() -> Self {
        fs::write("/proc/self/clear_refs", "5").unwrap();
        Self { bytes: status("VmRSS:") }
    }

    fn grown(&self) -> usize {
        status("VmHWM:").saturating_sub(self.bytes)
    }
}

fn status(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Of all threads, and a compiler has several. The kernel counts in hundredths of a second.
fn cpu_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
    fields.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

/// Where the log goes: what of it, nobody asks here, only how much.
#[derive(Clone, Default)]
struct Written(Arc<(AtomicUsize, AtomicUsize)>);

impl Written {
    fn lines(&self) -> usize {
        self.0.0.load(Ordering::Acquire)
    }

    fn longest(&self) -> usize {
        self.0.1.load(Ordering::Acquire)
    }
}

impl Write for Written {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.0.fetch_add(1, Ordering::AcqRel);
        self.0.1.fetch_max(line.len(), Ordering::AcqRel);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
