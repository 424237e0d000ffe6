//! `tidegate validate`: the configuration alone.

use std::path::Path;

use tidegate_client::Consistency;

use super::Failure;
use crate::config::Config;

pub fn validate(path: &Path, json: bool) -> Result<(), Failure> {
    let (config, missing) = Config::read_where_secrets_may_be_missing(path)?;
    if let Some(missing) = missing {
        eprintln!("warning: {missing}\n");
    }
    let promises = promises(&config);
    if json {
        let names: Vec<_> = config.pipelines.value.keys().collect();
        let promises = promises.map(|(storage, consistency, price)| {
            serde_json::json!({ "storage": storage, "consistency": consistency.name(), "price": price })
        });
        let promises: Vec<_> = promises.collect();
        println!("{}", serde_json::json!({ "valid": true, "pipelines": names, "promises": promises }));
    } else {
        println!("{}: valid, {} pipeline(s)", path.display(), config.pipelines.value.len());
        for (storage, consistency, price) in promises {
            println!("storage {storage}: consistency {consistency}: {price}");
        }
        println!("hint: `tidegate dry-run` compares it with the tables and topics that are there");
    }
    Ok(())
}

/// The storages that promise something to readers, and what that costs.
fn promises(config: &Config) -> impl Iterator<Item = (&str, Consistency, &'static str)> {
    config.storages.iter().filter_map(|(name, storage)| {
        let consistency = storage.consistency.value.0;
        Some((name.as_str(), consistency, consistency.price()?))
    })
}
