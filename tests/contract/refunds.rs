//! Refunds on request, by the command line and by HTTP: what is refused, what goes back, and who is told.

use futures::future::join;
use serde_json::{Value, json};
use tests::harness::client::{Answer, Client, post};
use tests::harness::shop::Shop;
use uuid::Uuid;

const KEY: &str = "an operator's key of some length: 0123456789";

/// A shop with an operator's key and a sale `night` of ten.
async fn open_shop() -> Shop {
    let shop = Shop::start(&[("OPERATOR_KEY", KEY)]).await;
    shop.sale("night", 10, &[]).await;
    shop
}

async fn paid(client: &Client, quantity: u32, card: &str) -> Value {
    let (order, (status, answer)) = client.buy("night", quantity, card).await;
    assert_eq!(status, 202, "{answer}");
    client.room(&[]).await.until(order, &["paid"]).await
}

async fn ask(shop: &Shop, order: &Value, key: Option<&str>, body: &Value) -> Answer {
    let id = order["id"].as_str().unwrap();
    post(&format!("{}/api/orders/{id}/refunds", shop.url()), key, body).await.unwrap()
}

/// Runs `stampede order refund`; whether it was done, and what it printed.
async fn cli(shop: &Shop, order: &str, more: &[&str]) -> (bool, Value) {
    let output = shop.cli(&[&["order", "refund", order, "--json"], more].concat()).await;
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

async fn gone(shop: &Shop) -> (Value, Value) {
    let stats = shop.stats().await;
    (stats["refunds"].clone(), stats["amount_refunded"].clone())
}

/// Free, held and sold of the tier, conservation checked.
async fn counts(shop: &Shop) -> Value {
    let tier = shop.check("night").await["tiers"][0].clone();
    json!([tier["free"], tier["held"], tier["sold"]])
}

#[tokio::test]
async fn without_the_operators_key_nobody_refunds() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let order = paid(&client, 1, "pm_card_visa").await;
    let body = json!({"request": Uuid::new_v4()});
    let wrong = KEY.replace('0', "1");
    for key in [None, Some(""), Some(&wrong[..]), Some(&KEY[1..]), Some(&client.token[..])] {
        let (status, problem) = ask(&shop, &order, key, &body).await;
        assert_eq!((status, &problem["code"]), (401, &"no_operator".into()), "{key:?}: {problem}");
    }
    assert_eq!(gone(&shop).await, (0.into(), 0.into()));
    assert!(!shop.log().contains(KEY) && !shop.log().contains(&wrong), "keys reach no log");

    let closed = Shop::start(&[]).await;
    let (status, problem) = ask(&closed, &order, Some(KEY), &body).await;
    assert_eq!((status, &problem["code"]), (401, &"no_operator".into()), "where there is no such key, none opens");
}

#[tokio::test]
async fn what_cannot_be_given_back_is_refused_and_named() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let order = paid(&client, 2, "pm_card_visa").await;
    let (declined, _) = client.buy("night", 1, "pm_card_chargeDeclined").await;
    let declined = client.room(&[]).await.until(declined, &["declined"]).await;
    let ticket = &order["tickets"][0]["id"];
    let with = |more: Value| {
        let mut body = json!({"request": Uuid::new_v4()});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (order, body, expected) in [
        (&order, with(json!({"amount": 5_001})), (409, "refund_too_large")),
        (&order, with(json!({"amount": 0})), (422, "invalid")),
        (&order, with(json!({"amount": -1})), (422, "invalid")),
        (&order, with(json!({"amount": 10.5})), (422, "invalid")),
        (&order, with(json!({"amuont": 10})), (422, "invalid")),
        (&order, with(json!({"amount": 10, "tickets": [ticket]})), (422, "invalid")),
        (&order, with(json!({"tickets": []})), (422, "invalid")),
        (&order, with(json!({"tickets": [Uuid::new_v4()]})), (422, "invalid")),
        (&order, with(json!({"reason": "two\nlines"})), (422, "invalid")),
        (&order, with(json!({"reason": "x".repeat(501)})), (422, "invalid")),
        (&order, json!({}), (422, "invalid")),
        (&order, json!({"request": Uuid::nil()}), (422, "invalid")),
        (&declined, with(json!({})), (409, "not_paid")),
        (&json!({"id": Uuid::new_v4()}), with(json!({})), (404, "not_found")),
    ] {
        let (status, problem) = ask(&shop, order, Some(KEY), &body).await;
        assert_eq!((status, problem["code"].as_str().unwrap()), expected, "{body}: {problem}");
    }
    let (id, unknown) = (order["id"].as_str().unwrap(), Uuid::new_v4().to_string());
    for (order, more, says) in [
        (id, &["--amount", "5001"][..], "5000 (in minor units) can be given back"),
        (id, &["--amount", "-1"], "one minor unit at least"),
        (declined["id"].as_str().unwrap(), &[], "nothing to give back"),
        (&unknown, &[], "there is no order"),
        (id, &["--tickets", &unknown], "no ticket"),
    ] {
        let (good, said) = cli(&shop, order, more).await;
        assert!(!good && said["error"].as_str().unwrap().contains(says), "{more:?}: {said}");
    }
    assert_eq!(gone(&shop).await, (0.into(), 0.into()));
    assert_eq!(client.order(id.parse().unwrap()).await["version"], order["version"]);
}

#[tokio::test]
async fn an_order_goes_back_in_parts_and_its_room_its_tickets_and_its_stock_are_right() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let order = paid(&client, 3, "pm_card_visa").await;
    let (id, uuid) = (order["id"].as_str().unwrap(), order["id"].as_str().unwrap().parse().unwrap());
    let mut tab = client.room(&["night"]).await;
    let ticket = order["tickets"][1]["id"].as_str().unwrap();

    let (good, said) = cli(&shop, id, &["--tickets", ticket, "--restock", "--reason", "rain"]).await;
    assert!(good, "{said}");
    assert_eq!((&said["refund"]["amount"], &said["refund"]["reason"]), (&2_500.into(), &"rain".into()), "{said}");
    let told = tab.until(uuid, &["partially_refunded"]).await;
    assert_eq!((&told["refunded"], &told["refunding"]), (&2_500.into(), &0.into()), "{told}");
    assert_eq!(told["tickets"].as_array().map(Vec::len), Some(2));
    assert_eq!(told["voided"], json!([{"id": ticket, "tier": "std"}]), "without its code");
    let stock = async { while counts(&shop).await != json!([8, 0, 2]) {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), stock).await.expect("the unit comes back");
    let (status, problem) =
        ask(&shop, &order, Some(KEY), &json!({"request": Uuid::new_v4(), "tickets": [ticket]})).await;
    assert_eq!((status, &problem["code"]), (409, &"ticket_void".into()));

    let (status, answer) = ask(&shop, &order, Some(KEY), &json!({"request": Uuid::new_v4(), "amount": 1_000})).await;
    assert_eq!((status, &answer["refund"]["amount"]), (202, &1_000.into()), "{answer}");
    let (status, answer) = ask(&shop, &order, Some(KEY), &json!({"request": Uuid::new_v4()})).await;
    assert_eq!((status, &answer["refund"]["amount"]), (202, &4_000.into()), "all that is left: {answer}");
    assert_eq!(answer["order"]["tickets"], json!([]));
    let told = tab.until(uuid, &["refunded"]).await;
    assert_eq!((&told["refunded"], told["voided"].as_array().map(Vec::len)), (&7_500.into(), Some(3)), "{told}");
    assert_eq!(gone(&shop).await, (3.into(), 7_500.into()));
    assert_eq!(counts(&shop).await, json!([8, 0, 2]), "units that nobody returned are not sold again");
    let shown = shop.cli_json(&["order", "show", id]).await;
    let states: Vec<&str> =
        shown["refunds"].as_array().unwrap().iter().filter_map(|refund| refund["state"].as_str()).collect();
    assert_eq!((states, &shown["state"]), (vec!["succeeded"; 3], &"refunded".into()));
    assert_eq!(shop.stats().await["orders_charged_more_than_once"], 0);
}

#[tokio::test]
async fn one_request_twice_at_once_is_one_refund_and_two_for_the_whole_sum_are_one_too() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let order = paid(&client, 2, "pm_card_visa").await;
    let uuid = order["id"].as_str().unwrap().parse().unwrap();
    let body = json!({"request": Uuid::new_v4(), "amount": 1_000});
    let ((one, a), (two, b)) = join(ask(&shop, &order, Some(KEY), &body), ask(&shop, &order, Some(KEY), &body)).await;
    assert_eq!((one, two, &a["refund"]["refund"]), (202, 202, &b["refund"]["refund"]), "{a} {b}");
    let mut other = body.clone();
    other["amount"] = 1_001.into();
    let (status, problem) = ask(&shop, &order, Some(KEY), &other).await;
    assert_eq!((status, &problem["code"]), (409, &"refund_conflict".into()));

    let request = Uuid::new_v4().to_string();
    let id = order["id"].as_str().unwrap();
    let same = ["--amount", "500", "--request", &request];
    let ((a_good, a), (b_good, b)) = join(cli(&shop, id, &same), cli(&shop, id, &same)).await;
    assert!(a_good && b_good && a["refund"]["refund"] == b["refund"]["refund"], "{a} {b}");

    let all = || json!({"request": Uuid::new_v4()});
    let (one, two) = (all(), all());
    let ((one, a), (two, b)) = join(ask(&shop, &order, Some(KEY), &one), ask(&shop, &order, Some(KEY), &two)).await;
    let mut statuses = [one, two];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409], "{a} {b}");
    client.room(&[]).await.until(uuid, &["refunded"]).await;
    assert_eq!(gone(&shop).await, (3.into(), 5_000.into()));
}

#[tokio::test]
async fn with_an_empty_balance_the_buyer_waits_and_a_refund_that_fails_gives_the_tickets_back() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let order = paid(&client, 1, "pm_card_visa").await;
    let uuid: Uuid = order["id"].as_str().unwrap().parse().unwrap();
    let pending = async || {
        let shown = shop.cli_json(&["order", "show", &uuid.to_string()]).await;
        shown["refunds"].as_array().unwrap().last().unwrap()["state"] == "pending"
    };
    let mut tab = client.room(&[]).await;
    tab.next_of("welcome").await;
    for (then, state, valid) in
        [(json!({"fail_refunds": true}), "paid", 1), (json!({"empty_balance": false}), "refunded", 0)]
    {
        shop.control_sandbox(json!({"empty_balance": true})).await;
        let (status, answer) =
            ask(&shop, &order, Some(KEY), &json!({"request": Uuid::new_v4(), "restock": true})).await;
        assert_eq!((status, &answer["order"]["state"], &answer["order"]["tickets"]), (202, &"paid".into(), &json!([])));
        while !pending().await {}
        shop.control_sandbox(then).await;
        loop {
            let told = tab.until(uuid, &[state]).await;
            if told["refunding"] == 0 && told["version"].as_i64() > answer["order"]["version"].as_i64() {
                assert_eq!(told["tickets"].as_array().map(Vec::len), Some(valid), "{told}");
                break;
            }
        }
    }
    assert_eq!(shop.stats().await["amount_refunded"], 2_500);
}
