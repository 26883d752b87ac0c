//! Nodes are lost, join, leave and fill in any order: every proposal passes the checker, moves what
//! it may, and in the end all is even, whole and committed.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Lose(usize),
    Fill,
    Join,
    Leave(usize),
    Away(usize),
    Back,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0_usize..12).prop_map(Event::Lose),
        4 => Just(Event::Fill),
        1 => Just(Event::Join),
        1 => (0_usize..12).prop_map(Event::Leave),
        2 => (0_usize..12).prop_map(Event::Away),
        2 => Just(Event::Back),
    ];
    prop::collection::vec(event, 1..24)
}

const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

struct Story {
    world: World,
    incarnations: BTreeMap<&'static str, u32>,
    leaving: BTreeSet<&'static str>,
    away: BTreeSet<&'static str>,
}

impl Story {
    fn new() -> Self {
        Self {
            world: World::seven(),
            incarnations: NAMES[..7].iter().map(|name| (*name, 0)).collect(),
            leaving: BTreeSet::new(),
            away: BTreeSet::new(),
        }
    }

    fn named(&self, at: usize) -> Option<&'static str> {
        let name = NAMES.get(at).copied()?;
        let known = self.world.newest().member(&node(name)).is_some();
        (known && !self.away.contains(name)).then_some(name)
    }

    /// Shards that could not be read now, were this node lost as well.
    fn missing_with(&self, name: &str) -> usize {
        let record = self.world.newest();
        let away = self.away.iter().chain([&name]);
        let own = away.filter_map(|name| record.member(&node(name)));
        let own: BTreeSet<ShardIndex> =
            own.flat_map(|it| it.shards.clone()).chain(record.unfilled.clone()).collect();
        own.len()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Lose(at) => {
                let Some(name) = self.named(at) else { return };
                if self.missing_with(name) <= 3 && !self.leaving.contains(name) {
                    let next = self.incarnations[name] + 1;
                    self.incarnations.insert(name, next);
                    self.world.replace(name, next);
                }
            }
            Event::Fill => self.world.fill_all(),
            Event::Join => {
                let next = NAMES.get(self.incarnations.len()).copied();
                if let Some(name) = next {
                    self.incarnations.insert(name, 0);
                    self.world.join(name);
                }
            }
            Event::Leave(at) => {
                let Some(name) = self.named(at) else { return };
                if self.incarnations.len() - self.leaving.len() > 5 {
                    self.leaving.insert(name);
                    self.world.want(name).weight = 0;
                }
            }
            Event::Away(at) => {
                let Some(name) = self.named(at) else { return };
                if self.missing_with(name) <= 3 {
                    self.away.insert(name);
                    self.world.silence(name);
                }
            }
            Event::Back => {
                for name in std::mem::take(&mut self.away) {
                    self.world.answer(name, self.incarnations[name]);
                }
                let newest = self.world.parent();
                let all: Vec<&str> = self.incarnations.keys().copied().collect();
                let all = all.into_iter().filter(|name| !self.away.contains(name));
                let known: Vec<&str> = all.collect();
                self.world.accept(newest, &known);
            }
        }
    }

    /// One pass of a steward: everything proposed passes the checker and is committed.
    fn pass(&mut self) -> Result<bool, TestCaseError> {
        let Decision::Propose(record, _) = self.world.decide() else { return Ok(false) };
        let parent = self.world.newest();
        prop_assert_eq!(record.parent, self.world.parent());
        prop_assert!(record.unfilled.len() <= 3, "{:?}", record.unfilled);
        let moved = record.members.iter().flat_map(|it| {
            let before = parent.member(&it.node);
            it.shards
                .iter()
                .filter(move |shard| !before.is_some_and(|it| it.shards.contains(shard)))
        });
        if moved.count() > 0 {
            let heaviest = parent.members.iter().map(|it| it.shards.len()).max().unwrap();
            prop_assert!(record.unfilled.len() <= (3 - heaviest).max(1), "room for a loss is left");
        }
        self.world.commit(*record);
        Ok(true)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_happens_every_proposal_is_legal_and_in_the_end_all_is_even(events in events()) {
        let mut story = Story::new();
        for event in events {
            story.happen(event);
            for _ in 0..3 {
                if !story.pass()? {
                    break;
                }
            }
        }
        story.happen(Event::Back);
        for _ in 0..60 {
            story.happen(Event::Fill);
            story.pass()?;
        }
        prop_assert_eq!(shown(&story.world.decide()), "nothing");
        let record = story.world.newest();
        prop_assert_eq!(&record.unfilled, &[]);
        let counts: Vec<usize> = record.members.iter().map(|it| it.shards.len()).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{counts:?}");
        for name in &story.leaving {
            prop_assert!(record.member(&node(name)).is_none(), "{name} has left");
        }
        prop_assert!(story.world.tree().tips().len() == 1);
    }
}
