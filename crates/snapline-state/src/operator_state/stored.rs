//! Operator state as bytes: the lists, behind them the other kinds, and behind these what all of them are of, as far as
//! there is anything to say.

use super::meta::Metas;
use super::{Lists, OperatorState, OperatorStateKind};
use crate::format::block::TableMeta;
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
        let metas = encode_metas(self.used_metas())?;
        if !self.unions.is_empty() || !self.maps.is_empty() || !metas.is_empty() {
            let maps: BTreeMap<&str, &BTreeMap<Bytes, Bytes>> =
                self.maps.iter().map(|(name, map)| (&**name, &**map)).collect();
            bytes.extend(postcard::to_allocvec(&(&self.unions, maps)).map_err(unencodable)?);
        }
        if !metas.is_empty() {
            bytes.extend(postcard::to_allocvec(&metas).map_err(unencodable)?);
        }
        Ok(bytes.into())
    }

    /// The state that these bytes hold.
    ///
    /// # Errors
    /// `Corrupted` when they hold none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (lists, rest) = postcard::take_from_bytes::<Lists>(bytes).map_err(undecodable)?;
        let (others, rest) = match rest {
            [] => (Others::default(), rest),
            rest => postcard::take_from_bytes::<Others>(rest).map_err(undecodable)?,
        };
        let metas = match rest {
            [] => Metas::new(),
            rest => decode_metas(snapline_core::decode(rest)?)?,
        };
        let (unions, maps) = others;
        let maps = maps.into_iter().map(|(name, map)| (name, Arc::new(map)));
        Ok(Self {
            lists,
            unions,
            maps: maps.collect(),
            metas,
        })
    }
}

/// Union lists and broadcast maps.
type Others = (Lists, BTreeMap<String, BTreeMap<Bytes, Bytes>>);

/// Each a document of its own, as in files of keyed state.
fn encode_metas<'a>(
    metas: impl Iterator<Item = (OperatorStateKind, &'a TableMeta)>,
) -> Result<Vec<(OperatorStateKind, Vec<u8>)>> {
    let encoded = metas.map(|(kind, meta)| Ok((kind, serde_json::to_vec(meta)?)));
    encoded
        .collect::<Result<_, serde_json::Error>>()
        .map_err(|error| Error::internal("what operator state is of cannot be encoded").because(error))
}

fn decode_metas(metas: Vec<(OperatorStateKind, Vec<u8>)>) -> Result<Metas> {
    let decoded = metas.into_iter().map(|(kind, meta)| {
        let meta: TableMeta = serde_json::from_slice(&meta)?;
        Ok(((kind, meta.name.clone()), Arc::new(meta)))
    });
    decoded
        .collect::<Result<_, serde_json::Error>>()
        .map_err(|error| Error::corrupted("what operator state is of cannot be read").because(error))
}

fn unencodable(error: postcard::Error) -> Error {
    Error::internal("operator state cannot be encoded").because(error)
}

fn undecodable(error: postcard::Error) -> Error {
    Error::corrupted("operator state cannot be decoded").because(error)
}
