//! Sessions: when they begin, and everything that ends them.

use std::time::Duration;

use super::*;
use crate::access::session::{IDLE, LONGEST};

const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn a_session_ends_when_it_idles_and_at_its_longest(world: World) {
    world.add("ann", Role::Owner).await;
    let (idle, busy) = (world.log_in("ann").await, world.log_in("ann").await);
    let mut lasted = Duration::ZERO;
    while lasted < LONGEST - 10 * MINUTE {
        world.clock.advance(10 * MINUTE);
        lasted += 10 * MINUTE;
        assert_eq!(world.holder(&busy).await.as_deref(), Some("ann"), "after {lasted:?}");
        if lasted == IDLE {
            assert_eq!(world.holder(&idle).await, None, "nobody used it");
        }
    }
    world.clock.advance(10 * MINUTE);
    assert_eq!(world.holder(&busy).await, None, "however much it is used");
    assert_eq!(world.access.log_out(&busy, ADDRESS).await.unwrap(), None);
    world.log_in("ann").await;
    assert_eq!(world.holder(&idle).await, None);
}

pub(super) async fn to_look_whose_a_session_is_does_not_make_it_last(world: World) {
    world.add("ann", Role::Owner).await;
    let session = world.log_in("ann").await;
    let seen = async || world.access.who_has(&session).await.unwrap().map(|operator| operator.name);
    world.clock.advance(IDLE - MINUTE);
    assert_eq!(seen().await, Some(name("ann")));
    world.clock.advance(MINUTE);
    assert_eq!(seen().await, None, "nobody used it");
    assert_eq!(world.holder(&session).await, None);
}

pub(super) async fn a_changed_password_or_role_or_a_removal_ends_every_session_at_once(world: World) {
    world.add("ann", Role::Owner).await;
    world.add("bob", Role::Operator).await;
    let ann = world.log_in("ann").await;
    let password = PasswordHash::of_nobody();
    for change in [
        Change::SetPassword { name: name("bob"), password },
        Change::SetRole { name: name("bob"), role: Role::Support },
        // Whoever sets a role again means something by it.
        Change::SetRole { name: name("bob"), role: Role::Support },
        Change::RemoveOperator { name: name("bob") },
    ] {
        let sessions = [world.log_in("bob").await, world.log_in("bob").await];
        assert_eq!(world.holder(&sessions[0]).await.as_deref(), Some("bob"));
        assert_eq!(world.change(change.clone()).await, Changed::Yes);
        for session in &sessions {
            assert_eq!(world.holder(session).await, None, "{change:?}");
        }
        assert_eq!(world.holder(&ann).await.as_deref(), Some("ann"), "nobody else is thrown out");
    }
}

pub(super) async fn who_was_changed_while_logging_in_is_not_let_in(world: World) {
    world.add("ann", Role::Owner).await;
    let verified = world.add("bob", Role::Operator).await;
    let password = PasswordHash::of_nobody();
    world.change(Change::SetPassword { name: name("bob"), password }).await;
    assert_eq!(world.try_log_in(&verified, None).await, None, "it was the old password");
    let verified = world.operator("bob").await;
    world.change(Change::RemoveOperator { name: name("bob") }).await;
    assert_eq!(world.try_log_in(&verified, None).await, None);
    let told = world.told().await;
    assert!(!told.iter().any(|(what, ..)| what == "logged_in"), "{told:?}");
}

pub(super) async fn a_login_replaces_the_session_that_it_came_with(world: World) {
    let ann = world.add("ann", Role::Owner).await;
    let (before, elsewhere) = (world.log_in("ann").await, world.log_in("ann").await);
    let after = world.try_log_in(&ann, Some(before)).await.unwrap();
    assert_eq!(world.holder(&before).await, None);
    assert_eq!(world.holder(&after).await.as_deref(), Some("ann"));
    assert_eq!(world.holder(&elsewhere).await.as_deref(), Some("ann"));
}

pub(super) async fn logging_out_ends_one_session_and_no_other(world: World) {
    world.add("ann", Role::Owner).await;
    let (here, there) = (world.log_in("ann").await, world.log_in("ann").await);
    let out = world.access.log_out(&here, ADDRESS).await.unwrap();
    assert_eq!(out.map(|operator| operator.name), Some(name("ann")));
    assert_eq!(world.holder(&here).await, None);
    assert_eq!(world.access.log_out(&here, ADDRESS).await.unwrap(), None);
    assert_eq!(world.holder(&there).await.as_deref(), Some("ann"));
    let unknown = Token::session(&world.clock.env()).digest();
    assert_eq!(world.holder(&unknown).await, None);
    assert_eq!(world.told().await.iter().filter(|(what, ..)| what == "logged_out").count(), 1);
}

pub(super) async fn a_name_that_is_given_again_does_not_open_the_old_sessions(world: World) {
    world.add("ann", Role::Owner).await;
    world.add("bob", Role::Owner).await;
    let session = world.log_in("bob").await;
    world.change(Change::RemoveOperator { name: name("bob") }).await;
    let other = world.add("bob", Role::ReadOnly).await;
    assert_eq!(other.version, 1, "of the same version as the one before");
    assert_eq!(world.holder(&session).await, None);
}
