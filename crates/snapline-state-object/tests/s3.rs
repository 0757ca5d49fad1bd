//! The storage on a real server that speaks S3, over a network that breaks.

#![expect(clippy::unwrap_used, reason = "all of this is tests")]

use bytes::Bytes;
use futures::StreamExt;
use futures::executor::block_on;
use snapline_core::{Error, ErrorKind, Result};
use snapline_state::{CheckpointStorage, Created, StorageKey, Stored};
use snapline_state_object::{ObjectCheckpointStorage, ObjectStorageBuilder, Retries};
use snapline_testkit::checkpoint_storage::{Outcome, Subject, cases};
use snapline_testkit::fault::Schedule;
use snapline_testkit::services::{S3, Unreliable, skip};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

/// How to reach a place that nobody has used.
#[derive(Clone)]
struct Place {
    url: String,
    endpoint: String,
    has_keys: bool,
}

impl Place {
    fn on(server: &S3) -> Self {
        let unique = RandomState::new().hash_one(std::process::id());
        Self {
            url: format!("s3://{}/tests/{unique:x}", server.bucket()),
            endpoint: server.endpoint().to_owned(),
            has_keys: !server.is_own(),
        }
    }

    fn at(endpoint: impl Into<String>) -> Self {
        Self {
            url: "s3://bucket/prefix".to_owned(),
            endpoint: endpoint.into(),
            has_keys: false,
        }
    }

    fn through(&self, network: &Unreliable) -> Self {
        Self {
            endpoint: network.endpoint(),
            ..self.clone()
        }
    }

    fn builder(&self) -> ObjectStorageBuilder {
        let builder = ObjectCheckpointStorage::builder(&self.url)
            .option("aws_endpoint", &self.endpoint)
            .option("allow_http", "true")
            .retries(soon());
        if self.has_keys {
            return builder;
        }
        let keys = [
            ("access_key_id", "key"),
            ("secret_access_key", "secret"),
            ("region", "us-east-1"),
        ];
        let set = |builder: ObjectStorageBuilder, (name, value)| builder.option(name, value);
        keys.into_iter().fold(builder, set)
    }

    fn open(&self) -> ObjectCheckpointStorage {
        block_on(self.builder().build()).unwrap()
    }

    fn refusal(&self, builder: ObjectStorageBuilder) -> Error {
        block_on(builder.build()).unwrap_err()
    }
}

fn soon() -> Retries {
    Retries::within(Duration::from_secs(60)).delays(Duration::from_millis(2), Duration::from_millis(50))
}

fn key(name: &str) -> StorageKey {
    StorageKey::new(name).unwrap()
}

/// Megabytes that differ from each other.
fn megabytes(count: usize) -> Vec<Bytes> {
    let block: Vec<u8> = (0..1 << 20).map(|index: u32| ((index * 31) >> 3) as u8).collect();
    let megabyte = |number: usize| {
        let mut block = block.clone();
        block[..8].copy_from_slice(&number.to_le_bytes());
        Bytes::from(block)
    };
    (0..count).map(megabyte).collect()
}

fn put(storage: &ObjectCheckpointStorage, name: &str, pieces: Vec<Bytes>) -> Result<Stored> {
    block_on(storage.put(
        &key(name),
        futures::stream::iter(pieces.into_iter().map(Ok)).boxed(),
    ))
}

fn get(storage: &ObjectCheckpointStorage, name: &str) -> Option<Bytes> {
    block_on(storage.get(&key(name), None)).unwrap()
}

fn create(storage: &ObjectCheckpointStorage, name: &str, bytes: &'static str) -> Result<Created> {
    block_on(storage.create(&key(name), bytes.into()))
}

#[test]
fn the_storage_keeps_its_contract_on_s3() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    for case in cases() {
        let place = Place::on(&server);
        let subject = Subject::new(place.open()).reopened_by(move || place.open());
        assert_eq!(case.check(subject), Outcome::Held, "{}", case.name);
    }
}

#[test]
fn large_objects_go_and_come_in_parts_and_nothing_is_left_of_those_given_up() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let storage = Place::on(&server).open();
    let pieces = megabytes(40);
    let whole = Bytes::from(pieces.concat());
    let stored = put(&storage, "large", pieces.clone()).unwrap();
    assert_eq!((stored.len, stored.checksum), (40 << 20, crc32c::crc32c(&whole)));
    assert!(get(&storage, "large") == Some(whole.clone()));
    let range = (17 << 20) + 5..(35 << 20) + 7;
    let part = block_on(storage.get(&key("large"), Some(range.start as u64..range.end as u64)));
    assert!(part.unwrap() == Some(whole.slice(range)));

    let failing = futures::stream::iter(pieces.into_iter().map(Ok));
    let failing = failing.chain(futures::stream::iter([Err(Error::cancelled("given up"))]));
    let outcome = block_on(storage.put(&key("failed"), failing.boxed()));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(get(&storage, "failed"), None);
    let uploads = || {
        server
            .request("GET", &format!("/{}?uploads", server.bucket()))
            .unwrap()
    };
    while server.is_own() && uploads().contains("<Upload>") {
        thread::yield_now();
    }
}

#[test]
fn one_in_ten_connections_that_break_cost_time_and_nothing_else() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let network = Unreliable::before(server.endpoint(), Schedule::seeded(3, 10)).unwrap();
    let place = Place::on(&server).through(&network);
    let (storage, other) = (place.open(), place.open());
    let pieces = megabytes(17);
    put(&storage, "large", pieces.clone()).unwrap();
    assert!(get(&other, "large") == Some(pieces.concat().into()));
    for number in 0..40 {
        let name = format!("epoch/{number:02}");
        assert_eq!(create(&storage, &name, "one").unwrap(), Created::New);
        let taken = Created::AlreadyExists("one".into());
        assert_eq!(create(&other, &name, "two").unwrap(), taken);
        put(&storage, &format!("state/{number:02}"), vec!["state".into()]).unwrap();
    }
    let names = block_on(other.list("epoch/", None)).unwrap();
    assert_eq!(names.len(), 40);
    block_on(storage.delete(&names)).unwrap();
    assert_eq!(block_on(other.list("epoch/", None)).unwrap(), []);
    // moto closes each connection after its answer, other servers do not.
    assert!(network.accepted() > 150 || !server.is_own());
}

#[test]
fn an_outage_costs_time_and_a_longer_one_is_unavailable() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let network = Unreliable::before(server.endpoint(), Schedule::never()).unwrap();
    let place = Place::on(&server).through(&network);
    let storage = place.open();
    network.cut();
    thread::scope(|scope| {
        let created = scope.spawn(|| create(&storage, "a", "one").unwrap());
        let stored = scope.spawn(|| put(&storage, "b", megabytes(9)).unwrap());
        network.wait_for_refused(20);
        network.mend();
        assert_eq!(created.join().unwrap(), Created::New);
        assert_eq!(stored.join().unwrap().len, 9 << 20);
    });

    let short =
        Retries::within(Duration::from_millis(100)).delays(Duration::from_millis(2), soon().longest_delay);
    let storage = block_on(place.builder().retries(short).build()).unwrap();
    network.cut();
    let name = key("a");
    let outcomes = [
        create(&storage, "a", "one").map(drop),
        put(&storage, "c", megabytes(9)).map(drop),
        block_on(storage.get(&name, None)).map(drop),
        block_on(storage.list("", None)).map(drop),
        block_on(storage.delete(std::slice::from_ref(&name))),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    network.mend();
    assert_eq!(
        create(&storage, "a", "two").unwrap(),
        Created::AlreadyExists("one".into())
    );
    assert_eq!(get(&storage, "c"), None);
}

#[test]
fn a_bucket_that_does_not_exist_is_a_clear_error() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let place = Place {
        url: format!("s3://{}-missing/prefix", server.bucket()),
        ..Place::on(&server)
    };
    for builder in [place.builder(), place.builder().single_writer()] {
        let error = place.refusal(builder);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("there is no such bucket"), "{error}");
    }
}

#[test]
fn keys_that_are_missing_are_told() {
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_some() {
        return skip("there are keys in the environment".to_owned());
    }
    let nobody = answering(404, "NotFound");
    let builder = ObjectCheckpointStorage::builder("s3://bucket/prefix")
        .option("aws_endpoint", &nobody)
        .option("metadata_endpoint", &nobody)
        .option("allow_http", "true")
        .retries(Retries::none());
    let error = block_on(builder.build()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("set AWS_ACCESS_KEY_ID"), "{error}");
}

#[test]
fn keys_that_a_server_refuses_are_told() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    if server.is_own() {
        return skip("moto takes any keys; cargo xtask deep runs it on a server that does not".to_owned());
    }
    let place = Place::on(&server);
    for builder in [
        place.builder(),
        place.builder().single_writer(),
        place.builder().read_only(),
    ] {
        let error = place.refusal(builder.option("secret_access_key", "wrong"));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("refuses the credentials"), "{error}");
    }
}

#[test]
fn an_unfit_server_is_refused_and_serves_a_single_writer() {
    let server = (
        std::env::var("SNAPLINE_UNFIT_S3_ENDPOINT"),
        std::env::var("SNAPLINE_UNFIT_S3_BUCKET"),
    );
    let (Ok(endpoint), Ok(bucket)) = server else {
        return skip("no server is named that is unfit; cargo xtask deep runs it on one".to_owned());
    };
    let place = Place {
        url: format!("s3://{bucket}/tests"),
        ..Place::at(endpoint)
    };
    let error = place.refusal(place.builder());
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    for part in [
        "does not honour conditional creates",
        "single_writer()",
        "racing writers won",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let storage = block_on(place.builder().single_writer().build()).unwrap();
    let pieces = megabytes(20);
    put(&storage, "large", pieces.clone()).unwrap();
    assert!(get(&storage, "large") == Some(pieces.concat().into()));
    assert_eq!(create(&storage, "epoch/1", "one").unwrap(), Created::New);
    let taken = Created::AlreadyExists("one".into());
    assert_eq!(create(&storage, "epoch/1", "two").unwrap(), taken);
    assert_eq!(block_on(storage.list("epoch/", None)).unwrap(), [key("epoch/1")]);
}

#[test]
fn what_a_server_answers_is_told_with_what_to_do() {
    let cases = [
        (501, "NotImplemented", ErrorKind::Unsupported, "single_writer()"),
        (200, "", ErrorKind::Unsupported, "16 of 16 racing writers won"),
        (403, "RequestTimeTooSkewed", ErrorKind::Invalid, "set the clock"),
        (403, "InvalidAccessKeyId", ErrorKind::Invalid, "check the keys"),
        (400, "ExpiredToken", ErrorKind::Invalid, "check the keys"),
        (404, "NoSuchBucket", ErrorKind::Invalid, "there is no such bucket"),
        (301, "PermanentRedirect", ErrorKind::Invalid, "set AWS_REGION"),
        (400, "InvalidArgument", ErrorKind::Invalid, "rejects the request"),
        (503, "SlowDown", ErrorKind::Unavailable, "SlowDown"),
    ];
    for (status, code, kind, advice) in cases {
        let place = Place::at(answering(status, code));
        let error = place.refusal(place.builder().retries(Retries::none()));
        assert_eq!(error.kind(), kind, "{status} {code}: {error}");
        assert!(error.to_string().contains(advice), "{status} {code}: {error}");
    }
}

#[test]
fn settings_that_cannot_work_are_told_with_what_to_do() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let place = Place::at(closed);
    let cases = [
        (
            place.builder().retries(Retries::none()),
            ErrorKind::Unavailable,
            "cannot open",
        ),
        (
            place.builder().option("allow_http", "false"),
            ErrorKind::Invalid,
            "AWS_ALLOW_HTTP",
        ),
        (
            place.builder().option("regoin", "here"),
            ErrorKind::Invalid,
            "no such option",
        ),
        (
            place.builder().part_size(1 << 20),
            ErrorKind::Invalid,
            "raise the part size",
        ),
    ];
    for (builder, kind, advice) in cases {
        let error = place.refusal(builder);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
}

/// A server that answers every request with this.
fn answering(status: u16, code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut len = 0;
            let mut request = BufReader::new(&stream);
            let mut line = String::new();
            while request.read_line(&mut line).is_ok_and(|read| read > 2) {
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    len = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let _ = request.take(len).read_to_end(&mut Vec::new());
            let body = format!("<Error><Code>{code}</Code></Error>");
            let len = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nETag: \"x\"\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    endpoint
}
