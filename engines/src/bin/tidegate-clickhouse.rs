//! ClickHouse as a process for tests: `tidegate-clickhouse LIBRARY CONFIG PIPE`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [library, config, pipe] = paths.as_slice() else {
        eprintln!("usage: tidegate-clickhouse LIBRARY CONFIG PIPE");
        return ExitCode::from(2);
    };
    match tidegate_engines::launch(library, config, pipe) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
