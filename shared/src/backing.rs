//! The backing services of a shop that is spread over several processes: one Redis for stock, queue and rooms, and one
//! ledger. Every process reaches them the same way, and none starts without them. (<https://12factor.net/backing-services>)

use std::sync::Arc;
use std::time::Duration;

use crate::budget::redis::RedisSlots;
use crate::budget::{Budget, SharedBudget};
use crate::config::Settings;
use crate::data_dir::{DataDir, DataDirError};
use crate::env::Env;
use crate::fleet::SharedFleet;
use crate::fleet::redis::RedisFleet;
use crate::lease::SharedLease;
use crate::lease::redis::RedisLease;
use crate::ledger::LedgerError;
use crate::ledger::sql::SqlLedger;
use crate::queue::redis::RedisQueue;
use crate::queue::{Queue, QueueOptions};
use crate::redis_server::{RedisServer, RedisServerError};
use crate::rooms::SharedRooms;
use crate::rooms::redis::RedisRooms;
use crate::stock::SharedStock;
use crate::stock::redis::RedisStock;

/// How long a dead worker's jobs wait before another worker takes them.
const LEASE: Duration = Duration::from_secs(10);

/// Why a process cannot start, in a sentence for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum BackingError {
    /// Nothing says where Redis is.
    #[error(
        "it runs beside other processes and shares stock, queue and rooms with them through Redis: set REDIS_URL, or \
         run `stampede`, which is everything in one process"
    )]
    NoRedis,
    /// The Redis server is not there, or not what is needed.
    #[error(transparent)]
    Redis(#[from] RedisServerError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger's file is in a directory that cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// What the processes of one shop share.
pub struct Backing {
    /// The truth.
    pub ledger: Arc<SqlLedger>,
    /// The fast gate.
    pub stock: SharedStock,
    /// Jobs.
    pub queue: Arc<dyn Queue>,
    /// Results on their way to pages.
    pub rooms: SharedRooms,
    /// Who does what need not be done by all.
    pub lease: SharedLease,
    /// How often Stripe may be asked.
    pub budget: SharedBudget,
    /// The books of all processes.
    pub fleet: SharedFleet,
    /// Keeps an embedded shop away from a ledger file that several processes use.
    _data_dir: Option<DataDir>,
}

impl Backing {
    /// Reaches everything.
    ///
    /// # Errors
    /// A sentence about what is missing.
    pub async fn connect(settings: &Settings, env: &Env) -> Result<Self, BackingError> {
        let url = settings.redis_url.as_ref().ok_or(BackingError::NoRedis)?;
        let server = RedisServer::connect(url.expose()).await?;
        let data_dir = match settings.database_url {
            None => Some(DataDir::share(&settings.data_dir)?),
            Some(_) => None,
        };
        let ledger = SqlLedger::connect(settings.ledger_url().expose(), env.clone(), settings.terms()).await?;
        let options = QueueOptions { lease: LEASE, ..QueueOptions::default() };
        Ok(Self {
            ledger: Arc::new(ledger),
            stock: Arc::new(RedisStock::new(server.clone(), env.clone())),
            queue: Arc::new(RedisQueue::new(server.clone(), env.clone(), options)),
            rooms: Arc::new(RedisRooms::new(server.clone(), env.clone())),
            budget: Arc::new(Budget::new(
                env.clone(),
                Arc::new(RedisSlots::new(server.clone())),
                settings.limits(),
                env.uuid_v4().simple().to_string(),
            )),
            fleet: Arc::new(RedisFleet::new(server.clone())),
            lease: Arc::new(RedisLease::new(server)),
            _data_dir: data_dir,
        })
    }
}
