//! The processes and what they are enough for, as whoever asks sees them.

use std::time::Duration;

use super::{Needs, Process, Recommended, SharedFleet};
use crate::budget::forecast::AT_ONCE;
use crate::budget::{Endpoint, SharedBudget};
use crate::jobs::CreateCharge;
use crate::queue::{Job as _, Queue};

/// How long Stripe takes for a charge, as long as no worker has seen one.
const GUESS: Duration = Duration::from_millis(600);

/// Reads the books of the processes, and of the budget that they share.
#[derive(Clone)]
pub struct Outlook {
    /// The processes.
    pub fleet: SharedFleet,
    /// How often Stripe may be asked.
    pub budget: SharedBudget,
}

impl Outlook {
    /// All processes, and how many workers are enough.
    ///
    /// # Errors
    /// What could not be read, in words.
    pub async fn read(&self, queue: &dyn Queue) -> Result<(Vec<Process>, Recommended), String> {
        let processes = self.fleet.processes().await.map_err(|error| error.to_string())?;
        let gauges = queue.gauges(CreateCharge::QUEUE).await.map_err(|error| error.to_string())?;
        self.budget.look(false).await;
        let (allowed, latency) = self.budget.pace(Endpoint::CreateIntent);
        let needs = Needs {
            arrival: processes.iter().filter_map(|one| one.beat.load.web.as_ref()).map(|web| web.accepted_rate).sum(),
            waiting: gauges.waiting,
            allowed,
            latency: latency.unwrap_or(GUESS),
            at_once: at_once(&processes),
        };
        Ok((processes, Recommended::of(needs)))
    }
}

/// Charges that a worker has under way at most: what the tightest of them is bound to, if any is.
fn at_once(processes: &[Process]) -> usize {
    let bounds = processes.iter().filter_map(|one| one.beat.load.worker.as_ref()?.bound);
    bounds.min().map_or(AT_ONCE, |bound| usize::try_from(bound).unwrap_or(AT_ONCE))
}
