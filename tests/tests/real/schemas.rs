//! The tables of every processor in a real ClickHouse: they have each column as the module declares it, and the rows
//! of every fixture are read back as they were written.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Map, Value};
use tidegate::block::BlockBuilder;
use tidegate::clickhouse::{Column, Storage};
use tidegate::processor::{Engine, Interruption, Output};
use tidegate::sink::Insert;
use tidegate_rows::{Layout, json};
use tidegate_tests::clickhouse::Database;
use tidegate_tests::processors::{self, Fixture, Processor};
use tidegate_tests::{runtime, servers};

/// Of rewrites, which are none here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A table, and the processor whose folder it comes from.
struct Table {
    processor: String,
    name: String,
    columns: Vec<Column>,
}

/// What the fixtures write to one output: bytes of rows, and what they say.
#[derive(Default)]
struct Written {
    data: Vec<u8>,
    rows: Vec<Map<String, Value>>,
}

/// Runs every `schema.sql`.
fn tables(database: &Database) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for processor in processors::all() {
        database.run_all(&processor.schema()).unwrap_or_else(|error| panic!("{}: {error}", processor.name));
        for name in database.run("SHOW TABLES").unwrap().lines() {
            if tables.iter().all(|have| have.name != name) {
                let columns = runtime().block_on(database.cluster().describe(name)).unwrap();
                tables.push(Table { processor: processor.name.clone(), name: name.into(), columns });
            }
        }
    }
    tables
}

/// The table of an output lacks none of its columns, or the fewest. An output may be of another processor's table.
fn table_of<'t>(tables: &'t [Table], processor: &Processor, output: &Output) -> &'t Table {
    let lacks = |table: &Table, name: &str| table.columns.iter().all(|column| column.name != name);
    let fit = |table: &&Table| {
        let missing = output.columns.iter().filter(|(name, _)| lacks(table, name)).count();
        (missing, table.processor != processor.name, table.columns.len())
    };
    tables.iter().min_by_key(fit).expect("there are tables")
}

#[test]
fn tables_have_the_columns_that_modules_declare() {
    let tables = tables(&servers::database("schemas"));
    let engine = Engine::new(Interruption::Off).unwrap();
    let mut wrong = Vec::new();
    for processor in processors::all() {
        for output in &processor.module(&engine).manifest().outputs {
            let table = table_of(&tables, &processor, output);
            let found = differences(output, table);
            wrong.extend(found.map(|text| format!("{}, output {}: {text}", processor.name, output.name)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Columns that the table computes are nobody's to write; columns that nobody declares have their default.
fn differences<'a>(output: &'a Output, table: &'a Table) -> impl Iterator<Item = String> {
    output.columns.iter().filter_map(|(name, kind)| {
        let Some(column) = table.columns.iter().find(|column| column.name == *name) else {
            return Some(format!("table {} has no column {name}", table.name));
        };
        let is_computed = ["MATERIALIZED", "ALIAS", "EPHEMERAL"].contains(&column.default_kind.as_str());
        let as_declared = column.kind == *kind && !is_computed;
        let found = || format!("{name} is declared {kind} and is {} {}", column.kind, column.default_kind);
        (!as_declared).then(found)
    })
}

#[test]
fn rows_of_every_fixture_are_read_back_as_they_were_written() {
    let database = servers::database("fixtures");
    let tables = tables(&database);
    let engine = Engine::new(Interruption::Epoch).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for processor in processors::all() {
        let module = processor.module(&engine);
        let outputs = &module.manifest().outputs;
        let mut written: Vec<Written> = outputs.iter().map(|_| Written::default()).collect();
        for fixture in processor.fixtures() {
            let parts = fixture.given.isolation(&module).process_at(&fixture.batch(), fixture.given.now_ms).unwrap();
            let mut rows = Vec::new();
            for of_output in parts.iter().flat_map(|part| &part.rows) {
                let (layout, written) = (&module.layouts()[of_output.output], &mut written[of_output.output]);
                let printed = printed(layout, &of_output.data, &of_output.ends);
                rows.extend(printed.iter().cloned());
                written.data.extend_from_slice(&of_output.data);
                written.rows.extend(printed);
            }
            wrong
                .extend(unexpected(&fixture, &rows).map(|text| format!("{}/{}: {text}", processor.name, fixture.name)));
            count += rows.len();
        }
        for (output, written) in outputs.iter().zip(written) {
            let table = table_of(&tables, &processor, output);
            let place = format!("{}, output {}", processor.name, output.name);
            if !written.rows.is_empty() {
                let found = not_read_back(&database, table, output, &written);
                wrong.extend(found.into_iter().map(|text| format!("{place}: {text}")));
            } else if table.processor == processor.name {
                wrong.push(format!("{place}: no fixture writes a row"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    println!("{count} rows of {} tables were read back", tables.len());
}

fn printed(layout: &Layout, data: &[u8], ends: &[u32]) -> Vec<Map<String, Value>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, end)| json::row(layout, &data[start as usize..*end as usize]).unwrap()).collect()
}

/// Where the component writes other rows than the fixture says.
fn unexpected(fixture: &Fixture, rows: &[Map<String, Value>]) -> impl Iterator<Item = String> {
    let expected = fixture.expected["rows"].as_array().map_or(&[][..], Vec::as_slice);
    let number = (rows.len() != expected.len()).then(|| format!("{} rows instead of {}", rows.len(), expected.len()));
    let columns = expected.iter().zip(rows).flat_map(|(expected, row)| {
        let columns = expected["row"].as_object().into_iter().flatten();
        let wrong = columns.filter(|(name, value)| row.get(*name) != Some(*value));
        wrong.map(|(name, value)| format!("{name} is {:?} instead of {value}", row.get(name)))
    });
    number.into_iter().chain(columns)
}

/// Inserts the rows into the table, and into a copy that keeps them as they came: unmerged, in their order, for ever.
fn not_read_back(database: &Database, table: &Table, output: &Output, written: &Written) -> Vec<String> {
    let copy = format!("{}_as_written", table.name);
    database.run(&format!("CREATE TABLE {copy} AS {} ENGINE = Memory", table.name)).unwrap();
    let names: Vec<String> = output.columns.iter().map(|(name, _)| name.clone()).collect();
    for table in [&table.name, &copy] {
        let mut block = BlockBuilder::new();
        block.append(&written.data, written.rows.len() as u64);
        let storage = Storage::new(table, database.cluster(), table, PATIENCE);
        if let Err(error) = runtime().block_on(storage.insert(&block.finish(table.clone(), names.clone().into()), 1)) {
            return vec![error.to_string()];
        }
    }
    let columns: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let settings = "session_timezone = 'UTC', output_format_json_quote_64bit_integers = 1";
    let query = format!("SELECT {} FROM {copy} SETTINGS {settings} FORMAT JSONEachRow", columns.join(", "));
    let read = database.run(&query).unwrap();
    let read: Vec<Map<String, Value>> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    if read.len() != written.rows.len() {
        return vec![format!("{} rows instead of {}", read.len(), written.rows.len())];
    }
    let rows = written.rows.iter().zip(&read).enumerate();
    let columns =
        rows.flat_map(|(at, (ours, theirs))| names.iter().map(move |name| (at, name, &ours[name], &theirs[name])));
    let other = columns.filter(|(_, _, ours, theirs)| !is_same(ours, theirs));
    other.map(|(at, name, ours, theirs)| format!("row {at}: {name} is {ours} and was read back as {theirs}")).collect()
}

/// Integers of 64 bits and more are quoted there, so that no reader of JSON rounds them.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::String(theirs)) => ours.to_string() == *theirs,
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            let same = |(key, ours): (&String, &Value)| theirs.get(key).is_some_and(|theirs| is_same(ours, theirs));
            ours.len() == theirs.len() && ours.iter().all(same)
        }
        _ => ours == theirs,
    }
}
