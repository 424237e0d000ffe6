//! `cargo xtask test`: everything that CI runs, in the order in which it is cheap to fail.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::steps::{cargo, run, there_is};
use crate::{build, guests};

#[derive(Args)]
pub struct TestArgs {
    /// Leave out what needs the real Kafka and ClickHouse, and the guests in other languages
    #[arg(long)]
    offline: bool,
}

const DENY_VERSION: &str = "0.20.2";

/// What the real servers run on and are fetched by, and what the Python client is tested with.
const SERVERS: &[(&str, &str)] = &[
    ("java", "a JRE 17 or later"),
    ("mvn", "Maven"),
    ("npm", "Node.js with npm"),
    ("go", "Go 1.19 or later"),
    ("python3", "Python 3.11 or later with venv"),
];

struct Report {
    steps: Vec<(&'static str, Duration)>,
    skipped: Vec<String>,
    passed: u64,
    failed: u64,
}

pub fn test(args: &TestArgs) -> Result<()> {
    let mut report = Report { steps: Vec::new(), skipped: Vec::new(), passed: 0, failed: 0 };
    let done = all(args, &mut report);
    eprintln!();
    for (step, took) in &report.steps {
        eprintln!("{:>7.1} s  {step}", took.as_secs_f64());
    }
    for what in &report.skipped {
        eprintln!("skipped: {what}");
    }
    println!("{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped.len());
    done
}

fn all(args: &TestArgs, report: &mut Report) -> Result<()> {
    report.step("format", || run(cargo(&["fmt", "--all", "--check"])))?;
    report.step("clippy", || {
        run(cargo(&[
            "clippy",
            "--release",
            "--workspace",
            "--no-default-features",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    report.step("licences and sources", deny)?;
    let servers = !args.offline && report.there_are("tests/tests/real*", SERVERS)?;
    let guests = !args.offline && report.there_are("tests/tests/guests.rs", guests::NEEDED)?;
    report.step("build", build::build)?;
    if guests {
        report.step("guests", guests::guests)?;
    }
    if servers {
        report.step("fetch", || {
            tidegate_engines::libchdb()?;
            tidegate_engines::kafka_jars()?;
            tidegate_engines::crane()?;
            Ok(())
        })?;
    }
    let replicas = servers && report.are_replicas()?;
    let started = Instant::now();
    let tested = report.tests(servers, guests, replicas);
    report.steps.push(("tests", started.elapsed()));
    tested
}

/// Advisories need a database that no registry carries, so they are not asked for here.
fn deny() -> Result<()> {
    if !there_is("cargo-deny") {
        run(cargo(&["install", "--locked", &format!("cargo-deny@{DENY_VERSION}")]))?;
    }
    run(cargo(&["deny", "--workspace", "check", "bans", "licenses", "sources"]))
}

impl Report {
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        let started = Instant::now();
        let done = step().with_context(|| name.to_owned());
        self.steps.push((name, started.elapsed()));
        done
    }

    /// Whether the programs that some tests need are here. In CI they must be.
    fn there_are(&mut self, tests: &str, needed: &[(&str, &str)]) -> Result<bool> {
        let missing: Vec<_> = needed.iter().filter(|(program, _)| !there_is(program)).collect();
        if missing.is_empty() || (install_missing() && needed.iter().all(|(program, _)| there_is(program))) {
            return Ok(true);
        }
        let text = missing.iter().map(|(program, install)| format!("{program} (install {install})"));
        let text = text.collect::<Vec<_>>().join(", ");
        if std::env::var_os("CI").is_some() {
            bail!("{tests} need {text}");
        }
        self.skipped.push(format!("{tests}: they need {text}"));
        Ok(false)
    }

    /// Whether replicated tables can be had; they come from Debian's packages. In CI they must be.
    fn are_replicas(&mut self) -> Result<bool> {
        let error = match tidegate_engines::debian_replication() {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        if std::env::var_os("CI").is_some() {
            bail!("tests/tests/replicas*: {error}");
        }
        self.skipped.push(format!("tests/tests/replicas*: {error}"));
        Ok(false)
    }

    fn tests(&mut self, servers: bool, guests: bool, replicas: bool) -> Result<()> {
        let mut command = cargo(&["test", "--release", "--workspace", "--no-default-features", "--no-fail-fast"]);
        command.args(["--features", "tidegate-processor/testkit"]);
        // What tests print are figures: states of the model, records that were true, what hostile guests cost.
        command.args(["--", "--show-output"]);
        if !servers {
            command.args(["--skip", "real_", "--skip", "real::"]);
        }
        if !guests {
            command.args(["--skip", "guests_"]);
        }
        if !replicas {
            command.args(["--skip", "replicas_"]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().context("failed to run cargo test")?;
        let output = child.stdout.take().context("no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            self.count(&line);
        }
        let status = child.wait()?;
        if status.success() { Ok(()) } else { bail!("tests failed") }
    }

    /// `test result: ok. 4 passed; 0 failed; …`
    fn count(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let number = |what: &str| {
            let words = rest.split([';', '.']).find(|part| part.trim_end().ends_with(what));
            words.and_then(|part| part.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        self.passed += number("passed");
        self.failed += number("failed");
    }
}

/// On a machine of ours: Debian's packages, as root.
fn install_missing() -> bool {
    let root = std::fs::metadata("/root").is_ok_and(|_| std::fs::File::open("/root/.").is_ok());
    if !root || !there_is("apt-get") {
        return false;
    }
    let packages = ["default-jre-headless", "maven", "npm", "golang-go", "python3-venv"];
    let quiet = |arguments: &[&str]| {
        std::process::Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status()
    };
    let updated = quiet(&["update", "-q"]).is_ok_and(|status| status.success());
    let install = [&["install", "-y", "--no-install-recommends"], &packages[..]].concat();
    updated && quiet(&install).is_ok_and(|status| status.success())
}
