//! A crowd that arrives in the same second, on the shop as people run it: one process, everything in it.

use futures::future::join_all;
use serde_json::Value;
use tests::harness::crowd::{Shopper, all_paid, gather, split};
use tests::harness::shop::Shop;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_customers_buy_two_hundred_and_fifty_tickets_at_once() {
    let mut shop = Shop::start(&[("LOG", "warn")]).await;
    shop.sale("rush", 250, &[]).await;
    let shoppers = gather(&[shop.url()], 1_000).await;

    let answers = join_all(shoppers.iter().map(|shopper| shopper.client.buy("rush", 1, "pm_card_visa"))).await;
    let (mut accepted, refused) = split(shoppers, answers);
    assert_eq!((accepted.len(), refused.len()), (250, 750));
    for (_, refusal) in &refused {
        assert_eq!((&refusal["code"], &refusal["tier"]), (&"sold_out".into(), &"std".into()), "{refusal}");
    }
    let paid = all_paid(&mut accepted).await;
    for order in &paid {
        assert!(order["charge"].as_str().is_some_and(|charge| charge.starts_with("ch_")), "{order}");
        assert_eq!(order["tickets"].as_array().map(Vec::len), Some(1), "{order}");
    }

    shop.expect_single_charges(250).await;
    let tier = shop.check("rush").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["free"], &tier["held"]), (&250.into(), &0.into(), &0.into()), "{tier}");

    // Whatever the rooms are told until they close: "paid" was the last word on every order.
    assert!(shop.stop().await.success());
    for (shopper, order) in &mut accepted {
        let (rest, _) = shopper.room.rest().await;
        let of_orders = rest.iter().filter(|message| message["type"] == "order");
        for message in of_orders {
            assert_eq!(message["order"]["state"], "paid", "order {order}: {message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_is_refused_only_if_no_unit_was_free_in_carts_of_two_tiers() {
    let shop = Shop::start(&[("LOG", "warn")]).await;
    shop.sale_of("carts", &["--tier", "std:Standard:2500:90:2", "--tier", "vip:Front row:9900:25"]).await;
    let shoppers = gather(&[shop.url()], 120).await;
    let carts: [&[(&str, u32)]; 4] =
        [&[("std", 1)], &[("std", 2)], &[("std", 2), ("vip", 1)], &[("vip", 1), ("std", 1)]];

    let purchases = shoppers.iter().enumerate().map(|(place, shopper)| async move {
        let (order, cart) = (Uuid::new_v4(), carts[place % carts.len()]);
        let body = shopper.client.purchase_of(order, "carts", cart, "pm_card_visa");
        (order, shopper.client.post("/charges", &body).await)
    });
    let answers = join_all(purchases).await;
    let wanted: Vec<&[(&str, u32)]> = (0..answers.len()).map(|place| carts[place % carts.len()]).collect();
    let refusals: Vec<(&[(&str, u32)], Value)> = wanted
        .iter()
        .zip(&answers)
        .filter(|(_, (_, (status, _)))| *status != 202)
        .map(|(cart, (_, (_, body)))| (*cart, body.clone()))
        .collect();
    let (mut accepted, _) = split(shoppers, answers);
    let paid = all_paid(&mut accepted).await;
    shop.expect_single_charges(paid.len() as u64).await;

    // Nothing was given back, so what is free now was free all the time: no refused cart may fit into it.
    let check = shop.check("carts").await;
    let free = |tier: &str| {
        let tiers = check["tiers"].as_array().unwrap();
        tiers.iter().find(|t| t["id"] == tier).and_then(|t| t["free"].as_u64()).unwrap()
    };
    assert!(!refusals.is_empty());
    for (cart, refusal) in refusals {
        assert_eq!(refusal["code"], "sold_out", "{refusal}");
        let tier = refusal["tier"].as_str().unwrap();
        let quantity = cart.iter().find(|(id, _)| *id == tier).map(|(_, quantity)| *quantity).unwrap();
        assert!(free(tier) < u64::from(quantity), "{cart:?} was refused for {tier}, of which {} are free", free(tier));
    }
    let expected: u64 = paid.iter().map(|order| order["amount"].as_u64().unwrap()).sum();
    let sold = |id: usize| check["tiers"][id]["sold"].as_u64().unwrap();
    assert_eq!(expected, sold(0) * 2_500 + sold(1) * 9_900, "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_two_carts_and_a_limit_that_neither_passes() {
    let shop = Shop::start(&[("LOG", "warn")]).await;
    shop.sale_of("few", &["--tier", "std:Standard:2500:500:2"]).await;
    let shoppers = gather(&[shop.url()], 60).await;

    let both = |shopper: &Shopper| {
        let (one, other) = (shopper.client.clone(), shopper.client.clone());
        async move { tokio::join!(one.buy("few", 2, "pm_card_visa"), other.buy("few", 2, "pm_card_mastercard")) }
    };
    let answers = join_all(shoppers.iter().map(both)).await;
    let mut accepted = Vec::new();
    for (shopper, (one, other)) in shoppers.into_iter().zip(answers) {
        let (yes, no): (Vec<_>, Vec<_>) = [one, other].into_iter().partition(|(_, (status, _))| *status == 202);
        assert_eq!((yes.len(), no.len()), (1, 1), "{yes:?} {no:?}");
        assert_eq!(no[0].1.1["code"], "limit_reached");
        accepted.push((shopper, yes[0].0));
    }
    all_paid(&mut accepted).await;
    shop.expect_single_charges(60).await;
    assert_eq!(shop.check("few").await["tiers"][0]["sold"], 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_orders_keep_their_stock_until_another_card_pays() {
    let shop = Shop::start(&[("LOG", "warn")]).await;
    shop.sale("mixed", 80, &[]).await;
    let shoppers = gather(&[shop.url()], 80).await;

    let card = |place: usize| if place.is_multiple_of(4) { "pm_card_chargeDeclined" } else { "pm_card_visa" };
    let buy = |(place, shopper): (usize, &Shopper)| {
        let client = shopper.client.clone();
        async move { client.buy("mixed", 1, card(place)).await }
    };
    let answers = join_all(shoppers.iter().enumerate().map(buy)).await;
    let (mut accepted, refused) = split(shoppers, answers);
    assert_eq!((accepted.len(), refused.len()), (80, 0));
    let waiting = accepted.iter_mut().map(|(shopper, order)| shopper.room.until(*order, &["paid", "declined"]));
    let outcomes = join_all(waiting).await;
    let declined = outcomes.iter().filter(|order| order["state"] == "declined").count();
    assert_eq!(declined, 20);

    let tier = shop.check("mixed").await["tiers"][0].clone();
    assert_eq!((&tier["sold"], &tier["pinned"], &tier["free"]), (&60.into(), &20.into(), &0.into()), "{tier}");
    let (_, (status, late)) = shop.customer().await.buy("mixed", 1, "pm_card_visa").await;
    assert_eq!((status, &late["code"]), (409, &"sold_out".into()), "their stock is not for others");

    for ((shopper, order), outcome) in accepted.iter_mut().zip(&outcomes) {
        if outcome["state"] == "declined" {
            let again = shopper.client.purchase(*order, "mixed", 1, "pm_card_mastercard");
            assert_eq!(shopper.client.post("/charges", &again).await.0, 202);
            shopper.room.until(*order, &["paid"]).await;
        }
    }
    shop.expect_single_charges(80).await;
    assert_eq!(shop.check("mixed").await["tiers"][0]["sold"], 80);
}
