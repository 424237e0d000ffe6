//! A processor whose version and manners are written into its bytes: tests change them, and have another module.
//! `tests/src/variant.rs` does that.

use tidegate_processor::{Manifest, Message, NoConfig, Outcome, Processor, Rejection, Rows, Wants, export};

pub struct Variant {
    version: u32,
    mode: String,
}

/// Digits of the version, then what it does, filled up with dots.
static MARK: [u8; 40] = *b"variant 0001 good.......................";

const COLUMNS: [(&str, &str); 3] = [("partition", "UInt16"), ("offset", "UInt64"), ("version", "UInt32")];
const WIDER: [(&str, &str); 4] = [COLUMNS[0], COLUMNS[1], COLUMNS[2], ("extra", "UInt8")];
const OTHER: [(&str, &str); 3] = [COLUMNS[0], ("offset", "String"), COLUMNS[2]];

/// As the bytes are now, not as they were when this was compiled.
fn mark() -> (u32, String) {
    // SAFETY: a static may be read.
    let mark = unsafe { std::ptr::read_volatile(&raw const MARK) };
    let text = String::from_utf8_lossy(&mark).into_owned();
    (text[8..12].parse().unwrap_or(0), text[13..].trim_end_matches('.').to_owned())
}

impl Processor for Variant {
    type Config = NoConfig;

    fn manifest() -> Manifest {
        let (version, mode) = mark();
        let columns: &[_] = match mode.as_str() {
            "wider" => &WIDER,
            "other-type" => &OTHER,
            _ => &COLUMNS,
        };
        let output = if mode == "other-output" { "elsewhere" } else { "variant" };
        let expected = if mode == "self-test" { version + 1 } else { version };
        let row = format!(r#"{{"output": "variant", "row": {{"version": {expected}}}}}"#);
        assert!(mode != "describe-trap", "it does not say what it is");
        let manifest =
            Manifest::new("variant", &format!("{version}.0.0")).output(output, columns).wants(Wants::OFFSETS);
        match mode.as_str() {
            "good" | "self-test" => {
                manifest.self_test(&format!(r#"{{"payload": "x", "outcome": "rows", "rows": [{row}]}}"#))
            }
            _ => manifest,
        }
    }

    fn new(_: NoConfig, _topics: &[String]) -> Result<Self, String> {
        let (version, mode) = mark();
        match mode.as_str() {
            "init-trap" => panic!("it does not want to begin"),
            "init-refuse" => Err("it wants to be configured".into()),
            "init-memory" => {
                std::hint::black_box(vec![1u8; 48 << 20]);
                Ok(Self { version, mode })
            }
            _ => Ok(Self { version, mode }),
        }
    }

    fn process(&mut self, message: &Message<'_>, rows: &mut Rows) -> Result<Outcome, Rejection> {
        match self.mode.as_str() {
            "trap" => panic!("it cannot do anything"),
            "reject" => return Err(Rejection::new("it wants nothing")),
            _ => {}
        }
        let mut row = rows.begin(0);
        row.u16(message.partition() as u16).u64(message.offset() as u64).u32(self.version);
        if self.mode == "wider" {
            row.u8(7);
        }
        row.end()?;
        Ok(Outcome::Rows)
    }
}

export!(Variant);
