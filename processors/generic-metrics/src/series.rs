//! Values that are objects: series of numbers in several encodings, and gauges.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Number;
use shared::metric::{Value, all};
use tidegate_processor::Rejection;

/// Either a series, with format and data, or a gauge.
#[derive(Debug, Deserialize)]
pub struct Object<'a> {
    #[serde(borrow)]
    format: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Value<'a, IgnoredAny>>,
    min: Option<f64>,
    max: Option<f64>,
    sum: Option<f64>,
    count: Option<u64>,
    last: Option<f64>,
}

#[derive(Debug)]
pub struct Gauge {
    pub last: f64,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u64,
}

/// How the numbers of a series are written: as JSON numbers, or as bytes.
pub struct Encoding<T, const N: usize> {
    pub of_number: fn(&Number) -> Option<T>,
    pub of_bytes: fn([u8; N]) -> T,
}

/// Members of a set.
pub const MEMBERS: Encoding<u64, 4> =
    Encoding { of_number: Number::as_u64, of_bytes: |bytes| u32::from_le_bytes(bytes).into() };

/// Samples of a distribution.
pub const SAMPLES: Encoding<f64, 8> = Encoding { of_number: Number::as_f64, of_bytes: f64::from_le_bytes };

/// With and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a decoder of zstd should support (RFC 8878, 3.1.1.1.2); frames may ask for more than they hold.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

impl<T, const N: usize> Encoding<T, N> {
    /// The numbers of a series; `bytes_max` limits what they decompress to.
    ///
    /// # Errors
    /// If the value is not a series in a known format, or has something else than numbers of this kind.
    pub fn read(&self, value: &Value<'_, Box<Object<'_>>>, bytes_max: usize) -> Result<Vec<T>, Rejection> {
        let object = match value {
            Value::Array(numbers) => return all(numbers, self.of_number),
            Value::Object(object) => object,
            _ => return Err("the value is not a series of numbers".into()),
        };
        let format = object.format.as_deref().ok_or("the value has no format")?;
        match (format, object.data.as_ref().ok_or("the value has no data")?) {
            ("array", Value::Array(numbers)) => all(numbers, self.of_number),
            ("base64", Value::Text(text)) => self.of_all_bytes(&base64(text)?),
            ("zstd", Value::Text(text)) => self.of_all_bytes(&zstd(&base64(text)?, bytes_max)?),
            _ => Err(Rejection::new(format!("the value has not the data of its format {format:?}"))),
        }
    }

    fn of_all_bytes(&self, bytes: &[u8]) -> Result<Vec<T>, Rejection> {
        match bytes.as_chunks() {
            (numbers, []) => Ok(numbers.iter().map(|bytes| (self.of_bytes)(*bytes)).collect()),
            _ => Err(Rejection::new(format!("{} bytes are not numbers of {N} bytes each", bytes.len()))),
        }
    }
}

fn base64(text: &str) -> Result<Vec<u8>, Rejection> {
    BASE64.decode(text).map_err(|error| Rejection::new(format!("base64: {error}")))
}

/// Decompresses one frame. A few bytes may be made of gigabytes: reading stops at `bytes_max`.
fn zstd(frame: &[u8], bytes_max: usize) -> Result<Vec<u8>, Rejection> {
    let failed = |error: &dyn fmt::Display| Rejection::new(format!("zstd: {error}"));
    let mut decoder =
        StreamingDecoder::new_with_max_window_size(frame, WINDOW_BYTES_MAX).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    let read = (&mut decoder).take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(&error))?;
    if bytes.len() > bytes_max {
        return Err(failed(&format_args!("more than {bytes_max} bytes")));
    }
    verify(&decoder.decoder, bytes.len() as u64).map_err(|error| failed(&error))?;
    match decoder.get_ref().len() {
        0 => Ok(bytes),
        more => Err(failed(&format_args!("{more} bytes follow the frame"))),
    }
}

/// Compares what was read with what the frame says of itself, which the decoder leaves to its caller.
fn verify(decoder: &FrameDecoder, bytes: u64) -> Result<(), String> {
    let announced = decoder.content_size();
    if announced != 0 && announced != bytes {
        return Err(format!("{bytes} bytes instead of {announced}"));
    }
    let checksum = decoder.get_checksum_from_data();
    if checksum.is_some() && checksum != decoder.get_calculated_checksum() {
        return Err("the checksum is another".into());
    }
    Ok(())
}

impl Gauge {
    /// # Errors
    /// If the value is not a gauge.
    pub fn of(value: &Value<'_, Box<Object<'_>>>) -> Result<Self, Rejection> {
        let Value::Object(object) = value else { return Err("the value is not a gauge".into()) };
        let missing = |name: &str| Rejection::new(format!("the gauge has no {name}"));
        Ok(Self {
            last: object.last.ok_or_else(|| missing("last"))?,
            min: object.min.ok_or_else(|| missing("min"))?,
            max: object.max.ok_or_else(|| missing("max"))?,
            sum: object.sum.ok_or_else(|| missing("sum"))?,
            count: object.count.ok_or_else(|| missing("count"))?,
        })
    }
}
