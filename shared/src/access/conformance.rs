//! What every store of operators, sessions and keys must do: one suite, run on each.
//!
//! A story gets a [`World`] with nobody in it, whose clock moves only when the story says so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test suite, though compiled for other crates too")]

mod keys;
mod people;
mod visits;

use std::net::IpAddr;

use futures::future::BoxFuture;

use super::{
    By, Came, Change, Changed, Deed, Digest, Line, Login, Look, Name, Operator, PasswordHash, Role, SharedAccess, Token,
};
use crate::env::Seeded;
use crate::ledger::conformance::named_stories;

/// A fresh store and its clock.
pub struct World {
    /// Nobody is in it.
    pub access: SharedAccess,
    /// Its time and its random numbers.
    pub clock: Seeded,
}

/// A story and its name.
pub type Story = (&'static str, fn(World) -> BoxFuture<'static, ()>);

/// Every story.
#[must_use]
pub fn stories() -> Vec<Story> {
    named_stories![
        people::an_operator_is_added_once_and_found_by_name,
        people::the_last_owner_can_be_neither_removed_nor_demoted,
        people::two_owners_who_remove_each_other_at_once_leave_one,
        people::the_trail_says_who_did_what_to_whom_and_from_where,
        people::what_was_done_to_the_shop_stands_in_the_trail,
        people::the_trail_is_read_page_by_page_and_tells_what_came_of_a_deed,
        visits::a_session_ends_when_it_idles_and_at_its_longest,
        visits::to_look_whose_a_session_is_does_not_make_it_last,
        visits::a_changed_password_or_role_or_a_removal_ends_every_session_at_once,
        visits::who_was_changed_while_logging_in_is_not_let_in,
        visits::a_login_replaces_the_session_that_it_came_with,
        visits::logging_out_ends_one_session_and_no_other,
        visits::a_name_that_is_given_again_does_not_open_the_old_sessions,
        keys::a_key_is_known_by_its_digest_until_it_is_revoked,
        keys::the_use_of_a_key_is_written_down_now_and_then,
    ]
}

/// Where all logins of the stories come from.
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl World {
    async fn change(&self, change: Change) -> Changed {
        self.access.change(change, &By::cli()).await.unwrap()
    }

    /// Adds an operator who is new.
    async fn add(&self, who: &str, role: Role) -> Operator {
        let add = Change::AddOperator { name: name(who), role, password: PasswordHash::of_nobody() };
        assert_eq!(self.change(add).await, Changed::Yes);
        self.operator(who).await
    }

    async fn operator(&self, who: &str) -> Operator {
        self.access.operator(&name(who)).await.unwrap().unwrap().0
    }

    /// Logs in; the session, if it began.
    async fn try_log_in(&self, operator: &Operator, replaces: Option<Digest>) -> Option<Digest> {
        let session = Token::session(&self.clock.env()).digest();
        let login = Login { operator: operator.clone(), session, replaces, address: ADDRESS };
        self.access.log_in(login).await.unwrap().then_some(session)
    }

    async fn log_in(&self, who: &str) -> Digest {
        self.try_log_in(&self.operator(who).await, None).await.expect("a session")
    }

    /// Whose session this is.
    async fn holder(&self, session: &Digest) -> Option<String> {
        self.access.session(session).await.unwrap().map(|operator| operator.name.to_string())
    }

    /// What happened, in order, and to whom.
    async fn told(&self) -> Vec<(String, String, Option<String>)> {
        let lines = self.access.log(Look::newest(1_000)).await.unwrap();
        lines.into_iter().rev().map(|line| (line.what, line.who, line.whom)).collect()
    }
}
