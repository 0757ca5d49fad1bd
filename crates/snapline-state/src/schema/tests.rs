//! Types of every kind, there and back.

use super::*;
use serde_json::json;
use snapline_core::encode_into;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct Unit;

#[derive(Serialize, Deserialize)]
struct Wrapped<T>(T);

#[derive(Serialize, Deserialize)]
struct Pair(u8, String);

#[derive(Serialize, Deserialize)]
struct Named<T> {
    number: T,
    note: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum Choice {
    None,
    One(Wrapped<u64>),
    Two(i32, bool),
    Inner { choice: Inner, rest: Vec<Inner> },
}

#[derive(Serialize, Deserialize)]
enum Inner {
    Left,
    Right(f64),
}

#[derive(Serialize, Deserialize)]
enum Expression {
    Add(Box<Expression>, Box<Expression>),
    Negate(Box<Expression>),
    Number(i64),
}

#[derive(Serialize, Deserialize)]
struct Tree {
    name: String,
    parent: Option<Box<Tree>>,
    children: Vec<Tree>,
    by_name: BTreeMap<String, Wrapped<Tree>>,
}

fn tree(children: Vec<Tree>) -> Tree {
    Tree {
        name: "tree".to_owned(),
        parent: None,
        children,
        by_name: BTreeMap::new(),
    }
}

#[track_caller]
fn check<T: Serialize + DeserializeOwned>(value: T, expected: Value) {
    let schema = Schema::of::<u8, T>().expect("a schema");
    let stored: Schema = serde_json::from_slice(&serde_json::to_vec(&schema).unwrap()).unwrap();
    assert_eq!(stored, schema);
    let mut bytes = Vec::new();
    encode_into(&value, &mut bytes).unwrap();
    assert_eq!(schema.value_to_json(&bytes).unwrap(), expected);
    bytes.push(0);
    assert!(schema.value_to_json(&bytes).is_err(), "bytes are left over");
    for len in 0..bytes.len() - 1 {
        assert!(schema.value_to_json(&bytes[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn numbers_and_texts_are_themselves() {
    check(u64::MAX, json!(u64::MAX));
    check(u128::MAX, json!(u128::MAX.to_string()));
    check(
        (i8::MIN, i16::MIN, i32::MAX, i64::MIN),
        json!([i8::MIN, i16::MIN, i32::MAX, i64::MIN]),
    );
    check(i128::MIN, json!(i128::MIN.to_string()));
    check(
        (1.5_f32, f64::NEG_INFINITY, 'ß', "Straße".to_owned()),
        json!([1.5, "-inf", "ß", "Straße"]),
    );
    check((true, Some(1_u16), None::<u16>), json!([true, 1, null]));
    check(bytes::Bytes::from_static(&[1, 255]), json!("0x01ff"));
    check(
        (NonZeroU32::MAX, Duration::from_millis(1500)),
        json!([u32::MAX, {"secs": 1, "nanos": 500_000_000}]),
    );
}

#[test]
fn collections_are_lists_and_objects() {
    check(vec![vec![1_u8], vec![]], json!([[1], []]));
    check(HashMap::from([("a".to_owned(), 1)]), json!({"a": 1}));
    check(BTreeMap::from([(1, 'x'), (2, 'y')]), json!([[1, "x"], [2, "y"]]));
    check([7_u64; 3], json!([7, 7, 7]));
}

#[test]
fn types_of_the_program_are_objects_and_names() {
    check((Unit, Wrapped(5_u64)), json!([null, 5]));
    check((Pair(1, "x".to_owned()), 2_u8), json!([[1, "x"], 2]));
    let note = Some("n".to_owned());
    let same_name = (
        Named { number: 1_u8, note },
        Named {
            number: 'c',
            note: None,
        },
    );
    check(
        same_name,
        json!([{"number": 1, "note": "n"}, {"number": "c", "note": null}]),
    );
    let inner = Choice::Inner {
        choice: Inner::Right(0.5),
        rest: vec![Inner::Left],
    };
    let all = vec![
        Choice::None,
        Choice::One(Wrapped(3)),
        Choice::Two(-1, true),
        inner,
    ];
    let inner = json!({"Inner": {"choice": {"Right": 0.5}, "rest": ["Left"]}});
    check(all, json!(["None", {"One": 3}, {"Two": [-1, true]}, inner]));
    check(Err::<u8, _>("no".to_owned()), json!({"Err": "no"}));
}

#[test]
fn recursive_types_come_to_an_end() {
    let number = |number| Box::new(Expression::Number(number));
    let expression = Expression::Add(Box::new(Expression::Negate(number(1))), number(2));
    check(
        expression,
        json!({"Add": [{"Negate": {"Number": 1}}, {"Number": 2}]}),
    );
    let leaf = json!({"name": "tree", "parent": null, "children": [], "by_name": {}});
    let expected = json!({"name": "tree", "parent": null, "children": [leaf], "by_name": {}});
    check(tree(vec![tree(vec![])]), expected);
}

#[test]
fn types_that_cannot_be_followed_have_no_schema() {
    /// Accepts nothing that is made up.
    struct Picky;
    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            match u32::deserialize(deserializer)? {
                42 => Ok(Self),
                _ => Err(serde::de::Error::custom("not 42")),
            }
        }
    }
    struct Endless;
    impl<'de> Deserialize<'de> for Endless {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Vec::<Self>::deserialize(deserializer).map(|_| Self)
        }
    }
    struct Panics;
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("as it likes")
        }
    }
    assert_eq!(Schema::of::<u8, Picky>(), None);
    assert_eq!(Schema::of::<u8, Endless>(), None);
    assert_eq!(Schema::of::<u8, Panics>(), None);
    assert_eq!(Schema::of::<u8, Value>(), None);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
        let schema = Schema::of::<Vec<Choice>, (Vec<()>, Tree, Expression)>().unwrap();
        let _ = (schema.key_to_json(&bytes), schema.value_to_json(&bytes));
    }
}
