//! Tables for people.

use std::io::Write;

use super::Failure;

/// Columns as wide as their widest value; the last as it is.
pub fn aligned<const N: usize>(table: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<width$}", width = width(at)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    table.iter().map(line).collect()
}

/// To standard output.
///
/// # Errors
/// If nobody reads it any more.
pub fn print(lines: &[String]) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let done = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
    done.map_err(|error| Failure::Running(format!("failed to print: {error}")))
}
