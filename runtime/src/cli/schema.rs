//! `tidegate schema`: the configuration's JSON Schema, for editors.

use super::Failure;
use crate::config::Config;

pub fn schema() -> Result<(), Failure> {
    println!("{:#}", Config::schema());
    Ok(())
}
