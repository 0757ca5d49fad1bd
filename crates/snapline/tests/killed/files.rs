//! Files in a folder.

use super::outside::{Form, Outside, Row, assert_all_once, parse};
use snapline::Result;
use snapline::prelude::*;
use std::fs;
use tempfile::TempDir;

pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn start() -> Result<Self, String> {
        tempfile::tempdir().map(Self).map_err(|error| error.to_string())
    }
}

impl Outside for Files {
    fn prepare(&mut self, _: Form, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn can_restart(&self) -> bool {
        false
    }

    fn assert_exactly_once(&self, form: Form, name: &str) {
        let files = fs::read_dir(self.0.path().join(name)).unwrap();
        let (visible, hidden): (Vec<_>, Vec<_>) = files
            .map(|file| file.unwrap().path())
            .partition(|path| path.file_name().unwrap().to_str().unwrap().starts_with("part-"));
        let hidden: Vec<_> = hidden
            .iter()
            .filter(|path| !path.ends_with(".part-owner"))
            .collect();
        assert!(hidden.is_empty(), "{name}: drafts were left behind: {hidden:?}");
        let texts = visible.iter().map(|path| fs::read_to_string(path).unwrap());
        let rows = texts.flat_map(|text| text.lines().map(parse).collect::<Vec<_>>());
        assert_all_once(rows, form.rows(), name);
    }
}

pub(crate) fn write(rows: DataStream<Row>, folder: &str) {
    let encode = |(key, value): &Row, buffer: &mut Vec<u8>| {
        buffer.extend(format!("{key} {value}\n").into_bytes());
    };
    rows.sink_to(FileSink::with_encoder(folder, encode)).uid("rows");
}
