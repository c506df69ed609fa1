//! CPU seconds and memory of the measured processes and of all that they have started, read from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock;

/// Time between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// One in so many looks is kept.
const KEEP_ONE_IN: usize = 5;

/// A part of a system: its name and the processes that it was started as. A name that begins with `~` is shown, and
/// kept out of the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `web`, `worker`, `redis`, `postgres`, `~stub`
    pub name: String,
    /// Process ids.
    pub roots: Vec<u32>,
    folder: PathBuf,
}

/// CPU seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// In the program.
    pub user: f64,
    /// In the kernel, on its behalf.
    pub system: f64,
}

impl Cpu {
    /// Both.
    #[must_use]
    pub fn sum(self) -> f64 {
        self.user + self.system
    }
}

impl FromStr for Group {
    type Err = String;

    /// Reads `web=123,456`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, ids) = text.split_once('=').ok_or("should be NAME=PID[,PID]")?;
        let roots: Result<Vec<u32>, _> = ids.split(',').map(str::parse).collect();
        Ok(Self::of(name, roots.map_err(|_| "a process id is a whole number".to_owned())?))
    }
}

impl Group {
    /// A group of processes of this machine.
    #[must_use]
    pub fn of(name: &str, roots: Vec<u32>) -> Self {
        Self { name: name.to_owned(), roots, folder: PathBuf::from("/proc") }
    }

    /// Whether it counts in the sums.
    #[must_use]
    pub fn counts(&self) -> bool {
        !self.name.starts_with('~')
    }

    /// Its live processes.
    #[must_use]
    pub fn members(&self) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        self.roots.iter().for_each(|root| self.gather(*root, &mut found));
        found
    }

    fn gather(&self, id: u32, found: &mut BTreeSet<u32>) {
        let Ok(tasks) = fs::read_dir(self.folder.join(id.to_string()).join("task")) else { return };
        if !found.insert(id) {
            return;
        }
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children.split_whitespace().filter_map(|child| child.parse().ok()).for_each(|c| self.gather(c, found));
        }
    }

    /// CPU of all live members, and of children that they have seen end.
    #[must_use]
    pub fn cpu(&self) -> Cpu {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let stats = self.members().into_iter().filter_map(|id| self.read(id, "stat"));
        let (user, system) = stats.filter_map(|stat| ticks_in(&stat)).fold((0, 0), |sum, t| (sum.0 + t.0, sum.1 + t.1));
        Cpu { user: user as f64 / ticks, system: system as f64 / ticks }
    }

    /// Resident memory in bytes. Pages that processes share are counted in each of them.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let pages = |text: String| text.split(' ').nth(1)?.parse::<u64>().ok();
        let sum: u64 = self.members().into_iter().filter_map(|id| pages(self.read(id, "statm")?)).sum();
        sum * rustix::param::page_size() as u64
    }

    /// Proportional memory in bytes: a page that n processes share counts as the nth part in each.
    #[must_use]
    pub fn proportional(&self) -> u64 {
        let kilobytes = |text: String| {
            text.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse::<u64>().ok()
        };
        self.members().into_iter().filter_map(|id| kilobytes(self.read(id, "smaps_rollup")?)).sum::<u64>() * 1024
    }

    fn read(&self, id: u32, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(id.to_string()).join(file)).ok()
    }
}

/// User and system ticks of a line of `/proc/PID/stat`, with those of children that have ended. The name of the program
/// may hold spaces and brackets; behind it, counted from 0, `utime` is field 11 and `cstime` field 14.
fn ticks_in(stat: &str) -> Option<(u64, u64)> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let at = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some((at(11)? + at(13)?, at(12)? + at(14)?))
}

/// Looks at the memory of all groups until it is asked for what it saw.
pub struct Sampler {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Looks>>,
}

/// Resident memory of one group, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    /// The most that was seen.
    pub peak: u64,
    /// About once a second, by the machine's clock.
    pub kept: Vec<(u64, u64)>,
}

impl Sampler {
    /// Starts to look.
    #[must_use]
    pub fn start(groups: Arc<Vec<Group>>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let told = ended.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = vec![Looks::default(); groups.len()];
            for look in 0_usize.. {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                for (group, seen) in groups.iter().zip(&mut seen) {
                    let resident = group.resident();
                    seen.peak = seen.peak.max(resident);
                    if look % KEEP_ONE_IN == 0 {
                        seen.kept.push((clock::now(), resident));
                    }
                }
                std::thread::park_timeout(LOOK_EVERY);
            }
            seen
        });
        Self { ended, thread }
    }

    /// What was seen of each group.
    #[must_use]
    pub fn looks(self) -> Vec<Looks> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `/proc` in which 10 has a thread whose child is 11, and 11 has the child 12; 13 is somebody else.
    fn machine() -> (tempfile::TempDir, Group) {
        let folder = tempfile::tempdir().unwrap();
        let stat = |user: u64, gone: u64| format!("1 (a) b) S 0 0 0 0 0 0 0 0 0 0 {user} 5 {gone} 0 20 0");
        for (id, children, user, gone) in [(10, "11 ", 100, 7), (11, "12 ", 20, 0), (12, "", 3, 0), (13, "", 999, 0)] {
            let thread = folder.path().join(format!("{id}/task/{}", id + 1_000));
            fs::create_dir_all(&thread).unwrap();
            fs::write(thread.join("children"), children).unwrap();
            let process = folder.path().join(id.to_string());
            fs::write(process.join("stat"), stat(user, gone)).unwrap();
            fs::write(process.join("statm"), "900 2 1").unwrap();
            fs::write(process.join("smaps_rollup"), "Rss:  8 kB\nPss:      3 kB\nPss_Dirty: 1 kB\n").unwrap();
        }
        let group = Group { folder: folder.path().to_owned(), ..Group::of("web", vec![10]) };
        (folder, group)
    }

    #[test]
    fn a_group_is_its_processes_and_all_that_their_threads_have_started() {
        let (_folder, group) = machine();
        assert_eq!(group.members(), [10, 11, 12].into());
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(group.cpu(), Cpu { user: (100 + 7 + 20 + 3) as f64 / ticks, system: 15.0 / ticks });
        assert_eq!(group.resident(), 3 * 2 * rustix::param::page_size() as u64);
        assert_eq!(group.proportional(), 3 * 3 * 1024);
    }

    #[test]
    fn a_process_that_has_ended_counts_nothing() {
        let (folder, group) = machine();
        fs::remove_dir_all(folder.path().join("11")).unwrap();
        assert_eq!(group.members(), [10].into());
    }

    #[test]
    fn a_group_is_read_from_the_command_line() {
        assert_eq!("web=1,2".parse(), Ok(Group::of("web", vec![1, 2])));
        assert!("~stub=1".parse::<Group>().is_ok_and(|group| !group.counts()));
        assert!("web".parse::<Group>().is_err() && "web=x".parse::<Group>().is_err());
    }

    #[test]
    fn this_very_process_has_used_memory_and_time() {
        let group = Group::of("self", vec![std::process::id()]);
        assert!(group.resident() > 0 && group.proportional() > 0);
        let looks = Sampler::start(Arc::new(vec![group])).looks();
        assert!(looks.len() == 1);
    }
}
