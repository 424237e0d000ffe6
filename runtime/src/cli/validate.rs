//! `tidegate validate`: the configuration alone.

use std::path::Path;

use super::Failure;
use crate::config::Config;

pub fn validate(path: &Path, json: bool) -> Result<(), Failure> {
    let (config, missing) = Config::read_where_secrets_may_be_missing(path)?;
    if let Some(missing) = missing {
        eprintln!("warning: {missing}\n");
    }
    if json {
        let names: Vec<_> = config.pipelines.value.keys().collect();
        println!("{}", serde_json::json!({ "valid": true, "pipelines": names }));
    } else {
        println!("{}: valid, {} pipeline(s)", path.display(), config.pipelines.value.len());
        println!("hint: `tidegate dry-run` compares it with the tables and topics that are there");
    }
    Ok(())
}
