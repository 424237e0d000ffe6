//! ClickHouse types as authors write them, reduced to what decides their bytes: what a Rust type is compared with.

/// Texts of which one must be that of the Rust type; empty where the types are not compared (tuples).
///
/// # Errors
/// If the text is no type.
pub fn comparable(text: &str) -> Result<Vec<String>, String> {
    let plain = plain(text)?;
    if plain.contains("Tuple(") || plain.contains("Nested(") {
        return Ok(Vec::new());
    }
    let mut texts = vec![plain.clone()];
    if plain.contains("Map(") {
        texts.push(maps_as_arrays(&plain)?);
    }
    // Bytes of any kind are a String, too.
    if plain.contains("String") {
        texts.push(plain.replace("String", "Array(UInt8)"));
    }
    Ok(texts)
}

/// Without what leaves the bytes as they are: `LowCardinality`, `SimpleAggregateFunction`, time zones.
fn plain(text: &str) -> Result<String, String> {
    let (name, arguments) = parts(text)?;
    let inner = |at: usize| arguments.get(at).copied().ok_or_else(|| format!("{name} needs a type"));
    let number = |at: usize| {
        let digits = arguments.get(at).map_or("0", |digits| digits.trim());
        digits.parse::<u8>().map_err(|_| format!("{name}: a number expected instead of {digits:?}"))
    };
    Ok(match name {
        "LowCardinality" => plain(inner(0)?)?,
        "SimpleAggregateFunction" => plain(inner(1)?)?,
        "DateTime" => name.into(),
        "DateTime64" => format!("DateTime64({})", number(0)?),
        "Boolean" => "Bool".into(),
        "Decimal" => {
            let width = match number(0)? {
                0..=9 => 32,
                10..=18 => 64,
                19..=38 => 128,
                _ => 256,
            };
            format!("Decimal{width}({})", number(1)?)
        }
        "Nullable" | "Array" => format!("{name}({})", plain(inner(0)?)?),
        "Map" => format!("Map({}, {})", plain(inner(0)?)?, plain(inner(1)?)?),
        _ => text.trim().into(),
    })
}

/// A map is written as the array of its pairs.
fn maps_as_arrays(text: &str) -> Result<String, String> {
    let (name, arguments) = parts(text)?;
    let inner: Vec<_> = arguments.iter().map(|argument| maps_as_arrays(argument)).collect::<Result<_, _>>()?;
    Ok(match name {
        "Map" => format!("Array(Tuple({}))", inner.join(", ")),
        "Nullable" | "Array" => format!("{name}({})", inner.join(", ")),
        _ => text.trim().into(),
    })
}

/// `Name(argument, argument)`; commas and parentheses within quotes or deeper parentheses are part of an argument.
fn parts(text: &str) -> Result<(&str, Vec<&str>), String> {
    let text = text.trim();
    let (name, rest) = text.split_at(text.find('(').unwrap_or(text.len()));
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(format!("{text:?} is no ClickHouse type"));
    }
    if rest.is_empty() {
        return Ok((name, Vec::new()));
    }
    let unclosed = || format!("{text:?} has parentheses or quotes that do not match");
    let inside = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(unclosed)?;
    let (mut arguments, mut depth, mut quoted, mut escaped, mut start) = (Vec::new(), 0, false, false, 0);
    for (at, sign) in inside.char_indices() {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' if depth == 0 => return Err(unclosed()),
            ')' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(&inside[start..]);
    if quoted || depth > 0 { Err(unclosed()) } else { Ok((name, arguments)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decides_the_bytes_is_compared() {
        let first = |text: &str| comparable(text).unwrap().swap_remove(0);
        assert_eq!(first("LowCardinality(Nullable(String))"), "Nullable(String)");
        assert_eq!(first("DateTime64(3, 'Europe/Berlin')"), "DateTime64(3)");
        assert_eq!(first("Array( Decimal(18, 4) )"), "Array(Decimal64(4))");
        assert_eq!(first("SimpleAggregateFunction(max, DateTime('UTC'))"), "DateTime");
        assert_eq!(first("Enum8('a, (b' = 1)"), "Enum8('a, (b' = 1)");
        let maps = comparable("Map(String, LowCardinality(String))").unwrap();
        assert!(maps.contains(&"Array(Tuple(String, String))".to_owned()), "{maps:?}");
        assert!(comparable("Tuple(a UInt8, b Array(String))").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in ["", "Array(", "Array(String", "Array)", "Enum8('a = 1)", "Decimal(x)", "Map(String)", "a b"] {
            assert!(comparable(text).is_err(), "{text:?} is no type");
        }
    }
}
