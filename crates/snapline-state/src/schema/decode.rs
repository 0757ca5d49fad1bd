//! From postcard to JSON by a schema.

use super::{Fields, Shape, TypeShape};
use serde_json::{Map, Number, Value};
use snapline_core::{Error, Result};

/// Values that nest deeper are not shown.
const DEEPEST: usize = 128;

/// The value that these bytes encode, all of them.
pub(super) fn decode(types: &[TypeShape], shape: &Shape, bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader {
        types,
        rest: bytes,
        depth: 0,
    };
    match reader.shape(shape) {
        Some(value) if reader.rest.is_empty() => Ok(value),
        _ => Err(Error::corrupted("stored bytes are not of the recorded schema")),
    }
}

struct Reader<'a> {
    types: &'a [TypeShape],
    rest: &'a [u8],
    depth: usize,
}

impl Reader<'_> {
    fn shape(&mut self, shape: &Shape) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let value = self.value(shape)?;
        self.depth -= 1;
        Some(value)
    }

    fn value(&mut self, shape: &Shape) -> Option<Value> {
        Some(match shape {
            Shape::Unknown => return None,
            Shape::Unit => Value::Null,
            Shape::Bool => Value::Bool(match self.byte()? {
                0 => false,
                1 => true,
                _ => return None,
            }),
            Shape::I8 => self.byte()?.cast_signed().into(),
            Shape::U8 => self.byte()?.into(),
            Shape::I16 | Shape::I32 | Shape::I64 | Shape::I128 => signed(self.varint()?),
            Shape::U16 | Shape::U32 | Shape::U64 | Shape::U128 => unsigned(self.varint()?),
            Shape::F32 => float(f32::from_le_bytes(self.array()?).into()),
            Shape::F64 => float(f64::from_le_bytes(self.array()?)),
            Shape::Char | Shape::String => self.text()?.into(),
            Shape::Bytes => hex(self.sized()?).into(),
            Shape::Option(some) => match self.byte()? {
                0 => Value::Null,
                1 => self.shape(some)?,
                _ => return None,
            },
            Shape::Seq(item) => {
                let len = self.count()?;
                Value::Array((0..len).map(|_| self.shape(item)).collect::<Option<_>>()?)
            }
            Shape::Tuple(items) => self.tuple(items)?,
            Shape::Map(key, value) => self.map(key, value)?,
            Shape::Type(index) => match self.types.get(*index)? {
                TypeShape::Struct { fields, .. } => self.fields(fields)?,
                TypeShape::Enum { variants, .. } => {
                    let variant = usize::try_from(self.varint()?).ok()?;
                    let (name, fields) = variants.get(variant)?;
                    match fields {
                        Fields::Unit => name.as_str().into(),
                        fields => Value::Object(Map::from_iter([(name.clone(), self.fields(fields)?)])),
                    }
                }
            },
        })
    }

    fn fields(&mut self, fields: &Fields) -> Option<Value> {
        match fields {
            Fields::Unknown => None,
            Fields::Unit => Some(Value::Null),
            Fields::Newtype(shape) => self.shape(shape),
            Fields::Tuple(items) => self.tuple(items),
            Fields::Named(fields) => {
                let field = |(name, shape): &(String, Shape)| Some((name.clone(), self.shape(shape)?));
                Some(Value::Object(fields.iter().map(field).collect::<Option<_>>()?))
            }
        }
    }

    fn tuple(&mut self, items: &[Shape]) -> Option<Value> {
        let items = items.iter().map(|item| self.shape(item));
        Some(Value::Array(items.collect::<Option<_>>()?))
    }

    fn map(&mut self, key: &Shape, value: &Shape) -> Option<Value> {
        let mut pairs = Vec::new();
        for _ in 0..self.count()? {
            pairs.push((self.shape(key)?, self.shape(value)?));
        }
        if pairs.iter().all(|(key, _)| key.is_string()) {
            let text = |key: Value| key.as_str().map(str::to_owned);
            let fields = pairs.into_iter().map(|(key, value)| Some((text(key)?, value)));
            return Some(Value::Object(fields.collect::<Option<_>>()?));
        }
        let pair = |(key, value)| Value::Array(vec![key, value]);
        Some(Value::Array(pairs.into_iter().map(pair).collect()))
    }

    /// A number of items. Items of no length cannot make it larger than it can have been.
    fn count(&mut self) -> Option<u64> {
        let len = u64::try_from(self.varint()?).ok()?;
        (len <= (self.rest.len() as u64).max(1 << 16)).then_some(len)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.sized()?.to_vec()).ok()
    }

    fn sized(&mut self) -> Option<&[u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn varint(&mut self) -> Option<u128> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            number |= u128::from(byte & 127) << shift;
            if byte < 128 {
                return Some(number);
            }
        }
        None
    }
}

fn unsigned(number: u128) -> Value {
    match u64::try_from(number) {
        Ok(number) => number.into(),
        Err(_) => number.to_string().into(),
    }
}

fn signed(zigzag: u128) -> Value {
    let number = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
    match i64::try_from(number) {
        Ok(number) => number.into(),
        Err(_) => number.to_string().into(),
    }
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    format!("0x{}", digits.collect::<String>())
}
