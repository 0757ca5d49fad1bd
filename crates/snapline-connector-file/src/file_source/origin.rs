//! What is known of a file besides its records.

use crate::local_path::percent_decoded;
use std::path::Path;

/// The file that a record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOrigin {
    path: String,
    partitions: Vec<(String, String)>,
}

impl FileOrigin {
    pub(super) fn of(path: &str) -> Self {
        let folders = Path::new(path).parent().into_iter().flat_map(Path::components);
        let partitions = folders.filter_map(|folder| {
            let (key, value) = folder.as_os_str().to_str()?.split_once('=')?;
            let value = percent_decoded(value).unwrap_or_else(|| value.to_owned());
            Some((key.to_owned(), value))
        });
        Self {
            path: path.to_owned(),
            partitions: partitions.collect(),
        }
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The values of the folders above it that are named in hive's style, `key=value`, from the outermost to the innermost.
    /// Percent signs with two hexadecimal digits are decoded.
    pub fn partitions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.partitions
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of the innermost folder with this key.
    pub fn partition(&self, key: &str) -> Option<&str> {
        let mut partitions = self.partitions.iter().rev();
        let found = partitions.find(|(of, _)| of == key);
        found.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_a_key_and_a_value_are_partitions() {
        let origin = FileOrigin::of("/data/day=2024-05-01/city=S%C3%A3o%20Paulo/none/x=y.csv");
        let partitions: Vec<_> = origin.partitions().collect();
        assert_eq!(partitions, [("day", "2024-05-01"), ("city", "São Paulo")]);
        assert_eq!(origin.partition("day"), Some("2024-05-01"));
        assert_eq!(origin.partition("x"), None);
        assert_eq!(FileOrigin::of("a=1/a=2/b=%zz/f").partition("a"), Some("2"));
        assert_eq!(FileOrigin::of("b=%zz/f").partition("b"), Some("%zz"));
    }
}
