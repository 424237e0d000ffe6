//! A table that is there, as the struct of its rows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_rows::Type;

use super::new::type_name;
use crate::clickhouse::Column;

/// What a table becomes in a project.
#[derive(Debug, PartialEq)]
pub struct Described {
    /// `Event`, and a struct per Nested.
    pub structs: String,
    /// What the structs need of the SDK.
    pub imports: Vec<String>,
    /// A message, as the structs read it.
    pub message: Value,
}

/// The struct being written.
#[derive(Default)]
struct Struct {
    fields: String,
    message: Map<String, Value>,
}

impl Described {
    /// # Errors
    /// If the table has no column to write.
    pub fn of(columns: &[Column]) -> Result<Self, String> {
        let computed = ["MATERIALIZED", "ALIAS", "EPHEMERAL"];
        let written: Vec<_> = columns.iter().filter(|c| !computed.contains(&c.default_kind.as_str())).collect();
        if written.is_empty() {
            return Err("it has no column that can be written".into());
        }
        let (mut event, mut nested) = (Struct::default(), BTreeMap::<&str, Struct>::new());
        let mut imports = Vec::new();
        for column in written {
            match part_of_nested(column, columns) {
                None => event.add(&column.name, &column.kind, &column.default_kind, &mut imports),
                Some((group, name, kind)) => {
                    let of_group = nested.entry(group).or_insert_with(|| {
                        event.begin_nested(group);
                        Struct::default()
                    });
                    of_group.add(name, kind, "", &mut imports);
                }
            }
        }
        let mut structs = format!(
            "/// A message, and the row that it becomes: a field is a column.\n#[derive(Deserialize, Row)]\nstruct Event {{\n{}}}\n",
            event.fields
        );
        for (group, inner) in nested {
            structs +=
                &format!("\n#[derive(Deserialize, Row)]\nstruct {} {{\n{}}}\n", element_type(group), inner.fields);
            event.message.insert(group.into(), json!([inner.message]));
        }
        Ok(Self { structs, imports, message: Value::Object(event.message) })
    }
}

/// Group, column and element type of an array that belongs to a Nested.
fn part_of_nested<'a>(column: &'a Column, columns: &[Column]) -> Option<(&'a str, &'a str, &'a str)> {
    let (group, name) = column.name.split_once('.')?;
    let is_alone = columns.iter().any(|other| other.name == group);
    let kind = column.kind.strip_prefix("Array(")?.strip_suffix(')')?;
    (!is_alone).then_some((group, name, kind))
}

fn element_type(group: &str) -> String {
    format!("{}Element", type_name(group))
}

impl Struct {
    fn add(&mut self, name: &str, kind: &str, default_kind: &str, imports: &mut Vec<String>) {
        let Some(field) = Type::parse(kind).ok().and_then(|parsed| Field::of(&parsed)) else {
            let text = "    // has no field: its type needs the row writer, or a type of your own that implements ColumnType\n";
            self.fields += &format!("    // {name} {kind}\n{text}");
            return;
        };
        if default_kind == "DEFAULT" {
            self.fields += "    /// The table has a default: without this field, it applies.\n";
        }
        self.rename(name);
        if field.kind != kind {
            self.fields += &format!("    #[row(type = {kind:?})]\n");
        }
        imports.extend(field.imports);
        self.fields += &format!("    {}: {},\n", identifier(name), field.rust);
        self.message.insert(name.into(), field.sample);
    }

    fn begin_nested(&mut self, group: &str) {
        self.rename(group);
        self.fields += "    #[serde(default)]\n    #[row(nested)]\n";
        self.fields += &format!("    {}: Vec<{}>,\n", identifier(group), element_type(group));
        self.message.insert(group.into(), Value::Null);
    }

    fn rename(&mut self, name: &str) {
        if identifier(name).trim_start_matches("r#") != name {
            self.fields += &format!("    #[serde(rename = {name:?})]\n    #[row(rename = {name:?})]\n");
        }
    }
}

/// A name of a field for any name of a column.
fn identifier(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let plain = if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain };
    match plain.as_str() {
        "self" | "super" | "crate" | "_" => format!("{plain}_"),
        "as" | "break" | "const" | "continue" | "else" | "enum" | "extern" | "false" | "fn" | "for" | "if" | "impl"
        | "in" | "let" | "loop" | "match" | "mod" | "move" | "mut" | "pub" | "ref" | "return" | "static" | "struct"
        | "trait" | "true" | "type" | "unsafe" | "use" | "where" | "while" | "async" | "await" | "dyn" | "gen"
        | "abstract" | "become" | "box" | "do" | "final" | "macro" | "override" | "priv" | "try" | "typeof"
        | "unsized" | "virtual" | "yield" => format!("r#{plain}"),
        _ => plain,
    }
}

/// The Rust type for a ClickHouse type.
struct Field {
    rust: String,
    /// The ClickHouse type that the Rust type has by itself; another one is named in an attribute.
    kind: String,
    imports: Vec<String>,
    sample: Value,
}

impl Field {
    /// None where no type of the SDK has these bytes.
    fn of(kind: &Type) -> Option<Self> {
        let plain = |rust: &str, kind: &str, sample: Value| Self {
            rust: rust.into(),
            kind: kind.into(),
            imports: Vec::new(),
            sample,
        };
        // A type of the SDK; its ClickHouse type is not always said by it.
        let ours = |rust: &str, kind: &str, sample: Value| {
            let name = rust.split('<').next().unwrap_or(rust).to_owned();
            Self { imports: vec![name], ..plain(rust, kind, sample) }
        };
        Some(match kind {
            Type::UInt(32) | Type::Int(32) | Type::Decimal(39.., _) => ours("Wide", "", json!(0)),
            Type::UInt(width) => plain(&format!("u{}", u32::from(*width) * 8), &kind.to_string(), json!(0)),
            Type::Int(width) => plain(&format!("i{}", u32::from(*width) * 8), &kind.to_string(), json!(0)),
            Type::Float32 => plain("f32", "Float32", json!(0.5)),
            Type::Float64 => plain("f64", "Float64", json!(0.5)),
            Type::Bool => plain("bool", "Bool", json!(true)),
            Type::String => plain("String", "String", json!("text")),
            Type::FixedString(len) => {
                ours(&format!("FixedString<{len}>"), &kind.to_string(), json!("a".repeat((*len).min(4))))
            }
            Type::Uuid => ours("Uuid", "UUID", json!("01234567-89ab-cdef-0123-456789abcdef")),
            Type::Date => ours("Date", "Date", json!(19_675)),
            Type::Date32 => ours("Date32", "Date32", json!(19_675)),
            Type::DateTime => ours("DateTime", "DateTime", json!(1_700_000_000)),
            Type::DateTime64(digits) => {
                ours("DateTime64", "", json!(1_700_000_000i64.saturating_mul(10i64.pow(u32::from(*digits)))))
            }
            Type::Decimal(..=9, _) => ours("Decimal<i32>", "", json!(0)),
            Type::Decimal(..=18, _) => ours("Decimal<i64>", "", json!(0)),
            Type::Decimal(..) => ours("Decimal<i128>", "", json!(0)),
            Type::Enum8(values) => ours("Enum8", "", json!(values.first()?.1)),
            Type::Enum16(values) => ours("Enum16", "", json!(values.first()?.1)),
            Type::Ipv4 => plain("std::net::Ipv4Addr", "IPv4", json!("127.0.0.1")),
            Type::Ipv6 => plain("std::net::Ipv6Addr", "IPv6", json!("::1")),
            Type::Nullable(inner) => Self::of(inner)?.within("Option", "Nullable", |sample| sample),
            Type::Array(inner) => Self::of(inner)?.within("Vec", "Array", |sample| json!([sample])),
            Type::Map(key, value) => {
                let (key, value) = (Self::of(key)?, Self::of(value)?);
                let name = key.sample.as_str().map_or_else(|| key.sample.to_string(), str::to_owned);
                Self {
                    rust: format!("std::collections::BTreeMap<{}, {}>", key.rust, value.rust),
                    kind: format!("Map({}, {})", key.kind, value.kind),
                    imports: [key.imports, value.imports].concat(),
                    sample: json!({ name: value.sample }),
                }
            }
            Type::Tuple(fields) => {
                let [(None, first), (None, second)] = fields.as_slice() else { return None };
                let (first, second) = (Self::of(first)?, Self::of(second)?);
                Self {
                    rust: format!("({}, {})", first.rust, second.rust),
                    kind: format!("Tuple({}, {})", first.kind, second.kind),
                    imports: [first.imports, second.imports].concat(),
                    sample: json!([first.sample, second.sample]),
                }
            }
        })
    }

    fn within(self, rust: &str, kind: &str, sample: impl FnOnce(Value) -> Value) -> Self {
        Self {
            rust: format!("{rust}<{}>", self.rust),
            kind: format!("{kind}({})", self.kind),
            imports: self.imports,
            sample: sample(self.sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str, default_kind: &str) -> Column {
        Column { name: name.into(), kind: kind.into(), default_kind: default_kind.into() }
    }

    #[test]
    fn a_table_becomes_the_struct_of_its_rows() {
        let described = Described::of(&[
            column("id", "UInt64", ""),
            column("at", "DateTime64(3, 'UTC')", ""),
            column("level", "LowCardinality(Nullable(String))", ""),
            column("Type", "UUID", "DEFAULT"),
            column("match", "Map(String, UInt8)", ""),
            column("tags.key", "Array(LowCardinality(String))", ""),
            column("odd", "Tuple(UInt8, UInt8, UInt8)", ""),
            column("tags.value", "Array(String)", ""),
            column("day", "Date", "MATERIALIZED"),
        ]);
        let structs = r#"/// A message, and the row that it becomes: a field is a column.
#[derive(Deserialize, Row)]
struct Event {
    id: u64,
    #[row(type = "DateTime64(3, 'UTC')")]
    at: DateTime64,
    #[row(type = "LowCardinality(Nullable(String))")]
    level: Option<String>,
    /// The table has a default: without this field, it applies.
    #[serde(rename = "Type")]
    #[row(rename = "Type")]
    r#type: Uuid,
    r#match: std::collections::BTreeMap<String, u8>,
    #[serde(default)]
    #[row(nested)]
    tags: Vec<TagsElement>,
    // odd Tuple(UInt8, UInt8, UInt8)
    // has no field: its type needs the row writer, or a type of your own that implements ColumnType
}

#[derive(Deserialize, Row)]
struct TagsElement {
    #[row(type = "LowCardinality(String)")]
    key: String,
    value: String,
}
"#;
        let message = json!({
            "id": 0, "at": 1_700_000_000_000i64, "level": "text", "Type": "01234567-89ab-cdef-0123-456789abcdef",
            "match": { "text": 0 }, "tags": [{ "key": "text", "value": "text" }],
        });
        let imports = vec!["DateTime64".to_owned(), "Uuid".to_owned()];
        assert_eq!(described, Ok(Described { structs: structs.into(), imports, message }));
    }

    #[test]
    fn a_table_of_computed_columns_is_refused() {
        let error = Described::of(&[column("day", "Date", "ALIAS")]).unwrap_err();
        assert_eq!(error, "it has no column that can be written");
    }
}
