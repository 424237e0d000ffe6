//! Rows made of JSON: the same bytes as were printed, for every type, and nothing guessed.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tidegate_rows::{Layout, Type, encode, json, validate};

/// Each occurs at least once, and those with inner types around some of the others.
const TYPES: &[&str] = &[
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UInt128",
    "UInt256",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Int128",
    "Int256",
    "Float32",
    "Float64",
    "Bool",
    "String",
    "FixedString(5)",
    "UUID",
    "Date",
    "Date32",
    "DateTime('UTC')",
    "DateTime64(0)",
    "DateTime64(3)",
    "DateTime64(9)",
    "Decimal(9, 2)",
    "Decimal(18, 18)",
    "Decimal(38, 10)",
    "Decimal(76, 40)",
    "Enum8('a' = 1, 'it\\'s' = -2)",
    "Enum16('big' = 300, '' = -300)",
    "IPv4",
    "IPv6",
    "Nullable(Float64)",
    "LowCardinality(Nullable(String))",
    "Array(Nullable(Decimal(40, 3)))",
    "Array(Array(UInt8))",
    "Map(String, Array(DateTime64(6)))",
    "Map(UInt64, Nullable(Int256))",
    "Map(Int128, Bool)",
    "Map(UUID, Map(Date, IPv6))",
    "Map(Enum8('a' = 1, 'b' = 2), Float32)",
    "Tuple(UInt8, String)",
    "Tuple(x Nullable(UInt8), `y z` Array(String))",
    "Nested(a UInt8, b Tuple(p Date, q Enum8('a' = 1)))",
    "SimpleAggregateFunction(sum, UInt64)",
];

fn row_of(kinds: &[&str]) -> (Layout, BoxedStrategy<Vec<u8>>) {
    let columns = kinds.iter().enumerate().map(|(at, kind)| (format!("c{at}"), *kind));
    let layout = Layout::parse(columns).unwrap();
    let values = layout.columns().iter().map(|column| value(&column.kind)).collect::<Vec<_>>();
    (layout, values.prop_map(|values| values.concat()).boxed())
}

/// Bytes of any value that JSON can say.
fn value(kind: &Type) -> BoxedStrategy<Vec<u8>> {
    let bytes = |width: usize| prop::collection::vec(any::<u8>(), width).boxed();
    match kind {
        Type::UInt(width) | Type::Int(width) => bytes(usize::from(*width)),
        Type::Float32 => any::<u32>()
            .prop_map(f32::from_bits)
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(|x| x.to_le_bytes().to_vec())
            .boxed(),
        Type::Float64 => any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(|x| x.to_le_bytes().to_vec())
            .boxed(),
        Type::Bool => (0u8..2).prop_map(|flag| vec![flag]).boxed(),
        Type::String => any::<String>()
            .prop_map(|text| {
                [&[text.len() as u8 & 0x7f][..], &text.as_bytes()[..text.floor_char_boundary(text.len() & 0x7f)]]
                    .concat()
            })
            .prop_filter("whole characters", |bytes| usize::from(bytes[0]) + 1 == bytes.len())
            .boxed(),
        Type::FixedString(len) => prop::collection::vec(0u8..128, *len).boxed(),
        Type::Uuid | Type::Ipv6 => bytes(16),
        Type::Date => bytes(2),
        Type::Date32 => (-25_567i32..=120_529).prop_map(|days| days.to_le_bytes().to_vec()).boxed(),
        Type::DateTime | Type::Ipv4 => bytes(4),
        Type::DateTime64(digits) => {
            let ticks = 10i64.pow(u32::from(*digits));
            let most = 10_413_791_999i64.checked_mul(ticks).unwrap_or(i64::MAX);
            (-2_208_988_800 * ticks..=most).prop_map(|ticks| ticks.to_le_bytes().to_vec()).boxed()
        }
        Type::Decimal(precision, _) => {
            let width = [(9, 4), (18, 8), (38, 16), (76, 32)].iter().find(|(most, _)| precision <= most).unwrap().1;
            let most = 10i128.pow(u32::from(*precision).min(38)) - 1;
            let extend = move |value: i128| {
                [value.to_le_bytes(), [if value < 0 { 0xff } else { 0 }; 16]].concat()[..width].to_vec()
            };
            (-most..=most).prop_map(extend).boxed()
        }
        Type::Enum8(values) => prop::sample::select(values.clone()).prop_map(|(_, value)| vec![value as u8]).boxed(),
        Type::Enum16(values) => {
            prop::sample::select(values.clone()).prop_map(|(_, value)| value.to_le_bytes().to_vec()).boxed()
        }
        Type::Nullable(inner) => {
            let some = value(inner).prop_map(|bytes| [&[0], &bytes[..]].concat());
            prop_oneof![Just(vec![1]), some].boxed()
        }
        Type::Array(inner) => counted(prop::collection::vec(value(inner), 0..200).boxed()),
        // The printer keeps one value of a key.
        Type::Map(key, inner) => {
            let pairs = prop::collection::btree_map(value(key), value(inner), 0..4);
            counted(
                pairs.prop_map(|pairs| pairs.into_iter().map(|(key, value)| [key, value].concat()).collect()).boxed(),
            )
        }
        Type::Tuple(fields) => {
            fields.iter().map(|(_, field)| value(field)).collect::<Vec<_>>().prop_map(|values| values.concat()).boxed()
        }
    }
}

fn any_value() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    prop::sample::select(TYPES).prop_flat_map(|kind| (Just(kind), row_of(&[kind]).1))
}

fn counted(elements: BoxedStrategy<Vec<Vec<u8>>>) -> BoxedStrategy<Vec<u8>> {
    let count = |elements: &Vec<Vec<u8>>| match elements.len() {
        few @ ..0x80 => vec![few as u8],
        many => vec![many as u8 | 0x80, (many >> 7) as u8],
    };
    elements.prop_map(move |elements| [count(&elements), elements.concat()].concat()).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_printed_reads_back_as_the_same_bytes((kind, row) in any_value()) {
        let (layout, _) = row_of(&[kind]);
        validate(&layout, &row).unwrap();
        let printed = serde_json::Value::from(json::row(&layout, &row).unwrap()).to_string();
        let mut read = b"before".to_vec();
        let done = encode(&layout, printed.as_bytes(), &mut read);
        prop_assert!(done.is_ok(), "{done:?}: {printed}");
        prop_assert_eq!(&read[6..], row, "{} {}", kind, printed);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn keys_may_come_in_any_order(row in row_of(TYPES).1, seed in any::<u64>()) {
        let (layout, _) = row_of(TYPES);
        let mut members: Vec<_> = json::row(&layout, &row).unwrap().into_iter().collect();
        let mut state = seed | 1;
        members.sort_by_cached_key(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        });
        let shuffled = serde_json::Value::Object(members.into_iter().collect()).to_string();
        let mut read = Vec::new();
        encode(&layout, shuffled.as_bytes(), &mut read).unwrap();
        prop_assert_eq!(read, row);
    }

    #[test]
    fn any_text_is_a_row_or_an_error_and_an_error_leaves_nothing(damage in any::<Vec<(prop::sample::Index, u8)>>(), row in row_of(TYPES).1) {
        let (layout, _) = row_of(TYPES);
        let mut line = serde_json::Value::from(json::row(&layout, &row).unwrap()).to_string().into_bytes();
        for (at, byte) in damage {
            let at = at.index(line.len());
            line[at] = byte;
        }
        let mut read = vec![1, 2, 3];
        match encode(&layout, &line, &mut read) {
            Ok(()) => prop_assert!(validate(&layout, &read[3..]).is_ok()),
            Err(_) => prop_assert_eq!(read, [1, 2, 3]),
        }
    }
}

fn encoded(kind: &str, value: &str) -> Result<Vec<u8>, String> {
    let mut row = Vec::new();
    let line = format!("{{\"c\": {value}}}\n");
    encode(&Layout::parse([("c", kind)]).unwrap(), line.as_bytes(), &mut row).map_err(|error| error.to_string())?;
    Ok(row)
}

#[test]
fn a_value_may_be_said_in_several_ways() {
    let wide = "340282366920938463463374607431768211455";
    let same = |kind: &str, ways: &[&str]| {
        let first = encoded(kind, ways[0]).unwrap();
        for way in ways {
            assert_eq!(encoded(kind, way).as_ref(), Ok(&first), "{kind}: {way}");
        }
    };
    same("UInt64", &["18446744073709551615", "\"18446744073709551615\""]);
    same("UInt128", &[wide, &format!("{wide:?}")]);
    same("Int8", &["-128", "\"-128\""]);
    same("Float64", &["1.5", "\"1.5\"", "15e-1"]);
    same("Float64", &["\"inf\"", "\"Infinity\"", "\"+inf\""]);
    same("Bool", &["true", "1", "\"true\""]);
    same("Enum8('a' = 1, 'b' = 2)", &["\"b\"", "2"]);
    same("DateTime", &["\"2023-02-27 15:40:12\"", "1677512412", "\"2023-02-27T15:40:12Z\""]);
    same("DateTime64(3)", &["\"2023-02-27 15:40:12.223\"", "1677512412223", "\"2023-02-27T15:40:12.223Z\""]);
    same("Decimal(9, 2)", &["12.5", "\"12.50\"", "1.25e1", "12.509"]);
    same("IPv6", &["\"::ffff:1.2.3.4\"", "\"1.2.3.4\""]);
    same("UUID", &["\"00112233-4455-6677-8899-aabbccddeeff\"", "\"00112233445566778899aabbccddeeff\""]);
    same("Tuple(x UInt8, y UInt8)", &["{\"x\": 1, \"y\": 2}", "[1, 2]", "{\"y\": 2, \"x\": 1}"]);
    same("FixedString(3)", &["\"a\"", "\"a\\u0000\\u0000\""]);
    assert!(f64::from_le_bytes(encoded("Float64", "\"nan\"").unwrap().try_into().unwrap()).is_nan());
}

#[test]
fn what_is_not_said_exactly_is_refused() {
    for (kind, value, cause) in [
        ("UInt8", "256", "256 is no UInt8"),
        ("UInt8", "-1", "-1 is no UInt8"),
        ("UInt64", "18446744073709551616", "expected a value of UInt64"),
        ("UInt256", "-1", "-1 is no UInt256"),
        ("Int64", "1.0", "floating point `1.0`, expected a value of Int64"),
        ("Int64", "\"\"", "\"\" is no Int64"),
        ("UInt8", "true", "boolean `true`, expected a value of UInt8"),
        ("UInt8", "null", "null, expected a value of UInt8"),
        ("Float64", "null", "null is no Float64"),
        ("Float64", "true", "true is no Float64"),
        ("Decimal(9, 2)", "12345678.5", "more than 9 digits"),
        ("Bool", "2", "2 is no Bool"),
        ("String", "1", "1 is no String"),
        ("String", "[\"a\"]", "sequence, expected a value of String"),
        ("String", "\"\\ud800\"", "unexpected end of hex escape"),
        ("FixedString(2)", "\"abc\"", "\"abc\" is no FixedString(2)"),
        ("FixedString(999999999999)", "\"abc\"", "is no FixedString"),
        ("UUID", "\"{00112233-4455-6677-8899-aabbccddeeff}\"", "is no UUID"),
        ("Date", "\"1969-12-31\"", "is no Date"),
        ("Date", "19000", "is no Date"),
        ("Date32", "\"1899-12-31\"", "outside of 1900 to 2299"),
        ("DateTime", "4294967296", "is no DateTime"),
        ("DateTime", "\"2023-02-29 00:00:00\"", "is no DateTime"),
        ("DateTime64(3)", "1.5", "expected a value of DateTime64(3)"),
        ("Enum8('a' = 1)", "\"b\"", "is no Enum8 of 1 values"),
        ("Enum8('a' = 1)", "2", "enum value 2 is not declared"),
        ("IPv4", "\"1.2.3\"", "is no IPv4"),
        ("Array(UInt8)", "{}", "map, expected an array of UInt8"),
        ("Array(UInt8)", "[1, \"x\"]", "\"x\" is no UInt8"),
        ("Map(UInt8, UInt8)", "{\"x\": 1}", "\"x\" is no UInt8"),
        ("Tuple(UInt8, UInt8)", "[1]", "invalid length 1, expected an object or array of 2 values"),
        ("Tuple(UInt8, UInt8)", "[1, 2, 3]", "invalid length 3"),
        ("Tuple(x UInt8, y UInt8)", "{\"x\": 1, \"z\": 2}", "there is no \"z\""),
        ("Tuple(x UInt8, y UInt8)", "{\"x\": 1, \"x\": 2}", "comes twice"),
    ] {
        let error = encoded(kind, value).unwrap_err();
        assert!(error.contains(cause), "{kind}: {error}");
        assert!(error.starts_with("column \"c\", byte "), "{error}");
    }
}

#[test]
fn errors_name_the_column() {
    let layout =
        Layout::parse([("a", "UInt8"), ("b", "String"), ("n.x", "Array(UInt8)"), ("n.y", "Array(UInt8)")]).unwrap();
    let bomb = format!("{{\"b\": {}", "[".repeat(1_000_000));
    let long = format!("{{\"a\": {:?}}}", "ä".repeat(1000));
    for (line, expected) in [
        (r#"{"a": 1, "b": 2}"#, "column \"b\", byte 15 of the row: 2 is no String"),
        (r#"{"a": 1, "z": 2}"#, "column \"z\", byte 12 of the row: there is no \"z\""),
        (r#"{"a": 1, "a": 2}"#, "column \"a\", byte 12 of the row: comes twice"),
        (r#"{"b": "", "a": 2, "b": ""}"#, "column \"b\", byte 21 of the row: comes twice"),
        (r#"{"a": 1} x"#, "column \"a\", byte 10 of the row: trailing characters"),
        (r#"{"a": 1"#, "column \"a\", byte 7 of the row: EOF while parsing an object"),
        (r#"{"a": 1, "b": "}"#, "column \"b\", byte 16 of the row: EOF while parsing a string"),
        ("[1]", "byte 0 of the row: invalid type: sequence, expected an object or array of 4 values"),
        ("", "byte 0 of the row: EOF while parsing a value"),
        (
            r#"{"n.x": [1, 2], "n.y": [1]}"#,
            "column \"n.y\", byte 5 of the row: 1 elements, another column of the Nested has 2",
        ),
        (&bomb, "column \"b\", byte 7 of the row: invalid type: sequence, expected a value of String"),
        (&long, &format!("column \"a\", byte 2008 of the row: \"{}… is no UInt8", "ä".repeat(29))),
    ] {
        let mut row = Vec::new();
        assert_eq!(encode(&layout, line.as_bytes(), &mut row).unwrap_err().to_string(), expected);
        assert!(row.is_empty());
    }
}

#[test]
fn a_column_without_a_key_has_its_zero_value() {
    let columns = TYPES.iter().enumerate().map(|(at, kind)| (format!("c{at}"), *kind));
    let layout = Layout::parse(columns).unwrap();
    let mut row = Vec::new();
    encode(&layout, b"{}", &mut row).unwrap();
    let printed = json::row(&layout, &row).unwrap();
    let null = serde_json::Value::Null;
    for (column, kind) in layout.columns().iter().zip(TYPES) {
        let expected = match *kind {
            "Date32" => "\"1970-01-01\"".into(),
            "Enum8('a' = 1, 'it\\'s' = -2)" => "\"it's\"".into(),
            "Enum16('big' = 300, '' = -300)" => "\"\"".into(),
            "Tuple(x Nullable(UInt8), `y z` Array(String))" => "{\"x\":null,\"y z\":[]}".into(),
            nullable if nullable.contains("Nullable(") && !nullable.contains(['A', 'M']) => null.to_string(),
            _ => continue,
        };
        assert_eq!(printed[&column.name].to_string(), expected, "{kind}");
    }
}

/// A guest may declare what it likes; a row of two bytes must not take the memory of the host.
#[test]
fn defaults_are_bounded() {
    let columns = (0..100).map(|at| (format!("c{at}"), "FixedString(10000000)"));
    let error = encode(&Layout::parse(columns).unwrap(), b"{}", &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("columns that are left out take more than 64 MiB"), "{error}");
    assert!(encode(&Layout::parse([("c", "FixedString(999999999999999)")]).unwrap(), b"{}", &mut Vec::new()).is_err());
}
