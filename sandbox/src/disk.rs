//! The database: two tables, one writer.
//!
//! Every object is a JSON document under (kind, id), every remembered answer a row under its idempotency key. The
//! writer takes whatever has gathered since its last transaction and commits it in one, so that many requests share
//! one `fsync`; each is answered only after the commit that carries it (WAL, `synchronous=FULL`).

use std::path::Path;

use anyhow::Context;
use sea_orm::sqlx::{
    self, Connection, QueryBuilder, Row, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};

use crate::idempotency::KEPT_SECONDS;

/// Batches that wait for the writer; beyond it, requests wait to hand theirs over.
const QUEUE_MAX: usize = 4_096;
/// Batches in one transaction.
const GROUP_MAX: usize = 512;
/// Rows in one statement. Few sizes make few statements, which are prepared once and kept.
const ROWS_PER_STATEMENT: [usize; 3] = [128, 16, 1];
/// Events older than this many rows are dropped when the database is opened.
const EVENT_ROWS_KEPT: i64 = 100_000;

/// Both tables grow at their end only; ids and keys are found by an index. (Documents stored in the order of their
/// random ids would split a page with nearly every write.)
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS objects (
        sequence INTEGER NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        id TEXT NOT NULL UNIQUE,
        json TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS answers (
        key TEXT NOT NULL UNIQUE,
        fingerprint BLOB NOT NULL,
        status INTEGER NOT NULL,
        body TEXT NOT NULL,
        request TEXT NOT NULL,
        created INTEGER NOT NULL
    );";

/// One object to write; an empty document deletes it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) json: String,
}

/// What an idempotency key replays.
#[derive(Debug, Clone)]
pub(crate) struct SavedAnswer {
    pub(crate) key: String,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) status: u16,
    pub(crate) body: String,
    /// The request that made it: `Original-Request` in a replay.
    pub(crate) request: String,
    /// Seconds since the epoch.
    pub(crate) created: i64,
}

/// What the database held when it was opened.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) lines: Vec<Line>,
    pub(crate) answers: Vec<SavedAnswer>,
}

enum Job {
    Write { lines: Vec<Line>, answer: Option<SavedAnswer>, done: oneshot::Sender<()> },
    Clear { done: oneshot::Sender<()> },
    Close { done: oneshot::Sender<()> },
}

/// A handle to the writer.
#[derive(Debug)]
pub(crate) struct Disk {
    jobs: mpsc::Sender<Job>,
}

impl Disk {
    pub(crate) async fn open(path: &Path) -> anyhow::Result<(Self, Loaded)> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .with_context(|| format!("the sandbox's database {} cannot be opened", path.display()))?;
        sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
        let loaded = load(&mut connection).await?;
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(connection, queue));
        Ok((Self { jobs }, loaded))
    }

    pub(crate) async fn write(&self, lines: Vec<Line>, answer: Option<SavedAnswer>) -> anyhow::Result<()> {
        self.ask(|done| Job::Write { lines, answer, done }).await
    }

    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        self.ask(|done| Job::Clear { done }).await
    }

    pub(crate) async fn close(&self) {
        // A writer that is gone already has nothing left to write.
        let _gone = self.ask(|done| Job::Close { done }).await;
    }

    async fn ask(&self, job: impl FnOnce(oneshot::Sender<()>) -> Job) -> anyhow::Result<()> {
        let (done, answer) = oneshot::channel();
        let gone = "the sandbox's database did not take a write; the log says why";
        self.jobs.send(job(done)).await.ok().context(gone)?;
        answer.await.context(gone)
    }
}

async fn load(connection: &mut SqliteConnection) -> anyhow::Result<Loaded> {
    let oldest = jiff::Timestamp::now().as_second() - KEPT_SECONDS;
    sqlx::query("DELETE FROM answers WHERE created < ?").bind(oldest).execute(&mut *connection).await?;
    sqlx::query(
        "DELETE FROM objects WHERE kind = 'events' AND sequence <= COALESCE((SELECT sequence FROM objects \
         WHERE kind = 'events' ORDER BY sequence DESC LIMIT 1 OFFSET ?), 0)",
    )
    .bind(EVENT_ROWS_KEPT)
    .execute(&mut *connection)
    .await?;
    let rows = sqlx::query("SELECT kind, id, sequence, json FROM objects ORDER BY sequence")
        .fetch_all(&mut *connection)
        .await?;
    let lines: anyhow::Result<Vec<Line>> = rows
        .iter()
        .map(|row| {
            let sequence = u64::try_from(row.try_get::<i64, _>(2)?)?;
            Ok(Line { kind: row.try_get(0)?, id: row.try_get(1)?, sequence, json: row.try_get(3)? })
        })
        .collect();
    let rows = sqlx::query("SELECT key, fingerprint, status, body, request, created FROM answers ORDER BY created")
        .fetch_all(&mut *connection)
        .await?;
    let answers: anyhow::Result<Vec<SavedAnswer>> = rows
        .iter()
        .map(|row| {
            let fingerprint: Vec<u8> = row.try_get(1)?;
            Ok(SavedAnswer {
                key: row.try_get(0)?,
                fingerprint: fingerprint.try_into().ok().context("a fingerprint has 32 bytes")?,
                status: u16::try_from(row.try_get::<i64, _>(2)?)?,
                body: row.try_get(3)?,
                request: row.try_get(4)?,
                created: row.try_get(5)?,
            })
        })
        .collect();
    Ok(Loaded { lines: lines?, answers: answers? })
}

/// The writer. It ends, and every later write with it, when a transaction fails: a sandbox that cannot keep what it
/// answers must not answer.
async fn run(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Job>) {
    let mut group = Vec::new();
    while queue.recv_many(&mut group, GROUP_MAX).await > 0 {
        let (mut lines, mut answers, mut waiting, mut closing) = (Vec::new(), Vec::new(), Vec::new(), false);
        let mut clear = false;
        for job in group.drain(..) {
            let done = match job {
                Job::Write { lines: more, answer, done } => {
                    lines.extend(more);
                    answers.extend(answer);
                    done
                }
                Job::Clear { done } => {
                    (lines, answers, clear) = (Vec::new(), Vec::new(), true);
                    done
                }
                Job::Close { done } => {
                    closing = true;
                    done
                }
            };
            waiting.push(done);
        }
        if let Err(error) = commit(&mut connection, clear, &lines, &answers).await {
            tracing::error!(%error, "the sandbox's database refused a transaction; no further request is answered");
            return;
        }
        for done in waiting {
            // Whoever stopped waiting does not need the news.
            let _gone = done.send(());
        }
        if closing {
            break;
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the sandbox's database did not close cleanly");
    }
}

/// Cuts rows into pieces of the sizes above.
fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROWS_PER_STATEMENT.into_iter().find(|size| *size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

async fn commit(
    connection: &mut SqliteConnection,
    clear: bool,
    lines: &[Line],
    answers: &[SavedAnswer],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if clear {
        sqlx::raw_sql("DELETE FROM objects; DELETE FROM answers;").execute(&mut *transaction).await?;
    }
    for chunk in chunks(lines) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO objects (kind, id, sequence, json) ");
        insert.push_values(chunk, |mut row, line| {
            let sequence = i64::try_from(line.sequence).unwrap_or(i64::MAX);
            row.push_bind(&line.kind).push_bind(&line.id).push_bind(sequence).push_bind(&line.json);
        });
        // An object keeps the place in lists that it was born with.
        insert.push(" ON CONFLICT (id) DO UPDATE SET json = excluded.json");
        insert.build().execute(&mut *transaction).await?;
    }
    for line in lines.iter().filter(|line| line.json.is_empty()) {
        sqlx::query("DELETE FROM objects WHERE id = ? AND json = ''").bind(&line.id).execute(&mut *transaction).await?;
    }
    for chunk in chunks(answers) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT OR REPLACE INTO answers (key, fingerprint, status, body, request, created) ",
        );
        insert.push_values(chunk, |mut row, answer| {
            row.push_bind(&answer.key).push_bind(answer.fingerprint.as_slice()).push_bind(i64::from(answer.status));
            row.push_bind(&answer.body).push_bind(&answer.request).push_bind(answer.created);
        });
        insert.build().execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
