//! The columns of a row, ready to be walked.

use crate::types::{Type, TypeError};

/// Columns in the order in which their values follow each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    columns: Vec<Column>,
    /// Indices of the columns in the order of their names.
    by_name: Vec<usize>,
    nested: usize,
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub kind: Type,
    /// Arrays `n.a`, `n.b` of one `Nested n` have the same number: their lengths must be equal.
    pub(crate) nested: Option<usize>,
}

impl Layout {
    /// # Errors
    /// Names the first column whose type cannot be read.
    pub fn parse<N: Into<String>, T: AsRef<str>>(columns: impl IntoIterator<Item = (N, T)>) -> Result<Self, TypeError> {
        let mut parsed = Vec::new();
        for (name, type_name) in columns {
            let (column, type_name) = (name.into(), type_name.as_ref());
            match Type::parse(type_name) {
                Ok(kind) => parsed.push((column, kind)),
                Err(cause) => return Err(TypeError { column, type_name: type_name.into(), cause }),
            }
        }
        Ok(Self::of(parsed))
    }

    fn of(columns: Vec<(String, Type)>) -> Self {
        let mut groups: Vec<String> = Vec::new();
        let mut group_of = |name: &str, kind: &Type| {
            let (prefix, _) = name.split_once('.').filter(|_| matches!(kind, Type::Array(_)))?;
            Some(groups.iter().position(|have| have == prefix).unwrap_or_else(|| {
                groups.push(prefix.to_owned());
                groups.len() - 1
            }))
        };
        let columns: Vec<_> =
            columns.into_iter().map(|(name, kind)| Column { nested: group_of(&name, &kind), name, kind }).collect();
        let mut by_name: Vec<usize> = (0..columns.len()).collect();
        by_name.sort_by_key(|at| &columns[*at].name);
        Self { columns, by_name, nested: groups.len() }
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Where in a row the column of this name is.
    pub fn position(&self, name: &str) -> Option<usize> {
        let found = self.by_name.binary_search_by_key(&name, |at| &self.columns[*at].name);
        found.ok().map(|at| self.by_name[at])
    }

    /// How many `Nested` structures the columns belong to.
    pub(crate) fn nested(&self) -> usize {
        self.nested
    }

    /// Where rows of `self` would not be read as what they are by a table with the columns of `table`. Empty: they fit.
    pub fn differences(&self, table: &Layout) -> Vec<String> {
        let mut differences = Vec::new();
        for column in &self.columns {
            match table.columns.iter().find(|theirs| theirs.name == column.name) {
                None => differences.push(format!("the table has no column {:?}", column.name)),
                Some(theirs) if !column.kind.encodes_like(&theirs.kind) => differences.push(format!(
                    "column {:?} is declared as {} and the table has {}",
                    column.name, column.kind, theirs.kind
                )),
                Some(_) => {}
            }
        }
        differences
    }

    /// The columns of `self`, in their order, with the types that `table` has for them; those it lacks are left out.
    pub fn as_in(&self, table: &Layout) -> Layout {
        let find = |column: &Column| table.columns.iter().find(|theirs| theirs.name == column.name);
        let types = self.columns.iter().filter_map(find).map(|theirs| (theirs.name.clone(), theirs.kind.clone()));
        Layout::of(types.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_column_and_both_types() {
        let ours = Layout::parse([("a", "UInt8"), ("b", "String"), ("c", "Enum8('x' = 1)")]).unwrap();
        let table = Layout::parse([("b", "LowCardinality(String)"), ("a", "UInt16"), ("c", "Enum8('x' = 1, 'y' = 2)")])
            .unwrap();
        assert_eq!(ours.differences(&table), ["column \"a\" is declared as UInt8 and the table has UInt16"]);
        assert_eq!(ours.as_in(&table).columns()[0].kind, Type::UInt(2));
    }
}
