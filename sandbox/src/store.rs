//! The objects, in memory, with the database behind them.
//!
//! A request reads rows, and hands back the new ones in one [`Batch`]; the batch is durable before it is visible, and
//! visible before it is answered. So nothing that anybody saw is forgotten by a crash, and an idempotency key and the
//! effects it stands for are written together or not at all.
//!
//! Rows are ordered by a sequence number given when they are written; lists run backwards along it.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    disk::{Disk, Line, Loaded, SavedAnswer},
    model::{
        Charge, CheckoutSession, ConfirmationToken, Customer, Dispute, Event, PaymentIntent, PaymentMethod, Refund,
        Token, WebhookEndpoint,
    },
    render::Render,
};

/// Events that are kept; the oldest go first. Stripe keeps them for thirty days.
const EVENTS_MAX: usize = 100_000;

/// All rows of one kind.
#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: RwLock<Rows<T>>,
}

#[derive(Debug)]
struct Rows<T> {
    by_id: HashMap<String, (u64, Arc<T>)>,
    by_sequence: BTreeMap<u64, Arc<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: RwLock::new(Rows { by_id: HashMap::new(), by_sequence: BTreeMap::new() }) }
    }
}

/// What a list asks for.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) starting_after: Option<String>,
    pub(crate) ending_before: Option<String>,
}

impl<T: Record> Table<T> {
    pub(crate) fn get(&self, id: &str) -> Option<Arc<T>> {
        self.rows.read().by_id.get(id).map(|(_, row)| Arc::clone(row))
    }

    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.rows.read().by_sequence.values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.read().by_id.len()
    }

    /// Newest first, and whether there are more. A cursor that names no row is answered with `Err(cursor)`.
    pub(crate) fn list(&self, page: &Page, keep: impl Fn(&T) -> bool) -> Result<(Vec<Arc<T>>, bool), String> {
        let rows = self.rows.read();
        let sequence = |id: &String| rows.by_id.get(id).map(|(at, _)| *at).ok_or_else(|| id.clone());
        let below = page.starting_after.as_ref().map(sequence).transpose()?.unwrap_or(u64::MAX);
        let above = page.ending_before.as_ref().map(sequence).transpose()?;
        let range = || rows.by_sequence.range(above.map_or(0, |at| at + 1)..below);
        let wanted = page.limit + 1;
        let mut found: Vec<Arc<T>> = match above {
            // The rows next to the cursor, which are the oldest of the newer ones.
            Some(_) => range().map(|(_, row)| row).filter(|row| keep(row)).take(wanted).cloned().collect(),
            None => range().rev().map(|(_, row)| row).filter(|row| keep(row)).take(wanted).cloned().collect(),
        };
        let more = found.len() > page.limit;
        found.truncate(page.limit);
        if above.is_some() {
            found.reverse();
        }
        Ok((found, more))
    }

    fn put(&self, sequence: u64, row: Arc<T>) {
        let mut rows = self.rows.write();
        let id = row.id().to_owned();
        let sequence = rows.by_id.get(&id).map_or(sequence, |(first, _)| *first);
        rows.by_sequence.insert(sequence, Arc::clone(&row));
        rows.by_id.insert(id, (sequence, row));
        if rows.by_id.len() > T::ROWS_MAX
            && let Some((_, oldest)) = rows.by_sequence.pop_first()
        {
            rows.by_id.remove(oldest.id());
        }
    }

    fn remove(&self, id: &str) {
        let mut rows = self.rows.write();
        if let Some((sequence, _)) = rows.by_id.remove(id) {
            rows.by_sequence.remove(&sequence);
        }
    }

    fn clear(&self) {
        let mut rows = self.rows.write();
        rows.by_id.clear();
        rows.by_sequence.clear();
    }
}

/// A kind of row.
pub(crate) trait Record: Render + Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// Its name in the database.
    const KIND: &'static str;
    /// Rows kept in memory; the oldest go first.
    const ROWS_MAX: usize = usize::MAX;
    fn id(&self) -> &str;
    fn table(store: &Store) -> &Table<Self>;
}

macro_rules! tables {
    ($($field:ident: $kind:ident $(, at most $max:expr)?;)+) => {
        /// Every table.
        #[derive(Debug)]
        pub(crate) struct Store {
            $(pub(crate) $field: Table<$kind>,)+
            /// There is no money to give back: refunds wait for it. A restart fills it.
            pub(crate) empty_balance: AtomicBool,
            sequence: AtomicU64,
            disk: Option<Disk>,
            /// Seconds by which the sandbox's clock is ahead of the machine's; forgotten with the process.
            ahead: AtomicI64,
        }

        impl Store {
            fn with(disk: Option<Disk>) -> Self {
                let empty_balance = AtomicBool::new(false);
                let ahead = AtomicI64::new(0);
                Self { $($field: Table::default(),)+ empty_balance, sequence: AtomicU64::new(1), disk, ahead }
            }

            fn load(&self, line: &Line) -> anyhow::Result<()> {
                match line.kind.as_str() {
                    $(<$kind as Record>::KIND => {
                        let row: $kind = serde_json::from_str(&line.json)?;
                        self.$field.put(line.sequence, Arc::new(row));
                    })+
                    other => anyhow::bail!("the sandbox's database holds a row of the unknown kind '{other}'"),
                }
                self.sequence.fetch_max(line.sequence + 1, Ordering::Relaxed);
                Ok(())
            }

            fn clear_tables(&self) {
                $(self.$field.clear();)+
            }
        }

        $(impl Record for $kind {
            const KIND: &'static str = stringify!($field);
            $(const ROWS_MAX: usize = $max;)?
            fn id(&self) -> &str {
                &self.id
            }
            fn table(store: &Store) -> &Table<Self> {
                &store.$field
            }
        })+
    };
}

tables! {
    tokens: Token;
    payment_methods: PaymentMethod;
    confirmation_tokens: ConfirmationToken;
    payment_intents: PaymentIntent;
    charges: Charge;
    customers: Customer;
    refunds: Refund;
    events: Event, at most EVENTS_MAX;
    webhook_endpoints: WebhookEndpoint;
    disputes: Dispute;
    checkout_sessions: CheckoutSession;
}

/// Rows that become durable and visible together.
#[derive(Default)]
pub(crate) struct Batch {
    changes: Vec<Box<dyn Change>>,
    answer: Option<SavedAnswer>,
    /// The changed rows by id, for an answer that shows them before they are visible.
    fresh: HashMap<String, Arc<dyn Render + Send + Sync>>,
}

trait Change: Send {
    fn line(&self, sequence: u64) -> anyhow::Result<Line>;
    fn apply(self: Box<Self>, store: &Store, sequence: u64);
}

struct Put<T>(Arc<T>);
struct Remove<T: Record>(String, std::marker::PhantomData<fn() -> T>);

impl<T: Record> Change for Put<T> {
    fn line(&self, sequence: u64) -> anyhow::Result<Line> {
        let json = serde_json::to_string(&*self.0)?;
        Ok(Line { kind: T::KIND.to_owned(), id: self.0.id().to_owned(), sequence, json })
    }
    fn apply(self: Box<Self>, store: &Store, sequence: u64) {
        T::table(store).put(sequence, self.0);
    }
}

impl<T: Record> Change for Remove<T> {
    fn line(&self, sequence: u64) -> anyhow::Result<Line> {
        // An empty document is a deletion.
        Ok(Line { kind: T::KIND.to_owned(), id: self.0.clone(), sequence, json: String::new() })
    }
    fn apply(self: Box<Self>, store: &Store, _: u64) {
        T::table(store).remove(&self.0);
    }
}

impl Batch {
    pub(crate) fn put<T: Record>(&mut self, row: T) -> Arc<T> {
        let row = Arc::new(row);
        self.changes.push(Box::new(Put(Arc::clone(&row))));
        self.fresh.insert(row.id().to_owned(), Arc::<T>::clone(&row));
        row
    }

    /// A row of this batch.
    pub(crate) fn fresh(&self, id: &str) -> Option<&Arc<dyn Render + Send + Sync>> {
        self.fresh.get(id)
    }

    pub(crate) fn remove<T: Record>(&mut self, id: &str) {
        self.changes.push(Box::new(Remove::<T>(id.to_owned(), std::marker::PhantomData)));
    }

    /// The answer that an idempotency key will replay.
    pub(crate) fn save_answer(&mut self, answer: SavedAnswer) {
        self.answer = Some(answer);
    }
}

impl Store {
    /// Opens the database, or an empty store in memory. Also answers what idempotency keys are to replay.
    pub(crate) async fn open(path: Option<&Path>) -> anyhow::Result<(Self, Vec<SavedAnswer>)> {
        let Some(path) = path else {
            return Ok((Self::with(None), Vec::new()));
        };
        let (disk, Loaded { lines, answers }) = Disk::open(path).await?;
        let store = Self::with(Some(disk));
        for line in &lines {
            store.load(line)?;
        }
        Ok((store, answers))
    }

    /// Seconds since the epoch, by the sandbox's own clock.
    pub(crate) fn now(&self) -> i64 {
        jiff::Timestamp::now().as_second().saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    /// Moves the clock forward.
    pub(crate) fn forward(&self, seconds: u32) {
        self.ahead.fetch_add(i64::from(seconds), Ordering::Relaxed);
    }

    /// Makes a batch durable, then visible.
    ///
    /// # Errors
    /// When the database does not take it; then nothing of it is visible.
    pub(crate) async fn commit(&self, batch: Batch) -> anyhow::Result<()> {
        if batch.changes.is_empty() && batch.answer.is_none() {
            return Ok(());
        }
        let count = u64::try_from(batch.changes.len())?;
        let first = self.sequence.fetch_add(count, Ordering::Relaxed);
        if let Some(disk) = &self.disk {
            let lines: anyhow::Result<Vec<Line>> =
                (first..).zip(&batch.changes).map(|(sequence, change)| change.line(sequence)).collect();
            disk.write(lines?, batch.answer).await?;
        }
        for (sequence, change) in (first..).zip(batch.changes) {
            change.apply(self, sequence);
        }
        Ok(())
    }

    /// Forgets everything.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        if let Some(disk) = &self.disk {
            disk.clear().await?;
        }
        self.clear_tables();
        self.ahead.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the writer once everything handed to it is durable.
    pub(crate) async fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.close().await;
        }
    }
}
