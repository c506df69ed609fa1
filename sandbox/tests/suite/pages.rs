//! What a browser loads. (What it then does is tested in a browser, with the shop.)

use crate::harness::Api;

#[tokio::test]
async fn the_script_the_card_frame_and_its_files_are_served_from_one_origin() {
    let api = Api::start().await;
    for path in ["/v3", "/v3/", "/stripe.js"] {
        let script = api.get(path, &[]).await;
        assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
        assert!(script.text.contains("globalThis.Stripe"));
    }
    let frame = api.get("/_sandbox/elements/card", &[("origin", "http://shop.example")]).await;
    assert!(frame.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    for word in ["cc-number", "cc-exp", "cc-csc", "Card number", "Expiry date", "Security code"] {
        assert!(frame.text.contains(word), "{word}");
    }
    for file in frame.text.split('"').filter(|text| text.starts_with("/_sandbox/static/")) {
        assert_eq!(api.get(file, &[]).await.status, 200, "{file}");
    }
    assert_eq!(api.get("/_sandbox/static/nothing.js", &[]).await.status, 404);
}

#[tokio::test]
async fn a_challenge_shows_the_amount_and_echoes_nothing_unescaped() {
    let api = Api::start().await;
    let intent = api.pay("pm_card_threeDSecure2Required").await.ok();
    let path = format!("/_sandbox/3ds/{}", intent["id"].as_str().unwrap());
    let secret = intent["client_secret"].as_str().unwrap();
    let page = api.get(&path, &[("client_secret", secret), ("origin", "\"><script>")]).await;
    assert!(page.text.contains("25.00 USD") && page.text.contains("Fail authentication"));
    assert!(!page.text.contains("\"><script>"));
    assert_eq!(api.get(&path, &[("client_secret", "guess")]).await.status, 404);
}

#[tokio::test]
async fn a_page_of_another_origin_may_call_with_its_publishable_key() {
    let api = Api::start().await;
    let request =
        hyper::Request::options(format!("{}/v1/payment_methods", api.base)).header("origin", "http://shop.example");
    let allowed = api.answer(request.body(Default::default()).unwrap()).await.unwrap();
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some("*")));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("authorization"));
}
