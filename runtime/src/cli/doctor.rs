//! `tidegate doctor`: prints what is wrong, and mends what is safe to mend.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::{Failure, block_on};
use crate::config::{Config, Duration};
use crate::doctor::{self, Check, Finding, Report, Seen, Severity};

/// Looks at the brokers and clusters of a configuration, and says what will hurt and what mends it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: tidegate doctor pipeline.yaml --worst-outage 6h\n\nExit codes: 0 nothing of severity \
    error, 3 something cannot be reached, 4 findings of severity error. docs/doctor.md has all checks."
)]
pub struct DoctorArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// Mend what takes nothing away: settings of commit logs, of dead-letter topics, and deduplication windows of tables.
    /// Each statement is printed first
    #[arg(long)]
    fix: bool,
    /// How long a pipeline, or what it depends on, may be down without losing or doubling anything
    #[arg(long, default_value = "1h")]
    worst_outage: Duration,
}

pub fn doctor(args: &DoctorArgs, json: bool) -> Result<(), Failure> {
    let config = Arc::new(Config::read(&args.config)?);
    let report = block_on(async {
        let report = doctor::examine(config.clone(), args.worst_outage.0).await;
        print(&report, json);
        if args.fix && fix(&config, &report.findings, json).await > 0 {
            let report = doctor::examine(config, args.worst_outage.0).await;
            print(&report, json);
            return report;
        }
        report
    })?;
    let unreachable = |finding: &&Finding| finding.check == Check::Unreachable;
    let errors = || report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    match (errors().filter(unreachable).count(), errors().count()) {
        (0, 0) => Ok(()),
        (0, count) => Err(Failure::Differs(format!("{count} finding(s) of severity error"))),
        _ => Err(Failure::Unreachable("not everything could be looked at".into())),
    }
}

/// How many statements were carried out, or tried.
async fn fix(config: &Config, findings: &[Finding], json: bool) -> usize {
    let safe: Vec<_> = findings.iter().map(|finding| &finding.mend).filter(|mend| mend.is_safe()).collect();
    for mend in &safe {
        if !json {
            println!("fix      {mend}");
        }
        let done = doctor::mend(config, mend).await;
        if json {
            println!("{}", serde_json::json!({ "fix": mend.to_string(), "error": done.err() }));
        } else {
            println!("         {}\n", done.map_or_else(|error| format!("failed: {error}"), |()| "done".to_owned()));
        }
    }
    safe.len()
}

fn print(report: &Report, json: bool) {
    for finding in &report.findings {
        if json {
            println!("{}", as_json(finding));
        } else {
            print_text(finding);
        }
    }
    if !json {
        println!("{}\n", summary(report));
    }
}

fn print_text(finding: &Finding) {
    let Finding { check, severity, object, found, mend } = finding;
    println!("{:<8} {object}: {found}", severity.as_str());
    if *severity > Severity::Note {
        println!("         {} ({})", check.why(), check.id());
    }
    println!("         mend: {mend}\n");
}

fn as_json(finding: &Finding) -> serde_json::Value {
    let Finding { check, severity, object, found, mend } = finding;
    serde_json::json!({
        "check": check.id(),
        "severity": severity.as_str(),
        "object": object,
        "found": found,
        "why": check.why(),
        "mend": mend.to_string(),
        "safe": mend.is_safe(),
    })
}

fn summary(report: &Report) -> String {
    let Seen { topics, groups, hosts, tables } = report.seen;
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    format!(
        "{errors} error(s), {warnings} warning(s) in {topics} topic(s), {groups} group(s), {tables} table(s) on {hosts} host(s)"
    )
}
