//! Which splits the readers of a source are given, at the start and while the job runs.

use super::reader_state::{EncodedSeen, ReaderState};
use snapline_connector::{DiscoveryContext, DiscoveryOutlook, SeenSplits, Source, SourceSplit, SplitDealer};
use snapline_core::{Error, Result};
use snapline_state::OperatorState;

/// What is known of the splits of a source that grows.
#[derive(Debug, Clone)]
pub struct KnownSplits {
    seen: SeenSplits,
    dealer: SplitDealer,
    readers: u32,
    outlook: DiscoveryOutlook,
}

/// What a look for new splits has brought.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "a runtime needs both")]
pub struct FoundSplits {
    /// What is known from now on.
    pub known: KnownSplits,
    /// What each reader has to be told; nobody anything when nothing is new.
    pub additions: Vec<OperatorState>,
}

/// Finds what a job begins with that starts at the beginning.
pub(super) async fn begin<S: Source>(source: &S, readers: u32) -> Result<Vec<OperatorState>> {
    let mut known = KnownSplits::none(readers);
    let splits = known.find_more(source).await?;
    let has_seen = source.discovery_interval().is_some() || !known.seen.is_empty();
    let seen = has_seen.then(|| EncodedSeen::of(&known.seen)).transpose()?;
    known.deal(splits, seen)
}

/// What the readers of a checkpoint have left, for as many readers as there are now.
pub(super) fn resume<S: Source>(
    source: &S,
    states: Vec<OperatorState>,
    readers: u32,
) -> Result<Vec<OperatorState>> {
    let mut all = decoded::<S::Split>(&states)?;
    let seen = all.iter_mut().find_map(|state| state.seen.take());
    if seen.is_none() && source.discovery_interval().is_some() {
        return Err(not_known());
    }
    if states.len() == readers as usize {
        return Ok(states);
    }
    let mut known = KnownSplits::none(readers);
    known.outlook = outlook_of(&all);
    let splits = all.into_iter().flat_map(|state| state.splits);
    known.deal(splits.collect(), seen)
}

/// What is known of a source when its readers begin with these states.
pub(super) fn known<S: SourceSplit>(states: &[&OperatorState]) -> Result<KnownSplits> {
    let all = decoded::<S>(states.iter().copied())?;
    let mut known = KnownSplits::none(u32::try_from(all.len()).unwrap_or(u32::MAX));
    known.outlook = outlook_of(&all);
    for (reader, state) in all.iter().enumerate() {
        known.dealer.note(reader, &state.splits);
        if let Some(seen) = &state.seen {
            known.seen = seen.decode()?;
        }
    }
    Ok(known)
}

/// Looks for splits that are not known.
pub(super) async fn look<S: Source>(source: &S, mut known: KnownSplits) -> Result<FoundSplits> {
    let before = known.seen.len();
    let splits = known.find_more(source).await?;
    let has_news = known.seen.len() > before || !splits.is_empty() || !known.may_grow();
    let additions = match has_news {
        true => {
            let seen = EncodedSeen::of(&known.seen)?;
            known.deal(splits, Some(seen))?
        }
        false => Vec::new(),
    };
    Ok(FoundSplits { known, additions })
}

impl KnownSplits {
    fn none(readers: u32) -> Self {
        Self {
            seen: SeenSplits::default(),
            dealer: SplitDealer::new(readers as usize),
            readers,
            outlook: DiscoveryOutlook::MoreMayCome,
        }
    }

    /// Whether there may be more of them.
    pub fn may_grow(&self) -> bool {
        self.outlook == DiscoveryOutlook::MoreMayCome
    }

    /// Asks a new enumerator, so that of a look that fails nothing is left.
    async fn find_more<S: Source>(&mut self, source: &S) -> Result<Vec<S::Split>> {
        let context = DiscoveryContext {
            parallelism: self.readers,
        };
        let mut enumerator = source.enumerator()?;
        let found = enumerator.discover_new(&context, &mut self.seen).await?;
        if source.discovery_interval().is_some() {
            self.outlook = found.outlook;
        }
        Ok(found.splits)
    }

    /// What each reader gets; the first one keeps what was seen.
    fn deal<S: SourceSplit>(
        &mut self,
        splits: Vec<S>,
        seen: Option<EncodedSeen>,
    ) -> Result<Vec<OperatorState>> {
        let (mut seen, outlook) = (seen, self.outlook);
        let state = |splits| ReaderState {
            splits,
            seen: seen.take(),
            outlook,
        };
        let states = self.dealer.deal(splits).into_iter().map(state);
        states.map(|state| state.to_state()).collect()
    }
}

fn decoded<'a, S: SourceSplit>(
    states: impl IntoIterator<Item = &'a OperatorState>,
) -> Result<Vec<ReaderState<S>>> {
    states.into_iter().map(ReaderState::of).collect()
}

fn outlook_of<S>(states: &[ReaderState<S>]) -> DiscoveryOutlook {
    let complete = states
        .iter()
        .find(|state| state.outlook == DiscoveryOutlook::Complete);
    complete.map_or(DiscoveryOutlook::MoreMayCome, |state| state.outlook)
}

fn not_known() -> Error {
    Error::invalid(
        "the checkpoint does not tell which splits were found, because its source was none that grows; go on with \
         that one, or give this one another .uid(...) so that it starts anew",
    )
}

#[cfg(test)]
mod tests;
