//! What is published for a record, and how many of them become one chunk of bytes.

use async_nats::HeaderMap;
use async_nats::Subject;
use async_nats::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use snapline_core::{Error, Result};
use std::str::FromStr;

/// What the server adds to the size of a header, and the line that begins them.
const HEADER_OVERHEAD: usize = 4;
const VERSION_LINE: usize = 12;

/// What is published for a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMessage {
    pub(crate) subject: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Bytes,
}

impl NewMessage {
    /// A message with these bytes, to the subject of the sink.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// Goes to this subject, which has to be one of the stream.
    #[must_use]
    pub fn subject(self, subject: impl Into<String>) -> Self {
        Self {
            subject: Some(subject.into()),
            ..self
        }
    }

    /// Has this header. `Nats-Msg-Id` and `Nats-Expected-Stream` are the sink's.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How many bytes of the server's limit it takes without what the sink adds.
    pub(crate) fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD);
        self.payload.len() + VERSION_LINE + headers.sum::<usize>()
    }

    /// Appends it to a chunk: lengths, then what they are of.
    pub(crate) fn append_to(&self, chunk: &mut Vec<u8>) -> Result<()> {
        self.check()?;
        append(chunk, self.subject.as_deref().unwrap_or_default().as_bytes())?;
        let count = u32::try_from(self.headers.len()).map_err(|_| too_long())?;
        chunk.extend_from_slice(&count.to_le_bytes());
        for (name, value) in &self.headers {
            append(chunk, name.as_bytes())?;
            append(chunk, value.as_bytes())?;
        }
        append(chunk, &self.payload)
    }

    /// Sees whether its headers can be sent.
    fn check(&self) -> Result<()> {
        for (name, value) in &self.headers {
            let is_valid = HeaderName::from_str(name).is_ok() && HeaderValue::from_str(value).is_ok();
            if !is_valid {
                return Err(Error::invalid(
                    "a header of a message has characters that headers must not have; correct the function that \
                     makes messages",
                )
                .with("header", name));
            }
        }
        Ok(())
    }
}

/// A message of a chunk, whose bytes it shares.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) subject: Option<Subject>,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

/// Takes messages off the front of a chunk.
pub(crate) struct Chunk(pub(crate) Bytes);

impl Chunk {
    fn take(&mut self) -> Option<Bytes> {
        let len = self.number()?;
        (self.0.len() >= len).then(|| self.0.split_to(len))
    }

    fn number(&mut self) -> Option<usize> {
        let bytes = self.0.first_chunk::<4>().copied()?;
        self.0 = self.0.slice(4..);
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.take()?.into()).ok()
    }

    fn message(&mut self) -> Option<Staged> {
        let subject = self.text()?;
        let mut headers = HeaderMap::new();
        for _ in 0..self.number()? {
            let name = HeaderName::from_str(&self.text()?).ok()?;
            headers.append(name, HeaderValue::from_str(&self.text()?).ok()?);
        }
        Some(Staged {
            subject: (!subject.is_empty()).then(|| Subject::from(subject)),
            headers,
            payload: self.take()?,
        })
    }
}

impl Iterator for Chunk {
    type Item = Result<Staged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = self.message();
        if message.is_none() {
            self.0.clear();
        }
        Some(message.ok_or_else(|| Error::corrupted("messages that wait to be published are damaged")))
    }
}

fn append(chunk: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    let len = u32::try_from(bytes.len()).map_err(|_| too_long())?;
    chunk.extend_from_slice(&len.to_le_bytes());
    chunk.extend_from_slice(bytes);
    Ok(())
}

fn too_long() -> Error {
    Error::invalid("a message is longer than four gigabytes; make it shorter")
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind;

    #[test]
    fn messages_come_out_of_a_chunk_as_they_went_in() {
        let messages = [
            NewMessage::new("one"),
            NewMessage::new("")
                .subject("a.b")
                .header("Key", "1")
                .header("Key", "2"),
            NewMessage::new(vec![0; 1000]),
        ];
        let mut bytes = Vec::new();
        messages
            .iter()
            .for_each(|message| message.append_to(&mut bytes).unwrap());
        let staged: Vec<_> = Chunk(bytes.clone().into()).map(Result::unwrap).collect();
        assert_eq!(staged.len(), 3);
        assert_eq!(
            (staged[0].subject.clone(), &staged[0].payload[..]),
            (None, &b"one"[..])
        );
        assert_eq!(staged[1].subject.as_deref(), Some("a.b"));
        assert_eq!(staged[1].headers.get_all("Key").count(), 2);
        assert_eq!(staged[2].payload.len(), 1000);
        bytes.pop();
        let cut: Vec<_> = Chunk(bytes.into()).collect();
        assert_eq!(cut.len(), 3);
        assert_eq!(cut[2].as_ref().unwrap_err().kind(), ErrorKind::Corrupted);
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_refused() {
        for message in [
            NewMessage::new("").header("a b", ""),
            NewMessage::new("").header("a", "1\r\n2"),
        ] {
            let error = message.append_to(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
    }
}
