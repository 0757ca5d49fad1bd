//! Folders below the directory, among which records are divided.

use snapline_core::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// Appends the name of a record's folder.
type Name<T> = dyn Fn(&T, &mut String) + Send + Sync;

/// Says into which folder a record goes. A clone is as cheap as a reference.
pub(super) struct Buckets<T>(Arc<Name<T>>);

impl<T> Buckets<T> {
    pub(super) fn new<B: AsRef<str>>(bucket: impl Fn(&T) -> B + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |record, name| {
            name.push_str(bucket(record).as_ref())
        }))
    }

    /// Hands out records of one folder that follow each other, in their order, with its name.
    pub(super) fn divide<'a>(
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

/// The bucket of a sink that has no others: the directory itself.
pub(super) const ROOT: &str = "";

/// Refuses what is neither the directory itself nor the name of a folder below it.
///
/// # Errors
/// `Invalid` naming it.
pub(super) fn check(bucket: &str) -> Result<()> {
    let is_folder = |part: &str| !part.is_empty() && !part.starts_with('.');
    if bucket == ROOT || bucket.split('/').all(is_folder) && !bucket.contains(['\\', '\0']) {
        return Ok(());
    }
    Err(Error::invalid(
        "a bucket must be a relative path of folders with '/' between them, none of which is empty or begins with a \
         '.', without '\\' and NUL; replace such characters in the function that says the bucket",
    )
    .with("given", format!("{bucket:?}")))
}

/// The name of a file of a bucket.
pub(super) fn join(bucket: &str, file: &str) -> String {
    match bucket {
        ROOT => file.to_owned(),
        bucket => format!("{bucket}/{file}"),
    }
}

/// The bucket of a file.
pub(super) fn of(file: &str) -> &str {
    file.rsplit_once('/').map_or(ROOT, |(bucket, _)| bucket)
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
    fn a_bucket_is_a_folder_below_the_directory() {
        for bucket in [ROOT, "a", "day=2026-12-01/hour=03", "ä b/c:d", "a.b"] {
            check(bucket).unwrap();
        }
        for bucket in ["/a", "a/", "a//b", ".", "..", "a/../b", ".hidden", "a\\b", "a\0"] {
            let error = check(bucket).unwrap_err();
            assert_eq!(error.context("given"), Some(format!("{bucket:?}").as_str()));
        }
        for (bucket, file) in [("a/b", "a/b/part-1"), (ROOT, "part-1")] {
            assert_eq!((join(bucket, "part-1").as_str(), of(file)), (file, bucket));
        }
    }
}
