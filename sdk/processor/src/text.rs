//! Texts put together at compile time: the names of column types.

/// A text of limited length.
pub(crate) struct Text {
    bytes: [u8; BYTES_MAX],
    len: usize,
}

const BYTES_MAX: usize = 512;

impl Text {
    /// # Panics
    /// If the text is longer than a type's name should be.
    pub(crate) const fn join(parts: &[&str]) -> Self {
        let mut text = Self { bytes: [0; BYTES_MAX], len: 0 };
        let mut part = 0;
        while part < parts.len() {
            let bytes = parts[part].as_bytes();
            assert!(text.len + bytes.len() <= BYTES_MAX, "the name of this type is too long: use a simpler one");
            let mut at = 0;
            while at < bytes.len() {
                text.bytes[text.len] = bytes[at];
                text.len += 1;
                at += 1;
            }
            part += 1;
        }
        text
    }

    pub(crate) const fn number(value: usize) -> Self {
        let mut digits = [0; 20];
        let (mut rest, mut at) = (value, digits.len());
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        match str::from_utf8(digits.split_at(at).1) {
            Ok(digits) => Self::join(&[digits]),
            Err(_) => panic!("digits are ASCII"),
        }
    }

    pub(crate) const fn as_str(&self) -> &str {
        match str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => panic!("it is made of whole texts"),
        }
    }

    pub(crate) const fn contains(text: &str, part: &str) -> bool {
        let (text, part) = (text.as_bytes(), part.as_bytes());
        let mut start = 0;
        while start + part.len() <= text.len() {
            let mut at = 0;
            while at < part.len() && text[start + at] == part[at] {
                at += 1;
            }
            if at == part.len() {
                return true;
            }
            start += 1;
        }
        false
    }

    /// Whether a text is as a pattern says, in which `?` stands for any bytes.
    pub(crate) const fn fits(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'?', rest @ ..], []) => Self::fits(rest, text),
            ([b'?', rest @ ..], [_, tail @ ..]) => Self::fits(rest, text) || Self::fits(pattern, tail),
            ([a, rest @ ..], [b, tail @ ..]) => *a == *b && Self::fits(rest, tail),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_joined_and_numbers_printed() {
        assert_eq!(Text::join(&["Array(", Text::number(120).as_str(), ")"]).as_str(), "Array(120)");
        assert_eq!(Text::number(0).as_str(), "0");
        assert!(Text::contains("a?", "?") && !Text::contains("a", "?") && !Text::contains("", "?"));
        assert!(Text::contains("Array(Nullable(Map(", "Nullable(Map(") && !Text::contains("Arr", "Array("));
    }

    #[test]
    fn patterns_stand_for_what_is_not_known() {
        let fits = |pattern: &str, text: &str| Text::fits(pattern.as_bytes(), text.as_bytes());
        assert!(fits("UInt8", "UInt8") && !fits("UInt8", "UInt16") && !fits("UInt", "UInt8"));
        assert!(fits("Nullable(DateTime64(?))", "Nullable(DateTime64(3))"));
        assert!(fits("?256?", "UInt256") && fits("?256?", "Decimal256(4)") && !fits("?256?", "UInt128"));
    }
}
