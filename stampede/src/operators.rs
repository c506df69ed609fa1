//! `stampede operator …` and `stampede key …`: who may steer the shop. They go to the ledger's database themselves,
//! whether a process sells or not: whoever types them may read and write it anyway, which makes them the owner before
//! the first owner.
//!
//! No password is an argument: other people of the host could see it in the list of processes, and it would stay in the
//! shell's history.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shared::access::password::BYTES_MAX;
use shared::access::sql::SqlAccess;
use shared::access::{
    Access as _, By, Change, Changed, Key, Line, Look, Name, Operator, Password, Role, Scopes, Token,
};
use shared::config::Settings;
use shared::env::{Env, Timestamp};
use shared::ledger::sql::SqlLedger;

use crate::cli::Output;
use crate::report::Reply;

/// `stampede operator …`
#[derive(Debug, Subcommand)]
pub(crate) enum Operators {
    /// Adds an operator; asks for the password, or reads it from the standard input
    Add {
        /// By which they log in: letters, digits and . _ - + @
        name: Name,
        /// owner, operator, support or read_only
        #[arg(long)]
        role: Role,
        #[command(flatten)]
        password: NewPassword,
        #[command(flatten)]
        output: Output,
    },
    /// Lists all operators
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Gives an operator another role; their sessions end
    Role {
        /// Whom
        name: Name,
        /// owner, operator, support or read_only
        role: Role,
        #[command(flatten)]
        output: Output,
    },
    /// Gives an operator another password; their sessions end
    Password {
        /// Whom
        name: Name,
        #[command(flatten)]
        password: NewPassword,
        #[command(flatten)]
        output: Output,
    },
    /// Removes an operator; their sessions end
    Remove {
        /// Whom
        name: Name,
        #[command(flatten)]
        output: Output,
    },
    /// Shows who logged in, and who changed what about operators and keys, the newest first
    Log {
        /// Lines at most
        #[arg(long, default_value_t = 50)]
        most: u32,
        #[command(flatten)]
        output: Output,
    },
}

/// `stampede key …`
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Makes a key for a machine, and shows it this once
    Add {
        /// What it is called in lists and trails
        name: Name,
        /// What it may do: see, see_orders, refund, steer; several with commas between them
        #[arg(long = "scope", value_name = "SCOPE,SCOPE")]
        scopes: Scopes,
        #[command(flatten)]
        output: Output,
    },
    /// Lists all keys, without the keys themselves
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Revokes a key: it opens nothing from now on
    Revoke {
        /// Which
        name: Name,
        #[command(flatten)]
        output: Output,
    },
}

/// Where a new password comes from.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct NewPassword {
    /// Make one, and show it this once
    #[arg(long)]
    generate: bool,
}

/// What is to be done about operators and keys.
#[derive(Debug)]
pub(crate) enum Asked {
    AddOperator { name: Name, role: Role, password: NewPassword },
    ListOperators,
    SetRole { name: Name, role: Role },
    SetPassword { name: Name, password: NewPassword },
    RemoveOperator { name: Name },
    Log { most: u32 },
    AddKey { name: Name, scopes: Scopes },
    ListKeys,
    RevokeKey { name: Name },
}

impl Operators {
    /// What was asked, and how to print the answer.
    pub(crate) fn asked(self) -> (Asked, Output) {
        match self {
            Self::Add { name, role, password, output } => (Asked::AddOperator { name, role, password }, output),
            Self::List { output } => (Asked::ListOperators, output),
            Self::Role { name, role, output } => (Asked::SetRole { name, role }, output),
            Self::Password { name, password, output } => (Asked::SetPassword { name, password }, output),
            Self::Remove { name, output } => (Asked::RemoveOperator { name }, output),
            Self::Log { most, output } => (Asked::Log { most }, output),
        }
    }
}

impl Keys {
    /// What was asked, and how to print the answer.
    pub(crate) fn asked(self) -> (Asked, Output) {
        match self {
            Self::Add { name, scopes, output } => (Asked::AddKey { name, scopes }, output),
            Self::List { output } => (Asked::ListKeys, output),
            Self::Revoke { name, output } => (Asked::RevokeKey { name }, output),
        }
    }
}

/// Does what was asked.
///
/// # Errors
/// When the ledger's database, or whoever should type a password, cannot be reached.
pub(crate) async fn carry_out(settings: &Settings, asked: Asked) -> anyhow::Result<Reply> {
    let (env, url) = (Env::system(), settings.ledger_url());
    if settings.database_url.is_none() {
        std::fs::create_dir_all(&settings.data_dir)
            .with_context(|| format!("DATA_DIR {} cannot be made", settings.data_dir.display()))?;
    }
    // A file is brought up to date by this; a database that is not says which command does it.
    SqlLedger::connect(url.expose(), env.clone(), settings.terms()).await?.close().await;
    let access = SqlAccess::open(url.expose(), env.clone())?;
    let reply = answer(&access, &env, asked).await;
    access.close().await;
    reply
}

async fn answer(access: &SqlAccess, env: &Env, asked: Asked) -> anyhow::Result<Reply> {
    match asked {
        Asked::ListOperators => Ok(operators(&access.operators().await?)),
        Asked::ListKeys => Ok(keys(&access.keys().await?)),
        Asked::Log { most } => Ok(log(&access.log(Look::newest(most)).await?)),
        Asked::AddOperator { name, role, password } => {
            let (hash, made) = match new_password(env, password)? {
                Ok(password) => password,
                Err(sentence) => return Ok(Reply::refused(sentence)),
            };
            let done = format!("{name} is {role} now.");
            let change = Change::AddOperator { name: name.clone(), role, password: hash };
            change_it(access, change, with_secret(done, json!({"name": name.as_str(), "role": role.as_str()}), made))
                .await
        }
        Asked::SetPassword { name, password } => {
            let (hash, made) = match new_password(env, password)? {
                Ok(password) => password,
                Err(sentence) => return Ok(Reply::refused(sentence)),
            };
            let done = format!("{name} has another password now; whoever was logged in as {name} is not any more.");
            let change = Change::SetPassword { name: name.clone(), password: hash };
            change_it(access, change, with_secret(done, json!({"name": name.as_str()}), made)).await
        }
        Asked::SetRole { name, role } => {
            let done = format!("{name} is {role} now.");
            let data = json!({"name": name.as_str(), "role": role.as_str()});
            change_it(access, Change::SetRole { name, role }, (done, data)).await
        }
        Asked::RemoveOperator { name } => {
            let (done, data) = (format!("{name} is no operator any more."), json!({"name": name.as_str()}));
            change_it(access, Change::RemoveOperator { name }, (done, data)).await
        }
        Asked::AddKey { name, scopes } => {
            let key = Token::key(env);
            let done = format!("{name} may {scopes}. The key, which is shown this once:\n{}", key.expose());
            let data = json!({"name": name.as_str(), "scopes": scopes.permissions(), "key": key.expose()});
            change_it(access, Change::AddKey { name, scopes, key: key.digest() }, (done, data)).await
        }
        Asked::RevokeKey { name } => {
            let (done, data) = (format!("{name} opens nothing any more."), json!({"name": name.as_str()}));
            change_it(access, Change::RevokeKey { name }, (done, data)).await
        }
    }
}

/// The hash of a new password, and the password itself if it was made here; or why it cannot be one.
type Hashed = Result<(shared::access::PasswordHash, Option<Password>), String>;

fn new_password(env: &Env, wanted: NewPassword) -> anyhow::Result<Hashed> {
    let password = if wanted.generate { Password::generate(env) } else { typed()? };
    let hash = password.hash(env);
    Ok(hash.map(|hash| (hash, wanted.generate.then_some(password))))
}

/// A password from a person, who is asked twice and sees nothing of it, or a line from a program.
fn typed() -> anyhow::Result<Password> {
    if std::io::stdin().is_terminal() {
        let once = rpassword::prompt_password("Password (12 characters or more): ")?;
        let again = rpassword::prompt_password("The same again: ")?;
        anyhow::ensure!(once == again, "the two are not the same; nothing was changed");
        return Ok(Password::new(once));
    }
    let mut bytes = Vec::new();
    // As much as shows that it is too long.
    std::io::stdin().take(BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
    let line = String::from_utf8(bytes).context("a password is text, of 1024 bytes at most")?;
    Ok(Password::new(line.lines().next().unwrap_or_default()))
}

fn with_secret(done: String, mut data: Value, made: Option<Password>) -> (String, Value) {
    let Some(password) = made else { return (done, data) };
    data["password"] = password.expose().into();
    (format!("{done} The password, which is shown this once:\n{}", password.expose()), data)
}

async fn change_it(access: &SqlAccess, change: Change, (done, data): (String, Value)) -> anyhow::Result<Reply> {
    let name = change.name().clone();
    Ok(match access.change(change, &By::cli()).await? {
        Changed::Yes => Reply::made(format!("{done}\n"), data),
        Changed::Unknown => Reply::refused(format!("there is no {:?}", name.as_str())),
        Changed::NameTaken => Reply::refused(format!("there is a {:?} already", name.as_str())),
        Changed::LastOwner => Reply::refused(format!(
            "{name} is the last one who may manage operators: give somebody else the role owner first"
        )),
        Changed::TooMany => Reply::refused("there are as many as there may be".to_owned()),
    })
}

fn operators(all: &[Operator]) -> Reply {
    let mut text = String::new();
    for one in all {
        let _ = writeln!(text, "{:<24} {:<10} since {}", one.name, one.role.as_str(), one.changed_at);
    }
    if all.is_empty() {
        text = "There is no operator yet; `stampede operator add NAME --role owner` makes the first.\n".into();
    }
    let row = |one: &Operator| {
        let (created_at, changed_at) = (one.created_at.to_rfc3339(), one.changed_at.to_rfc3339());
        json!({"name": one.name.as_str(), "role": one.role.as_str(), "permissions": one.role.permissions(),
            "created_at": created_at, "changed_at": changed_at})
    };
    Reply::made(text, json!({ "operators": all.iter().map(row).collect::<Vec<_>>() }))
}

fn keys(all: &[Key]) -> Reply {
    let mut text = String::new();
    for one in all {
        let used = one.last_used.map_or_else(|| "never used".into(), |at| format!("used {at}"));
        let _ = writeln!(text, "{:<24} {:<28} made {}, {used}", one.name, one.scopes.to_string(), one.created_at);
    }
    if all.is_empty() {
        text = "There is no key yet; `stampede key add NAME --scope see_orders,refund` makes one.\n".into();
    }
    let row = |one: &Key| {
        json!({"name": one.name.as_str(), "scopes": one.scopes.permissions(),
            "created_at": one.created_at.to_rfc3339(), "last_used": one.last_used.map(Timestamp::to_rfc3339)})
    };
    Reply::made(text, json!({ "keys": all.iter().map(row).collect::<Vec<_>>() }))
}

fn log(lines: &[Line]) -> Reply {
    let mut text = String::new();
    for line in lines {
        let more =
            [&line.whom, &line.note, &line.result, &line.why, &line.address].into_iter().flatten().map(String::as_str);
        let more = more.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "{}  {:<18} {:<24} {more}", line.at, line.what, line.who);
    }
    let row = |line: &Line| {
        json!({"at": line.at.to_rfc3339(), "what": line.what, "who": line.who, "whom": line.whom,
            "address": line.address, "note": line.note, "why": line.why, "result": line.result})
    };
    Reply::made(text, json!({ "log": lines.iter().map(row).collect::<Vec<_>>() }))
}
