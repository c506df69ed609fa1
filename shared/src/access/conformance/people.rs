//! Operators: who is there, and what is written down of them.

use std::time::Duration;

use futures::future::join;

use super::*;

pub(super) async fn an_operator_is_added_once_and_found_by_name(world: World) {
    assert!(world.access.operators().await.unwrap().is_empty());
    assert!(world.access.operator(&name("ann")).await.unwrap().is_none());
    let now = world.clock.env().now();
    let (bob, ann) = (world.add("bob", Role::Support).await, world.add("ann", Role::Owner).await);
    assert_eq!((ann.role, ann.version, ann.created_at, ann.changed_at), (Role::Owner, 1, now, now));
    let again = Change::AddOperator { name: name("ann"), role: Role::ReadOnly, password: PasswordHash::of_nobody() };
    assert_eq!(world.change(again).await, Changed::NameTaken);
    assert_eq!(world.access.operators().await.unwrap(), [ann.clone(), bob.clone()]);

    world.clock.advance(Duration::from_secs(5));
    let later = world.clock.env().now();
    let other = crate::access::Password::new("another password").hash(&world.clock.env()).unwrap();
    assert_eq!(
        world.change(Change::SetPassword { name: bob.name.clone(), password: other.clone() }).await,
        Changed::Yes
    );
    assert_eq!(world.change(Change::SetRole { name: bob.name.clone(), role: Role::Operator }).await, Changed::Yes);
    let (changed, hash) = world.access.operator(&bob.name).await.unwrap().unwrap();
    assert_eq!(changed, Operator { role: Role::Operator, version: 3, changed_at: later, ..bob.clone() });
    assert!(hash == other);
    assert_eq!(world.change(Change::RemoveOperator { name: bob.name.clone() }).await, Changed::Yes);
    assert_eq!(world.change(Change::RemoveOperator { name: bob.name.clone() }).await, Changed::Unknown);
    assert_eq!(world.access.operators().await.unwrap(), [ann]);
}

pub(super) async fn the_last_owner_can_be_neither_removed_nor_demoted(world: World) {
    world.add("ann", Role::Owner).await;
    world.add("bob", Role::Operator).await;
    let before = world.told().await.len();
    let session = world.log_in("ann").await;
    assert_eq!(world.change(Change::RemoveOperator { name: name("ann") }).await, Changed::LastOwner);
    for role in [Role::Operator, Role::Support, Role::ReadOnly] {
        assert_eq!(world.change(Change::SetRole { name: name("ann"), role }).await, Changed::LastOwner);
    }
    assert_eq!(world.operator("ann").await.role, Role::Owner);
    assert_eq!(world.holder(&session).await.as_deref(), Some("ann"), "what was refused ends nothing");
    assert_eq!(world.told().await.len(), before + 1, "nor is it told");
    assert_eq!(world.change(Change::SetRole { name: name("bob"), role: Role::Owner }).await, Changed::Yes);
    assert_eq!(world.change(Change::RemoveOperator { name: name("ann") }).await, Changed::Yes);
    assert_eq!(world.change(Change::RemoveOperator { name: name("bob") }).await, Changed::LastOwner);
}

pub(super) async fn two_owners_who_remove_each_other_at_once_leave_one(world: World) {
    world.add("ann", Role::Owner).await;
    world.add("bob", Role::Owner).await;
    let (one, other) = join(
        world.change(Change::RemoveOperator { name: name("ann") }),
        world.change(Change::SetRole { name: name("bob"), role: Role::ReadOnly }),
    )
    .await;
    let mut both = [one, other];
    both.sort_by_key(|changed| *changed != Changed::Yes);
    assert_eq!(both, [Changed::Yes, Changed::LastOwner]);
    let left = world.access.operators().await.unwrap();
    assert_eq!(left.iter().filter(|operator| operator.role == Role::Owner).count(), 1, "{left:?}");
}

pub(super) async fn the_trail_says_who_did_what_to_whom_and_from_where(world: World) {
    world.add("ann", Role::Owner).await;
    let ann = By::operator(&name("ann"), ADDRESS);
    let bob = Change::AddOperator { name: name("bob"), role: Role::Support, password: PasswordHash::of_nobody() };
    world.access.change(bob, &ann).await.unwrap();
    world.access.login_failed(Some(&name("bob")), 0, ADDRESS).await.unwrap();
    world.access.login_failed(None, 17, ADDRESS).await.unwrap();
    let session = world.log_in("bob").await;
    world.access.log_out(&session, ADDRESS).await.unwrap();
    world.access.change(Change::SetRole { name: name("bob"), role: Role::ReadOnly }, &ann).await.unwrap();
    let password = PasswordHash::of_nobody();
    world.access.change(Change::SetPassword { name: name("bob"), password }, &ann).await.unwrap();
    let (scopes, key) = ("see,refund".parse().unwrap(), Token::key(&world.clock.env()).digest());
    world.access.change(Change::AddKey { name: name("nightly"), scopes, key }, &ann).await.unwrap();
    world.access.change(Change::RevokeKey { name: name("nightly") }, &ann).await.unwrap();
    world.clock.advance(Duration::from_secs(9));
    world.access.change(Change::RemoveOperator { name: name("bob") }, &ann).await.unwrap();

    let line = |what: &str, who: &str, whom: &str| {
        (what.to_owned(), who.to_owned(), (!whom.is_empty()).then(|| whom.to_owned()))
    };
    let expected = [
        line("operator_added", "cli", "operator:ann"),
        line("operator_added", "operator:ann", "operator:bob"),
        line("login_failed", "unknown", "operator:bob"),
        line("login_failed", "unknown", ""),
        line("logged_in", "operator:bob", ""),
        line("logged_out", "operator:bob", ""),
        line("role_changed", "operator:ann", "operator:bob"),
        line("password_changed", "operator:ann", "operator:bob"),
        line("key_added", "operator:ann", "key:nightly"),
        line("key_revoked", "operator:ann", "key:nightly"),
        line("operator_removed", "operator:ann", "operator:bob"),
    ];
    assert_eq!(world.told().await, expected);
    let lines = world.access.log(Look::newest(1_000)).await.unwrap();
    assert_eq!(lines[0].at, lines[1].at.plus(Duration::from_secs(9)), "the newest first");
    let from = |at: usize| lines[at].address.as_deref();
    assert_eq!((from(0), from(10)), (Some("192.0.2.7"), None), "who types a command has no address");
    let note = |at: usize| lines[at].note.as_deref();
    assert_eq!((note(2), note(4), note(10)), (Some("see,refund"), Some("read_only"), Some("owner")));
    assert_eq!((note(7), note(8)), (Some("17 more were not written down"), None));
    assert_eq!(world.access.log(Look::newest(2)).await.unwrap(), lines[..2]);
}

pub(super) async fn what_was_done_to_the_shop_stands_in_the_trail(world: World) {
    world.add("ann", Role::Owner).await;
    let by = By::operator(&name("ann"), ADDRESS);
    let (whom, why) = (Some("sale:spring".to_owned()), Some("the hall is dark".to_owned()));
    world.clock.advance(Duration::from_secs(3));
    let paused = Deed { what: "sale_paused", whom: whom.clone(), why: why.clone() };
    world.access.trail(&by, paused).await.unwrap();
    world.access.trail(&By::cli(), Deed { what: "jobs_retried", whom: None, why: None }).await.unwrap();
    let lines = world.access.log(Look::newest(2)).await.unwrap();
    let expected = Line {
        number: lines[1].number,
        at: world.clock.env().now(),
        what: "sale_paused".into(),
        who: "operator:ann".into(),
        whom,
        address: Some(ADDRESS.to_string()),
        note: None,
        why,
        result: Some("done".into()),
    };
    assert_eq!(lines[1], expected);
    assert_eq!((lines[0].what.as_str(), lines[0].who.as_str(), &lines[0].note), ("jobs_retried", "cli", &None));
}

pub(super) async fn the_trail_is_read_page_by_page_and_tells_what_came_of_a_deed(world: World) {
    world.add("ann", Role::Owner).await;
    let ann = By::operator(&name("ann"), ADDRESS);
    let deed = |what, why: Option<&str>| Deed { what, whom: Some("sale:night".into()), why: why.map(Into::into) };
    world.access.trail(&ann, deed("sale_paused", Some("the hall is on fire"))).await.unwrap();
    world.log_in("ann").await;
    let came = Came { note: Some("50 × std".into()), result: "too_much" };
    world.access.did(&By::cli(), deed("stock_added", None), came).await.unwrap();
    let deeds = Look { deeds_only: true, ..Look::newest(10) };
    let lines = world.access.log(deeds).await.unwrap();
    let of = |line: &Line| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        [line.what.clone(), line.who.clone(), text(&line.note), text(&line.why), text(&line.result)]
    };
    let told: Vec<[String; 5]> = lines.iter().map(of).collect();
    let expected = [
        ["stock_added", "cli", "50 × std", "", "too_much"],
        ["sale_paused", "operator:ann", "", "the hall is on fire", "done"],
    ];
    assert_eq!(told, expected);

    // The numbers lead on from page to page.
    let all = world.access.log(Look::newest(100)).await.unwrap();
    let what: Vec<&str> = all.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(what, ["stock_added", "logged_in", "sale_paused", "operator_added"]);
    assert!(
        all.iter().all(|line| line.result.is_some() == ["stock_added", "sale_paused"].contains(&line.what.as_str()))
    );
    let mut paged = Vec::new();
    let mut before = None;
    while let [line] = world.access.log(Look { before, ..Look::newest(1) }).await.unwrap().as_slice() {
        before = Some(line.number);
        paged.push(line.clone());
    }
    assert_eq!(paged, all);
    let older = Look { before: Some(lines[0].number), ..deeds };
    assert_eq!(world.access.log(older).await.unwrap(), lines[1..]);
}
