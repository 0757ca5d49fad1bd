//! Text for people.

use crate::no_commit::{NoCommitter, nothing_to_commit};
use crate::sink::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
use futures::future::BoxFuture;
use snapline_core::{Batch, CheckpointId, Error, Result};
use std::any::Any;
use std::fmt::{self, Debug, Display, Write as _};
use std::io::{self, Write};
use std::sync::Arc;

/// Writes one line for each record to standard output or to any other [`Write`].
///
/// At least once: lines appear at once, and after a failure those since the restored checkpoint
/// appear again. A batch is written by one call, so lines of different subtasks do not mix.
pub struct PrintSink<T> {
    format: Format<T>,
    open: Arc<Open>,
}

type Format<T> = fn(&[T], &mut String) -> fmt::Result;
type Open = dyn Fn(&WriterContext) -> io::Result<Box<dyn Write + Send>> + Send + Sync;

impl<T> PrintSink<T> {
    /// Each record by its `Display`, to standard output.
    pub fn display() -> Self
    where
        T: Display,
    {
        Self::formatted(|records, text| records.iter().try_for_each(|record| writeln!(text, "{record}")))
    }

    /// Each record by its `Debug`, to standard output.
    pub fn debug() -> Self
    where
        T: Debug,
    {
        Self::formatted(|records, text| records.iter().try_for_each(|record| writeln!(text, "{record:?}")))
    }

    /// Text as it is, and any other record by its `Debug`, to standard output: tuples can be printed
    /// as well as lines.
    pub fn plain() -> Self
    where
        T: Debug + 'static,
    {
        Self::formatted(|records, text| records.iter().try_for_each(|record| write_plain(record, text)))
    }

    fn formatted(format: Format<T>) -> Self {
        Self {
            format,
            open: Arc::new(|_| Ok(Box::new(io::stdout()))),
        }
    }

    /// Opens what is written to in another way, once for each subtask.
    #[must_use]
    pub fn to<W: Write + Send + 'static>(
        self,
        open: impl Fn(&WriterContext) -> io::Result<W> + Send + Sync + 'static,
    ) -> Self {
        Self {
            format: self.format,
            open: Arc::new(move |context| Ok(Box::new(open(context)?))),
        }
    }
}

impl<T: 'static> Sink<T> for PrintSink<T> {
    type Committable = ();

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, ()>>> {
        Ok(Box::new(PrintWriter {
            format: self.format,
            text: String::new(),
            output: (self.open)(&context).map_err(unwritable)?,
        }))
    }

    fn committer(&self, _: CommitterContext) -> Result<Box<dyn Committer<()>>> {
        Ok(Box::new(NoCommitter))
    }

    fn recovery_scope(&self) -> RecoveryScope {
        RecoveryScope::Subtask
    }
}

struct PrintWriter<T> {
    format: Format<T>,
    text: String,
    output: Box<dyn Write + Send>,
}

impl<T> SinkWriter<T, ()> for PrintWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.text.clear();
        (self.format)(&batch.records, &mut self.text).map_err(|error| {
            Error::invalid("a record cannot be printed; its formatting failed").because(error)
        })?;
        batch.clear();
        self.output.write_all(self.text.as_bytes()).map_err(unwritable)
    }

    fn flush(&mut self) -> Result<()> {
        self.output.flush().map_err(unwritable)
    }

    fn prepare_commit(&mut self, _: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<()>>>> {
        self.output.flush().map_err(unwritable)?;
        Ok(nothing_to_commit())
    }
}

fn write_plain<T: Debug + 'static>(record: &T, text: &mut String) -> fmt::Result {
    match (record as &dyn Any).downcast_ref::<String>() {
        Some(line) => writeln!(text, "{line}"),
        None => writeln!(text, "{record:?}"),
    }
}

fn unwritable(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Error::cancelled("the reader of the printed output has gone away").because(error);
    }
    Error::unavailable("printing failed").because(error)
}

impl<T> Debug for PrintSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrintSink").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{prepare, write, writer_context};
    use snapline_core::ErrorKind;
    use std::sync::Mutex;

    /// Says what it was told to do.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<String>>, Option<io::ErrorKind>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.1 {
                return Err(kind.into());
            }
            *self.0.lock().unwrap() += &format!("<{}>", String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            *self.0.lock().unwrap() += "flush";
            Ok(())
        }
    }

    #[test]
    fn plain_text_has_no_quotes_and_tuples_can_be_printed() {
        let paper = Paper::default();
        let (lines, pairs) = (paper.clone(), paper.clone());
        let lines = PrintSink::plain().to(move |_| Ok(lines.clone()));
        write(
            lines.writer(writer_context(0)).unwrap().as_mut(),
            vec!["a".to_owned()],
        );
        let pairs = PrintSink::plain().to(move |_| Ok(pairs.clone()));
        write(pairs.writer(writer_context(0)).unwrap().as_mut(), vec![("a", 1)]);
        assert_eq!(*paper.0.lock().unwrap(), "<a\n><(\"a\", 1)\n>");
    }

    #[test]
    fn a_batch_is_one_write_and_a_checkpoint_flushes() {
        let paper = Paper::default();
        let open = |sink: PrintSink<_>| {
            let paper = paper.clone();
            sink.to(move |_| Ok(paper.clone()))
                .writer(writer_context(0))
                .unwrap()
        };
        write(open(PrintSink::display()).as_mut(), vec!["a", "b"]);
        let mut writer = open(PrintSink::debug());
        write(writer.as_mut(), vec!["c"]);
        assert!(prepare(writer.as_mut(), 1).is_empty());
        assert_eq!(*paper.0.lock().unwrap(), "<a\nb\n><\"c\"\n>flush");
    }

    #[test]
    fn a_closed_pipe_cancels_and_a_full_disk_may_recover() {
        let cases = [
            (io::ErrorKind::BrokenPipe, ErrorKind::Cancelled),
            (io::ErrorKind::StorageFull, ErrorKind::Unavailable),
        ];
        for (failure, kind) in cases {
            let sink = PrintSink::display().to(move |_| Ok(Paper(Arc::default(), Some(failure))));
            let mut writer = sink.writer(writer_context(0)).unwrap();
            let error = writer.write(&mut Batch::from(vec![1])).unwrap_err();
            assert_eq!(error.kind(), kind);
        }
    }
}
