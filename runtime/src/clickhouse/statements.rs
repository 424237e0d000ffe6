//! A file of SQL as statements.

/// Splits at semicolons that are neither in quotes nor in a `--` comment; comments are dropped.
pub fn statements(text: &str) -> Vec<String> {
    let (mut statements, mut current) = (Vec::new(), String::new());
    let (mut quote, mut chars) = (None, text.chars().peekable());
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '-') if chars.peek() == Some(&'-') => {
                chars.by_ref().find(|c| *c == '\n');
                current.push('\n');
                continue;
            }
            (None, ';') => {
                statements.push(std::mem::take(&mut current));
                continue;
            }
            (None, '\'' | '`' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (Some(_), '\\') => {
                current.push(c);
                current.extend(chars.next());
                continue;
            }
            _ => {}
        }
        current.push(c);
    }
    statements.push(current);
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_are_not_torn() {
        let text = "-- one; two\nSELECT ';', 'it\\'s;'; -- end;\n\nSELECT `a;b`\n;";
        assert_eq!(statements(text), ["\nSELECT ';', 'it\\'s;'", " \n\nSELECT `a;b`\n"]);
    }
}
