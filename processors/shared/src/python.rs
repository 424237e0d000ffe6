//! JSON values as Python shows them, for rows that have always been written by Python.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// `str()` of a value, `json.dumps()` of a list or a dict; none of null.
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            let mut out = String::new();
            dump(value, &mut out);
            Some(out.into())
        }
        scalar => scalar_text(scalar),
    }
}

/// `str()` of a value; none of null, a list or a dict.
pub fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Bool(value) => Some(if *value { "True" } else { "False" }.into()),
        Value::Number(number) => Some(number_text(number).into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `bool()` of a value.
pub fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(dict) => !dict.is_empty(),
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => float_text(float),
        None => number.to_string(),
    }
}

/// As Rust writes it, but for the exponent: `1e+16`, `1e-05`.
fn float_text(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            None => format!("{digits}e+{exponent:0>2}"),
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        },
    }
}

/// `json.dumps()`: spaces after separators, keys in their order, ASCII only.
fn dump(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => quote(text, out),
        Value::Array(list) => {
            out.push('[');
            for (at, element) in list.iter().enumerate() {
                separate(at, out);
                dump(element, out);
            }
            out.push(']');
        }
        Value::Object(dict) => {
            out.push('{');
            for (at, (key, element)) in dict.iter().enumerate() {
                separate(at, out);
                quote(key, out);
                out.push_str(": ");
                dump(element, out);
            }
            out.push('}');
        }
    }
}

fn separate(at: usize, out: &mut String) {
    if at > 0 {
        out.push_str(", ");
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                let units = &mut [0; 2];
                character.encode_utf16(units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> Option<String> {
        text(&serde_json::from_str(json).unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn scalars_are_what_str_says() {
        let cases = [
            ("\"ä\"", "ä"),
            ("true", "True"),
            ("false", "False"),
            ("7", "7"),
            ("-7", "-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("1.0", "1.0"),
            ("0.1", "0.1"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-10", "1.5e-10"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("1.25e100", "1.25e+100"),
            ("-0.0", "-0.0"),
        ];
        for (json, text) in cases {
            assert_eq!(shown(json).as_deref(), Some(text), "{json}");
        }
        assert_eq!(shown("null"), None);
    }

    #[test]
    fn lists_and_dicts_are_what_json_dumps_says() {
        let json = r#"{"b":[1,true,null,1e16],"a":{"é😀":"\"\\\n\r\t\b\f\u0001\u007f/"},"c":{},"d":[]}"#;
        let dumped = concat!(
            r#"{"b": [1, true, null, 1e+16], "a": {"\u00e9\ud83d\ude00": "\"\\\n\r\t\b\f\u0001\u007f/"}, "#,
            r#""c": {}, "d": []}"#
        );
        assert_eq!(shown(json).as_deref(), Some(dumped));
        assert_eq!(scalar_text(&serde_json::json!([1])), None);
    }

    #[test]
    fn what_is_empty_or_zero_is_false() {
        for json in ["null", "false", "0", "0.0", "\"\"", "[]", "{}"] {
            assert!(!is_truthy(&serde_json::from_str(json).unwrap()), "{json}");
        }
        for json in ["true", "1", "0.5", "\"0\"", "[0]", "{\"a\":null}"] {
            assert!(is_truthy(&serde_json::from_str(json).unwrap()), "{json}");
        }
    }
}
