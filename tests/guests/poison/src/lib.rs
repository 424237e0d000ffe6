//! A processor that does what its messages ask for: `{"version": 1, "id": 7, "do": "row"}`. Most of it is mischief.

use serde::Deserialize;
use tidegate_processor::sql::{call, column, number, text};
use tidegate_processor::{
    Enum8, Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rewrite, Rows, Wants, export,
};

pub struct Poison;

#[derive(Deserialize)]
struct Order<'a> {
    version: u32,
    id: u64,
    #[serde(rename = "do", borrow)]
    deed: &'a str,
    #[serde(borrow)]
    note: Option<&'a str>,
}

const MEBIBYTE: usize = 1 << 20;

impl Processor for Poison {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        Manifest::new("poison", env!("CARGO_PKG_VERSION"))
            .output(
                "poison",
                &[
                    ("id", "UInt64"),
                    ("kind", "Enum8('a' = 1, 'b' = 2)"),
                    ("note", "Nullable(String)"),
                    ("partition", "UInt16"),
                    ("offset", "UInt64"),
                ],
            )
            .wants(Wants::OFFSETS)
    }

    fn new(_: NoConfig, _topics: &[String]) -> Result<Self, String> {
        Ok(Poison)
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        let order: Order = serde_json::from_slice(message.payload()?)?;
        if order.version != 1 {
            return Err(Rejection::new(format!("version {} instead of 1", order.version)));
        }
        let mut kind = 1;
        match order.deed {
            "row" | "wrong-bytes" => {}
            "skip" => return Ok(Outcome::Skipped),
            "replace" => return Ok(Outcome::Replacement { key: order.id.to_string().into(), value: b"[2]".to_vec() }),
            "rewrite" => return Ok(Outcome::Rewrite(vec![rewrite(order.id, message.partition())])),
            "sneak" => {
                let predicate = call("sleep", [number(3)]).is_set();
                return Ok(Outcome::Rewrite(vec![Rewrite { predicate, ..rewrite(order.id, 0) }]));
            }
            "panic" => panic!("message {} asked for a panic", order.id),
            "loop" => spin(order.id),
            "bomb" => explode(),
            "bad-enum" => kind = 9,
            "late" => {
                let mut row = rows.begin(0);
                row.u64(order.id).enum8(Enum8(1));
                return Err(Rejection::new("after its second column"));
            }
            other => return Err(Rejection::new(format!("{other:?} is nothing to do"))),
        }
        let mut row = rows.begin(0);
        row.u64(order.id).enum8(Enum8(kind));
        if order.deed == "wrong-bytes" {
            // A null flag of 2, which ClickHouse would take for NULL.
            row.u8(2);
        } else {
            row.nullable(order.note);
        }
        row.u16(message.partition() as u16).u64(message.offset() as u64);
        row.end()?;
        Ok(Outcome::Rows)
    }
}

/// Rows of the partition that no rewrite has touched get a note of this one.
fn rewrite(id: u64, partition: i32) -> Rewrite {
    let names = ["id", "kind", "partition", "offset"].into_iter();
    let mut columns: Vec<_> = names.map(|name| (name.to_owned(), column(name))).collect();
    columns.push(("note".into(), text(&format!("before {id}"))));
    let untouched = call("startsWith", [column("note"), text("number")]).is_set();
    Rewrite { output: 0, columns, predicate: column("partition").eq(number(partition as u64)).and(untouched) }
}

fn spin(mut number: u64) {
    while std::hint::black_box(number) != u64::MAX - 1 {
        number = number.wrapping_mul(3) & 0xff;
    }
}

fn explode() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1u8; MEBIBYTE]));
    }
}

export!(Poison);
