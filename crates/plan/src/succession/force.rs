//! What a human decides where the rules cannot.

use floe_model::{EpochRecord, RecordHash};

use super::draft::Draft;
use super::{Blocker, Situation, base};

/// A forced child of `on`, or of what most nodes stand behind: every lost volume is replaced, however
/// many shards are unfilled by that. Data may be lost; the record says so for ever.
pub fn force(
    situation: &Situation<'_>,
    on: Option<RecordHash>,
) -> Result<(EpochRecord, Vec<Blocker>), Blocker> {
    let tree = situation.tree;
    let (committed, newest) = tree.committed().ok_or(Blocker::NotBegun)?;
    let best = base::tips(situation, committed, &newest.record);
    let parent = on.unwrap_or_else(|| best.first().map_or(committed, |tip| tip.record));
    let signed = tree.record(&parent).ok_or(Blocker::NotBegun)?;
    let mut draft = Draft::of(situation, parent, &signed.record);
    draft.carry_wholes();
    draft.replace_all();
    let (changed, blockers) = draft.finish();
    let unchanged = || EpochRecord { parent, wholes: Vec::new(), ..signed.record.clone() };
    let mut record = EpochRecord { forced: true, ..changed.unwrap_or_else(unchanged) };
    base::number(situation, &mut record)?;
    Ok((record, blockers))
}
