//! Expressions and conditions for a [`Rewrite`](crate::Rewrite), built and never glued: a literal is escaped where it
//! is made, so nothing from a message can end it.
//!
//! ```
//! use tidegate_processor::sql::{column, number, text};
//! let condition = column("group_id").is_in([number(1), number(2)]).and(column("tags.key").has(text("it's")));
//! assert_eq!(condition.to_string(), r"group_id IN (1, 2) AND has(`tags.key`, 'it\'s')");
//! ```
//!
//! The host checks what comes out: columns of the rewritten output, literals, the operators here, and functions that
//! only compute (`wit/processor.wit`, `rewrite`).

use std::fmt::{self, Write};

use crate::{DateTime, Uuid};

/// A value: a column, a literal, or a function of values. It prints as ClickHouse reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(String);

/// What a row must fulfil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(String);

/// A column by its name, which may have dots (`tags.key`).
pub fn column(name: &str) -> Expression {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Expression(if plain { name.to_owned() } else { quoted(name, '`') })
}

/// A `String`.
pub fn text(text: &str) -> Expression {
    Expression(quoted(text, '\''))
}

/// A whole number.
pub fn number(number: u64) -> Expression {
    Expression(number.to_string())
}

/// A UUID as text, lower case with dashes; ClickHouse compares it with UUIDs.
pub fn uuid(uuid: Uuid) -> Expression {
    let digits = uuid.simple();
    let [a, b, c, d, e] = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Expression(format!("'{a}-{b}-{c}-{d}-{e}'"))
}

/// A `DateTime`: `CAST('2023-03-08 16:14:18' AS DateTime)`, in UTC, which is the time zone of rewrites.
pub fn date_time(at: DateTime) -> Expression {
    Expression(format!("CAST('{}' AS DateTime)", clock(at)))
}

/// `2023-03-08 16:14:18`, UTC.
pub fn clock(DateTime(seconds): DateTime) -> String {
    let (days, of_day) = (i64::from(seconds / 86_400), seconds % 86_400);
    // Howard Hinnant's civil_from_days, for days after 1970: years begin in March, so a leap day is the last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let of_era_year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_year + of_era_year / 4 - of_era_year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = of_era_year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// `NULL`.
pub fn null() -> Expression {
    Expression("NULL".into())
}

/// A function of values, by the name that ClickHouse has for it.
pub fn call(function: &'static str, arguments: impl IntoIterator<Item = Expression>) -> Expression {
    Expression(format!("{function}({})", list(arguments)))
}

/// The elements of `kept` for which the condition holds; it sees the element as `x`, and the one at the same place of
/// `seen` as `y`. Both arrays must have one length, as those of a `Nested` have.
pub fn filter(
    kept: Expression,
    seen: Expression,
    condition: impl Fn(Expression, Expression) -> Condition,
) -> Expression {
    let Condition(condition) = condition(Expression("x".into()), Expression("y".into()));
    Expression(format!("arrayFilter((x, y) -> {condition}, {kept}, {seen})"))
}

impl Expression {
    /// As many days later.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Expression {
        Expression(format!("{self} + INTERVAL {days} DAY"))
    }

    pub fn eq(self, other: Expression) -> Condition {
        self.compared("=", &other)
    }

    pub fn ne(self, other: Expression) -> Condition {
        self.compared("!=", &other)
    }

    pub fn at_most(self, other: Expression) -> Condition {
        self.compared("<=", &other)
    }

    pub fn at_least(self, other: Expression) -> Condition {
        self.compared(">=", &other)
    }

    /// One of these literals, of which there must be one.
    pub fn is_in(self, literals: impl IntoIterator<Item = Expression>) -> Condition {
        Condition(format!("{self} IN ({})", list(literals)))
    }

    /// Whether an array has the element.
    pub fn has(self, element: Expression) -> Condition {
        Condition(call("has", [self, element]).0)
    }

    /// For flags: neither 0 nor NULL.
    pub fn is_set(self) -> Condition {
        Condition(self.0)
    }

    fn compared(&self, sign: &str, other: &Expression) -> Condition {
        Condition(format!("{self} {sign} {other}"))
    }
}

impl Condition {
    #[must_use]
    pub fn and(self, other: Condition) -> Condition {
        Condition(format!("{self} AND {other}"))
    }
}

impl std::ops::Not for Condition {
    type Output = Condition;

    fn not(self) -> Condition {
        // Binds closer than AND and looser than a comparison.
        Condition(if self.0.contains(' ') { format!("NOT ({self})") } else { format!("NOT {self}") })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn list(expressions: impl IntoIterator<Item = Expression>) -> String {
    let mut list = String::new();
    for (number, expression) in expressions.into_iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        write!(list, "{comma}{expression}").expect("writing into a String does not fail");
    }
    list
}

/// In quotes of this kind. ClickHouse ends a literal at the next quote that no backslash and no quote stands before.
fn quoted(text: &str, quote: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for c in text.chars() {
        if c == quote || c == '\\' {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a literal as ClickHouse does: its value, and what stands after it.
    fn read(sql: &str) -> (String, &str) {
        let mut chars = sql.char_indices();
        let quote = chars.next().unwrap().1;
        let mut value = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => value.push(chars.next().unwrap().1),
                c if c == quote => return (value, &sql[at + 1..]),
                c => value.push(c),
            }
        }
        panic!("the literal does not end: {sql}");
    }

    fn hostile() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("'".to_owned()),
            Just("\\".to_owned()),
            Just("`".to_owned()),
            Just("\0".to_owned()),
            Just("\n".to_owned()),
            Just("') OR 1 --".to_owned()),
            Just("/*".to_owned()),
            Just("’".to_owned()),
            Just("\\'".to_owned()),
            Just("''".to_owned()),
            Just("$$".to_owned()),
            any::<String>(),
        ];
        proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn a_literal_ends_where_it_was_ended(content in hostile()) {
            for sql in [text(&content).to_string(), quoted(&content, '`')] {
                let rest = format!("{sql}, rest");
                prop_assert_eq!(read(&rest), (content.clone(), ", rest"));
            }
        }
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let names = ["group_id", "tags.key", "1st", "", "a`b", "a b", "größe"];
        let printed = names.map(|name| column(name).to_string());
        assert_eq!(printed, ["group_id", "`tags.key`", "`1st`", "``", "`a\\`b`", "`a b`", "`größe`"]);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let times =
            [(0, "1970-01-01 00:00:00"), (951_782_399, "2000-02-28 23:59:59"), (951_782_400, "2000-02-29 00:00:00")];
        let later = [
            (1_678_292_058, "2023-03-08 16:14:18"),
            (4_102_444_799, "2099-12-31 23:59:59"),
            (u32::MAX, "2106-02-07 06:28:15"),
        ];
        for (seconds, printed) in times.into_iter().chain(later) {
            assert_eq!(clock(DateTime(seconds)), printed);
        }
    }

    #[test]
    fn conditions_print_as_they_bind() {
        let flag = column("deleted").is_set();
        assert_eq!((!flag.clone()).to_string(), "NOT deleted");
        assert_eq!((!flag.clone().and(column("a").eq(null()))).to_string(), "NOT (deleted AND a = NULL)");
        let late = column("at").at_most(date_time(DateTime(0)).plus_days(1));
        assert_eq!(late.to_string(), "at <= CAST('1970-01-01 00:00:00' AS DateTime) + INTERVAL 1 DAY");
        let kept = filter(column("tags.value"), column("tags.key"), |_, key| key.ne(text("a")));
        assert_eq!(kept.to_string(), "arrayFilter((x, y) -> y != 'a', `tags.value`, `tags.key`)");
        assert_eq!(uuid(Uuid([0xab; 16])).to_string(), "'abababab-abab-abab-abab-abababababab'");
    }
}
