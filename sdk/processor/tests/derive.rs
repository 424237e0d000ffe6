//! Rows by derive are the rows of the writer, byte for byte, for every type; and the columns are what they should be.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

use tidegate_processor::contract::{Batch, Processed, Run};
use tidegate_processor::{
    Date, Date32, DateTime, DateTime64, Decimal, Enum8, Enum16, FixedString, Manifest, Message, NoConfig, Outcome,
    Parts, Processor, Record, Rejection, Row, Rows, Runner, Uuid, Wide,
};

#[derive(Row)]
struct Everything<'a> {
    u8: u8,
    u16: u16,
    u32: u32,
    u64: u64,
    u128: u128,
    #[row(type = "UInt256")]
    u256: Wide,
    i8: i8,
    i16: i16,
    i32: i32,
    i64: i64,
    i128: i128,
    #[row(type = "Int256")]
    i256: Wide,
    f32: f32,
    f64: f64,
    bool: bool,
    text: &'a str,
    string: String,
    cow: Cow<'a, str>,
    parts: Parts<'a, 2>,
    #[row(type = "LowCardinality(String)")]
    word: &'a str,
    #[row(type = "LowCardinality(Nullable(String))")]
    perhaps: Option<&'a str>,
    #[row(type = "String")]
    bytes: &'a [u8],
    fixed: FixedString<3>,
    uuid: Uuid,
    date: Date,
    date32: Date32,
    #[row(type = "DateTime('UTC')")]
    date_time: DateTime,
    #[row(type = "DateTime64(6, 'UTC')")]
    date_time64: DateTime64,
    #[row(type = "Decimal(9, 2)")]
    decimal32: Decimal<i32>,
    #[row(type = "Decimal64(4)")]
    decimal64: Decimal<i64>,
    #[row(type = "Decimal(38, 10)")]
    decimal128: Decimal<i128>,
    #[row(type = "Decimal(76, 10)")]
    decimal256: Wide,
    #[row(type = "Enum8('a' = 1)")]
    enum8: Enum8,
    #[row(type = "Enum16('a' = 1000)")]
    enum16: Enum16,
    level: Level,
    state: State,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
    missing: Option<u64>,
    there: Option<Uuid>,
    #[row(type = "Nullable(DateTime64(3))")]
    time: Option<DateTime64>,
    vector: Vec<u16>,
    slice: &'a [&'a str],
    arrays: Vec<Vec<Option<u8>>>,
    pair: (u8, &'a str),
    map: BTreeMap<&'a str, u8>,
    hash_map: HashMap<u8, Vec<u8>>,
    #[row(type = "Map(LowCardinality(String), String)")]
    pairs: Vec<(&'a str, &'a str)>,
    #[row(type = "SimpleAggregateFunction(max, UInt64)")]
    max: u64,
    #[row(default)]
    zero: Option<u32>,
    #[row(default = Ipv4Addr::LOCALHOST)]
    home: Option<Ipv4Addr>,
    #[row(default)]
    given: Option<&'a str>,
    #[row(rename = "type")]
    kind: u8,
    r#where: u8,
    #[row(nested)]
    tags: Vec<Tag<'a>>,
    #[row(nested, rename = "more")]
    others: &'a [Tag<'a>],
    #[row(skip)]
    _seen: usize,
}

#[derive(Row)]
struct Tag<'a> {
    key: &'a str,
    value: Option<&'a str>,
    #[row(default = 7)]
    count: Option<u8>,
    times: Vec<DateTime>,
}

#[derive(Clone, Copy, Enum8)]
enum Level {
    #[row(rename = "it's")]
    Odd = -1,
    Debug = 2,
}

const LEVELS: [Level; 2] = [Level::Odd, Level::Debug];

#[derive(Clone, Copy, Enum16)]
enum State {
    New = 1000,
}

const COLUMNS: &[(&str, &str)] = &[
    ("u8", "UInt8"),
    ("u16", "UInt16"),
    ("u32", "UInt32"),
    ("u64", "UInt64"),
    ("u128", "UInt128"),
    ("u256", "UInt256"),
    ("i8", "Int8"),
    ("i16", "Int16"),
    ("i32", "Int32"),
    ("i64", "Int64"),
    ("i128", "Int128"),
    ("i256", "Int256"),
    ("f32", "Float32"),
    ("f64", "Float64"),
    ("bool", "Bool"),
    ("text", "String"),
    ("string", "String"),
    ("cow", "String"),
    ("parts", "String"),
    ("word", "LowCardinality(String)"),
    ("perhaps", "LowCardinality(Nullable(String))"),
    ("bytes", "String"),
    ("fixed", "FixedString(3)"),
    ("uuid", "UUID"),
    ("date", "Date"),
    ("date32", "Date32"),
    ("date_time", "DateTime('UTC')"),
    ("date_time64", "DateTime64(6, 'UTC')"),
    ("decimal32", "Decimal(9, 2)"),
    ("decimal64", "Decimal64(4)"),
    ("decimal128", "Decimal(38, 10)"),
    ("decimal256", "Decimal(76, 10)"),
    ("enum8", "Enum8('a' = 1)"),
    ("enum16", "Enum16('a' = 1000)"),
    ("level", "Enum8('it\\'s' = -1, 'Debug' = 2)"),
    ("state", "Enum16('New' = 1000)"),
    ("ipv4", "IPv4"),
    ("ipv6", "IPv6"),
    ("missing", "Nullable(UInt64)"),
    ("there", "Nullable(UUID)"),
    ("time", "Nullable(DateTime64(3))"),
    ("vector", "Array(UInt16)"),
    ("slice", "Array(String)"),
    ("arrays", "Array(Array(Nullable(UInt8)))"),
    ("pair", "Tuple(UInt8, String)"),
    ("map", "Map(String, UInt8)"),
    ("hash_map", "Map(UInt8, Array(UInt8))"),
    ("pairs", "Map(LowCardinality(String), String)"),
    ("max", "SimpleAggregateFunction(max, UInt64)"),
    ("zero", "UInt32"),
    ("home", "IPv4"),
    ("given", "String"),
    ("type", "UInt8"),
    ("where", "UInt8"),
    ("tags.key", "Array(String)"),
    ("tags.value", "Array(Nullable(String))"),
    ("tags.count", "Array(UInt8)"),
    ("tags.times", "Array(Array(DateTime))"),
    ("more.key", "Array(String)"),
    ("more.value", "Array(Nullable(String))"),
    ("more.count", "Array(UInt8)"),
    ("more.times", "Array(Array(DateTime))"),
];

const UUID: Uuid = Uuid([7; 16]);
const WIDE: Wide = Wide([9; 32]);

fn everything(text: &str) -> Everything<'_> {
    Everything {
        u8: 1,
        u16: 2,
        u32: 3,
        u64: 4,
        u128: 5,
        u256: WIDE,
        i8: -1,
        i16: -2,
        i32: -3,
        i64: -4,
        i128: -5,
        i256: WIDE,
        f32: 1.5,
        f64: 2.5,
        bool: true,
        text,
        string: text.to_owned(),
        cow: Cow::Borrowed(text),
        parts: Parts(["a", text]),
        word: text,
        perhaps: Some(text),
        bytes: &[0xff, 0xfe],
        fixed: FixedString(*b"abc"),
        uuid: UUID,
        date: Date(19_000),
        date32: Date32(-1),
        date_time: DateTime(1_700_000_000),
        date_time64: DateTime64(1_700_000_000_000_000),
        decimal32: Decimal(123),
        decimal64: Decimal(-5),
        decimal128: Decimal(6),
        decimal256: WIDE,
        enum8: Enum8(1),
        enum16: Enum16(1000),
        level: LEVELS[text.len() % 2],
        state: State::New,
        ipv4: Ipv4Addr::LOCALHOST,
        ipv6: Ipv6Addr::LOCALHOST,
        missing: None,
        there: Some(UUID),
        time: Some(DateTime64(1)),
        vector: vec![1, 2],
        slice: &["x", "y"],
        arrays: vec![vec![Some(1), None], vec![]],
        pair: (1, text),
        map: BTreeMap::from([("a", 1), ("b", 2)]),
        hash_map: HashMap::from([(1, vec![2, 3])]),
        pairs: vec![("k", "v")],
        max: 9,
        zero: None,
        home: None,
        given: Some(text),
        kind: 1,
        r#where: 2,
        tags: vec![tag("a", 1), Tag { count: None, value: None, ..tag("b", 0) }],
        others: &[],
        _seen: 3,
    }
}

fn tag(key: &str, count: u8) -> Tag<'_> {
    Tag { key, value: Some(key), count: Some(count), times: vec![DateTime(1); count.into()] }
}

/// The same, column by column.
fn by_hand(row: &mut Row<'_>, text: &str) {
    row.u8(1).u16(2).u32(3).u64(4).u128(5).u256(WIDE).i8(-1).i16(-2).i32(-3).i64(-4).i128(-5).i256(WIDE);
    row.f32(1.5).f64(2.5).bool(true).string(text).string(text).string(text).value(Parts(["a", text]));
    row.string(text).nullable(Some(text)).bytes(&[0xff, 0xfe]).fixed_string(b"abc", 3).uuid(UUID);
    row.date(Date(19_000)).date32(Date32(-1)).date_time(DateTime(1_700_000_000));
    row.date_time64(DateTime64(1_700_000_000_000_000));
    row.decimal32(Decimal(123)).decimal64(Decimal(-5)).decimal128(Decimal(6)).decimal256(WIDE);
    row.enum8(Enum8(1)).enum16(Enum16(1000)).enum8(Enum8([-1, 2][text.len() % 2])).enum16(Enum16(1000));
    row.ipv4(Ipv4Addr::LOCALHOST).ipv6(Ipv6Addr::LOCALHOST);
    row.nullable(None::<u64>).nullable(Some(UUID)).nullable(Some(DateTime64(1)));
    row.array([1u16, 2]).array(["x", "y"]).array([vec![Some(1u8), None], vec![]]).value((1u8, text));
    row.map(&[("a", 1u8), ("b", 2)]).map(&[(1u8, vec![2u8, 3])]).map(&[("k", "v")]).u64(9);
    row.u32(0).ipv4(Ipv4Addr::LOCALHOST).string(text).u8(1).u8(2);
    row.array(["a", "b"]).array([Some("a"), None]).array([1u8, 7]).array([vec![DateTime(1)], vec![]]);
    row.array([""; 0]).array([Some(""); 0]).array([0u8; 0]).array(Vec::<Vec<DateTime>>::new());
}

struct ByDerive;
struct ByHand;

impl Processor for ByDerive {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("derive", "1").output_of::<Everything>("everything")
    }

    fn new(_: NoConfig, _: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let text = str::from_utf8(message.payload()?).map_err(|error| error.to_string())?;
        rows.write(0, &everything(text))?;
        Ok(Outcome::Rows)
    }
}

impl Processor for ByHand {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("hand", "1").output("everything", COLUMNS)
    }

    fn new(_: NoConfig, _: &[String]) -> Result<Self, String> {
        Ok(Self)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let text = str::from_utf8(message.payload()?).map_err(|error| error.to_string())?;
        let mut row = rows.begin(0);
        by_hand(&mut row, text);
        row.end()?;
        Ok(Outcome::Rows)
    }
}

fn processed<P: Processor>(payloads: &[&str]) -> Processed {
    let joined = payloads.concat();
    let ends = payloads.iter().scan(0, |end, payload| {
        *end += payload.len() as u32;
        Some(*end)
    });
    let batch = Batch {
        ends: ends.collect(),
        payloads: joined.into_bytes(),
        runs: vec![Run { topic: 0, partition: 0, count: payloads.len() as u32 }],
        ..Batch::empty(0)
    };
    Runner::<P>::new("{}", vec!["test".into()]).unwrap().process(&batch)
}

#[test]
fn every_type_is_written_as_by_hand() {
    let payloads = ["", "x", "a text that is longer than sixteen bytes", "ünïcödé"];
    let (derived, by_hand) = (processed::<ByDerive>(&payloads), processed::<ByHand>(&payloads));
    assert_eq!(derived.outcomes, vec![0; payloads.len()], "{:?}", derived.rejections);
    assert_eq!(by_hand.outcomes, vec![0; payloads.len()], "{:?}", by_hand.rejections);
    assert_eq!(derived.rows[0].row_ends, by_hand.rows[0].row_ends);
    assert_eq!(derived.rows[0].data, by_hand.rows[0].data);
}

#[test]
fn columns_have_the_types_of_their_fields() {
    let told = Runner::<ByDerive>::describe();
    let columns: Vec<_> =
        told.outputs[0].columns.iter().map(|c| (c.name.as_str(), c.clickhouse_type.as_str())).collect();
    assert_eq!(columns, COLUMNS);
}

/// ClickHouse would read the bytes as what they are: the types are those that a table can have.
#[test]
fn the_rows_are_rows_of_these_columns() {
    let layout = tidegate_rows::Layout::parse(COLUMNS.iter().copied()).unwrap();
    let derived = processed::<ByDerive>(&["text"]);
    let row = tidegate_rows::json::row(&layout, &derived.rows[0].data).unwrap();
    assert_eq!(tidegate_rows::validate(&layout, &derived.rows[0].data), Ok(()));
    assert_eq!(row["level"], "it's");
    assert_eq!(row["tags.count"], serde_json::json!([1, 7]));
    assert_eq!(row["home"], "127.0.0.1");
}

#[test]
fn a_struct_of_another_output_is_refused() {
    struct Mixed;

    impl Processor for Mixed {
        type Config = NoConfig;

        fn manifest() -> Manifest {
            Manifest::new("mixed", "1").output_of::<Everything>("everything")
        }

        fn new(_: NoConfig, _: &[String]) -> Result<Self, String> {
            Ok(Self)
        }

        fn process(&mut self, _: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
            rows.write(0, &tag("a", 1))?;
            Ok(Outcome::Rows)
        }
    }

    let answer = processed::<Mixed>(&["x"]);
    assert_eq!(answer.rejections[0].reason, format!("the row has 4 columns instead of {}", COLUMNS.len()));
    assert_eq!(<Tag as Record>::COLUMNS.len(), 4);
}

#[test]
fn values_are_read_from_json() {
    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
    assert_eq!(read("\"07070707-0707-0707-0707-070707070707\""), Ok(UUID));
    assert!(read::<Uuid>("\"x\"").unwrap_err().contains("\"x\" is no UUID"));
    assert_eq!(read("\"ab\""), Ok(FixedString(*b"ab\0")));
    assert!(read::<FixedString<3>>("\"abcd\"").unwrap_err().contains("4 bytes for a FixedString(3)"));
    assert_eq!(read("-1"), Ok(Wide([0xff; 32])));
    assert_eq!(read("7").map(|Wide(bytes)| (bytes[0], bytes[31])), Ok((7, 0)));
    assert_eq!(read("1700000000"), Ok(DateTime(1_700_000_000)));
}
