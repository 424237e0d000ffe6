/// A message, and the row that it becomes: a field is a column.
#[derive(Deserialize, Row)]
struct Event {
    id: u64,
    /// Seconds since 1970.
    at: DateTime,
    #[row(type = "LowCardinality(String)")]
    kind: String,
    user: Option<String>,
    /// Columns `tags.key` and `tags.value`.
    #[serde(default)]
    #[row(nested)]
    tags: Vec<Tag>,
}

#[derive(Deserialize, Row)]
struct Tag {
    key: String,
    value: String,
}
