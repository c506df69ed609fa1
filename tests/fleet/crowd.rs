//! A crowd at several doors at once.

use futures::future::join_all;
use serde_json::Value;
use tests::harness::client::Client;
use tests::harness::crowd::{all_paid, gather, insist, split};
use tests::harness::fleet::{Fleet, Ledger};
use tests::harness::redis::Redis;
use uuid::Uuid;

fn doors(fleet: &Fleet) -> Vec<String> {
    fleet.webs.iter().map(tests::harness::fleet::Web::url).collect()
}

/// A crowd for one tier, of which a quarter can have a ticket: who gets one is paid, who gets none is told so.
async fn rush(fleet: &Fleet, crowd: usize, tickets: u32) {
    fleet.sale("rush", tickets, &[]).await;
    let shoppers = gather(&doors(fleet), crowd).await;
    // A small machine under many tests may say 503 to some; the page asks again, and so do these.
    let buy = async |client: &Client| {
        let order = Uuid::new_v4();
        (order, insist(client, "/charges", &client.purchase(order, "rush", 1, "pm_card_visa")).await)
    };
    let answers = join_all(shoppers.iter().map(|shopper| buy(&shopper.client))).await;
    let (mut accepted, refused) = split(shoppers, answers);
    assert_eq!((accepted.len(), refused.len()), (tickets as usize, crowd - tickets as usize));
    for (_, refusal) in &refused {
        assert_eq!((&refusal["code"], &refusal["tier"]), (&"sold_out".into(), &"std".into()), "{refusal}");
    }
    let paid = all_paid(&mut accepted).await;
    for order in &paid {
        assert_eq!(order["tickets"].as_array().map(Vec::len), Some(1), "{order}");
    }
    fleet.expect_single_charges(u64::from(tickets)).await;
    let tier = fleet.check("rush").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["free"], &tier["held"]), (&tickets.into(), &0.into(), &0.into()), "{tier}");
    assert!(!fleet.logs().contains("the stock shows something else"), "a crowd is no drift: {}", fleet.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_customers_at_two_doors_buy_five_hundred_tickets_at_once() {
    let mut fleet = Fleet::start(&[("LOG", "warn")]).await;
    rush(&fleet, 2_000, 500).await;
    for place in 0..2 {
        let web = fleet.webs[place].process.take().unwrap();
        assert!(web.stop().await.success(), "{}", fleet.logs());
        let worker = fleet.workers[place].take().unwrap();
        assert!(worker.stop().await.success(), "{}", fleet.logs());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processes_of_one_host_share_a_ledger_in_sqlite() {
    let fleet = Fleet::start_on(Ledger::Sqlite, Redis::start().await, 2, 2, &[("LOG", "warn")]).await;
    rush(&fleet, 400, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_of_two_tiers_and_a_limit_hold_at_two_doors() {
    let fleet = Fleet::start(&[("LOG", "warn")]).await;
    fleet.sale_of("carts", &["--tier", "std:Standard:2500:180:3", "--tier", "vip:Front row:9900:60:1"]).await;
    let doors = doors(&fleet);
    let shoppers = gather(&doors, 200).await;
    let carts: [&[(&str, u32)]; 4] =
        [&[("std", 1)], &[("std", 2)], &[("std", 2), ("vip", 1)], &[("vip", 1), ("std", 1)]];

    // Everybody tries twice, at both doors at once, and may have three of the one and one of the other.
    let purchases = shoppers.iter().enumerate().map(|(place, shopper)| {
        let cart = carts[place % carts.len()];
        let buy = |door: &String| {
            let (order, client) = (Uuid::new_v4(), shopper.client.at(door));
            let body = client.purchase_of(order, "carts", cart, "pm_card_visa");
            async move { (order, client.post("/charges", &body).await) }
        };
        let both: Vec<_> = doors.iter().map(buy).collect();
        join_all(both)
    });
    let answers = join_all(purchases).await;
    let mut refusals: Vec<(usize, Value)> = Vec::new();
    for (place, (shopper, answers)) in shoppers.iter().zip(&answers).enumerate() {
        let yes: Vec<Uuid> =
            answers.iter().filter(|(_, (status, _))| *status == 202).map(|(order, _)| *order).collect();
        let most = if place % carts.len() == 0 { 2 } else { 1 };
        assert!(yes.len() <= most, "{:?} twice is more than one customer may have", carts[place % carts.len()]);
        refusals.extend(answers.iter().filter(|(_, (status, _))| *status != 202).map(|(_, (_, b))| (place, b.clone())));
        for order in yes {
            shopper.client.room(&[]).await.until(order, &["paid"]).await;
        }
    }
    let check = fleet.check("carts").await;
    let tier = |id: usize, what: &str| check["tiers"][id][what].as_u64().unwrap();
    assert_eq!((tier(0, "held"), tier(1, "held")), (0, 0), "{check}");
    for (place, refusal) in refusals {
        let cart = carts[place % carts.len()];
        let id = refusal["tier"].as_str().unwrap();
        let quantity = cart.iter().find(|(tier, _)| *tier == id).map(|(_, quantity)| u64::from(*quantity)).unwrap();
        match refusal["code"].as_str() {
            Some("limit_reached") => {}
            Some("sold_out") => {
                let free = tier(usize::from(id == "vip"), "free");
                assert!(free < quantity, "{cart:?} was refused for {id}, of which {free} are free");
            }
            _ => panic!("{refusal}"),
        }
    }
    let charges = answers.iter().flatten().filter(|(_, (status, _))| *status == 202).count();
    fleet.expect_single_charges(charges as u64).await;
}
