//! The names of sliver files.

use floe_model::{Axis, ExtentIndex, PairIndex};

use crate::entry::BlobKey;
use crate::slivers::SliverAddress;

pub(super) fn file_name(sliver: &SliverAddress) -> String {
    let axis = match sliver.axis {
        Axis::Primary => 'p',
        Axis::Secondary => 's',
    };
    format!("{:08x}-{:04x}-{axis}", sliver.extent.0, sliver.pair.0)
}

pub(super) fn parse_key(name: &str) -> Option<BlobKey> {
    hexadecimal(name, 16).map(BlobKey)
}

pub(super) fn parse_file_name(key: BlobKey, name: &str) -> Option<SliverAddress> {
    let mut parts = name.split('-');
    let extent = hexadecimal(parts.next()?, 8)?;
    let pair = hexadecimal(parts.next()?, 4)?;
    let axis = match parts.next()? {
        "p" => Axis::Primary,
        "s" => Axis::Secondary,
        _ => return None,
    };
    parts.next().is_none().then_some(SliverAddress {
        key,
        extent: ExtentIndex(u32::try_from(extent).ok()?),
        pair: PairIndex(u16::try_from(pair).ok()?),
        axis,
    })
}

/// Exactly `digits` of 0-9 and a-f: one name for one number.
fn hexadecimal(text: &str, digits: usize) -> Option<u64> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == digits && text.bytes().all(lower))
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_and_nothing_else_is_one() {
        let sliver = SliverAddress {
            key: BlobKey(7),
            extent: ExtentIndex(0x1234),
            pair: PairIndex(9),
            axis: Axis::Secondary,
        };
        assert_eq!(file_name(&sliver), "00001234-0009-s");
        assert_eq!(parse_file_name(BlobKey(7), "00001234-0009-s"), Some(sliver));
        for bad in ["", "1234-9-s", "00001234-0009-x", "00001234-0009-s-", "0000123A-0009-s"] {
            assert_eq!(parse_file_name(BlobKey(7), bad), None, "{bad:?}");
        }
        assert_eq!(parse_key(&BlobKey(255).to_string()), Some(BlobKey(255)));
        assert_eq!(parse_key("ff"), None);
    }
}
