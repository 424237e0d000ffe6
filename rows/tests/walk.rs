//! The walk against rows of every type, good and damaged.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tidegate_rows::{Layout, json, validate};

fn columns() -> Vec<(&'static str, &'static str, Vec<u8>, serde_json::Value)> {
    use serde_json::json;
    vec![
        ("u8", "UInt8", vec![7], json!(7)),
        ("i16", "Int16", vec![0xfe, 0xff], json!(-2)),
        ("u64", "UInt64", u64::MAX.to_le_bytes().to_vec(), json!(u64::MAX)),
        ("u128", "UInt128", (1u128 << 100).to_le_bytes().to_vec(), json!((1u128 << 100).to_string())),
        ("f64", "Float64", 1.5f64.to_le_bytes().to_vec(), json!(1.5)),
        ("f32", "Float32", 0.1f32.to_le_bytes().to_vec(), json!(0.1)),
        ("tie", "Float32", vec![0xa2, 0x3c, 0xea, 0x49], json!(1918868.2)),
        ("nan", "Float64", f64::NAN.to_le_bytes().to_vec(), json!(null)),
        ("flag", "Bool", vec![1], json!(true)),
        ("text", "LowCardinality(String)", b"\x02ab".to_vec(), json!("ab")),
        ("fixed", "FixedString(3)", b"abc".to_vec(), json!("abc")),
        (
            "uuid",
            "UUID",
            vec![0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88],
            json!("00112233-4455-6677-8899-aabbccddeeff"),
        ),
        ("date", "Date", vec![0x29, 0x51], json!("2026-11-20")),
        ("date32", "Date32", (-1i32).to_le_bytes().to_vec(), json!("1969-12-31")),
        ("at", "DateTime('UTC')", 1u32.to_le_bytes().to_vec(), json!("1970-01-01 00:00:01")),
        ("at64", "DateTime64(3)", 1234i64.to_le_bytes().to_vec(), json!("1970-01-01 00:00:01.234")),
        ("price", "Decimal(9, 2)", vec![0x7b, 0, 0, 0], json!(1.23)),
        ("kind", "Enum8('a' = 1, 'b' = -2)", vec![0xfe], json!("b")),
        ("v4", "IPv4", vec![4, 3, 2, 1], json!("1.2.3.4")),
        ("v6", "IPv6", [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1]].concat(), json!("2001:db8::1")),
        ("none", "Nullable(UInt32)", vec![1], json!(null)),
        ("some", "Nullable(UInt32)", vec![0, 5, 0, 0, 0], json!(5)),
        ("list", "Array(UInt8)", vec![3, 1, 2, 3], json!([1, 2, 3])),
        ("map", "Map(String, UInt8)", b"\x02\x01a\x01\x01b\x02".to_vec(), json!({"a": 1, "b": 2})),
        ("pair", "Tuple(UInt8, String)", vec![1, 1, b'a'], json!([1, "a"])),
        ("named", "Tuple(x UInt8, y String)", vec![1, 1, b'a'], json!({"x": 1, "y": "a"})),
        ("n.a", "Array(UInt8)", vec![2, 1, 2], json!([1, 2])),
        ("n.b", "Array(String)", b"\x02\x01x\x00".to_vec(), json!(["x", ""])),
    ]
}

fn layout_and_row() -> (Layout, Vec<u8>) {
    let layout = Layout::parse(columns().iter().map(|(name, kind, ..)| (*name, *kind))).unwrap();
    (layout, columns().into_iter().flat_map(|(_, _, bytes, _)| bytes).collect())
}

#[test]
fn every_type_prints_as_clickhouse_prints_it() {
    let (layout, row) = layout_and_row();
    validate(&layout, &row).unwrap();
    let printed = json::row(&layout, &row).unwrap();
    for (name, _, _, expected) in columns() {
        assert_eq!(printed[name], expected, "{name}");
    }
}

#[test]
fn what_clickhouse_would_swallow_is_refused() {
    for (kind, bytes, cause) in [
        ("Nullable(UInt8)", vec![2, 1], "null flag 2"),
        ("Bool", vec![2], "2 for a Bool"),
        ("Enum8('a' = 1)", vec![9], "enum value 9 is not declared"),
        ("Decimal(9, 2)", i32::MAX.to_le_bytes().to_vec(), "more than 9 digits"),
        ("DateTime64(3)", i64::MAX.to_le_bytes().to_vec(), "outside of 1900 to 2299"),
        ("Date32", i32::MAX.to_le_bytes().to_vec(), "outside of 1900 to 2299"),
        ("String", vec![5, b'a'], "5 bytes expected, 1 are left"),
        ("Array(UInt64)", vec![0xff, 0xff, 0xff, 0xff, 0x0f], "elements announced"),
        ("String", vec![0xff; 12], "a length of more than 9 bytes"),
        ("UInt8", vec![1, 2], "1 bytes follow the row"),
    ] {
        let error = validate(&Layout::parse([("c", kind)]).unwrap(), &bytes).unwrap_err();
        assert!(error.to_string().contains(cause), "{kind}: {error}");
        assert_eq!(error.column, "c");
    }
    let nested = Layout::parse([("n.a", "Array(UInt8)"), ("n.b", "Array(UInt8)")]).unwrap();
    let error = validate(&nested, &[1, 1, 2, 1, 2]).unwrap_err();
    assert_eq!(error.to_string(), "column \"n.b\", byte 2 of the row: 2 elements, another column of the Nested has 1");
}

#[test]
fn a_row_cut_anywhere_is_refused() {
    let (layout, row) = layout_and_row();
    for len in 0..row.len() {
        assert!(validate(&layout, &row[..len]).is_err(), "{len} bytes are no row");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_row_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (layout, _) = layout_and_row();
        let printed = json::row(&layout, &bytes);
        prop_assert!(validate(&layout, &bytes).is_err() || printed.is_ok());
    }

    #[test]
    fn damage_is_refused_or_is_another_row(at in 0usize..150, to in any::<u8>()) {
        let (layout, mut row) = layout_and_row();
        let at = at % row.len();
        row[at] = to;
        if validate(&layout, &row).is_ok() {
            let printed = json::row(&layout, &row).unwrap();
            prop_assert_eq!(printed.len(), layout.columns().len());
        }
    }
}
