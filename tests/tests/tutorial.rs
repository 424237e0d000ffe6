//! `docs/tutorial.md`, word for word: its `sh` blocks are run, one after the other, and the `text` blocks below them must
//! come out, `…` standing for anything up to the end of the line.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tidegate_tests::kafka::Sender;
use tidegate_tests::processors::repository;
use tidegate_tests::servers::{self, built};
use tidegate_tests::tidegate::wait_until;

/// Commands, and what must come out.
struct Step {
    commands: String,
    comes_out: Vec<String>,
}

/// Somebody who follows the tutorial.
struct Reader {
    folder: PathBuf,
    /// Of the environment.
    variables: Vec<(&'static str, String)>,
    dev: Option<Child>,
}

fn steps() -> Vec<Step> {
    let text = fs::read_to_string(repository().join("docs/tutorial.md")).unwrap();
    let (mut steps, mut language) = (Vec::<Step>::new(), None);
    for line in text.lines() {
        match (language, line.strip_prefix("```")) {
            (None, Some(begun)) => {
                language = Some(begun);
                if begun == "sh" {
                    steps.push(Step { commands: String::new(), comes_out: Vec::new() });
                }
            }
            (Some(_), Some(_)) => language = None,
            (Some("sh"), None) => steps.last_mut().unwrap().commands += &format!("{line}\n"),
            (Some("text"), None) if !line.is_empty() => steps.last_mut().unwrap().comes_out.push(line.to_owned()),
            _ => {}
        }
    }
    steps
}

impl Reader {
    fn new(name: &str) -> Self {
        let folder = servers::folder(name);
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir_all(&folder).unwrap();
        Self { folder, variables: Vec::new(), dev: None }
    }

    /// What the commands print. The folder they end in is where the next begin.
    fn run(&mut self, commands: &str) -> String {
        let programs = built("tidegate").parent().unwrap().to_owned();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let script = format!("set -eu\n{commands}\npwd > \"$TUTORIAL_FOLDER\"");
        let ended_in = std::env::temp_dir().join(format!("tidegate-tutorial-{}", std::process::id()));
        let mut command = Command::new("bash");
        command.arg("-c").arg(script).current_dir(&self.folder).stderr(Stdio::piped());
        command.env("PATH", path).env("TUTORIAL_FOLDER", &ended_in);
        command.env("CARGO_TARGET_DIR", programs.join("author")).envs(self.variables.iter().cloned());
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{commands}\n{out}\n{err}");
        self.folder = fs::read_to_string(ended_in).unwrap().trim().into();
        out.into_owned()
    }

    fn follow(&mut self, step: &Step) {
        let (mut now, mut background) = (String::new(), None);
        for line in step.commands.lines() {
            match line.strip_suffix('&') {
                Some(command) => background = Some(command.to_owned()),
                None if line.contains("| kcat ") => self.send(line),
                None => now += &format!("{line}\n"),
            }
        }
        let mut out = self.run(&now);
        if let Some(command) = background {
            out += &self.start_dev(&command);
        }
        // Rows take as long as a batch is open.
        let _ = wait_until(Duration::from_secs(30), || {
            let all_there = missing(step, &out).is_empty();
            if !all_there && step.commands.contains("SELECT") {
                out = self.run(&now);
            }
            Ok(all_there || !step.commands.contains("SELECT"))
        });
        assert!(
            missing(step, &out).is_empty(),
            "{:?} should come out of\n{}\n{out}",
            missing(step, &out),
            step.commands
        );
    }

    /// From the first step to the last.
    fn follow_all(&mut self) -> Duration {
        let started = Instant::now();
        for step in steps() {
            let before = Instant::now();
            self.follow(&step);
            let first = step.commands.lines().next().unwrap_or_default();
            eprintln!("{:>6.1} s  {first}", before.elapsed().as_secs_f64());
        }
        started.elapsed()
    }

    /// Takes the part of a Kafka client.
    fn send(&self, line: &str) {
        let message = line.split('\'').nth(1).unwrap();
        let topic = line.rsplit(' ').next().unwrap();
        let kafka = &self.variables.iter().find(|(name, _)| *name == "KAFKA").unwrap().1;
        let sender = Sender::new(kafka, topic).unwrap();
        sender.send(None, "", Some(message.as_bytes())).unwrap();
        sender.flush().unwrap();
    }

    /// Starts it, and takes the addresses from what it prints.
    fn start_dev(&mut self, command: &str) -> String {
        let arguments: Vec<_> = command.split_whitespace().skip(1).collect();
        // The port that everybody takes may be taken.
        let config = self.folder.join("pipeline.yaml");
        let text = fs::read_to_string(&config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        fs::write(&config, format!("{text}admin: {{ listen: \"{port}\" }}\n")).unwrap();
        let log = fs::File::create(self.folder.join("dev.log")).unwrap();
        let mut dev = Command::new(built("tidegate"));
        dev.args(arguments).envs(self.variables.iter().cloned());
        dev.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut dev = dev.spawn().unwrap();
        let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
        self.dev = Some(dev);
        let said: Vec<String> = lines.by_ref().take(2).map(Result::unwrap).collect();
        let log = fs::read_to_string(self.folder.join("dev.log")).unwrap();
        assert_eq!(said.len(), 2, "{log}");
        for (name, line) in ["KAFKA", "CLICKHOUSE"].into_iter().zip(&said) {
            self.variables.push((name, line.split_whitespace().nth(1).unwrap().to_owned()));
        }
        said.join("\n")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(dev) = &mut self.dev {
            // It has servers to stop.
            let _ = Command::new("kill").args(["-TERM", &dev.id().to_string()]).status();
            let _ = dev.wait();
        }
    }
}

/// Lines that did not come out.
fn missing(step: &Step, out: &str) -> Vec<String> {
    let came = |wanted: &String| match wanted.strip_suffix('…') {
        Some(start) => out.lines().any(|line| line.starts_with(start)),
        None => out.lines().any(|line| line == wanted),
    };
    step.comes_out.iter().filter(|line| !came(line)).cloned().collect()
}

/// What needs no server.
#[test]
fn a_reader_gets_what_the_tutorial_says() {
    let mut reader = Reader::new("tutorial");
    let needs_servers =
        |step: &Step| ["$KAFKA", "$CLICKHOUSE", "tidegate dev"].iter().any(|w| step.commands.contains(w));
    let steps: Vec<_> = steps().into_iter().filter(|step| !needs_servers(step)).collect();
    assert_eq!(steps.len(), 3);
    steps.iter().for_each(|step| reader.follow(step));
}

/// From an empty folder to rows with a new column in a ClickHouse, by a pipeline that never stopped: first on a machine that
/// has only fetched crates and servers before, then once more.
#[test]
fn real_rows_have_the_new_column_within_five_minutes() {
    let kept = servers::folder("five-minutes");
    let (built, cache) = (kept.join("target"), kept.join("cache"));
    fs::create_dir_all(&cache).unwrap();
    let library = tidegate_engines::libchdb().unwrap();
    let clickhouse = library.parent().unwrap();
    symlink(clickhouse, cache.join(clickhouse.file_name().unwrap())).unwrap();
    for state in ["cold", "warm"] {
        let mut reader = Reader::new(&format!("five-minutes-{state}"));
        reader.variables.push(("CARGO_TARGET_DIR", built.display().to_string()));
        reader.variables.push(("TIDEGATE_CACHE", cache.display().to_string()));
        let took = reader.follow_all();
        eprintln!("{:>6.1} s  in all, {state}\n", took.as_secs_f64());
        assert!(took < Duration::from_secs(300), "it took {took:?}, {state}");
    }
}
