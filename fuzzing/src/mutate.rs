//! Makes inputs of valid examples: what a careless or a hostile sender makes of them. Every input follows from a seed.

use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// The most bytes of an input.
pub const BYTES_MAX: usize = 64 * 1024;

/// What often breaks something.
const BITS: [&str; 40] = [
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "-0.0",
    "9223372036854775807",
    "9223372036854775808",
    "4294967296",
    "[]",
    "{}",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "😀",
    "%00",
    "%2e%2e%2f",
    "../",
    "//",
    "\r\n",
    "\n\n",
    ": ",
    ";",
    ",",
    "=",
    "&",
    "?",
    "'",
    "--",
    "$TOKEN",
    "$KEY",
    "gate",
    "std",
    "NaN",
    "00000000-0000-0000-0000-000000000000",
];

/// The generator of one input, by which it can be made again.
#[must_use]
pub fn generator(seed: u64, target: &str, number: u64) -> ChaCha8Rng {
    let name = target
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    ChaCha8Rng::seed_from_u64(seed ^ name.rotate_left(17) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Makes an input of the examples.
#[must_use]
pub fn input(corpus: &[Vec<u8>], random: &mut impl Rng) -> Vec<u8> {
    let mut bytes = one_of(corpus, random).cloned().unwrap_or_default();
    match random.random_range(0..20) {
        // As it is: what is valid has to work.
        0 => return bytes,
        1 => return noise(random),
        2..8 => {
            if let Some(changed) = with_other_values(&bytes, random) {
                return changed;
            }
        }
        _ => {}
    }
    for _ in 0..random.random_range(1..6) {
        bytes = changed(bytes, corpus, random);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn one_of<'a, T>(all: &'a [T], random: &mut impl Rng) -> Option<&'a T> {
    if all.is_empty() { None } else { all.get(random.random_range(0..all.len())) }
}

fn noise(random: &mut impl Rng) -> Vec<u8> {
    let length = random.random_range(0..300);
    (0..length).map(|_| random.random()).collect()
}

fn changed(mut bytes: Vec<u8>, corpus: &[Vec<u8>], random: &mut impl Rng) -> Vec<u8> {
    let at = random.random_range(0..=bytes.len());
    let to = random.random_range(at..=bytes.len().min(at + 32));
    match random.random_range(0..9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = random.random(),
        2 => drop(bytes.drain(at..to)),
        3 => bytes.truncate(at),
        4 => {
            let piece = bytes[at..to].to_vec();
            bytes.splice(at..at, piece.repeat(random.random_range(1..4)));
        }
        5 => {
            let other = one_of(corpus, random).cloned().unwrap_or_default();
            let from = random.random_range(0..=other.len());
            bytes.splice(at..to, other[from..].iter().copied().take(200));
        }
        6 if random.random_range(0..50) == 0 => {
            // Deep, or long.
            let piece: &[u8] = if random.random() { b"[" } else { b"{\"a\":" };
            bytes.splice(at..at, piece.repeat(random.random_range(1..4_000)));
        }
        _ => {
            let bit = one_of(&BITS, random).copied().unwrap_or_default();
            bytes.splice(at..to, bit.bytes());
        }
    }
    bytes
}

/// Puts other values into the JSON of an example, wherever it begins.
fn with_other_values(bytes: &[u8], random: &mut impl Rng) -> Option<Vec<u8>> {
    let begins = bytes.iter().position(|byte| *byte == b'{')?;
    let mut value: Value = serde_json::from_slice(&bytes[begins..]).ok()?;
    for _ in 0..random.random_range(1..4) {
        change_one(&mut value, random);
    }
    let mut made = bytes[..begins].to_vec();
    made.extend(value.to_string().into_bytes());
    Some(made)
}

fn change_one(value: &mut Value, random: &mut impl Rng) {
    let deeper = random.random_range(0..4) > 0;
    match value {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let at = random.random_range(0..fields.len());
            let name = fields.keys().nth(at).cloned().unwrap_or_default();
            match random.random_range(0..8) {
                0 => drop(fields.remove(&name)),
                1 => drop(fields.insert(format!("{name}_"), any(random))),
                _ => {
                    if let Some(field) = fields.get_mut(&name) {
                        change_one(field, random);
                    }
                }
            }
        }
        Value::Array(entries) if deeper && !entries.is_empty() => {
            let at = random.random_range(0..entries.len());
            match random.random_range(0..6) {
                0 => entries.extend(entries.clone()),
                1 => drop(entries.remove(at)),
                _ => change_one(&mut entries[at], random),
            }
        }
        other => *other = any(random),
    }
}

fn any(random: &mut impl Rng) -> Value {
    match random.random_range(0..10) {
        0 => Value::Null,
        1 => Value::from(random.random::<bool>()),
        2 => Value::from(random.random::<i64>()),
        3 => Value::from(random.random_range(-3..200)),
        4 => Value::from(random.random::<f64>()),
        5 => Value::Array((0..random.random_range(0..3)).map(|_| any(random)).collect()),
        6 => Value::Object([("id".to_owned(), any(random))].into_iter().collect()),
        7 => Value::from("x".repeat(random.random_range(0..2_000))),
        _ => Value::from(one_of(&BITS, random).copied().unwrap_or_default()),
    }
}
