//! Comma-separated values, as in RFC 4180.

use super::FileSource;
use super::format::{Decoded, Format, Records, Undecoded};
use super::input::{Input, Text};
use ::csv::{ByteRecord, Reader, ReaderBuilder};
use snapline_core::{Data, Error, Result};
use std::marker::PhantomData;
use std::path::Path;

/// How the values of a line are told apart.
#[derive(Debug, Clone)]
pub struct CsvFormat {
    delimiter: u8,
    has_headers: bool,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            delimiter: b',',
            has_headers: true,
        }
    }
}

impl CsvFormat {
    /// Commas between values, and a first line with their names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another character between values.
    #[must_use]
    pub fn delimiter(self, delimiter: u8) -> Self {
        Self { delimiter, ..self }
    }

    /// No line with names: values go to the fields of a record in their order.
    #[must_use]
    pub fn without_headers(self) -> Self {
        Self {
            has_headers: false,
            ..self
        }
    }

    fn reader(&self, text: Text) -> Reader<Text> {
        ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text)
    }
}

impl<T: Data> FileSource<T> {
    /// A record of each line of CSV, whose values go to the fields with the names in the first line. The path is as of
    /// [`FileSource::lines`].
    pub fn csv(path: impl AsRef<Path>) -> Self {
        Self::csv_with(path, CsvFormat::new())
    }

    /// The same in another manner.
    pub fn csv_with(path: impl AsRef<Path>, format: CsvFormat) -> Self {
        Self::of(path, CsvOf(format, PhantomData))
    }
}

struct CsvOf<T>(CsvFormat, PhantomData<fn() -> T>);

impl<T: Data> Format<T> for CsvOf<T> {
    /// Whether a line end stands between quotes is known only to who has read from the beginning.
    fn cuts_anywhere(&self) -> bool {
        false
    }

    fn open(&self, input: &Input, from: u64) -> Result<Box<dyn Records<T>>> {
        let Self(format, _) = self;
        let mut records = CsvRecords {
            reader: format.reader(input.open(0)?),
            input: input.clone(),
            names: None,
            record: ByteRecord::new(),
            start: 0,
            of: PhantomData,
        };
        if format.has_headers && records.read()? {
            records.names = Some(std::mem::take(&mut records.record));
        }
        if from > records.byte() {
            records.reader = format.reader(input.open(from)?);
            records.start = from;
        }
        Ok(Box::new(records))
    }
}

struct CsvRecords<T> {
    input: Input,
    reader: Reader<Text>,
    names: Option<ByteRecord>,
    record: ByteRecord,
    /// The byte from which the reader reads.
    start: u64,
    of: PhantomData<fn() -> T>,
}

impl<T> CsvRecords<T> {
    /// False at the end.
    fn read(&mut self) -> Result<bool> {
        let read = self.reader.read_byte_record(&mut self.record);
        read.map_err(|error| {
            let at = self.start + self.reader.position().byte();
            self.input.unreadable(at, error.into())
        })
    }
}

impl<T: Data> CsvRecords<T> {
    fn decode(&self) -> Result<T> {
        if let Some(names) = self
            .names
            .as_ref()
            .filter(|names| names.len() != self.record.len())
        {
            return Err(Error::invalid(
                "the line has another number of values than the first line has names",
            )
            .with("names", names.len())
            .with("values", self.record.len()));
        }
        self.record
            .deserialize(self.names.as_ref())
            .map_err(|error| Error::invalid("the values are not those that the record needs").because(error))
    }
}

impl<T: Data> Records<T> for CsvRecords<T> {
    fn next(&mut self) -> Result<Option<Decoded<T>>> {
        if !self.read()? {
            return Ok(None);
        }
        Ok(Some(match self.decode() {
            Ok(record) => Decoded::Record(record),
            Err(error) => Decoded::Not(Undecoded {
                raw: self.record.as_slice().to_vec(),
                error,
                may_begin_with_line_ends: true,
            }),
        }))
    }

    fn byte(&self) -> u64 {
        self.start + self.reader.position().byte()
    }

    fn lines(&self) -> u64 {
        self.reader.position().line() - 1
    }
}
