//! Expressions of rewrites, as a guest sends them: read to the last character before they stand in a statement. What is
//! not an expression over the output's own columns is refused, so no table, statement or setting can be named.

use std::collections::VecDeque;

/// Reads one expression, or a predicate. `is_column` knows the columns that it may use.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn check(sql: &str, is_column: impl Fn(&str) -> bool) -> Result<(), String> {
    if sql.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("an expression of {} bytes; {EXPRESSION_BYTES_MAX} are allowed", sql.len()));
    }
    Reader { tokens: tokens(sql)?, is_column, open: Vec::new() }.read()
}

/// A list of fifty thousand ids.
const EXPRESSION_BYTES_MAX: usize = 2 << 20;

/// ClickHouse's parser has a limit too.
const DEPTH_MAX: usize = 100;

/// Functions that only compute, and quickly.
const FUNCTIONS: &[&str] = &[
    "CAST",
    "arrayConcat",
    "arrayDistinct",
    "arrayElement",
    "arrayEnumerate",
    "arrayExists",
    "arrayFilter",
    "arrayMap",
    "assumeNotNull",
    "coalesce",
    "concat",
    "empty",
    "endsWith",
    "greatest",
    "has",
    "hasAll",
    "hasAny",
    "if",
    "ifNull",
    "indexOf",
    "isNotNull",
    "isNull",
    "least",
    "length",
    "lower",
    "notEmpty",
    "nullIf",
    "startsWith",
    "toDate",
    "toDateTime",
    "toString",
    "toUUID",
    "upper",
];
/// What CAST may make.
const TYPES: &[&str] = &[
    "Date", "DateTime", "Float32", "Float64", "Int16", "Int32", "Int64", "Int8", "String", "UInt16", "UInt32",
    "UInt64", "UInt8", "UUID",
];
const UNITS: &[&str] = &["SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH"];
const SIGNS: &[&str] = &["->", "!=", "<>", "<=", ">=", "(", ")", ",", "+", "-", "*", "/", "%", "=", "<", ">"];

#[derive(Clone, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    /// In backticks, without them and their escapes.
    Quoted(String),
    /// A text or a number.
    Literal,
    Sign(&'static str),
}

/// What a parenthesis was opened by.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    Group,
    Function,
    Cast,
}

struct Reader<'a, F> {
    tokens: VecDeque<Token<'a>>,
    is_column: F,
    open: Vec<Open>,
}

impl<'a, F: Fn(&str) -> bool> Reader<'a, F> {
    /// Operands and operators take turns; parentheses nest.
    fn read(mut self) -> Result<(), String> {
        loop {
            if !self.operand()? {
                continue;
            }
            while !self.operator()? {
                if self.tokens.is_empty() && self.open.is_empty() {
                    return Ok(());
                }
            }
        }
    }

    /// True after an operand; false after what stands before one.
    fn operand(&mut self) -> Result<bool, String> {
        match self.next()? {
            Token::Literal | Token::Word("NULL") => Ok(true),
            Token::Sign("-") | Token::Word("NOT") => Ok(false),
            Token::Sign("(") => self.enter(Open::Group),
            Token::Word("INTERVAL") => match (self.next()?, self.next()?) {
                (Token::Literal, Token::Word(unit)) if UNITS.contains(&unit) => Ok(true),
                _ => Err("INTERVAL without a number and a unit".into()),
            },
            Token::Word(function) if self.tokens.front() == Some(&Token::Sign("(")) => {
                if !FUNCTIONS.contains(&function) {
                    return Err(format!("function {function:?} is not one that a rewrite may call"));
                }
                self.next()?;
                self.enter(if function == "CAST" { Open::Cast } else { Open::Function })
            }
            Token::Word(name) if is_parameter(name) || (self.is_column)(name) => Ok(true),
            Token::Quoted(name) if (self.is_column)(&name) => Ok(true),
            Token::Word(name) => Err(format!("{name:?} is no column of the output")),
            Token::Quoted(name) => Err(format!("{name:?} is no column of the output")),
            Token::Sign(sign) => Err(format!("{sign:?} where a value should be")),
        }
    }

    /// True after an operator that wants another operand; false after what ends or completes one.
    fn operator(&mut self) -> Result<bool, String> {
        let Some(token) = self.tokens.pop_front() else {
            return if self.open.is_empty() { Ok(false) } else { Err("a parenthesis is not closed".into()) };
        };
        match token {
            Token::Sign(")") => match self.open.pop() {
                Some(_) => Ok(false),
                None => Err("a parenthesis is closed that was not opened".into()),
            },
            Token::Sign(",") if self.open.is_empty() => Err("a comma outside of parentheses".into()),
            Token::Sign("(") => Err("a parenthesis where an operator should be".into()),
            Token::Sign(_) | Token::Word("AND" | "OR") => Ok(true),
            Token::Word("AS") if self.open.last() == Some(&Open::Cast) => match (self.next()?, self.tokens.front()) {
                (Token::Word(kind), Some(Token::Sign(")"))) if TYPES.contains(&kind) => Ok(false),
                _ => Err("CAST to a type that is not known here".into()),
            },
            Token::Word("NOT") if self.tokens.front() == Some(&Token::Word("IN")) => {
                self.next()?;
                self.literals()
            }
            Token::Word("IN") => self.literals(),
            other => Err(format!("{other:?} where an operator should be")),
        }
    }

    /// `(1, 2)`: anything else after IN may be a table.
    fn literals(&mut self) -> Result<bool, String> {
        let mut before = Token::Sign("(");
        if self.next()? != before {
            return Err("IN without a list".into());
        }
        loop {
            if self.next()? != Token::Literal {
                return Err(format!("something that is no literal after {before:?} in a list of IN"));
            }
            before = self.next()?;
            match before {
                Token::Sign(",") => {}
                Token::Sign(")") => return Ok(false),
                _ => return Err("a list of IN that does not go on".into()),
            }
        }
    }

    fn enter(&mut self, by: Open) -> Result<bool, String> {
        self.open.push(by);
        if self.open.len() > DEPTH_MAX {
            Err(format!("more than {DEPTH_MAX} parentheses in each other"))
        } else {
            Ok(false)
        }
    }

    fn next(&mut self) -> Result<Token<'a>, String> {
        self.tokens.pop_front().ok_or_else(|| "it ends where it should go on".into())
    }
}

/// Parameters of lambdas: no keyword has one letter.
fn is_parameter(name: &str) -> bool {
    name.len() == 1 && name.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn tokens(sql: &str) -> Result<VecDeque<Token<'_>>, String> {
    let mut tokens = VecDeque::new();
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(' ');
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, len) = match first {
            '\'' => (Token::Literal, quoted(rest)?.1),
            '`' => {
                let (name, len) = quoted(rest)?;
                (Token::Quoted(name), len)
            }
            '0'..='9' => (Token::Literal, number(rest)?),
            'A'..='Z' | 'a'..='z' | '_' => {
                let len = word(rest);
                (Token::Word(&rest[..len]), len)
            }
            _ if rest.starts_with("--") || rest.starts_with("/*") => return Err("a comment".into()),
            other => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| format!("{other:?} outside of a literal"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        tokens.push_back(token);
        rest = &rest[len..];
    }
}

fn word(text: &str) -> usize {
    text.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_').unwrap_or(text.len())
}

/// Digits, and a fraction.
fn number(text: &str) -> Result<usize, String> {
    let digits = |text: &str| text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let mut len = digits(text);
    if text[len..].starts_with('.') {
        len += 1 + digits(&text[len + 1..]);
    }
    if word(&text[len..]) > 0 { Err(format!("a number that goes on in letters: {:?}", &text[..=len])) } else { Ok(len) }
}

/// The content of a literal or a quoted name, and its length with the quotes.
fn quoted(text: &str) -> Result<(String, usize), String> {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    let mut content = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => content.extend(chars.next().map(|(_, escaped)| escaped)),
            // Of two quotes, which are one in ClickHouse, the second opens a literal where an operator should be.
            c if Some(c) == quote => return Ok((content, at + 1)),
            c => content.push(c),
        }
    }
    Err("a literal or a name does not end".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(sql: &str) -> Result<(), String> {
        check(sql, |name| ["a", "group_id", "offset", "tags.key", "deleted"].contains(&name))
    }

    #[test]
    fn expressions_are_taken() {
        for sql in [
            "1",
            "group_id",
            "`tags.key`",
            "NULL",
            "''",
            "-1.5",
            "'it\\'s \\\\'",
            "NOT deleted",
            "group_id IN (1, 2) AND NOT (deleted OR group_id = 3)",
            "group_id NOT IN ('a') AND offset % 2 != 1",
            "group_id <= CAST('2023-03-08 16:14:18' AS DateTime) + INTERVAL 1 DAY",
            "has(`tags.key`, 'SELECT 1; --')",
            "arrayFilter((x, y) -> y != 'a', `tags.key`, `tags.key`)",
            "if(empty(`tags.key`), 1, (2 + 3) * 4)",
        ] {
            assert_eq!(verdict(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn what_is_more_than_an_expression_is_refused() {
        for (sql, why) in [
            ("", "it ends where it should go on"),
            ("1 FROM secrets", "where an operator should be"),
            ("1 UNION ALL SELECT 1", "where an operator should be"),
            ("(SELECT 1)", "\"SELECT\" is no column"),
            ("group_id IN secrets", "IN without a list"),
            ("group_id IN (secrets)", "no literal"),
            ("group_id IN (group_id)", "no literal"),
            ("group_id IN ()", "no literal"),
            ("group_id IN (1, 2", "it ends"),
            ("1 AS deleted", "where an operator should be"),
            ("1 deleted", "where an operator should be"),
            ("1 OFFSET 5", "where an operator should be"),
            ("secret", "no column"),
            ("`secret`", "no column"),
            ("system.users", "'.' outside of a literal"),
            ("joinGet('t', 'c', 1)", "function \"joinGet\""),
            ("sleep(3)", "function \"sleep\""),
            ("in(1, secrets)", "function \"in\""),
            ("cast(1)", "function \"cast\""),
            ("CAST(1 AS Enum8)", "CAST to a type"),
            ("CAST(1 AS DateTime, secrets)", "CAST to a type"),
            ("has(1 AS x, 2)", "where an operator should be"),
            ("1, 2", "a comma outside"),
            ("(1", "not closed"),
            ("1)", "not opened"),
            ("1) FROM x WHERE (1", "not opened"),
            ("length()", "where a value should be"),
            ("1;", "';' outside"),
            ("1 -- x", "a comment"),
            ("1 /* x */", "a comment"),
            ("1 # x", "'#' outside"),
            ("'a' 'b'", "where an operator should be"),
            ("'a''b'", "where an operator should be"),
            ("'a", "does not end"),
            ("'a\\'", "does not end"),
            ("\"a\"", "outside of a literal"),
            ("{a:UInt8}", "outside of a literal"),
            ("$$a$$", "outside of a literal"),
            ("‘a’", "outside of a literal"),
            ("1e5", "goes on in letters"),
            ("0x41", "goes on in letters"),
            ("a\u{a0}+ 1", "outside of a literal"),
            ("arrayMap((SELECT, b) -> 1, `tags.key`)", "\"SELECT\" is no column"),
            ("INTERVAL a DAY", "INTERVAL without"),
        ] {
            let error = verdict(sql).expect_err(sql);
            assert!(error.contains(why), "{sql}: {error}");
        }
        assert!(verdict(&format!("{}1{}", "(".repeat(101), ")".repeat(101))).is_err());
    }

    proptest! {
        #[test]
        fn anything_may_come(sql in "[a-zA-Z0-9_'`\\\\(), .+=<>*/%-]{0,40}|.{0,40}") {
            let _ = verdict(&sql);
        }
    }
}
