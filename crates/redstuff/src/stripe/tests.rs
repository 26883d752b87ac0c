use super::*;

fn encoded() -> EncodedStripe {
    let data: Vec<u8> = (0..2_000_u16).map(|at| at.to_le_bytes()[0]).collect();
    let shape = StripeShape::new(Geometry::of_shards(10).unwrap(), data.len()).unwrap();
    EncodedStripe::encode(shape, &data).unwrap()
}

#[test]
fn every_row_of_an_honest_encoding_passes_the_self_check() {
    let encoded = encoded();
    for choice in (0..6).chain([u64::MAX]) {
        encoded.check_parity(choice).unwrap();
    }
}

#[test]
fn a_bit_flipped_while_encoding_is_noticed_in_every_row() {
    let mut broken = encoded();
    broken.right.bytes[5] ^= 1;
    let mut encoder = Encoder::new();
    encoder.id(broken.shape, &[0; 2_000]).unwrap();
    encoder.commit(&mut broken, &[], true).unwrap();
    for choice in 0..6 {
        let row = 4 + usize::try_from(choice).unwrap();
        assert_eq!(broken.check_parity(choice), Err(ParityError::Differs { stripe: 0, row }));
    }
}

#[test]
fn a_bit_flipped_after_encoding_is_noticed_in_its_row() {
    let mut broken = encoded();
    let at = 2 * broken.below.row_bytes() + 3;
    broken.below.bytes[at] ^= 0x80;
    assert!(broken.check_parity(1).is_ok());
    assert_eq!(broken.check_parity(2), Err(ParityError::Differs { stripe: 0, row: 6 }));
}

#[test]
fn rs2_shapes_follow_the_reference() {
    let shape = StripeShape::rs2(10, 1_834_952).unwrap();
    assert_eq!((shape.rows(), shape.columns(), shape.symbol_bytes()), (4, 7, 65_534));
    assert!(StripeShape::rs2(10, 1_834_953).is_err());
    for shards in [0, 3] {
        assert_eq!(StripeShape::rs2(shards, 1), Err(CodecError::TooFewShards(shards)));
    }
}

#[test]
fn four_lanes_commit_to_the_same() {
    let data: Vec<u8> = (0..9_000_u16).map(|at| at.to_le_bytes()[0]).collect();
    for shards in [4, 10, 31] {
        let shape = StripeShape::new(Geometry::of_shards(shards).unwrap(), data.len()).unwrap();
        let (mut wide, mut narrow) = (Encoder::new(), Encoder::with_four_lanes());
        let (wide, narrow) = (wide.encode(shape, &data).unwrap(), narrow.encode(shape, &data));
        assert_eq!(wide.metadata(), narrow.unwrap().metadata());
    }
}
