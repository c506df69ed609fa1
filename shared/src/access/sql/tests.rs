//! What the suite cannot see from outside: what stands in the file, and what the tables refuse by themselves.

use std::sync::Arc;

use sea_orm::ConnectionTrait as _;
use tempfile::TempDir;

use super::*;
use crate::access::conformance::{World, stories};
use crate::access::{Password, Token};
use crate::env::Seeded;
use crate::ledger::sql::SqlLedger;

async fn file(folder: &TempDir, name: &str, clock: &Seeded) -> SqlAccess {
    let url = format!("sqlite://{}/{name}.db?mode=rwc", folder.path().display());
    SqlLedger::migrate(&url).await.unwrap();
    SqlAccess::open(&url, clock.env()).unwrap()
}

#[tokio::test]
async fn access_in_sqlite_does_what_it_must() {
    let folder = tempfile::tempdir().unwrap();
    for (name, story) in stories() {
        eprintln!("story: {name}");
        let clock = Seeded::new(12);
        story(World { access: Arc::new(file(&folder, name, &clock).await), clock }).await;
    }
}

#[tokio::test]
async fn no_password_cookie_or_key_can_be_read_from_the_file() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Seeded::new(13));
    let (env, access) = (clock.env(), file(&folder, "one", &clock).await);
    let (password, session, key) = (Password::generate(&env), Token::session(&env), Token::key(&env));
    let name: Name = "ann".parse().unwrap();
    let hash = password.hash(&env).unwrap();
    let role = crate::access::Role::Owner;
    access.change(Change::AddOperator { name: name.clone(), role, password: hash }, &By::cli()).await.unwrap();
    let (operator, _) = access.operator(&name).await.unwrap().unwrap();
    let address = IpAddr::from([127, 0, 0, 1]);
    let login = Login { operator, session: session.digest(), replaces: None, address };
    assert!(access.log_in(login).await.unwrap());
    let scopes = "see".parse().unwrap();
    access.change(Change::AddKey { name, scopes, key: key.digest() }, &By::cli()).await.unwrap();
    assert!(access.key(&key.digest()).await.unwrap().is_some());
    access.close().await;

    let contains = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(contains(&kept, "operator:ann") && contains(&kept, &session.digest().to_hex()), "it was written");
    for secret in [password.expose(), session.expose(), key.expose(), &key.expose()[4..]] {
        assert!(!contains(&kept, secret), "{secret}");
    }
}

#[tokio::test]
async fn the_tables_refuse_what_would_open_the_shop_or_rewrite_its_trail() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Seeded::new(14));
    let access = file(&folder, "one", &clock).await;
    let name: Name = "ann".parse().unwrap();
    let password = PasswordHash::of_nobody();
    let role = crate::access::Role::Support;
    access.change(Change::AddOperator { name: name.clone(), role, password }, &By::cli()).await.unwrap();
    let (scopes, key) = ("see".parse().unwrap(), Token::key(&clock.env()).digest());
    access.change(Change::AddKey { name, scopes, key }, &By::cli()).await.unwrap();
    for (sql, because) in [
        ("UPDATE access_audit SET who = 'nobody'", "append-only"),
        ("DELETE FROM access_audit", "append-only"),
        ("UPDATE operators SET password = 'open sesame'", "operators_password_is_hashed"),
        ("UPDATE operators SET role = 'god'", "operators_role_is_known"),
        ("UPDATE access_keys SET scopes = 'see,manage'", "access_keys_never_manage"),
        ("UPDATE access_keys SET scopes = ''", "access_keys_never_manage"),
        ("UPDATE access_keys SET digest = 'stk_1'", "access_keys_are_hashed"),
        ("INSERT INTO operator_sessions VALUES ('abc', x'00', 1, 1, 1)", "operator_sessions_are_hashed"),
    ] {
        let refused = access.pool.execute_unprepared(sql).await.unwrap_err().to_string();
        assert!(refused.contains(because), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_refused_without_its_password() {
    for url in ["postgres://shop:hunter2@127.0.0.1:no-port/shop", "mysql://shop:hunter2@localhost/shop"] {
        let refused = SqlAccess::open(url, Seeded::new(15).env()).err().map(|error| error.to_string());
        assert!(refused.is_none_or(|sentence| !sentence.contains("hunter2")), "{url}");
    }
}
