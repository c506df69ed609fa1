//! The commands that make operators and keys, with no process that sells.

use super::*;

/// Asserts that a command fails with this code, and says this.
fn refused(output: &Output, code: i32, says: &str) {
    let (ended, text) = said(output);
    assert!(ended == Some(code) && text.contains(says), "{ended:?}: {text}");
    assert!(!text.contains("panicked") && !text.contains(PASSWORD), "{text}");
}

#[tokio::test]
async fn operators_are_added_listed_changed_and_removed_and_the_last_owner_stays() {
    let desk = Desk::new(&[]);
    assert_eq!(desk.cli_json(&["operator", "list"]).await, json!({"operators": []}));
    assert!(said(&desk.cli(&["operator", "list"]).await).1.contains("--role owner"), "how to make the first");
    add(&desk, "Ann@Example.com", "owner").await;
    add(&desk, "bob", "read_only").await;
    let again = with_password(&desk, &["operator", "add", "ann@example.com", "--role", "support"], PASSWORD).await;
    refused(&again, 1, "there is a \"ann@example.com\" already");
    let listed = desk.cli_json(&["operator", "list"]).await;
    let role = |at: usize| (listed["operators"][at]["name"].clone(), listed["operators"][at]["role"].clone());
    assert_eq!(role(0), ("ann@example.com".into(), "owner".into()));
    assert_eq!(role(1), ("bob".into(), "read_only".into()));

    refused(&desk.cli(&["operator", "remove", "ann@example.com"]).await, 1, "role owner first");
    refused(&desk.cli(&["operator", "role", "ann@example.com", "operator"]).await, 1, "role owner first");
    assert_eq!(desk.cli_json(&["operator", "role", "bob", "owner"]).await, json!({"name": "bob", "role": "owner"}));
    desk.cli_json(&["operator", "remove", "ann@example.com"]).await;
    refused(&desk.cli(&["operator", "remove", "bob"]).await, 1, "role owner first");
    refused(&desk.cli(&["operator", "remove", "ann@example.com"]).await, 1, "there is no \"ann@example.com\"");
    refused(&desk.cli(&["key", "revoke", "bob"]).await, 1, "there is no \"bob\"");
    let told: Vec<String> = trail(&desk).await.into_iter().map(|(what, ..)| what).collect();
    assert_eq!(
        told,
        ["operator_added", "operator_added", "role_changed", "operator_removed"],
        "refusals are no changes"
    );
}

#[tokio::test]
async fn a_password_is_no_argument_and_is_long_enough_or_made() {
    let desk = Desk::new(&[]);
    let add = ["operator", "add", "ann", "--role", "owner"];
    refused(&desk.cli(&[&add[..], &["--password", PASSWORD]].concat()).await, 2, "--password");
    refused(&desk.cli(&add).await, 1, "12 characters at least");
    refused(&with_password(&desk, &add, "eleven char").await, 1, "12 characters at least");
    refused(&with_password(&desk, &add, &"x".repeat(1_025)).await, 1, "1024 bytes at most");
    assert_eq!(desk.cli_json(&["operator", "list"]).await, json!({"operators": []}));

    let made = desk.cli_json(&[&add[..], &["--generate"]].concat()).await;
    let password = made["password"].as_str().unwrap().to_owned();
    assert_eq!(password.len(), 27, "{password}");
    let anew = desk.cli_json(&["operator", "password", "ann", "--generate"]).await["password"].clone();
    assert_ne!(anew, password.as_str());
    let words = said(&desk.cli(&["operator", "log"]).await).1 + &said(&desk.cli(&["operator", "list"]).await).1;
    assert!(!words.contains(&password) && words.contains("password_changed"), "{words}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_named() {
    let desk = Desk::new(&[]);
    for (arguments, code, says) in [
        (&["operator", "add", "ann", "--role", "god", "--generate"][..], 2, "owner, operator, support, read_only"),
        (&["operator", "add", "an operator", "--role", "owner", "--generate"], 2, "a name begins with"),
        (&["operator", "add", "key:till", "--role", "owner", "--generate"], 2, "a name begins with"),
        (&["key", "add", "till", "--scope", "manage"], 2, "cannot manage"),
        (&["key", "add", "till", "--scope", "see,manage"], 2, "cannot manage"),
        (&["key", "add", "till", "--scope", "everything"], 2, "see, see_orders"),
        (&["key", "add", "till", "--scope", ""], 2, "of no use"),
        (&["key", "add", "till"], 2, "--scope"),
    ] {
        refused(&desk.cli(arguments).await, code, says);
    }
    assert_eq!(desk.cli_json(&["key", "list"]).await, json!({"keys": []}));
    assert!(trail(&desk).await.is_empty());
}
