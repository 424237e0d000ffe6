//! Integers of 128 and 256 bits, as little-endian bytes: comparing and printing.

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
}
