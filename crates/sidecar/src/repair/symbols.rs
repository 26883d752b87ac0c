//! Rebuilding a sliver from crossing symbols: no more are asked for than are needed, without proofs;
//! only when they lead to another root are proofs asked for, and the liar is named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_api::ApiError;
use floe_api::messages::{SymbolsOf, SymbolsWanted};
use floe_model::{Axis, Unverified};
use floe_redstuff::{
    CodecError, ExtentSliver, InconsistencyError, InconsistencyProof, ProvenSource, RebuildError,
    SymbolProof, Verified, crossing_symbols, prove_inconsistent, prove_symbols, rebuild_sliver,
    verify_symbols,
};
use futures::future::join_all;

use super::context::Context;
use super::heal::{Hole, Restored};
use super::home::{Place, Rebuilt};
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
    (pair, axis): Place,
) -> Result<Restored, ApiError> {
    let index = context.holders.geometry.sliver_of_pair(axis, pair);
    let silent = context.holders.peers().filter(|(_, target)| !context.tools.answers(target));
    let mut attempt = Attempt {
        context,
        hole,
        axis,
        index,
        survey: hole.survey.clone(),
        avoid: silent.map(|(number, _)| number).collect(),
        have: BTreeMap::new(),
    };
    for _ in 0..MOST_ROUNDS {
        if !attempt.gather().await? {
            break;
        }
        match attempt.decode().await? {
            Ok(sliver) => {
                return Ok(Restored::Yes(vec![Rebuilt { pair, sliver, way: RepairPath::Symbols }]));
            }
            Err(RebuildError::RootMismatch { .. }) => {}
            Err(error) => return Err(ApiError::internal(error)),
        }
        if attempt.all_proven() {
            return attempt.accuse_writer().await;
        }
        attempt.interrogate().await?;
    }
    context.tools.metrics.sliver_failed(axis, RepairPath::Symbols);
    Ok(Restored::Yes(Vec::new()))
}

impl Attempt<'_> {
    fn need(&self) -> usize {
        self.context.holders.geometry.sliver_symbols(self.axis)
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
        let tools = &self.context.tools;
        let target = self.context.holders.target(peer);
        target.is_some_and(|it| tools.suspects.must_prove(&it.node, tools.monotonic()))
    }

    async fn ask(&self, ask: &Ask, proofs: bool) -> Option<Vec<SymbolsOf<Received>>> {
        let Context { tools, holders, blob, .. } = self.context;
        let Some(target) = &holders.get(ask.peer)?.at else {
            return Some(self.read(ask, proofs).await);
        };
        let sources = Some(ask.sources.clone());
        let wanted = SymbolsWanted { axis: self.axis, index: self.index, proofs, sources };
        let extent = self.hole.extent;
        let bytes = ask.sources.len() * self.hole.metadata.shape().crossing_bytes();
        // Proofs are rare, and large.
        let bytes = if proofs { usize::MAX } else { bytes };
        let answer = tools.peers.symbols(target, (*blob, extent), wanted, bytes).await;
        tools.heard(target, answer)
    }

    /// The symbols of slivers at hand.
    async fn read(&self, ask: &Ask, proofs: bool) -> Vec<SymbolsOf<Received>> {
        let (axis, wanted) = (self.axis.other(), self.index);
        let mut read = Vec::new();
        for &index in &ask.sources {
            let pair = self.context.holders.geometry.pair_of_sliver(axis, index);
            let sliver = self.context.home.sliver(self.hole.extent, (pair, axis)).await;
            let Ok(Some(sliver)) = sliver else { continue };
            let shape = self.hole.metadata.shape();
            let job = move || {
                let crossing = crossing_symbols(shape, axis, &sliver, &[wanted])?;
                let symbols = Unverified::new(crossing.into_iter().next().unwrap_or_default());
                let proven = proofs.then(|| prove_symbols(shape, axis, &sliver, wanted));
                let proofs = proven.transpose()?.map(|proofs| {
                    Unverified::new(proofs.iter().flat_map(SymbolProof::encode).collect())
                });
                Ok::<_, CodecError>(SymbolsOf { axis, index, symbols, proofs })
            };
            read.extend(self.context.tools.run(job).await.ok().and_then(Result::ok));
        }
        read
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
            self.count(ask.peer, &source);
            match self.check(&source, proofs_wanted).await? {
                Ok(proofs) => {
                    let symbols = source.symbols.into_unverified();
                    self.have.insert(source.index, Source { peer: ask.peer, symbols, proofs });
                }
                Err(what) => self.accuse(ask.peer, &what),
            }
        }
        for index in ask.sources.iter().filter(|index| !self.have.contains_key(index)) {
            self.survey.forget(self.axis.other(), *index, ask.peer);
        }
        Ok(())
    }

    /// Counts what came over the network.
    fn count(&self, peer: usize, source: &SymbolsOf<Received>) {
        if self.context.holders.target(peer).is_none() {
            return;
        }
        let (bytes, metrics) = (source.symbols.as_unverified().len(), &self.context.tools.metrics);
        metrics.repair_read(self.axis, bytes);
        self.context.tools.spent(bytes);
        if let Some(proofs) = &source.proofs {
            metrics.repair_overhead(proofs.as_unverified().len());
        }
    }

    /// Checks symbols as far as they can be checked alone: their length, their proofs.
    async fn check(
        &self,
        source: &SymbolsOf<Received>,
        proofs_wanted: bool,
    ) -> Result<Result<Option<Vec<SymbolProof>>, String>, ApiError> {
        let symbols = source.symbols.as_unverified();
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
        self.context.tools.run(job).await
    }

    /// A peer lied: it is named, and left out of this sliver's repair.
    fn accuse(&mut self, peer: usize, what: &str) {
        if let Some(target) = self.context.holders.target(peer) {
            self.context.tools.lied(&target.node, what);
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
        let (have, rebuilt) = self.context.tools.run(job).await?;
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
            self.count(ask.peer, said);
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
        match self.context.tools.run(job).await? {
            Ok(proof) => {
                self.context.home.freeze(self.hole.extent, proof).await?;
                Ok(Restored::Frozen)
            }
            Err(error) => Err(ApiError::internal(error)),
        }
    }
}
