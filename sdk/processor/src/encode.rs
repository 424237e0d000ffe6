//! Values in RowBinary: what a column, an array element or a nullable may hold.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A value with its ClickHouse encoding. Integers, floats, `bool`, `str` and IP addresses encode as what they are;
/// `Option<T>` is `Nullable(T)`; slices are arrays; pairs are tuples of two; maps are maps.
pub trait Encode {
    fn encode(&self, out: &mut Vec<u8>);
}

/// `UUID`, its 16 bytes in the order of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

/// `Date`: days since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Date(pub u16);

/// `Date32`: days since 1970, from 1900 to 2299.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Date32(pub i32);

/// `DateTime`: seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct DateTime(pub u32);

/// `DateTime64(P)`: ticks of 10^-P seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct DateTime64(pub i64);

/// `Enum8`: the value, not the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Enum8(pub i8);

/// `Enum16`: the value, not the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Enum16(pub i16);

/// `Decimal32/64/128` by the type of its number, which is the value times 10^scale. Use [`Wide`] for `Decimal256`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Decimal<T>(pub T);

/// `UInt256`, `Int256` and `Decimal256`: 32 bytes, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wide(pub [u8; 32]);

/// `FixedString(N)`: its bytes, filled up with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedString<const N: usize>(pub [u8; N]);

/// A `String` of several parts, written one after the other without joining them first.
///
/// ```
/// # use tidegate_processor::{Encode, Parts};
/// let mut bytes = Vec::new();
/// Parts(["os", ".", "name"]).encode(&mut bytes);
/// assert_eq!(bytes, b"\x07os.name");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a, const N: usize>(pub [&'a str; N]);

macro_rules! little_endian {
    ($($number:ty),*) => {
        $(impl Encode for $number {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        })*
    };
}

macro_rules! as_inner {
    ($($wrapper:ident),*) => {
        $(impl Encode for $wrapper {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        })*
    };
}

little_endian!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64);
as_inner!(Date, Date32, DateTime, DateTime64, Enum8, Enum16);

impl<T: Encode> Encode for Decimal<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Encode for Wide {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl<const N: usize> Encode for FixedString<N> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Encode for bool {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Encode for str {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode_string(out);
    }
}

impl Encode for Cow<'_, str> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode_string(out);
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode_string(out);
    }
}

impl<const N: usize> Encode for Parts<'_, N> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        length(self.0.iter().map(|part| part.len()).sum(), out);
        self.0.iter().for_each(|part| copy(part.as_bytes(), out));
    }
}

impl Encode for Uuid {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        let value = u128::from_be_bytes(self.0);
        out.extend_from_slice(&((value >> 64) as u64).to_le_bytes());
        out.extend_from_slice(&(value as u64).to_le_bytes());
    }
}

impl Encode for Ipv4Addr {
    fn encode(&self, out: &mut Vec<u8>) {
        u32::from(*self).encode(out);
    }
}

impl Encode for Ipv6Addr {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.octets());
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

impl<T: Encode> Encode for Option<T> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => {
                out.push(0);
                value.encode(out);
            }
            None => out.push(1),
        }
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, out: &mut Vec<u8>) {
        length(self.len(), out);
        self.iter().for_each(|value| value.encode(out));
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }
}

impl<K: Encode, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, out: &mut Vec<u8>) {
        length(self.len(), out);
        self.iter().for_each(|pair| pair.encode(out));
    }
}

impl<K: Encode, V: Encode, S> Encode for HashMap<K, V, S> {
    fn encode(&self, out: &mut Vec<u8>) {
        length(self.len(), out);
        self.iter().for_each(|pair| pair.encode(out));
    }
}

/// Bytes as a `String` value; ClickHouse does not ask for UTF-8.
pub(crate) trait EncodeString {
    fn encode_string(&self, out: &mut Vec<u8>);
}

impl EncodeString for [u8] {
    #[inline]
    fn encode_string(&self, out: &mut Vec<u8>) {
        length(self.len(), out);
        copy(self, out);
    }
}

/// Unsigned LEB128.
#[inline]
pub(crate) fn length(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A copy of unknown length leaves the sandbox for the host's memcpy; most strings are shorter than that trip. Short
/// ones are copied in steps of a fixed size, the last of which overlaps the one before.
#[inline]
fn copy(bytes: &[u8], out: &mut Vec<u8>) {
    const INLINE_MAX: usize = 64;
    if bytes.len() > INLINE_MAX || !cfg!(target_arch = "wasm32") {
        out.extend_from_slice(bytes);
        return;
    }
    out.reserve(INLINE_MAX);
    let (from, len) = (bytes.as_ptr(), bytes.len());
    // SAFETY: every step reads within `bytes` and writes `len` bytes at most into the space that was reserved.
    unsafe {
        let to = out.as_mut_ptr().add(out.len());
        match len {
            16.. => steps::<16>(from, to, len),
            8.. => steps::<8>(from, to, len),
            4.. => steps::<4>(from, to, len),
            _ => (0..len).for_each(|at| *to.add(at) = *from.add(at)),
        }
        out.set_len(out.len() + len);
    }
}

/// # Safety
/// `len` is `N` at least, and that many bytes may be read and written.
#[inline(always)]
unsafe fn steps<const N: usize>(from: *const u8, to: *mut u8, len: usize) {
    let mut at = 0;
    // SAFETY: no step begins behind `len - N`.
    unsafe {
        while at + N < len {
            to.add(at).copy_from_nonoverlapping(from.add(at), N);
            at += N;
        }
        to.add(len - N).copy_from_nonoverlapping(from.add(len - N), N);
    }
}

/// The value of a hexadecimal digit; more than 15 for other bytes.
const HEX: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// From text of `N` bytes at most.
impl<'de, const N: usize> serde::Deserialize<'de> for FixedString<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let mut bytes = [0; N];
        let place = bytes.get_mut(..text.len());
        let place =
            place.ok_or_else(|| serde::de::Error::custom(format!("{} bytes for a FixedString({N})", text.len())))?;
        place.copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

/// From a number of 128 bits at most.
impl<'de> serde::Deserialize<'de> for Wide {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i128::deserialize(deserializer)?;
        let mut bytes = [if number < 0 { 0xff } else { 0 }; 32];
        bytes[..16].copy_from_slice(&number.to_le_bytes());
        Ok(Self(bytes))
    }
}

impl<'de> serde::Deserialize<'de> for Uuid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Uuid::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no UUID")))
    }
}

impl Uuid {
    /// Reads 32 hexadecimal digits, with or without dashes, of any case. `None` for anything else.
    ///
    /// ```
    /// use tidegate_processor::Uuid;
    /// assert_eq!(Uuid::parse("9CDC4C32-dff1-4fbb-b012-b0aa9e908126"), Uuid::parse("9cdc4c32dff14fbbb012b0aa9e908126"));
    /// assert_eq!(Uuid::parse("9cdc4c32"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Uuid> {
        let text = text.as_bytes();
        let mut digits = [0; 32];
        match text.len() {
            32 => digits.copy_from_slice(text),
            36 if [8, 13, 18, 23].iter().all(|dash| text[*dash] == b'-') => {
                for (to, from) in [(0..8, 0), (8..12, 9), (12..16, 14), (16..20, 19), (20..32, 24)] {
                    let len = to.len();
                    digits[to].copy_from_slice(&text[from..from + len]);
                }
            }
            _ => return None,
        }
        let mut wrong = 0;
        let (pairs, _) = digits.as_chunks::<2>();
        let uuid = std::array::from_fn(|at| {
            let [high, low] = pairs[at].map(|digit| HEX[usize::from(digit)]);
            wrong |= high | low;
            high << 4 | low & 0xf
        });
        (wrong <= 0xf).then_some(Uuid(uuid))
    }

    /// Lower-case digits without dashes.
    pub fn simple(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
    }
}
