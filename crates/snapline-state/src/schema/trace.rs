//! Finding the shape of a type by letting it read what is made up on the way.
//!
//! A type is read several times, until each variant of each enum was seen. Inside of a type that is being read
//! already, options and sequences are empty, so that recursive types come to an end.

mod access;
mod probe;

use super::{Fields, Schema, Shape, TypeShape};
use probe::Probe;
use serde::de::{self, DeserializeOwned};
use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Limits beyond which a type has no schema.
const DEEPEST: usize = 64;
const MOST_STEPS: usize = 20_000;
const MOST_PASSES: usize = 500;
pub(super) const WIDEST: usize = 256;

pub(super) fn trace<K: DeserializeOwned, V: DeserializeOwned>() -> Option<Schema> {
    let mut tracer = Tracer::default();
    let schema = Schema {
        key: tracer.shape_of::<K>()?,
        value: tracer.shape_of::<V>()?,
        types: tracer.types,
    };
    schema.is_known().then_some(schema)
}

/// What is known of the types so far.
#[derive(Default)]
struct Tracer {
    types: Vec<TypeShape>,
    /// By the name of the visitor, which tells types of the same name apart.
    known: BTreeMap<&'static str, usize>,
    /// The types that are being read, with the variant for enums.
    open: Vec<(usize, Option<usize>)>,
    /// How many of them are being read for the second time or more.
    repeated: usize,
    /// The variants that were read to their end, in this order, and how often they were chosen.
    done: Vec<(usize, usize)>,
    chosen: BTreeMap<(usize, usize), usize>,
    depth: usize,
    steps: usize,
}

/// The type cannot be followed.
#[derive(Debug)]
struct Lost;

type Traced<T> = Result<T, Lost>;

impl Tracer {
    fn shape_of<T: DeserializeOwned>(&mut self) -> Option<Shape> {
        let mut shape = Shape::Unknown;
        for _ in 0..MOST_PASSES {
            let mut seen = Shape::Unknown;
            let pass = AssertUnwindSafe(|| self.probe(&mut seen, |probe| T::deserialize(probe).map(drop)));
            catch_unwind(pass).ok()?.ok()?;
            merge(&mut shape, seen);
            if self.has_seen_all() {
                return Some(shape);
            }
        }
        None
    }

    fn has_seen_all(&self) -> bool {
        let variants = self.types.iter().enumerate().flat_map(|(index, shape)| {
            let count = match shape {
                TypeShape::Enum { variants, .. } => variants.len(),
                TypeShape::Struct { .. } => 0,
            };
            (0..count).map(move |variant| (index, variant))
        });
        variants.into_iter().all(|variant| self.done.contains(&variant))
    }

    /// Reads one value.
    fn probe<T>(&mut self, shape: &mut Shape, read: impl FnOnce(Probe<'_>) -> Traced<T>) -> Traced<T> {
        self.depth += 1;
        self.steps += 1;
        if self.depth > DEEPEST || self.steps > MOST_STEPS {
            return Err(Lost);
        }
        let value = read(Probe { tracer: self, shape })?;
        self.depth -= 1;
        Ok(value)
    }

    /// The number of a struct or enum.
    fn type_of<V>(&mut self, shape: impl FnOnce() -> TypeShape) -> Traced<usize> {
        let next = self.types.len();
        let index = *self.known.entry(type_name::<V>()).or_insert(next);
        if index == next {
            self.types.push(shape());
        }
        if next > WIDEST { Err(Lost) } else { Ok(index) }
    }

    /// Reads a struct or a variant.
    fn inside<T>(
        &mut self,
        index: usize,
        variant: Option<usize>,
        read: impl FnOnce(&mut Self) -> Traced<T>,
    ) -> Traced<T> {
        let again = usize::from(self.is_open(index));
        self.open.push((index, variant));
        self.repeated += again;
        let value = read(self)?;
        self.repeated -= again;
        self.open.pop();
        let done = variant.map(|variant| (index, variant));
        self.done.extend(done.filter(|done| !self.done.contains(done)));
        Ok(value)
    }

    fn is_open(&self, index: usize) -> bool {
        self.open.iter().any(|(open, _)| *open == index)
    }

    /// Which variant to read: one that was not read yet. Within itself the one that was done first, because
    /// it came to an end without the others.
    fn choose(&mut self, index: usize, variants: usize) -> Traced<usize> {
        let is_done = |variant: &usize| self.done.contains(&(index, *variant));
        let is_open = |variant: &usize| self.open.contains(&(index, Some(*variant)));
        let rarest = |variant: &usize| self.chosen.get(&(index, *variant)).copied().unwrap_or(0);
        let all = || 0..variants;
        let choice = if self.repeated > 0 || self.is_open(index) {
            let first = self.done.iter().find(|(done, _)| *done == index);
            let first = first.map(|(_, variant)| *variant);
            first.or_else(|| all().find(|variant| !is_open(variant)))
        } else {
            let new = all().find(|variant| !is_done(variant));
            new.or_else(|| all().min_by_key(rarest))
        };
        let choice = choice.ok_or(Lost)?;
        *self.chosen.entry((index, choice)).or_default() += 1;
        Ok(choice)
    }

    /// Notes the shape of a struct or of a variant of an enum.
    fn note(&mut self, index: usize, variant: Option<usize>, seen: Fields) {
        let known = match (self.types.get_mut(index), variant) {
            (Some(TypeShape::Struct { fields, .. }), None) => Some(fields),
            (Some(TypeShape::Enum { variants, .. }), Some(variant)) => {
                variants.get_mut(variant).map(|(_, fields)| fields)
            }
            _ => None,
        };
        if let Some(known) = known {
            merge_fields(known, seen);
        }
    }
}

/// Adds what was seen to what is known.
fn merge(known: &mut Shape, seen: Shape) {
    match (known, seen) {
        (known @ Shape::Unknown, seen) => *known = seen,
        (Shape::Option(known), Shape::Option(seen)) | (Shape::Seq(known), Shape::Seq(seen)) => {
            merge(known, *seen);
        }
        (Shape::Tuple(known), Shape::Tuple(seen)) => merge_all(known, seen),
        (Shape::Map(key, value), Shape::Map(seen_key, seen_value)) => {
            merge(key, *seen_key);
            merge(value, *seen_value);
        }
        _ => {}
    }
}

fn merge_fields(known: &mut Fields, seen: Fields) {
    match (known, seen) {
        (known @ Fields::Unknown, seen) => *known = seen,
        (Fields::Newtype(known), Fields::Newtype(seen)) => merge(known, seen),
        (Fields::Tuple(known), Fields::Tuple(seen)) => merge_all(known, seen),
        (Fields::Named(known), Fields::Named(seen)) => {
            for ((_, known), (_, seen)) in known.iter_mut().zip(seen) {
                merge(known, seen);
            }
        }
        _ => {}
    }
}

fn merge_all(known: &mut [Shape], seen: Vec<Shape>) {
    for (known, seen) in known.iter_mut().zip(seen) {
        merge(known, seen);
    }
}

impl Schema {
    /// Whether nothing is missing.
    fn is_known(&self) -> bool {
        let types = self.types.iter().all(|shape| match shape {
            TypeShape::Struct { fields, .. } => fields.is_known(),
            TypeShape::Enum { variants, .. } => variants.iter().all(|(_, fields)| fields.is_known()),
        });
        types && self.key.is_known() && self.value.is_known()
    }
}

impl Fields {
    fn is_known(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Unit => true,
            Self::Newtype(shape) => shape.is_known(),
            Self::Tuple(shapes) => shapes.iter().all(Shape::is_known),
            Self::Named(fields) => fields.iter().all(|(_, shape)| shape.is_known()),
        }
    }
}

impl Shape {
    fn is_known(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Option(shape) | Self::Seq(shape) => shape.is_known(),
            Self::Tuple(shapes) => shapes.iter().all(Self::is_known),
            Self::Map(key, value) => key.is_known() && value.is_known(),
            _ => true,
        }
    }
}

impl de::Error for Lost {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type cannot be followed")
    }
}

impl std::error::Error for Lost {}
