//! Order and paths of repair.

use proptest::prelude::*;

use super::*;

fn item(what: u32, read_margin: i32, axis: Axis, bytes: u64) -> RepairItem<u32> {
    RepairItem { what, read_margin, axis, bytes }
}

#[test]
fn margin_then_secondaries_then_bytes() {
    use Axis::{Primary, Secondary};
    let items = vec![
        item(1, 3, Secondary, 900),
        item(2, 0, Primary, 100),
        item(3, 0, Secondary, 10),
        item(4, 0, Secondary, 20),
        item(5, -1, Primary, 1),
        item(7, 3, Primary, 5),
        item(6, 3, Primary, 5),
    ];
    let whats: Vec<u32> = order(items).into_iter().map(|item| item.what).collect();
    assert_eq!(whats, [5, 4, 3, 2, 1, 6, 7]);
}

#[test]
fn margins_count_both_axes() {
    let ten = Geometry::of_shards(10).unwrap();
    for (primaries, secondaries, margin) in
        [(10, 10, 6), (4, 0, 0), (0, 7, 0), (0, 0, -4), (5, 9, 2), (3, 6, -1)]
    {
        assert_eq!(read_margin(ten, primaries, secondaries), margin);
    }
}

/// n = 10: 4 primaries or 7 secondaries decode; one node of one shard missed an extent.
fn view(axis: Axis) -> ExtentView {
    ExtentView {
        geometry: Geometry::of_shards(10).unwrap(),
        axis,
        primaries: 9,
        secondaries: 9,
        previous_holder: false,
        missing_primaries: 1,
        missing_secondaries: 1,
        waited_millis: 0,
    }
}

#[test]
fn the_cheapest_open_path() {
    let primary = view(Axis::Primary);
    let secondary = view(Axis::Secondary);
    let few = ExtentView { secondaries: 6, ..primary };
    let rows = [
        ("one node missed it", primary, Path::Symbols),
        ("one node missed it", secondary, Path::Symbols),
        (
            "a previous holder serves it",
            ExtentView { previous_holder: true, ..primary },
            Path::Slivers,
        ),
        ("secondaries are coming", few, Path::Wait),
        ("waited almost long enough", ExtentView { waited_millis: 59_999, ..few }, Path::Wait),
        ("waited long enough", ExtentView { waited_millis: 60_000, ..few }, Path::Decode),
        ("just enough secondaries", ExtentView { secondaries: 7, ..primary }, Path::Symbols),
        ("margin 2", ExtentView { primaries: 6, secondaries: 6, ..secondary }, Path::Symbols),
        ("margin 1, 2 with our own", ExtentView { primaries: 5, ..secondary }, Path::Symbols),
        (
            "margin 0, 1 with our own",
            ExtentView { primaries: 4, secondaries: 6, ..secondary },
            Path::Decode,
        ),
        (
            "the same, by secondaries",
            ExtentView { primaries: 2, secondaries: 7, ..secondary },
            Path::Decode,
        ),
        (
            "margin 1: secondaries are not waited for",
            ExtentView { primaries: 5, ..few },
            Path::Decode,
        ),
        ("unreadable", ExtentView { primaries: 3, secondaries: 6, ..secondary }, Path::Wait),
        (
            "unreadable",
            ExtentView { primaries: 3, secondaries: 6, waited_millis: 99_000, ..primary },
            Path::Wait,
        ),
        ("only secondaries", ExtentView { primaries: 3, ..secondary }, Path::Decode),
        (
            "two pairs: 22 symbols",
            ExtentView { missing_primaries: 2, missing_secondaries: 2, ..primary },
            Path::Symbols,
        ),
        (
            "exactly the stripe: 28",
            ExtentView { missing_primaries: 4, missing_secondaries: 0, ..primary },
            Path::Symbols,
        ),
        (
            "three pairs: 33 of 28",
            ExtentView { missing_primaries: 3, missing_secondaries: 3, ..primary },
            Path::Decode,
        ),
    ];
    for (what, view, wanted) in rows {
        assert_eq!(path(&view), wanted, "{what}: {view:?}");
    }
}

/// n = 4: 2 primaries or 3 secondaries decode.
#[test]
fn four_nodes_heal_one_by_symbols_and_two_by_decoding() {
    for axis in Axis::BOTH {
        let geometry = Geometry::of_shards(4).unwrap();
        let one_away = ExtentView { geometry, primaries: 3, secondaries: 3, ..view(axis) };
        assert_eq!(path(&one_away), Path::Symbols);
        let two_away = ExtentView { primaries: 2, secondaries: 2, ..one_away };
        assert_eq!(path(&two_away), Path::Decode);
    }
}

proptest! {
    #[test]
    fn whatever_is_readable_is_repaired_in_the_end(
        shards in 4_u16..=100,
        primaries in 0_usize..=100,
        secondaries in 0_usize..=100,
        primary in any::<bool>(),
        missing in 0_usize..=4,
    ) {
        let geometry = Geometry::of_shards(shards).unwrap();
        let n = usize::from(shards);
        let (primaries, secondaries) = (primaries.min(n), secondaries.min(n));
        let view = ExtentView {
            geometry,
            axis: if primary { Axis::Primary } else { Axis::Secondary },
            primaries,
            secondaries,
            previous_holder: false,
            missing_primaries: missing,
            missing_secondaries: missing,
            waited_millis: PRIMARY_WAIT_MILLIS,
        };
        let readable = read_margin(geometry, primaries, secondaries) >= 0;
        match path(&view) {
            Path::Wait => prop_assert!(!readable),
            Path::Decode => prop_assert!(readable),
            Path::Symbols => {
                let have = if primary { secondaries } else { primaries };
                prop_assert!(have >= geometry.sliver_symbols(view.axis));
            }
            Path::Slivers => prop_assert!(false, "nobody holds it"),
        }
    }
}
