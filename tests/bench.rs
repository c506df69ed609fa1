//! The load driver against a shop: what it counts is what happened.

use tests::harness::driver::{drive, numbers};
use tests::harness::shop::Shop;

#[tokio::test]
async fn the_driver_counts_every_ticket_and_every_refusal_once() {
    let shop = Shop::start(&[("LOG", "warn")]).await;
    shop.sale("rush", 30, &[]).await;
    shop.sale("calm", 1_000, &[]).await;

    let rush = drive(&shop, "rush", &["--shoppers", "50", "--pool", "10"]).await;
    let told = ["joined", "purchases", "accepted", "succeeded", "declined", "lost"];
    assert_eq!(numbers(&rush, told), [50, 50, 30, 30, 0, 0], "{rush}");
    assert_eq!(rush["seen"]["refused"], serde_json::json!({"sold_out": 20}), "{rush}");
    // A repeated push is none: the sandbox's webhook lets the shop say once more what is true.
    let strange = ["wrong_outcome", "misdelivered", "unreadable", "sockets_lost"];
    assert_eq!(numbers(&rush, strange), [0; 4], "{rush}");
    assert_eq!((&rush["seen"]["errors"], &rush["figures"]["whole"]), (&serde_json::json!({}), &true.into()), "{rush}");
    shop.expect_single_charges(30).await;
    assert_eq!(shop.check("rush").await["tiers"][0]["sold"], 30);

    // Shoppers who buy again and again are told apart from their own earlier purchases; one in ten is declined.
    let options = ["--shoppers", "20", "--purchases", "3", "--mode", "rate", "--rate", "200", "--decline", "10"];
    let calm = drive(&shop, "calm", &options).await;
    assert_eq!(numbers(&calm, told), [20, 60, 60, 54, 6, 0], "{calm}");
    assert_eq!(numbers(&calm, strange), [0; 4], "{calm}");
    shop.expect_single_charges(84).await;
    assert!(calm["figures"]["parts"][0]["peak_rss_mib"].as_f64().is_some_and(|mib| mib > 1.0), "{calm}");
}
