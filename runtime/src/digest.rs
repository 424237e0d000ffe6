//! The name of bytes: their SHA-256. Modules are known by it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A SHA-256, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no digest; write sha256: and 64 hexadecimal digits")]
pub struct NoDigest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 digits, without `sha256:`.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let bytes = || {
            let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64)?;
            let mut bytes = [0; 32];
            for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
                let digit = |at: usize| char::from(pair[at]).to_digit(16);
                *byte = (digit(0)? * 16 + digit(1)?) as u8;
            }
            Some(Self(bytes))
        };
        bytes().ok_or_else(|| NoDigest(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn is_read_as_it_is_written() {
        assert_eq!(Digest::of(b"abc").to_string(), OF_ABC);
        assert_eq!(OF_ABC.parse(), Ok(Digest::of(b"abc")));
        assert_eq!(OF_ABC.to_uppercase().replace("SHA", "sha").parse(), Ok(Digest::of(b"abc")));
    }

    #[test]
    fn other_texts_are_no_digests() {
        let long = format!("{OF_ABC}0");
        let wide = OF_ABC.replace("ba", "é");
        for text in ["", "sha256:", &OF_ABC[7..], &OF_ABC[..70], &long, &wide, &OF_ABC.replace('7', "g")] {
            assert_eq!(text.parse::<Digest>(), Err(NoDigest(text.to_owned())));
        }
    }
}
