//! Stores behind HTTP.

use super::{Options, StoreKind, Target};
use crate::failure::{Phase, explain};
use crate::retries::Retries;
use object_store::path::Path;
use object_store::{BackoffConfig, RetryConfig};
use snapline_core::Result;
use std::sync::Arc;
use url::Url;

/// Builds the store with what the environment says, then the options, then the URL.
macro_rules! build {
    ($builder:ty, $url:expr, $prefix:expr, $options:expr, $retries:expr, $least_part:expr) => {{
        let rejected =
            |error| explain(Phase::Opening, "cannot use the object store", error).with("url", $url);
        let mut builder = <$builder>::from_env();
        for (name, value) in $options {
            let key = name.to_ascii_lowercase().parse();
            builder = builder.with_config(key.map_err(|error| rejected(error).with("option", name))?, value);
        }
        let builder = builder.with_url($url.as_str()).with_retry(repeating($retries));
        let store = Arc::new(builder.build().map_err(|error| settings(rejected(error)))?);
        Ok(Target {
            store: store.clone(),
            parts: Some(store),
            prefix: $prefix,
            kind: StoreKind::Cloud {
                least_part: $least_part,
            },
        })
    }};
}

#[cfg(feature = "aws")]
pub(super) fn s3(url: &Url, prefix: Path, options: &Options, retries: Retries) -> Result<Target> {
    build!(
        object_store::aws::AmazonS3Builder,
        url,
        prefix,
        options,
        retries,
        5 << 20
    )
}

#[cfg(feature = "gcp")]
pub(super) fn gcs(url: &Url, prefix: Path, options: &Options, retries: Retries) -> Result<Target> {
    build!(
        object_store::gcp::GoogleCloudStorageBuilder,
        url,
        prefix,
        options,
        retries,
        5 << 20
    )
}

#[cfg(feature = "azure")]
pub(super) fn azure(url: &Url, prefix: Path, options: &Options, retries: Retries) -> Result<Target> {
    build!(
        object_store::azure::MicrosoftAzureBuilder,
        url,
        prefix,
        options,
        retries,
        1
    )
}

/// The store repeats its requests itself: it knows which page of a list, or which part of a body, has failed.
fn repeating(retries: Retries) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: retries.first_delay,
            max_backoff: retries.longest_delay,
            base: 2.0,
        },
        max_retries: if retries.total.is_zero() { 0 } else { usize::MAX },
        retry_timeout: retries.total,
    }
}

/// What is wrong before the first request does not pass.
fn settings(error: snapline_core::Error) -> snapline_core::Error {
    snapline_core::Error::invalid("the settings of the object store are not complete or not valid")
        .because(error)
}
