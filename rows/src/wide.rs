//! Integers of 128 and 256 bits, as little-endian bytes: comparing, printing and reading.

/// Decimal text of an unsigned integer of any width.
pub fn unsigned(bytes: &[u8]) -> String {
    let mut digits = Vec::new();
    let mut limbs: Vec<u8> = bytes.to_vec();
    while limbs.iter().any(|limb| *limb != 0) {
        let mut remainder = 0u16;
        for limb in limbs.iter_mut().rev() {
            let value = remainder << 8 | u16::from(*limb);
            *limb = (value / 10) as u8;
            remainder = value % 10;
        }
        digits.push(b'0' + remainder as u8);
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    digits.reverse();
    digits.into_iter().map(char::from).collect()
}

/// Decimal text of a two's complement integer of any width.
pub fn signed(bytes: &[u8]) -> String {
    if is_negative(bytes) { format!("-{}", unsigned(&magnitude(bytes))) } else { unsigned(bytes) }
}

/// Whether a two's complement integer has at most `precision` decimal digits.
pub fn fits_decimal(bytes: &[u8], precision: u8) -> bool {
    match bytes.len() {
        4 => fits(i128::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])), precision),
        8 => bytes.try_into().is_ok_and(|bytes| fits(i128::from(i64::from_le_bytes(bytes)), precision)),
        16 => bytes.try_into().is_ok_and(|bytes| fits(i128::from_le_bytes(bytes), precision)),
        _ => signed(bytes).trim_start_matches('-').len() <= usize::from(precision),
    }
}

/// The number that decimal text says, if it has this width in bytes; the rest of the 32 bytes is nothing to look at.
pub fn parse_unsigned(text: &str, width: u8) -> Option<[u8; 32]> {
    let number = magnitude_of(text)?;
    let unused = &number[usize::from(width)..];
    unused.iter().all(|byte| *byte == 0).then_some(number)
}

/// The same in two's complement.
pub fn parse_signed(text: &str, width: u8) -> Option<[u8; 32]> {
    let digits = text.strip_prefix('-');
    let number = magnitude_of(digits.unwrap_or(text))?;
    let number = if digits.is_some() { magnitude(&number).try_into().ok()? } else { number };
    let is_zero = number == [0; 32];
    let unused = if digits.is_some() && !is_zero { 0xff } else { 0 };
    let sign = number[usize::from(width) - 1] & 0x80;
    let fits = sign == unused & 0x80 && number[usize::from(width)..].iter().all(|byte| *byte == unused);
    fits.then_some(number)
}

fn magnitude_of(digits: &str) -> Option<[u8; 32]> {
    let mut limbs = [0u64; 4];
    for digit in digits.bytes() {
        let mut carry = u128::from(char::from(digit).to_digit(10)?);
        for limb in &mut limbs {
            carry += u128::from(*limb) * 10;
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry != 0 {
            return None;
        }
    }
    let mut bytes = [0; 32];
    for (place, limb) in bytes.chunks_exact_mut(8).zip(limbs) {
        place.copy_from_slice(&limb.to_le_bytes());
    }
    (!digits.is_empty()).then_some(bytes)
}

/// The digits of a decimal of this scale: `12.5` is `1250` at scale 2. Further digits are cut off, as ClickHouse does.
pub fn scaled(text: &str, scale: u8) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let len = (whole.len() as i64).checked_add(exponent)?.checked_add(scale.into())?;
    if digits.trim_start_matches('0').is_empty() {
        return (!digits.is_empty()).then(|| "0".to_owned());
    }
    match usize::try_from(len) {
        Err(_) | Ok(0) => digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| "0".to_owned()),
        Ok(len) if len > DIGITS_MAX + digits.len() => None,
        Ok(len) => {
            let kept = digits.get(..len.min(digits.len()))?;
            let cut = &digits[kept.len()..];
            cut.bytes().all(|digit| digit.is_ascii_digit()).then(|| format!("{sign}{kept:0<len$}"))
        }
    }
}

/// Of an integer of 256 bits.
const DIGITS_MAX: usize = 78;

fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < 10u128.pow(u32::from(precision))
}

fn is_negative(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|last| last & 0x80 != 0)
}

fn magnitude(bytes: &[u8]) -> Vec<u8> {
    let mut carry = true;
    let negated = bytes.iter().map(|byte| {
        let (value, over) = (!byte).overflowing_add(u8::from(carry));
        carry = over;
        value
    });
    negated.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_i128_prints() {
        for value in [0, 1, -1, 10, i128::MAX, i128::MIN, 1 << 64, -(1 << 90) + 7] {
            assert_eq!(signed(&value.to_le_bytes()), value.to_string());
            assert_eq!(unsigned(&value.to_le_bytes()), (value as u128).to_string());
        }
    }

    #[test]
    fn precision_is_exact() {
        assert!(fits_decimal(&999_999_999i32.to_le_bytes(), 9));
        assert!(!fits_decimal(&(-1_000_000_000i32).to_le_bytes(), 9));
        assert!(!fits_decimal(&i128::MIN.to_le_bytes(), 38));
        let mut wide = [0u8; 32];
        wide[31] = 0x7f;
        assert!(!fits_decimal(&wide, 76));
    }

    #[test]
    fn reads_what_it_prints() {
        for value in [0, 1, -1, 10, i128::MAX, i128::MIN, 1 << 64, -(1 << 90) + 7] {
            let bytes = value.to_le_bytes();
            assert_eq!(parse_signed(&value.to_string(), 16).unwrap()[..16], bytes);
            assert_eq!(parse_unsigned(&(value as u128).to_string(), 16).unwrap()[..16], bytes);
        }
        let most = unsigned(&[0xff; 32]);
        assert_eq!(parse_unsigned(&most, 32), Some([0xff; 32]));
        for (text, width) in [("128", 1), ("-129", 1), ("", 16), ("-", 16), ("1_0", 16), ("--1", 16), (&*most, 32)] {
            assert_eq!(parse_signed(text, width), None, "{text}");
        }
        assert_eq!(parse_unsigned(&format!("{most}0"), 32), None);
        assert_eq!(parse_unsigned("256", 1), None);
        assert_eq!(parse_signed("-128", 1).unwrap()[0], 0x80);
    }

    #[test]
    fn decimals_are_scaled_exactly() {
        for (text, digits) in [
            ("12.5", "1250"),
            ("-0.019", "-001"),
            ("1e-2", "1"),
            ("1.5E2", "15000"),
            ("0", "0"),
            ("-0.00", "0"),
            ("0e999999999", "0"),
            ("1e-400", "0"),
            ("7", "700"),
        ] {
            assert_eq!(scaled(text, 2).as_deref(), Some(digits), "{text}");
        }
        for text in ["", "-", "1e", "1e400", "1e9223372036854775807", "ä", "1.ä"] {
            let read = scaled(text, 2).and_then(|digits| parse_signed(&digits, 32));
            assert_eq!(read, None, "{text}");
        }
    }
}
