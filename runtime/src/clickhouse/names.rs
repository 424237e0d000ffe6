//! Names and texts in SQL, and the names that a table's definition tells of other tables.

/// A table's name, with its database where that is not the one of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) database: &'a str,
    pub(super) table: &'a str,
}

impl<'a> Name<'a> {
    /// Of `table` or `database.table`.
    pub(super) fn of(table: &'a str) -> Self {
        let (database, table) = table.split_once('.').unwrap_or(("", table));
        Self { database, table }
    }

    /// For a system table, whose name of the table is in this column.
    pub(super) fn condition(&self, column: &str) -> String {
        let database = match self.database {
            "" => "currentDatabase()".to_owned(),
            named => literal(named),
        };
        format!("database = {database} AND {column} = {}", literal(self.table))
    }
}

/// A table's name as an identifier; `database.table` is two.
pub(crate) fn quoted(name: &str) -> String {
    name.split('.').map(quoted_one).collect::<Vec<_>>().join(".")
}

/// One identifier; dots are part of it, as in the columns of a Nested.
pub(crate) fn quoted_one(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

/// A text in its quotes.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Cluster, database and table of `Distributed('cluster', 'database', 'table', …)`; none of other engines.
pub(super) fn distributed(engine_full: &str) -> Option<[String; 3]> {
    let arguments = engine_full.strip_prefix("Distributed(")?;
    let (mut found, mut current, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = arguments.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => current.extend(chars.next()),
            '\'' => quoted = !quoted,
            ',' | ')' if !quoted => found.push(std::mem::take(&mut current)),
            ' ' if !quoted => {}
            other => current.push(other),
        }
        if found.len() == 3 {
            break;
        }
    }
    found.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_texts_cannot_end_themselves() {
        assert_eq!(quoted("db.t"), "`db`.`t`");
        assert_eq!(quoted_one("a`; DROP"), "`a\\`; DROP`");
        assert_eq!(quoted_one("tags.key"), "`tags.key`");
        assert_eq!(literal("a'b\\"), "'a\\'b\\\\'");
    }

    #[test]
    fn names_stay_in_their_literals() {
        assert_eq!(Name::of("d.it's").condition("name"), "database = 'd' AND name = 'it\\'s'");
        assert_eq!(Name::of("t").condition("table"), "database = currentDatabase() AND table = 't'");
    }

    #[test]
    fn a_distributed_table_names_those_below_it() {
        let names = |engine: &str| distributed(engine).map(|names| names.join(" "));
        assert_eq!(names("Distributed('c1', 'default', 't', rand())").unwrap(), "c1 default t");
        assert_eq!(names("Distributed('c', 'd', 't', cityHash64(event_id))").unwrap(), "c d t");
        assert_eq!(names("Distributed('it\\'s', 'a,b', 't') SETTINGS x = 1").unwrap(), "it's a,b t");
        assert_eq!(names("Distributed(c1, default, t, rand())").unwrap(), "c1 default t");
        assert_eq!(names("Distributed(named)"), None);
        assert_eq!(names("MergeTree ORDER BY (a, b)"), None);
    }
}
