//! The version of a file's content: what a versioned URL carries, and most entity tags are made of.

use core::fmt;

use sha2::{Digest as _, Sha256};

/// How many bytes of the digest count. 16: two contents with equal versions cannot be found, and URLs stay short.
const VERSION_BYTES: usize = 16;

/// The first 128 bits of a SHA-256 digest, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileVersion([u8; VERSION_BYTES]);

/// Computes a version piece by piece.
#[derive(Debug, Clone, Default)]
pub struct VersionDigest(Sha256);

impl FileVersion {
    /// Computes the version of a content in memory.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        let mut digest = VersionDigest::default();
        digest.update(content);
        digest.finish()
    }

    /// Reads a version as [`Display`](fmt::Display) writes it; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        {
            return None;
        }
        let decoded = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        decoded.try_into().ok().map(Self)
    }
}

impl VersionDigest {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the version of all bytes.
    #[must_use]
    pub fn finish(self) -> FileVersion {
        let digest = self.0.finalize();
        let mut version = [0; VERSION_BYTES];
        version.iter_mut().zip(digest).for_each(|(byte, digest)| *byte = digest);
        FileVersion(version)
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 2 * VERSION_BYTES];
        data_encoding::HEXLOWER.encode_mut(&self.0, &mut text);
        formatter.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for FileVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FileVersion({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_start_of_sha_256_however_its_bytes_are_cut() {
        // FIPS 180-2, B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223";
        assert_eq!(FileVersion::of(b"abc").to_string(), expected);
        let mut digest = VersionDigest::default();
        b"abc".iter().for_each(|byte| digest.update(&[*byte]));
        assert_eq!(digest.finish().to_string(), expected);
    }

    #[test]
    fn only_the_written_form_is_read() {
        let version = FileVersion::of(b"abc");
        assert_eq!(FileVersion::parse(&version.to_string()), Some(version));
        for text in [
            "",
            "1",
            "BA7816BF8F01CFEA414140DE5DAE2223",
            "ba7816bf8f01cfea414140de5dae22233",
            "é",
        ] {
            assert_eq!(FileVersion::parse(text), None, "{text}");
        }
    }
}
