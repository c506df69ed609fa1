//! What the descriptions are about, and whether they hold together.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::harness::shop::Shop;

use super::schema::resolved;
use super::served;
use crate::security::routes::{Door, routes, table};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Every operation: method, path, and itself.
pub(super) fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in METHODS.into_iter().filter(|method| item.get(*method).is_some()) {
            found.push((method.to_ascii_uppercase(), path.clone(), &item[method]));
        }
    }
    found
}

/// Every reference of a document.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_route_and_method_is_described_and_no_other() {
    let shop = Shop::start(&[]).await;
    let document = served(&shop, "/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let routes: BTreeSet<(String, String)> =
        routes().into_iter().map(|(method, path)| (method, path.replace("{*", "{"))).collect();
    let missing: Vec<_> = routes.difference(&described).collect();
    assert!(missing.is_empty(), "not in web/api/openapi.json: {missing:?}");
    let gone: Vec<_> = described.difference(&routes).collect();
    assert!(gone.is_empty(), "in web/api/openapi.json alone: {gone:?}");
}

#[tokio::test]
async fn every_operation_says_who_may_what_is_sent_and_what_is_answered() {
    let shop = Shop::start(&[]).await;
    let document = served(&shop, "/openapi.json").await;
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{name}: its id is taken");
        let row = table().into_iter().find(|row| row.method == method && row.path.replace("{*", "{") == path);
        let row = row.unwrap_or_else(|| panic!("{name}: no row"));
        let security = operation["security"].to_string();
        match row.door {
            Door::Open | Door::Login | Door::Signed => assert_eq!(security, "[]", "{name}"),
            Door::Customer => assert!(security.contains("customer_token"), "{name}: {security}"),
            Door::Known => assert!(security.contains("operator_cookie"), "{name}: {security}"),
            Door::May(permission) => {
                assert!(security.contains("operator_cookie") && security.contains("\"key\""), "{name}: {security}");
                let summary = operation["summary"].as_str().expect("a summary");
                assert!(summary.contains(&format!("`{permission}`")), "{name}: who may is not said: {summary}");
            }
        }
        for status in row.answers {
            assert!(operation["responses"].get(status.to_string()).is_some(), "{name}: {status} is not described");
        }
        for (status, answer) in operation["responses"].as_object().expect("answers") {
            let answer = resolved(&document, answer);
            assert!(answer["description"].is_string(), "{name}: {status}");
            let says_problem = answer["content"].get("application/problem+json").is_some();
            let is_page = answer["content"].get("text/html").is_some() || path == "/readyz";
            assert!(says_problem || status.as_str() < "400" || is_page, "{name}: {status} is no problem");
        }
        let names: Vec<&str> =
            operation["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(names.contains(&part), "{name}: {part} is not described");
        }
    }
}

#[tokio::test]
async fn both_descriptions_hold_together_and_are_shown_on_a_page_of_our_own() {
    let shop = Shop::start(&[]).await;
    for (path, version) in [("/openapi.json", "openapi"), ("/asyncapi.json", "asyncapi")] {
        let document = served(&shop, path).await;
        assert!(document[version].as_str().is_some_and(|version| version.starts_with("3.")), "{path}");
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            let target = document.pointer(reference.trim_start_matches('#').replace("~1", "/").as_str());
            let target = target.or_else(|| document.pointer(reference.trim_start_matches('#')));
            assert!(target.is_some(), "{path}: {reference} leads nowhere");
        }
        assert!(found.len() > 10, "{path}");
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        for name in schemas.keys() {
            let used = found.iter().any(|reference| reference == &format!("#/components/schemas/{name}"));
            assert!(used, "{path}: nothing uses {name}");
        }
    }
    let request = hyper::Request::get(format!("{}/api", shop.url())).body(http_body_util::Full::default());
    let page = tests::harness::client::exchange(request.expect("a request")).await.expect("the shop");
    assert_eq!(page.status, 200);
    let html = page.text();
    assert!(html.contains("description.js") && !html.contains("://"), "nothing of another host: {html}");
}
