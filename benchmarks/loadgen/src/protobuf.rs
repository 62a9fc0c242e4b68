//! Walks a protobuf message by its wire format, without its schema and without copying.

/// A field's value as it lies on the wire.
#[derive(Debug, PartialEq, Clone, Copy)]
pub enum Field<'a> {
    /// int32, int64, uint32, uint64, bool, enum.
    Varint(u64),
    /// fixed64, double: little-endian.
    Fixed64([u8; 8]),
    /// string, bytes, an embedded message, packed numbers.
    Bytes(&'a [u8]),
    /// fixed32, float: little-endian.
    Fixed32([u8; 4]),
}

/// Shown when bytes are no protobuf message.
pub const MALFORMED: &str = "the answer is no protobuf message";

/// Calls `visit` with each occurrence of the field at `path`, in order; all numbers but the last name embedded messages.
pub fn walk<'a>(
    message: &'a [u8],
    path: &[u32],
    visit: &mut dyn FnMut(Field<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let Some((number, deeper)) = path.split_first() else {
        return Ok(());
    };
    let mut rest = message;
    while !rest.is_empty() {
        let (found, field) = take_field(&mut rest).ok_or(MALFORMED)?;
        match field {
            _ if found != *number => {}
            field if deeper.is_empty() => visit(field)?,
            Field::Bytes(embedded) => walk(embedded, deeper, visit)?,
            _ => return Err(format!("field {found} is no message")),
        }
    }
    Ok(())
}

/// Takes a base-128 varint off the front; none when it does not end, or is longer than 64 bits.
pub fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = take::<1>(rest)?[0];
        let bits = u64::from(byte & 0x7F);
        if bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Takes `N` bytes off the front.
pub fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*front)
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Field<'a>)> {
    let tag = take_varint(rest)?;
    let field = match tag & 7 {
        0 => Field::Varint(take_varint(rest)?),
        1 => Field::Fixed64(take(rest)?),
        2 => Field::Bytes(take_bytes(rest)?),
        5 => Field::Fixed32(take(rest)?),
        _ => return None, // groups, which proto3 does not have
    };
    Some((u32::try_from(tag >> 3).ok()?, field))
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(rest)?).ok()?;
    let (front, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(front)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bytes of one field.
    pub fn encode(number: u32, field: Field) -> Vec<u8> {
        let tag = |wire_type| varint(u64::from(number) << 3 | wire_type);
        match field {
            Field::Varint(value) => [tag(0), varint(value)].concat(),
            Field::Fixed64(bytes) => [tag(1), bytes.to_vec()].concat(),
            Field::Bytes(bytes) => [tag(2), varint(bytes.len() as u64), bytes.to_vec()].concat(),
            Field::Fixed32(bytes) => [tag(5), bytes.to_vec()].concat(),
        }
    }

    /// The bytes of a varint.
    pub fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = vec![];
        loop {
            let low = value.to_le_bytes()[0] & 0x7F;
            value >>= 7;
            bytes.push(if value == 0 { low } else { low | 0x80 });
            if value == 0 {
                return bytes;
            }
        }
    }

    fn found<'a>(message: &'a [u8], path: &[u32]) -> Result<Vec<Field<'a>>, String> {
        let mut fields = vec![];
        walk(message, path, &mut |field| {
            fields.push(field);
            Ok(())
        })?;
        Ok(fields)
    }

    #[derive(Debug, Clone)]
    enum Owned {
        Varint(u64),
        Fixed64([u8; 8]),
        Bytes(Vec<u8>),
        Fixed32([u8; 4]),
    }

    impl Owned {
        fn field(&self) -> Field<'_> {
            match self {
                Owned::Varint(value) => Field::Varint(*value),
                Owned::Fixed64(bytes) => Field::Fixed64(*bytes),
                Owned::Bytes(bytes) => Field::Bytes(bytes),
                Owned::Fixed32(bytes) => Field::Fixed32(*bytes),
            }
        }
    }

    fn any_field() -> impl Strategy<Value = Owned> {
        prop_oneof![
            any::<u64>().prop_map(Owned::Varint),
            any::<[u8; 8]>().prop_map(Owned::Fixed64),
            prop::collection::vec(any::<u8>(), 0..200).prop_map(Owned::Bytes),
            any::<[u8; 4]>().prop_map(Owned::Fixed32),
        ]
    }

    proptest! {
        #[test]
        fn every_occurrence_is_found_in_order_and_no_other(fields in prop::collection::vec((1..5_u32, any_field()), 0..20), wanted in 1..5_u32) {
            let message: Vec<u8> = fields.iter().flat_map(|(number, field)| encode(*number, field.field())).collect();
            let expected: Vec<Field> = fields.iter().filter(|(number, _)| *number == wanted).map(|(_, field)| field.field()).collect();
            prop_assert_eq!(found(&message, &[wanted]).unwrap(), expected);
        }

        #[test]
        fn every_embedded_message_is_entered(groups in prop::collection::vec(prop::collection::vec(any_field(), 0..5), 0..5)) {
            let embedded: Vec<Vec<u8>> = groups.iter().map(|group| group.iter().flat_map(|field| encode(9, field.field())).collect()).collect();
            let message: Vec<u8> = embedded.iter().flat_map(|bytes| encode(4, Field::Bytes(bytes))).collect();
            let expected: Vec<Field> = groups.iter().flatten().map(Owned::field).collect();
            prop_assert_eq!(found(&message, &[4, 9]).unwrap(), expected);
        }

        #[test]
        fn bytes_that_are_no_message_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = found(&bytes, &[1, 2]);
        }

        #[test]
        fn a_message_that_was_cut_is_refused(field in any_field(), part in 0.0..1.0) {
            let message = encode(1, field.field());
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let cut = (message.len() as f64 * part) as usize;
            prop_assert_eq!(found(&message[..cut], &[1]).is_err(), cut > 0);
        }
    }

    #[test]
    fn a_varint_beyond_64_bits_is_refused() {
        assert_eq!(take_varint(&mut [&[0xFF; 9][..], &[0x02]].concat().as_slice()), None);
        assert_eq!(take_varint(&mut [&[0xFF; 9][..], &[0x01]].concat().as_slice()), Some(u64::MAX));
    }

    #[test]
    fn a_path_through_a_number_is_refused() {
        assert_eq!(found(&encode(1, Field::Varint(5)), &[1, 1]), Err("field 1 is no message".into()));
    }
}
