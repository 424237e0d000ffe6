//! `tidegate new`: a project that builds, from a sample or from a table that is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::super::{Failure, block_on};
use super::sources::{LOCK, PROJECT, SAMPLE, SAMPLE_IMPORTS, SAMPLE_STRUCTS, TOOLCHAIN, VENDORED, VENDORED_WORKSPACE};
use super::table::Described;
use crate::clickhouse::{Cluster, Settings, Tls, quoted};
use crate::config::Config;
use crate::secret::Secret;
use crate::start::loader;

/// The project builds with plain `cargo build --release` into a component. With --from-table, its row has the columns of a
/// table that is there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tidegate new clicks\n  tidegate new clicks --from-table web.clicks --clickhouse \
    http://ch-1:8123\n  tidegate new clicks --from-table clicks --config pipeline.yaml")]
pub struct NewArgs {
    /// Name of the processor, of its crate and of its folder
    name: String,
    /// A table, [DATABASE.]TABLE; with --config, a storage of that configuration
    #[arg(long, value_name = "TABLE")]
    from_table: Option<String>,
    /// Where the table is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8123", requires = "from_table")]
    clickhouse: String,
    #[arg(long, env = "CLICKHOUSE_USER", default_value = "default", hide_env_values = true)]
    user: String,
    /// Environment variable with the password
    #[arg(long, value_name = "VARIABLE", default_value = "CLICKHOUSE_PASSWORD")]
    password_env: String,
    /// Take the cluster and the table from a storage of this configuration
    #[arg(long, value_name = "CONFIG", requires = "from_table", conflicts_with = "clickhouse")]
    config: Option<PathBuf>,
}

/// What differs from project to project.
struct Parts {
    table: String,
    structs: String,
    imports: Vec<String>,
    files: Vec<(String, String)>,
}

pub fn new(args: &NewArgs, json: bool) -> Result<(), Failure> {
    check_name(&args.name)?;
    let folder = Path::new(&args.name);
    if folder.exists() {
        let hint = "choose another name, or move it away: nothing is overwritten";
        return Err(Failure::Usage(format!("{} is there already\n\nhint: {hint}", folder.display())));
    }
    let parts = match &args.from_table {
        Some(table) => from_table(args, table)?,
        None => sample(&args.name),
    };
    let written = write(folder, &args.name, &parts);
    written.map_err(|error| Failure::Running(format!("failed to write {}: {error}", folder.display())))?;
    if json {
        println!("{}", json!({ "folder": folder, "table": parts.table }));
        return Ok(());
    }
    println!("{}: a processor for the table {}", folder.display(), parts.table);
    println!("\n  cd {}", folder.display());
    let update = if args.from_table.is_some() { " --update" } else { "" };
    println!("  {:<48}  builds, and runs the messages in fixtures", format!("tidegate test{update}"));
    println!("  {:<48}  makes {}.wasm", "tidegate build", args.name);
    println!("  {:<48}  runs it", "tidegate dev pipeline.yaml --schema schema.sql");
    Ok(())
}

/// What cargo and ClickHouse both take without quotes.
fn check_name(name: &str) -> Result<(), Failure> {
    let refused = |why: &str| {
        let hint = "a name begins with a letter and has lower-case letters, digits, `-` and `_`, as in `page-views`";
        Err(Failure::Usage(format!("{name:?} cannot be the name of a processor: {why}\n\nhint: {hint}")))
    };
    if name.is_empty() || name.len() > 64 {
        return refused("it needs 1 to 64 letters");
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return refused("it does not begin with a lower-case letter");
    }
    if let Some(sign) = name.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(*c))) {
        return refused(&format!("it has {sign:?}"));
    }
    if TAKEN.contains(&name) || RUST_KEYWORDS.contains(&name.replace('-', "_").as_str()) {
        return refused("the name has a meaning in Rust");
    }
    Ok(())
}

/// Crates that a project has already.
const TAKEN: &[&str] = &[
    "alloc",
    "core",
    "proc_macro",
    "proc-macro",
    "serde",
    "serde_json",
    "std",
    "test",
    "tidegate-processor",
    "vendor",
];
const RUST_KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

fn sample(name: &str) -> Parts {
    Parts {
        table: name.replace('-', "_"),
        structs: SAMPLE_STRUCTS.into(),
        imports: SAMPLE_IMPORTS.iter().map(|name| (*name).to_owned()).collect(),
        files: SAMPLE.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
    }
}

fn from_table(args: &NewArgs, table: &str) -> Result<Parts, Failure> {
    let (cluster, table) = match &args.config {
        None => (std::sync::Arc::new(Cluster::new(settings(args))), table.to_owned()),
        Some(file) => {
            let config = Config::read(file)?;
            if !config.storages.contains_key(table) {
                let known: Vec<_> = config.storages.keys().map(String::as_str).collect();
                let text = format!("{} has no storage {table:?}\n\nhint: it has {}", file.display(), known.join(", "));
                return Err(Failure::Usage(text));
            }
            let loader = loader(config.into());
            let (cluster, table) = loader.table(table);
            (cluster, table.to_owned())
        }
    };
    let unreachable = |error: crate::clickhouse::Error| {
        let hint = "say where it is with --clickhouse URL, --user and --password-env, or take it from --config";
        Failure::Unreachable(format!("failed to describe table {table:?} at {error}\n\nhint: {hint}"))
    };
    let (columns, created) = block_on(async {
        let columns = cluster.describe(&table).await?;
        let created = cluster.query(&format!("SHOW CREATE TABLE {} FORMAT TSVRaw", quoted(&table))).await?;
        Ok((columns, created))
    })?
    .map_err(unreachable)?;
    let described = Described::of(&columns).map_err(|error| Failure::Usage(format!("table {table:?}: {error}")))?;
    let short = table.rsplit('.').next().unwrap_or(&table).to_owned();
    Ok(Parts {
        structs: described.structs,
        imports: described.imports,
        files: vec![
            ("schema.sql".into(), schema(&created, &short)),
            ("fixtures/sample.json".into(), format!("{}\n", described.message)),
        ],
        table: short,
    })
}

fn settings(args: &NewArgs) -> Settings {
    Settings {
        hosts: vec![args.clickhouse.clone()],
        tls: Tls::default(),
        database: "default".into(),
        user: args.user.clone(),
        password: std::env::var(&args.password_env).map(Secret::new).unwrap_or_default(),
        timeout: Duration::from_secs(30),
    }
}

/// The statement that made the table, for a database of any name.
fn schema(created: &str, table: &str) -> String {
    let rest = created.trim().split_once('\n').map_or("", |(_, rest)| rest);
    format!("CREATE TABLE IF NOT EXISTS {table}\n{rest};\n")
}

fn write(folder: &Path, name: &str, parts: &Parts) -> std::io::Result<()> {
    let mut imports = parts.imports.clone();
    let always = ["Manifest", "Message", "NoConfig", "Outcome", "Processor", "Rejection", "Row", "Rows"];
    imports.extend(always.map(str::to_owned));
    imports.sort();
    imports.dedup();
    imports.push("export".into());
    let fill = |text: &str| {
        text.replace("{{structs}}", &parts.structs)
            .replace("{{imports}}", &imports.join(", "))
            .replace("{{name}}", name)
            .replace("{{table}}", &parts.table)
            .replace("{{type}}", &type_name(name))
    };
    for (path, text) in PROJECT {
        put(folder, path, &fill(text))?;
    }
    for (path, text) in &parts.files {
        put(folder, path, &fill(text))?;
    }
    put(folder, "Cargo.lock", LOCK)?;
    put(folder, "rust-toolchain.toml", TOOLCHAIN)?;
    put(folder, "vendor/Cargo.toml", VENDORED_WORKSPACE)?;
    VENDORED.iter().try_for_each(|(path, text)| put(&folder.join("vendor"), path, text))
}

fn put(folder: &Path, path: &str, text: &str) -> std::io::Result<()> {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap_or(folder))?;
    fs::write(file, text)
}

/// `page-views` becomes `PageViews`; never the name of something that is imported.
pub(super) fn type_name(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    let joined: String = name.split(|c: char| !c.is_ascii_alphanumeric()).map(word).collect();
    let taken = ["Event", "Manifest", "Message", "NoConfig", "Outcome", "Processor", "Rejection", "Row", "Rows", "Tag"];
    if taken.contains(&joined.as_str()) { format!("{joined}Processor") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates() {
        for name in ["clicks", "page-views", "a1_b"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "1a", "Clicks", "a b", "../x", "fn", "test", "tidegate-processor", "ümlaut", &"a".repeat(65)]
        {
            let Err(Failure::Usage(text)) = check_name(name) else { panic!("{name:?} is no name") };
            assert!(text.contains("hint: a name begins with a letter"), "{text}");
        }
    }

    #[test]
    fn types_are_named_after_the_processor() {
        assert_eq!(type_name("page-views_2"), "PageViews2");
        assert_eq!(type_name("event"), "EventProcessor");
    }

    #[test]
    fn the_table_is_made_in_any_database() {
        let created = "CREATE TABLE web.clicks\n(\n    `id` UInt64\n)\nENGINE = Null\n";
        assert_eq!(
            schema(created, "clicks"),
            "CREATE TABLE IF NOT EXISTS clicks\n(\n    `id` UInt64\n)\nENGINE = Null;\n"
        );
    }
}
