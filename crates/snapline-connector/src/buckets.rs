//! Folders below the place of a sink, among which its records are divided.

use snapline_core::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// Appends the name of a record's folder.
type Name<T> = dyn Fn(&T, &mut String) + Send + Sync;

/// Says into which folder a record goes, for sinks that write files or objects. A clone is as cheap as a reference.
///
/// The name of a bucket is a path of folders with `/` between them, none of which is empty or begins with a `.`.
pub struct Buckets<T>(Arc<Name<T>>);

impl<T> Buckets<T> {
    /// Each record goes into the folder of this name.
    pub fn new<B: AsRef<str>>(bucket: impl Fn(&T) -> B + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |record, name| {
            name.push_str(bucket(record).as_ref())
        }))
    }

    /// Hands out records of one folder that follow each other, in their order, with its name, which is not
    /// [checked](check_bucket).
    ///
    /// # Errors
    /// What `append` fails with.
    pub fn divide<'a>(
        &self,
        mut records: &'a [T],
        mut append: impl FnMut(&str, &'a [T]) -> Result<()>,
    ) -> Result<()> {
        let (mut name, mut next) = (String::new(), String::new());
        if let Some(first) = records.first() {
            (self.0)(first, &mut name);
        }
        while !records.is_empty() {
            let is_same = |record: &&T| {
                next.clear();
                (self.0)(record, &mut next);
                next == name
            };
            let others = records[1..].iter().take_while(is_same).count();
            let (run, rest) = records.split_at(others + 1);
            append(&name, run)?;
            records = rest;
            std::mem::swap(&mut name, &mut next);
        }
        Ok(())
    }
}

/// Refuses what is not the name of a bucket.
///
/// # Errors
/// `Invalid` naming it.
pub fn check_bucket(bucket: &str) -> Result<()> {
    let is_folder = |part: &str| !part.is_empty() && !part.starts_with('.');
    if bucket.split('/').all(is_folder) && !bucket.contains(['\\', '\0']) {
        return Ok(());
    }
    Err(Error::invalid(
        "a bucket must be a relative path of folders with '/' between them, none of which is empty or begins with a \
         '.', without '\\' and NUL; replace such characters in the function that says the bucket",
    )
    .with("given", format!("{bucket:?}")))
}

impl<T> Clone for Buckets<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Buckets<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buckets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(records: &[u32]) -> Vec<(String, Vec<u32>)> {
        let mut runs = Vec::new();
        let buckets = Buckets::new(|record: &u32| format!("{}", record / 10));
        let append = |name: &str, run: &[u32]| {
            runs.push((name.to_owned(), run.to_vec()));
            Ok(())
        };
        buckets.divide(records, append).unwrap();
        runs
    }

    #[test]
    fn records_of_one_bucket_that_follow_each_other_stay_together() {
        assert_eq!(divided(&[]), []);
        assert_eq!(divided(&[5]), [("0".to_owned(), vec![5])]);
        let runs = [("1", vec![11, 12]), ("2", vec![23]), ("1", vec![14, 15, 16])];
        let expected = runs.map(|(name, run)| (name.to_owned(), run));
        assert_eq!(divided(&[11, 12, 23, 14, 15, 16]), expected);
    }

    #[test]
    fn a_bucket_is_a_folder_below() {
        for bucket in ["a", "day=2026-12-01/hour=03", "ä b/c:d", "a.b"] {
            check_bucket(bucket).unwrap();
        }
        for bucket in [
            "", "/a", "a/", "a//b", ".", "..", "a/../b", ".hidden", "a\\b", "a\0",
        ] {
            let error = check_bucket(bucket).unwrap_err();
            assert_eq!(error.context("given"), Some(format!("{bucket:?}").as_str()));
        }
    }
}
