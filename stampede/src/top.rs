//! `stampede top`: what the operators' page shows, in a terminal. It asks the process that sells; where several do, it
//! looks for itself, at what they share.
//!
//! Plain lines and a few control sequences that every terminal knows (ECMA-48): nothing here is worth a library.

mod screen;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use shared::backing::Backing;
use shared::config::Settings;
use shared::env::Env;
use shared::fleet::Outlook;
use shared::process::until_told;
use web::board::composer::{Composer, Sources};

use crate::admin::Admin;
use crate::control;
use screen::Screen;

/// It is looked this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The other screen of a terminal, without its cursor; and back.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?1049l";

/// How it is to be shown.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Asked {
    /// Show it once, and end
    #[arg(long)]
    once: bool,
    /// Print JSON: one object, or with --once one and no more; one line each
    #[arg(long)]
    json: bool,
}

/// Who knows how it is.
enum Source<'a> {
    /// The process that sells.
    Running(&'a Settings),
    /// What several processes share.
    Shared(Box<(Composer, Backing)>),
}

impl Source<'_> {
    /// How it is now, or a sentence about why nobody knows.
    async fn look(&self) -> anyhow::Result<Result<Value, String>> {
        match self {
            Self::Running(settings) => {
                let reply = Box::pin(control::ask(settings, Admin::Overview)).await?;
                Ok(if reply.is_good() { Ok(reply.data().clone()) } else { Err(reply.as_text().trim().to_owned()) })
            }
            Self::Shared(shared) => Ok(Ok(serde_json::to_value(&*Box::pin(shared.0.look()).await)?)),
        }
    }
}

/// Shows it until told to stop.
///
/// # Errors
/// When ledger, stock or terminal cannot be reached.
pub(crate) async fn run(settings: &Settings, asked: Asked) -> anyhow::Result<ExitCode> {
    let source = match &settings.redis_url {
        None => Source::Running(settings),
        Some(_) => Source::Shared(Box::new(Box::pin(beside(settings)).await?)),
    };
    let ended = if asked.once || asked.json || !std::io::stdout().is_terminal() {
        print(&source, asked).await
    } else {
        fill_the_screen(&source).await
    };
    if let Source::Shared(shared) = &source {
        shared.1.ledger.close().await;
    }
    ended
}

async fn beside(settings: &Settings) -> anyhow::Result<(Composer, Backing)> {
    let env = Env::system();
    let backing = Backing::connect(settings, &env).await?;
    let composer = Composer::new(Sources {
        env,
        ledger: backing.ledger.clone(),
        stock: backing.stock.clone(),
        queue: backing.queue.clone(),
        budget: backing.budget.clone(),
        outlook: Outlook { fleet: backing.fleet.clone(), budget: backing.budget.clone() },
    });
    // A rate is what lies between two looks.
    composer.look().await;
    tokio::time::sleep(LOOK_EVERY).await;
    Ok((composer, backing))
}

async fn print(source: &Source<'_>, asked: Asked) -> anyhow::Result<ExitCode> {
    let told = until_told()?;
    loop {
        match source.look().await? {
            Ok(overview) if asked.json => println!("{overview}"),
            Ok(overview) => print!("{}", Screen::plain().show(&overview)),
            Err(sentence) => {
                eprintln!("stampede: {sentence}");
                return Ok(ExitCode::FAILURE);
            }
        }
        if asked.once || !asked.json || told.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

async fn fill_the_screen(source: &Source<'_>) -> anyhow::Result<ExitCode> {
    let told = until_told()?;
    write_out(BEGIN)?;
    let showing = async {
        loop {
            let shown = match source.look().await {
                Ok(Ok(overview)) => Screen::of_terminal().show(&overview),
                Ok(Err(sentence)) => format!("{sentence}\n"),
                Err(error) => format!("{error:#}\n"),
            };
            write_out(&painted(&shown, screen::size().1))?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let ended: Option<anyhow::Result<()>> = told.run_until_cancelled(showing).await;
    write_out(END)?;
    ended.unwrap_or(Ok(())).map(|()| ExitCode::SUCCESS)
}

/// The lines over what stood there before, and nothing below them; as many as there is room for.
fn painted(shown: &str, rows: usize) -> String {
    let lines: String = shown.lines().take(rows.saturating_sub(1)).map(|line| format!("{line}\x1b[K\r\n")).collect();
    format!("\x1b[H{lines}Ctrl+C ends it.\x1b[K\x1b[J")
}

fn write_out(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("the terminal is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_painted_over_the_one_before_and_no_further_than_there_is_room() {
        let painted = painted("one\ntwo\nthree\n", 3);
        assert_eq!(painted, "\x1b[Hone\x1b[K\r\ntwo\x1b[K\r\nCtrl+C ends it.\x1b[K\x1b[J");
    }
}
