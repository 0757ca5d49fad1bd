//! What sequences, maps and enums are read from.

use super::{Lost, Traced, Tracer, WIDEST};
use crate::schema::{Fields, Shape};
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// So many elements.
pub(super) struct Elements<'a> {
    tracer: &'a mut Tracer,
    count: usize,
    pub(super) seen: Vec<Shape>,
}

/// One entry, or none inside of a type that is being read already.
pub(super) struct Entries<'a> {
    tracer: &'a mut Tracer,
    left: usize,
    pub(super) key: Shape,
    pub(super) value: Shape,
}

/// A variant that was chosen.
pub(super) struct Variant<'a> {
    pub(super) tracer: &'a mut Tracer,
    pub(super) index: usize,
    pub(super) variant: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn new(tracer: &'a mut Tracer, count: usize) -> Self {
        Self {
            tracer,
            count,
            seen: Vec::new(),
        }
    }

    /// The shapes of all elements.
    pub(super) fn all(self) -> Traced<Vec<Shape>> {
        let is_whole = self.seen.len() == self.count && self.count <= WIDEST;
        is_whole.then_some(self.seen).ok_or(Lost)
    }

    /// The same with names.
    pub(super) fn named(self, names: &[&str]) -> Traced<Fields> {
        let names = names.iter().map(|name| (*name).to_owned());
        Ok(Fields::Named(names.zip(self.all()?).collect()))
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_> {
    type Error = Lost;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Traced<Option<T::Value>> {
        if self.seen.len() == self.count {
            return Ok(None);
        }
        let mut shape = Shape::Unknown;
        let value = self.tracer.probe(&mut shape, |probe| seed.deserialize(probe))?;
        self.seen.push(shape);
        Ok(Some(value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.seen.len())
    }
}

impl<'a> Entries<'a> {
    pub(super) fn new(tracer: &'a mut Tracer) -> Self {
        Self {
            left: usize::from(tracer.repeated == 0),
            tracer,
            key: Shape::Unknown,
            value: Shape::Unknown,
        }
    }
}

impl<'de> MapAccess<'de> for &mut Entries<'_> {
    type Error = Lost;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Traced<Option<K::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let key = self
            .tracer
            .probe(&mut self.key, |probe| seed.deserialize(probe))?;
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Traced<V::Value> {
        self.tracer
            .probe(&mut self.value, |probe| seed.deserialize(probe))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Lost;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Traced<(V::Value, Self)> {
        let number = u32::try_from(self.variant).map_err(|_| Lost)?;
        let value = seed.deserialize(IntoDeserializer::<Lost>::into_deserializer(number))?;
        Ok((value, self))
    }
}

impl Variant<'_> {
    fn note(self, fields: Fields) {
        self.tracer.note(self.index, Some(self.variant), fields);
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Lost;

    fn unit_variant(self) -> Traced<()> {
        self.note(Fields::Unit);
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Traced<T::Value> {
        let mut shape = Shape::Unknown;
        let value = self.tracer.probe(&mut shape, |probe| seed.deserialize(probe))?;
        self.note(Fields::Newtype(shape));
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Traced<V::Value> {
        let mut items = Elements::new(&mut *self.tracer, len);
        let value = visitor.visit_seq(&mut items)?;
        let fields = Fields::Tuple(items.all()?);
        self.note(fields);
        Ok(value)
    }

    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Traced<V::Value> {
        let mut items = Elements::new(&mut *self.tracer, names.len());
        let value = visitor.visit_seq(&mut items)?;
        let fields = items.named(names)?;
        self.note(fields);
        Ok(value)
    }
}
