//! Rebuilding a sliver from crossing symbols: no more are asked for than are needed, without proofs;
//! only when they lead to another root are proofs asked for, and the liar is named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_api::ApiError;
use floe_api::messages::{SymbolsOf, SymbolsWanted};
use floe_env::Work;
use floe_model::{Axis, PairIndex};
use floe_redstuff::{
    ExtentSliver, InconsistencyError, InconsistencyProof, ProvenSource, RebuildError, SymbolProof,
    Verified, prove_inconsistent, rebuild_sliver, verify_symbols,
};
use futures::future::join_all;

use super::context::{Context, answers, freeze, heard};
use super::heal::{Hole, Restored, keep};
use super::survey::{Ask, Survey};
use crate::metrics::RepairPath;
use crate::node::Received;

/// Rounds of asking before another path is tried: each leaves out at least one peer or source.
const MOST_ROUNDS: usize = 16;

/// Symbols of one source.
#[derive(Debug, Clone)]
struct Source {
    peer: usize,
    symbols: Vec<u8>,
    /// They provably belong to the sliver they are said to come from.
    proofs: Option<Vec<SymbolProof>>,
}

/// One sliver on its way back.
struct Attempt<'a> {
    context: &'a Context,
    hole: &'a Hole,
    axis: Axis,
    index: u16,
    /// Who is believed to hold what; shrinks as peers disappoint.
    survey: Survey,
    avoid: BTreeSet<usize>,
    have: BTreeMap<u16, Source>,
}

/// Rebuilds one sliver.
pub(super) async fn rebuild(
    context: &Context,
    hole: &Hole,
    (pair, axis): (PairIndex, Axis),
) -> Result<Restored, ApiError> {
    let index = context.epoch.geometry().sliver_of_pair(axis, pair);
    let silent = context.targets.iter().filter(|(_, target)| !answers(&context.node, target));
    let mut attempt = Attempt {
        context,
        hole,
        axis,
        index,
        survey: hole.survey.clone(),
        avoid: silent.map(|(member, _)| *member).collect(),
        have: BTreeMap::new(),
    };
    for _ in 0..MOST_ROUNDS {
        if !attempt.gather().await? {
            break;
        }
        match attempt.decode().await? {
            Ok(sliver) => {
                keep(context, hole.extent, pair, sliver, RepairPath::Symbols).await?;
                return Ok(Restored::Yes);
            }
            Err(RebuildError::RootMismatch { .. }) => {}
            Err(error) => return Err(ApiError::internal(error)),
        }
        if attempt.all_proven() {
            return attempt.accuse_writer().await;
        }
        attempt.interrogate().await?;
    }
    context.node.metrics.sliver_failed(axis, RepairPath::Symbols);
    Ok(Restored::No)
}

impl Attempt<'_> {
    fn need(&self) -> usize {
        self.context.epoch.geometry().sliver_symbols(self.axis)
    }

    fn all_proven(&self) -> bool {
        self.have.values().all(|source| source.proofs.is_some())
    }

    /// Asks until there are enough symbols; false if nobody is left to ask.
    async fn gather(&mut self) -> Result<bool, ApiError> {
        while self.have.len() < self.need() {
            let have: BTreeSet<u16> = self.have.keys().copied().collect();
            let turn = self.hole.extent.0 as usize + usize::from(self.index);
            let chosen =
                self.survey.choose(self.axis.other(), self.need(), (&have, &self.avoid), turn);
            let Some(asks) = chosen else { return Ok(false) };
            let proofs = asks.iter().map(|ask| self.must_prove(ask.peer)).collect::<Vec<bool>>();
            let calls = asks.iter().zip(proofs).map(|(ask, proofs)| self.ask(ask, proofs));
            let answers = join_all(calls).await;
            for (ask, answer) in asks.into_iter().zip(answers) {
                self.take(ask, answer).await?;
            }
        }
        Ok(true)
    }

    fn must_prove(&self, peer: usize) -> bool {
        let (node, target) = (&self.context.node, self.context.targets.get(&peer));
        target.is_some_and(|it| node.repairs.suspects.must_prove(&it.node, node.monotonic()))
    }

    async fn ask(&self, ask: &Ask, proofs: bool) -> Option<Vec<SymbolsOf<Received>>> {
        let Context { node, blob, .. } = self.context;
        let target = self.context.targets.get(&ask.peer)?;
        let sources = Some(ask.sources.clone());
        let wanted = SymbolsWanted { axis: self.axis, index: self.index, proofs, sources };
        let answer = node.peers.symbols(target, *blob, self.hole.extent, wanted).await;
        heard(node, target, answer.map(|it| it.value.sources))
    }

    /// Takes what a peer answered; what it was asked for and did not give it is not asked for again.
    async fn take(
        &mut self,
        ask: Ask,
        answer: Option<Vec<SymbolsOf<Received>>>,
    ) -> Result<(), ApiError> {
        let Some(answer) = answer else {
            self.avoid.insert(ask.peer);
            return Ok(());
        };
        let proofs_wanted = self.must_prove(ask.peer);
        for source in answer {
            if !ask.sources.contains(&source.index) || self.have.contains_key(&source.index) {
                continue;
            }
            match self.check(&source, proofs_wanted).await? {
                Ok(proofs) => {
                    let symbols = source.symbols.into_unverified();
                    self.have.insert(source.index, Source { peer: ask.peer, symbols, proofs });
                }
                Err(what) => self.accuse(ask.peer, &what),
            }
        }
        for index in ask.sources.iter().filter(|index| !self.have.contains_key(index)) {
            self.survey.forget(self.axis.other(), *index);
        }
        Ok(())
    }

    /// Counts and checks symbols as far as they can be checked alone: their length, their proofs.
    async fn check(
        &self,
        source: &SymbolsOf<Received>,
        proofs_wanted: bool,
    ) -> Result<Result<Option<Vec<SymbolProof>>, String>, ApiError> {
        let metrics = &self.context.node.metrics;
        let symbols = source.symbols.as_unverified();
        metrics.repair_read(self.axis, symbols.len());
        self.context.spent(symbols.len());
        let expected = self.hole.metadata.shape().crossing_bytes();
        if symbols.len() != expected {
            return Ok(Err(format!("symbols of {} bytes, {expected} expected", symbols.len())));
        }
        if !proofs_wanted {
            return Ok(Ok(None));
        }
        let Some(proofs) = &source.proofs else {
            return Ok(Err("symbols without the proofs asked for".to_owned()));
        };
        let (symbols, proofs) = (symbols.clone(), proofs.as_unverified().clone());
        metrics.repair_overhead(proofs.len());
        let metadata = Arc::clone(&self.hole.metadata);
        let (axis, index, target) = (self.axis.other(), source.index, self.index);
        let job = move || {
            let geometry = metadata.shape().geometry();
            let each = proofs.chunks(SymbolProof::encoded_bytes(geometry).max(1));
            let proofs = each.map(|bytes| SymbolProof::decode(geometry, bytes));
            let proofs =
                proofs.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
            verify_symbols(&metadata, axis, index, target, &symbols, &proofs)
                .map_err(|error| error.to_string())?;
            Ok(Some(proofs))
        };
        self.context.node.run(Work::Repair, job).await
    }

    /// A peer lied: it is named, and left out of this sliver's repair.
    fn accuse(&mut self, peer: usize, what: &str) {
        if let Some(target) = self.context.targets.get(&peer) {
            self.context.lied(&target.node, what);
        }
        self.avoid.insert(peer);
        self.have.retain(|_, source| source.peer != peer);
    }

    async fn decode(&mut self) -> Result<Result<Verified<ExtentSliver>, RebuildError>, ApiError> {
        let metadata = Arc::clone(&self.hole.metadata);
        let (axis, index, have) = (self.axis, self.index, std::mem::take(&mut self.have));
        let job = move || {
            let sources = have.iter().map(|(index, source)| (*index, source.symbols.as_slice()));
            let rebuilt = rebuild_sliver(&metadata, axis, index, &sources.collect::<Vec<_>>());
            (have, rebuilt)
        };
        let (have, rebuilt) = self.context.node.run(Work::Repair, job).await?;
        self.have = have;
        Ok(rebuilt)
    }

    /// The symbols do not fit together: every peer proves its own.
    async fn interrogate(&mut self) -> Result<(), ApiError> {
        let mut unproven: BTreeMap<usize, Vec<u16>> = BTreeMap::new();
        for (index, source) in self.have.iter().filter(|(_, source)| source.proofs.is_none()) {
            unproven.entry(source.peer).or_default().push(*index);
        }
        let asks: Vec<Ask> =
            unproven.into_iter().map(|(peer, sources)| Ask { peer, sources }).collect();
        let answers = join_all(asks.iter().map(|ask| self.ask(ask, true))).await;
        for (ask, answer) in asks.into_iter().zip(answers) {
            self.hear(&ask, answer).await?;
        }
        Ok(())
    }

    /// A peer's proofs: they must be there, hold, and be of the symbols that it sent before.
    async fn hear(
        &mut self,
        ask: &Ask,
        answer: Option<Vec<SymbolsOf<Received>>>,
    ) -> Result<(), ApiError> {
        let Some(answer) = answer else {
            // It said nothing: no proof against it, none for it.
            self.avoid.insert(ask.peer);
            self.have.retain(|_, source| source.peer != ask.peer);
            return Ok(());
        };
        for index in &ask.sources {
            let Some(said) = answer.iter().find(|source| source.index == *index) else {
                self.accuse(ask.peer, "it does not prove the symbols that it sent");
                return Ok(());
            };
            match self.check(said, true).await? {
                Err(what) => {
                    self.accuse(ask.peer, &what);
                    return Ok(());
                }
                Ok(proofs) => {
                    let Some(source) = self.have.get_mut(index) else { continue };
                    if source.symbols != *said.symbols.as_unverified() {
                        self.accuse(ask.peer, "it sent other symbols than those that it proves");
                        return Ok(());
                    }
                    source.proofs = proofs;
                }
            }
        }
        Ok(())
    }

    /// All symbols are proven and lead to another root: the writer encoded the blob wrongly.
    async fn accuse_writer(&self) -> Result<Restored, ApiError> {
        let metadata = Arc::clone(&self.hole.metadata);
        let (axis, index, have) = (self.axis, self.index, self.have.clone());
        let job = move || -> Result<InconsistencyProof, InconsistencyError> {
            let sources: Vec<ProvenSource<'_>> = have
                .iter()
                .filter_map(|(index, source)| {
                    let proofs = source.proofs.as_deref()?;
                    Some(ProvenSource { index: *index, symbols: &source.symbols, proofs })
                })
                .collect();
            prove_inconsistent(&metadata, axis, index, &sources)
        };
        match self.context.node.run(Work::Repair, job).await? {
            Ok(proof) => {
                freeze(self.context, self.hole.extent, &proof).await?;
                Ok(Restored::Frozen)
            }
            Err(error) => Err(ApiError::internal(error)),
        }
    }
}
