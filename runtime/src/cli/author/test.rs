//! `tidegate test`: golden cases.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::Failure;
use super::project::{load, module_file};
use crate::cases::{Case, CaseError, Difference, Seen};
use crate::processor::{InstanceConfig, Module, self_test};

/// A folder has a file NAME.* for each message and NAME.expected.json for what must come of it: rows, a rejection, a
/// replacement, rewrites. Each message runs in an instance of its own, with the limits of a pipeline.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate test fixtures --update\n\nExit codes: 0 all as expected, 4 not.")]
pub struct TestArgs {
    /// The cases
    #[arg(default_value = "fixtures")]
    folder: PathBuf,
    /// The component; that of the project in this folder by default, built anew
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Write NAME.expected.json as everything comes out now
    #[arg(long)]
    update: bool,
}

/// How a case went.
enum Verdict {
    Same,
    Differs(Vec<Difference>),
    /// Nobody said what must come.
    New(Seen),
    Written,
    /// The processor did not get to see the message.
    Failed(String),
}

pub fn test(args: &TestArgs, json: bool) -> Result<(), Failure> {
    let cases = Case::in_folder(&args.folder).map_err(|error| Failure::Usage(error.to_string()))?;
    if cases.is_empty() {
        let hint = "put a message into it, NAME.json, and run `tidegate test --update`";
        return Err(Failure::Usage(format!("{} has no messages\n\nhint: {hint}", args.folder.display())));
    }
    let (module, config) = load(&module_file(args.module.as_ref())?)?;
    let (mut bad, mut new) = (0, 0);
    for case in &cases {
        let verdict = verdict(case, &module, &config, args)?;
        bad += usize::from(matches!(verdict, Verdict::Differs(_) | Verdict::Failed(_)));
        new += usize::from(matches!(verdict, Verdict::New(_)));
        verdict.print(&case.name, json);
    }
    let of_itself = self_test(&module, &config);
    if let Err(error) = &of_itself {
        Verdict::Failed(error.to_string()).print("self-test of the module", json);
    }
    if !json {
        let with = match &of_itself {
            Ok(0) => String::new(),
            Ok(tested) => format!("; self-test of {tested} messages ok"),
            Err(_) => "; self-test failed".into(),
        };
        println!("\n{} cases: {} as expected, {bad} not, {new} new{with}", cases.len(), cases.len() - bad - new);
    }
    judge(cases.len(), bad, new, of_itself.is_ok())
}

fn judge(cases: usize, bad: usize, new: usize, is_sound: bool) -> Result<(), Failure> {
    let (text, hint) = if bad > 0 {
        (format!("{bad} of {cases} are not as expected"), "mend the processor, or take it as it is now with --update")
    } else if !is_sound {
        (
            "the module fails its own test".into(),
            "mend what the manifest's self_test says; a pipeline would not load it",
        )
    } else if new > 0 {
        let hint = "`tidegate test --update` writes them; read them before you keep them";
        (format!("{new} messages without expectation"), hint)
    } else {
        return Ok(());
    };
    Err(Failure::Differs(format!("{text}\n\nhint: {hint}")))
}

fn verdict(case: &Case, module: &Module, config: &InstanceConfig, args: &TestArgs) -> Result<Verdict, Failure> {
    let seen = match case.run(module, config) {
        Ok(seen) => seen,
        Err(CaseError::Processor(error)) => return Ok(Verdict::Failed(error.to_string())),
        Err(error) => return Err(Failure::Running(format!("case {}: {error}", case.name))),
    };
    if args.update {
        return write(case, &seen, &args.folder);
    }
    if case.expected.is_none() {
        return Ok(Verdict::New(seen));
    }
    let differences = case.differences(&seen);
    Ok(if differences.is_empty() { Verdict::Same } else { Verdict::Differs(differences) })
}

fn write(case: &Case, seen: &Seen, folder: &Path) -> Result<Verdict, Failure> {
    let (name, content) = case.expecting(seen);
    let file = folder.join(name);
    if std::fs::read_to_string(&file).is_ok_and(|have| have == content) {
        return Ok(Verdict::Same);
    }
    let written = std::fs::write(&file, content);
    written.map_err(|error| Failure::Running(format!("failed to write {}: {error}", file.display())))?;
    Ok(Verdict::Written)
}

impl Verdict {
    fn name(&self) -> &'static str {
        match self {
            Verdict::Same => "ok",
            Verdict::Differs(_) => "differs",
            Verdict::New(_) => "new",
            Verdict::Written => "written",
            Verdict::Failed(_) => "failed",
        }
    }

    fn print(&self, case: &str, json: bool) {
        if json {
            println!("{}", self.json(case));
            return;
        }
        println!("{:<8} {case}", self.name());
        match self {
            Verdict::Same | Verdict::Written => {}
            Verdict::Differs(differences) => print_aligned(differences),
            Verdict::New(seen) => println!("         {}", Value::Object(seen.json())),
            Verdict::Failed(text) => println!("         {text}"),
        }
    }

    fn json(&self, case: &str) -> Value {
        let mut line = json!({ "case": case, "verdict": self.name() });
        match self {
            Verdict::Same | Verdict::Written => {}
            Verdict::Differs(differences) => line["differences"] = differences.iter().map(difference_json).collect(),
            Verdict::New(seen) => line["seen"] = Value::Object(seen.json()),
            Verdict::Failed(text) => line["error"] = text.as_str().into(),
        }
        line
    }
}

/// `-` is what must come, `+` is what came.
fn print_aligned(differences: &[Difference]) {
    let width = differences.iter().map(|difference| difference.place.chars().count()).max().unwrap_or(0);
    for Difference { place, expected, seen } in differences {
        println!("         {place:<width$}  - {expected}");
        let seen = seen.as_ref().map_or("nothing of that name".into(), Value::to_string);
        println!("         {:<width$}  + {seen}", "");
    }
}

fn difference_json(difference: &Difference) -> Value {
    json!({ "place": difference.place, "expected": difference.expected, "seen": difference.seen })
}
