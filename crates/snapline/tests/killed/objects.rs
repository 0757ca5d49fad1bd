//! Objects in a bucket of a server that speaks S3, over a network that is cut: the server has all in its memory.

use super::outside::{Form, Outside, Row, assert_all_once, parse};
use snapline::Result;
use snapline::connectors::object::ObjectSink;
use snapline::prelude::*;
use snapline_testkit::fault::Schedule;
use snapline_testkit::services::{S3, Unreliable};

pub(crate) struct Objects {
    server: S3,
    network: Unreliable,
}

impl Objects {
    pub(crate) fn start() -> Result<Self, String> {
        let server = S3::start("killed")?;
        let network = Unreliable::before(server.endpoint(), Schedule::never());
        let network = network.map_err(|error| error.to_string())?;
        Ok(Self { server, network })
    }

    fn get(&self, path: &str) -> String {
        let answer = self.server.request("GET", path).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// All keys below a prefix, a page at a time.
    fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = keys
                .last()
                .map_or(String::new(), |key| format!("&start-after={key}"));
            let query = format!("/{}?list-type=2&prefix={prefix}/{after}", self.server.bucket());
            let page = self.get(&query);
            let more = between(&page, "Key");
            if more.is_empty() {
                return keys;
            }
            keys.extend(more.into_iter().map(str::to_owned));
        }
    }

    /// Panics when an upload is left that has parts. Only the bucket's rules remove one that was begun and not noted before
    /// its process died.
    fn assert_no_uploads(&self, prefix: &str) {
        let bucket = self.server.bucket();
        let uploads = self.get(&format!("/{bucket}?uploads"));
        for upload in between(&uploads, "Upload") {
            let [key, id] = ["Key", "UploadId"].map(|tag| between(upload, tag)[0]);
            if key.starts_with(&format!("{prefix}/")) {
                let parts = self.get(&format!("/{bucket}/{key}?uploadId={id}"));
                assert!(
                    between(&parts, "PartNumber").is_empty(),
                    "an upload was left behind: {key}"
                );
            }
        }
    }
}

impl Outside for Objects {
    fn prepare(&mut self, _: Form, name: &str) -> String {
        format!("{} {}", self.network.endpoint(), self.server.bucket()) + "/" + name
    }

    fn restart(&mut self) {
        self.network.cut();
        self.network.mend();
    }

    fn assert_exactly_once(&self, form: Form, name: &str) {
        let (hidden, visible): (Vec<_>, Vec<_>) = self
            .keys(name)
            .into_iter()
            .partition(|key| key.contains("/_snapline/"));
        let mut notes = hidden.iter().filter(|key| key.contains("/uploads/"));
        assert_eq!(notes.next(), None, "{name}: a note of an upload was left behind");
        self.assert_no_uploads(name);
        let texts = visible
            .iter()
            .map(|key| self.get(&format!("/{}/{key}", self.server.bucket())));
        let rows = texts.flat_map(|text| text.lines().map(parse).collect::<Vec<_>>());
        assert_all_once(rows, form.rows(), name);
    }
}

/// What is between the tags of this name.
fn between<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (start, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = text.split(&*start).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(&*end)?.0.trim()))
        .collect()
}

pub(crate) fn write(rows: DataStream<Row>, place: &str) {
    let (endpoint, path) = place.split_once(' ').unwrap();
    let encode = |(key, value): &Row, buffer: &mut Vec<u8>| {
        buffer.extend(format!("{key} {value}\n").into_bytes());
    };
    let sink = ObjectSink::with_encoder(format!("s3://{path}"), encode)
        .option("aws_endpoint", endpoint)
        .option("allow_http", "true")
        .option("access_key_id", "key")
        .option("secret_access_key", "secret")
        .option("region", "us-east-1");
    rows.sink_to(sink).uid("rows");
}
