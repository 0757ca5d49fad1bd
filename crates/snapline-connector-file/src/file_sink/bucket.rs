//! Where files of buckets are.

/// The bucket of a sink that has no others: the directory itself.
pub(super) const ROOT: &str = "";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_its_bucket() {
        for (bucket, file) in [("a/b", "a/b/part-1"), (ROOT, "part-1")] {
            assert_eq!((join(bucket, "part-1").as_str(), of(file)), (file, bucket));
        }
    }
}
