//! As much of JSON Schema as the descriptions use. A word that it does not know is an error: it would check nothing.

use serde_json::Value;
use shared::env::Timestamp;
use uuid::Uuid;

/// Words that say nothing about a value.
const SILENT: [&str; 4] = ["description", "title", "pattern", "maxLength"];

/// What is wrong with a value, by the schema in a document; nothing if all is well.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "", &mut found);
    found
}

/// The schema that a reference leads to.
pub(super) fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let found = document.pointer(reference.trim_start_matches('#'));
            resolved(document, found.unwrap_or_else(|| panic!("{reference} leads nowhere")))
        }
        None => schema,
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolved(document, schema);
    for (word, asked) in schema.as_object().unwrap_or_else(|| panic!("{at}: no schema: {schema}")) {
        let mut wrong = |good: bool| {
            if !good {
                found.push(format!("{at}: {value} is not {word} {asked}"));
            }
        };
        match word.as_str() {
            "type" => wrong(has_type(asked, value)),
            "const" => wrong(value == asked),
            "enum" => wrong(asked.as_array().is_some_and(|all| all.contains(value))),
            "minimum" => wrong(value.as_i64().is_none_or(|number| number >= asked.as_i64().unwrap_or(i64::MIN))),
            "maximum" => wrong(value.as_i64().is_none_or(|number| number <= asked.as_i64().unwrap_or(i64::MAX))),
            "minItems" => wrong(value.as_array().is_none_or(|all| all.len() as u64 >= asked.as_u64().unwrap_or(0))),
            "maxItems" => wrong(value.as_array().is_none_or(|all| all.len() as u64 <= asked.as_u64().unwrap_or(0))),
            "format" => wrong(has_format(asked, value)),
            "required" => {
                let names = asked.as_array().into_iter().flatten().filter_map(Value::as_str);
                let missing: Vec<&str> = names.filter(|name| value.is_object() && value.get(name).is_none()).collect();
                if !missing.is_empty() {
                    found.push(format!("{at}: {missing:?} are missing in {value}"));
                }
            }
            "properties" | "additionalProperties" => {}
            "items" => {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, asked, item, &format!("{at}/{place}"), found);
                }
            }
            "anyOf" => {
                let fits = |one: &Value| faults(document, one, value).is_empty();
                wrong(asked.as_array().is_some_and(|all| all.iter().any(fits)));
            }
            word => assert!(SILENT.contains(&word), "{at}: nobody checks {word}"),
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(asked), _) => check(document, asked, inner, &at, found),
            (None, Some(Value::Bool(false))) => found.push(format!("{at}: is in no description")),
            (None, Some(asked)) if asked.is_object() => check(document, asked, inner, &at, found),
            (None, _) => {}
        }
    }
}

fn has_type(asked: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("nobody knows the type {other}"),
    };
    match asked {
        Value::String(name) => is(name),
        several => several.as_array().into_iter().flatten().filter_map(Value::as_str).any(is),
    }
}

fn has_format(asked: &Value, value: &Value) -> bool {
    let Some(text) = value.as_str() else { return true };
    match asked.as_str() {
        Some("uuid") => text.parse::<Uuid>().is_ok(),
        Some("date-time") => Timestamp::parse_rfc3339(text).is_ok(),
        _ => true,
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let document = serde_json::json!({"components": {"schemas": {"Id": {"type": "string", "format": "uuid"}}}});
    let schema = serde_json::json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {
            "id": {"$ref": "#/components/schemas/Id"},
            "n": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        },
    });
    let id = "0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39";
    let faults = |value: Value| faults(&document, &schema, &value).len();
    assert_eq!(faults(serde_json::json!({"id": id, "n": 1})), 0);
    assert_eq!(faults(serde_json::json!({"id": id, "n": null})), 0);
    assert_eq!(faults(serde_json::json!({"id": id, "n": 0})), 1);
    assert_eq!(faults(serde_json::json!({"id": "7"})), 1);
    assert_eq!(faults(serde_json::json!({"n": 1})), 1);
    assert_eq!(faults(serde_json::json!({"id": id, "other": 1})), 1);
    assert_eq!(faults(serde_json::json!([])), 1);
}
