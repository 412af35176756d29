//! How each type of a message's field is read, written and left out.
//!
//! Reading changes the value in place, because a key may come twice: maps and objects merge, lists start
//! over, everything else is replaced. `null` empties maps, lists and byte strings and leaves the rest alone.

use std::collections::BTreeMap;

use super::{JsonError, JsonErrorKind, ObjectWriter, Reader, base64, write_bytes, write_string};
use crate::Secret;

/// A value inside a message.
pub(crate) trait Field {
    /// Whether the field is left out of the message.
    fn is_omitted(&self) -> bool;
    fn write(&self, out: &mut Vec<u8>);
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError>;
}

/// A struct whose members have names: a message or an object inside one.
pub(crate) trait Object {
    /// The members' names, in the order in which they are written.
    const NAMES: &'static [&'static str];
    fn write_members(&self, object: &mut ObjectWriter<'_>);
    /// Reads the value of the member with exactly this name; false, and nothing consumed, if there is none.
    fn read_member(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<bool, JsonError>;
}

/// Marks objects that stand inside messages by value; Go never leaves those out.
pub(crate) trait StructField: Object {}

pub(crate) fn write_body<T: Object>(object: &T, out: &mut Vec<u8>) {
    let mut writer = ObjectWriter::open(out);
    object.write_members(&mut writer);
    writer.close();
}

pub(crate) fn read_body<T: Object + Default>(body: &[u8]) -> Result<T, JsonError> {
    let mut reader = Reader::new(body);
    let mut object = T::default();
    read_object(&mut object, &mut reader)?;
    reader.finish()?;
    Ok(object)
}

pub(crate) fn read_object<T: Object>(object: &mut T, reader: &mut Reader<'_>) -> Result<(), JsonError> {
    reader.object(|reader, key| {
        if object.read_member(&key, reader)? {
            return Ok(());
        }
        match T::NAMES.iter().find(|name| folds_to(&key, name)) {
            Some(name) => object.read_member(name, reader).map(drop),
            None => reader.skip(),
        }
    })
}

/// Whether `key` equals the ASCII `name` but for case. Two letters beyond ASCII fold into it: the long s and
/// the Kelvin sign.
fn folds_to(key: &str, name: &str) -> bool {
    let mut letters = name.chars();
    key.chars().all(|c| {
        let folded = match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            _ => c,
        };
        letters.next().is_some_and(|letter| letter.eq_ignore_ascii_case(&folded))
    }) && letters.next().is_none()
}

impl<T: StructField> Field for T {
    fn is_omitted(&self) -> bool {
        false
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_body(self, out);
    }
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if reader.null()? {
            return Ok(());
        }
        read_object(self, reader)
    }
}

impl<T: StructField + Default> Field for Option<T> {
    fn is_omitted(&self) -> bool {
        self.is_none()
    }
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(object) => write_body(object, out),
            None => out.extend_from_slice(b"null"),
        }
    }
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if reader.null()? {
            *self = None;
            return Ok(());
        }
        read_object(self.get_or_insert_default(), reader)
    }
}

impl Field for String {
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_string(out, self);
    }
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if !reader.null()? {
            *self = reader.string()?.into_owned();
        }
        Ok(())
    }
}

impl Field for Secret {
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_string(out, self.expose());
    }
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        self.text_mut().read(reader)
    }
}

impl Field for bool {
    fn is_omitted(&self) -> bool {
        !self
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if !reader.null()? {
            *self = reader.boolean()?;
        }
        Ok(())
    }
}

macro_rules! integer_field {
    ($($integer:ty: $signed:literal),*) => {$(
        impl Field for $integer {
            fn is_omitted(&self) -> bool {
                *self == 0
            }
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.to_string().as_bytes());
            }
            fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
                if !reader.null()? {
                    *self = reader.integer($signed)?;
                }
                Ok(())
            }
        }
    )*};
}
integer_field!(i64: true, u16: false);

/// The content of a datagram: base64 text, or (as Go allows for byte strings) an array of small numbers.
impl Field for Vec<u8> {
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(out, self);
    }
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if reader.null()? {
            self.clear();
            return Ok(());
        }
        if reader.peek() == Some(b'[') {
            return read_list(self, reader, |byte: &mut u8, reader| {
                if !reader.null()? {
                    *byte = reader.integer(false)?;
                }
                Ok(())
            });
        }
        let raw = reader.raw_string()?;
        // Base64 has no use for a backslash or a control character: what decodes needed no other check.
        if !raw.escaped && base64::decode_strict(raw.bytes, self) {
            return Ok(());
        }
        let text = raw.decode()?;
        if base64::decode(text.as_bytes(), self) { Ok(()) } else { Err(raw.error(JsonErrorKind::Base64)) }
    }
}

macro_rules! list_field {
    ($($element:ty),*) => {$(
        impl Field for Vec<$element> {
            fn is_omitted(&self) -> bool {
                self.is_empty()
            }
            fn write(&self, out: &mut Vec<u8>) {
                out.push(b'[');
                for (index, element) in self.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    element.write(out);
                }
                out.push(b']');
            }
            fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
                if reader.null()? {
                    self.clear();
                    return Ok(());
                }
                read_list(self, reader, <$element as Field>::read)
            }
        }
    )*};
}
list_field!(String, crate::msg::PortsRange);

/// Reads an array over a list: elements that are there already are read into, as Go does.
fn read_list<T: Default>(
    list: &mut Vec<T>,
    reader: &mut Reader<'_>,
    mut read: impl FnMut(&mut T, &mut Reader<'_>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let count = reader.array(|reader, index| {
        if let Some(element) = list.get_mut(index) {
            return read(element, reader);
        }
        let mut element = T::default();
        read(&mut element, reader)?;
        list.push(element);
        Ok(())
    })?;
    list.truncate(count);
    Ok(())
}

/// Sorted by the bytes of the keys, as Go writes maps.
impl Field for BTreeMap<String, String> {
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }
    fn write(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::open(out);
        for (key, value) in self {
            write_string(object.escaped_key(key), value);
        }
        object.close();
    }
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if reader.null()? {
            self.clear();
            return Ok(());
        }
        reader.object(|reader, key| {
            let mut value = String::new();
            value.read(reader)?;
            self.insert(key.into_owned(), value);
            Ok(())
        })
    }
}
