//! Tables and plots: printed, drawn into a folder, or written into the page of measurements.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Places;
use super::limits::limits;
use super::median::Cells;
use super::plots::{Plot, plots};
use super::record::Record;
use super::scenario::Scenario;
use super::tables::table;

const PAGE: &str = "docs/BENCHMARKS.md";
const IMAGES: &str = "docs/images";

fn cells(places: &Places, scenario: Scenario, disturbed: f64) -> Result<Cells> {
    Ok(Cells::sort(Record::read_all(&places.out, scenario)?, disturbed))
}

/// Prints every table that there is something for.
#[allow(clippy::print_stdout, reason = "a table is what was asked for")]
pub(super) fn print_tables(places: &Places, disturbed: f64) -> Result<()> {
    for scenario in Scenario::ALL {
        if let Some(table) = table(scenario, &cells(places, scenario, disturbed)?) {
            println!("{}\n\n{table}", scenario.name());
        }
    }
    Ok(())
}

/// Draws every plot that there is something for, and returns which belong to which scenario.
pub(super) fn write_plots(places: &Places, folder: &Path, disturbed: f64) -> Result<Vec<(Scenario, Vec<Plot>)>> {
    std::fs::create_dir_all(folder)?;
    let mut all = Vec::new();
    for scenario in Scenario::ALL {
        let drawn = plots(scenario, &cells(places, scenario, disturbed)?);
        for plot in &drawn {
            let path = folder.join(&plot.file);
            std::fs::write(&path, &plot.svg).with_context(|| format!("{} cannot be written", path.display()))?;
            eprintln!("{}", path.display());
        }
        all.push((scenario, drawn));
    }
    Ok(all)
}

/// Writes tables and plots between the marks of the page; what was not measured stays as it is.
pub(super) fn write_report(places: &Places, disturbed: f64) -> Result<()> {
    let path = places.root.join(PAGE);
    let mut page = std::fs::read_to_string(&path).with_context(|| format!("{PAGE} cannot be read"))?;
    let mut newest: Option<Record> = None;
    for (scenario, drawn) in write_plots(places, &places.root.join(IMAGES), disturbed)? {
        let cells = cells(places, scenario, disturbed)?;
        let Some(mut text) = table(scenario, &cells) else { continue };
        for plot in &drawn {
            let _ = writeln!(text, "\n![{}](images/{})", plot.title, plot.file);
        }
        if let Some(record) = cells.of.values().flatten().last() {
            let (profile, command) = (&record.profile, at_root(&record.command, &places.root));
            let _ = writeln!(text, "\nProfile `{profile}`. One driver's command line:\n\n```\n{command}\n```");
            newest = Some(record.clone());
        }
        page = between_marks(&page, scenario.name(), &text)?;
    }
    let measured = |scenario| cells(places, scenario, disturbed);
    let (growth, soldout) = (measured(Scenario::Growth)?, measured(Scenario::Soldout)?);
    if let Some(text) = limits(&growth, &soldout, &measured(Scenario::Idle)?) {
        page = between_marks(&page, "limits", &text)?;
    }
    if let Some(record) = newest {
        page = between_marks(&page, "machine", &machine(&record))?;
    }
    std::fs::write(&path, page).with_context(|| format!("{PAGE} cannot be written"))
}

/// A command as one would type it at the workspace's root, wherever that was.
fn at_root(command: &str, root: &Path) -> String {
    command.replace(&format!("{}/", root.display()), "")
}

fn machine(record: &Record) -> String {
    let machine = &record.machine;
    let rows = [
        ("processor", format!("{} cores, {}", machine.cores, machine.processor)),
        ("memory", format!("{} GiB", machine.memory_gib)),
        ("kernel", format!("Linux {}", machine.kernel)),
        ("Redis", machine.redis.clone()),
        ("PostgreSQL", machine.postgres.clone()),
    ];
    rows.iter()
        .fold("| | |\n| --- | --- |\n".to_owned(), |text, (name, value)| text + &format!("| {name} | {value} |\n"))
}

/// Replaces what stands between `<!-- bench:name -->` and `<!-- /bench:name -->`.
fn between_marks(page: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let from = page.find(&begin).with_context(|| format!("{PAGE} has no {begin}"))? + begin.len();
    let to = page[from..].find(&end).with_context(|| format!("{PAGE} has no {end}"))? + from;
    Ok(format!("{}\n\n{}\n\n{}", &page[..from], text.trim(), &page[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_no_folder_of_the_machine_that_it_ran_on() {
        let command = "cd '/home/me/shop/target/data' && '/home/me/shop/target/dist/stampede' sale list";
        let told = at_root(command, Path::new("/home/me/shop"));
        assert_eq!(told, "cd 'target/data' && 'target/dist/stampede' sale list");
    }

    #[test]
    fn only_what_stands_between_its_marks_is_replaced() {
        let page = "a\n<!-- bench:idle -->\nold\n<!-- /bench:idle -->\nb\n";
        let written = between_marks(page, "idle", "new\n").unwrap();
        assert_eq!(written, "a\n<!-- bench:idle -->\n\nnew\n\n<!-- /bench:idle -->\nb\n");
        assert_eq!(between_marks(&written, "idle", "new").unwrap(), written);
        assert!(between_marks(page, "minute", "new").is_err());
    }
}
