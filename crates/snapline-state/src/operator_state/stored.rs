//! Operator state as bytes: the lists, and behind them the other kinds, if there are any.

use super::{Lists, OperatorState};
use bytes::Bytes;
use snapline_core::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

impl OperatorState {
    /// The state as bytes.
    ///
    /// # Errors
    /// `Internal`, which does not happen.
    pub fn encode(&self) -> Result<Bytes> {
        let mut bytes = postcard::to_allocvec(&self.lists).map_err(unencodable)?;
        if !self.unions.is_empty() || !self.maps.is_empty() {
            let maps: BTreeMap<&str, &BTreeMap<Bytes, Bytes>> =
                self.maps.iter().map(|(name, map)| (&**name, &**map)).collect();
            bytes.extend(postcard::to_allocvec(&(&self.unions, maps)).map_err(unencodable)?);
        }
        Ok(bytes.into())
    }

    /// The state that these bytes hold.
    ///
    /// # Errors
    /// `Corrupted` when they hold none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (lists, rest) = postcard::take_from_bytes::<Lists>(bytes).map_err(undecodable)?;
        let (unions, maps): (Lists, BTreeMap<String, BTreeMap<Bytes, Bytes>>) = match rest {
            [] => (Lists::new(), BTreeMap::new()),
            rest => snapline_core::decode(rest)?,
        };
        let maps = maps.into_iter().map(|(name, map)| (name, Arc::new(map)));
        Ok(Self {
            lists,
            unions,
            maps: maps.collect(),
        })
    }
}

fn unencodable(error: postcard::Error) -> Error {
    Error::internal("operator state cannot be encoded").because(error)
}

fn undecodable(error: postcard::Error) -> Error {
    Error::corrupted("operator state cannot be decoded").because(error)
}
