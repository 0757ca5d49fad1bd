//! A deserializer that makes values up and notes what is asked for.

use super::access::{Elements, Entries, Variant};
use super::{Lost, Traced, Tracer, WIDEST};
use crate::schema::{Fields, Shape, TypeShape};
use serde::de::{Deserializer, Visitor};

/// One value that is about to be asked for.
pub(super) struct Probe<'a> {
    pub(super) tracer: &'a mut Tracer,
    pub(super) shape: &'a mut Shape,
}

macro_rules! made_up {
    ($($method:ident $visit:ident $shape:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Traced<V::Value> {
            *self.shape = Shape::$shape;
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Lost;

    // One is what most types that do not accept every number accept.
    made_up! {
        deserialize_bool visit_bool Bool true;
        deserialize_i8 visit_i8 I8 1;
        deserialize_i16 visit_i16 I16 1;
        deserialize_i32 visit_i32 I32 1;
        deserialize_i64 visit_i64 I64 1;
        deserialize_i128 visit_i128 I128 1;
        deserialize_u8 visit_u8 U8 1;
        deserialize_u16 visit_u16 U16 1;
        deserialize_u32 visit_u32 U32 1;
        deserialize_u64 visit_u64 U64 1;
        deserialize_u128 visit_u128 U128 1;
        deserialize_f32 visit_f32 F32 1.0;
        deserialize_f64 visit_f64 F64 1.0;
        deserialize_char visit_char Char 'a';
        deserialize_str visit_borrowed_str String "a";
        deserialize_string visit_string String "a".to_owned();
        deserialize_bytes visit_borrowed_bytes Bytes b"";
        deserialize_byte_buf visit_byte_buf Bytes Vec::new();
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Traced<V::Value> {
        Err(Lost)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Traced<V::Value> {
        Err(Lost)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Traced<V::Value> {
        Err(Lost)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Traced<V::Value> {
        *self.shape = Shape::Unit;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Traced<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Traced<V::Value> {
        let mut some = Shape::Unknown;
        let value = match self.tracer.repeated {
            0 => self.tracer.probe(&mut some, |probe| visitor.visit_some(probe)),
            _ => visitor.visit_none(),
        };
        *self.shape = Shape::Option(Box::new(some));
        value
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Traced<V::Value> {
        let mut items = Elements::new(self.tracer, usize::from(self.tracer.repeated == 0));
        let value = visitor.visit_seq(&mut items)?;
        *self.shape = Shape::Seq(Box::new(items.seen.pop().unwrap_or(Shape::Unknown)));
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Traced<V::Value> {
        let mut items = Elements::new(self.tracer, len);
        let value = visitor.visit_seq(&mut items)?;
        *self.shape = Shape::Tuple(items.all()?);
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Traced<V::Value> {
        let mut entries = Entries::new(self.tracer);
        let value = visitor.visit_map(&mut entries)?;
        *self.shape = Shape::Map(Box::new(entries.key), Box::new(entries.value));
        Ok(value)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Traced<V::Value> {
        self.structure(name, visitor, |tracer, visitor| {
            let mut shape = Shape::Unknown;
            let value = tracer.probe(&mut shape, |probe| visitor.visit_newtype_struct(probe))?;
            Ok((value, Fields::Newtype(shape)))
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Traced<V::Value> {
        self.structure(name, visitor, |tracer, visitor| {
            let mut items = Elements::new(tracer, len);
            let value = visitor.visit_seq(&mut items)?;
            Ok((value, Fields::Tuple(items.all()?)))
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Traced<V::Value> {
        self.structure(name, visitor, |tracer, visitor| {
            let mut items = Elements::new(tracer, fields.len());
            let value = visitor.visit_seq(&mut items)?;
            Ok((value, items.named(fields)?))
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Traced<V::Value> {
        if variants.len() > WIDEST {
            return Err(Lost);
        }
        let unknown = |variant: &&str| ((*variant).to_owned(), Fields::Unknown);
        let index = self.tracer.type_of::<V>(|| TypeShape::Enum {
            name: name.to_owned(),
            variants: variants.iter().map(unknown).collect(),
        })?;
        *self.shape = Shape::Type(index);
        let variant = self.tracer.choose(index, variants.len())?;
        self.tracer.inside(index, Some(variant), |tracer| {
            visitor.visit_enum(Variant {
                tracer,
                index,
                variant,
            })
        })
    }

    /// As postcard says of itself.
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl Probe<'_> {
    fn structure<'de, V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
        read: impl FnOnce(&mut Tracer, V) -> Traced<(V::Value, Fields)>,
    ) -> Traced<V::Value> {
        let index = self.tracer.type_of::<V>(|| TypeShape::Struct {
            name: name.to_owned(),
            fields: Fields::Unknown,
        })?;
        *self.shape = Shape::Type(index);
        let (value, fields) = self.tracer.inside(index, None, |tracer| read(tracer, visitor))?;
        self.tracer.note(index, None, fields);
        Ok(value)
    }
}
