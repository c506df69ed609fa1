//! Valid examples of everything that is read, for mutation to begin with.

use crate::targets::sign;

const ORDER: &str = "0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39";

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.replace("$ORDER", ORDER).into_bytes()).collect()
}

/// Events.
#[must_use]
pub fn events() -> Vec<Vec<u8>> {
    bytes(&[
        r#"{"id":"evt_1","type":"payment_intent.succeeded","livemode":false,"created":1800000000,"data":{"object":{"object":"payment_intent","id":"pi_1","metadata":{"order":"$ORDER"}}}}"#,
        r#"{"id":"evt_2","type":"charge.failed","livemode":true,"data":{"object":{"object":"charge","id":"ch_1","payment_intent":{"id":"pi_1"},"metadata":{}}}}"#,
        r#"{"id":"evt_3","type":"refund.updated","livemode":false,"created":null,"data":{"object":{"object":"refund","id":"re_1","payment_intent":"pi_1","metadata":null}}}"#,
        r#"{"id":"evt_4","type":"checkout.session.completed","livemode":false,"data":{"object":{"object":"checkout.session","id":"cs_test_1","payment_intent":"pi_1","metadata":{"order":"$ORDER"}}}}"#,
    ])
}

/// A signature, a line feed, a body.
#[must_use]
pub fn signatures() -> Vec<Vec<u8>> {
    let signed = |time: &str, body: &str| format!("t={time},v1={}\n{body}", sign(time, body.as_bytes())).into_bytes();
    vec![
        signed("1800000000", "{}"),
        signed("1799999000", r#"{"id":"evt_1"}"#),
        format!("t=1800000000,v0=00,v1={},v1={}\n{{}}", "0".repeat(64), sign("1800000000", b"{}")).into_bytes(),
    ]
}

/// Two bytes of status, and bodies of Stripe's.
#[must_use]
pub fn replies() -> Vec<Vec<u8>> {
    let intent = r#"{"id":"pi_1","object":"payment_intent","amount":2500,"amount_received":2500,"currency":"usd","status":"succeeded","latest_charge":"ch_1","client_secret":"pi_1_secret_x","created":1800000000,"metadata":{"order":"$ORDER","attempt":"1"},"last_payment_error":null}"#;
    let declined = r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","advice_code":"try_again_later","param":"payment_method","payment_intent":{"id":"pi_1","status":"requires_payment_method"}}}"#;
    let session = r#"{"id":"cs_test_1","object":"checkout.session","status":"complete","payment_status":"paid","url":"https://checkout.stripe.com/c/pay/cs_test_1","amount_total":2500,"currency":"usd","payment_intent":{"id":"pi_1","object":"payment_intent","status":"succeeded","amount_received":2500,"currency":"usd","latest_charge":"ch_1","metadata":{"order":"$ORDER"}},"metadata":{"order":"$ORDER","attempt":"2"}}"#;
    let refund = r#"{"id":"re_1","object":"refund","amount":2500,"currency":"usd","status":"succeeded","payment_intent":"pi_1","metadata":{"refund":"$ORDER","order":"$ORDER"}}"#;
    let idempotency = r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use","message":"x"}}"#;
    let mut all = bytes(&[intent, declined, session, refund, idempotency]);
    let lists = [intent, session, refund]
        .map(|entry| format!(r#"{{"object":"list","has_more":true,"data":[{entry},{entry}]}}"#));
    all.extend(bytes(&[&lists[0], &lists[1], &lists[2]]));
    all.extend(
        events()
            .into_iter()
            .map(|event| [br#"{"object":"list","has_more":false,"data":["#.as_slice(), &event, b"]}"].concat()),
    );
    // 200, and what else Stripe may answer with.
    let statuses = [[50, 0], [151, 0], [50, 2], [150, 1], [164, 1], [200, 0]];
    let with = |status: [u8; 2]| all.iter().map(move |body| [status.as_slice(), body].concat()).collect::<Vec<_>>();
    statuses.into_iter().flat_map(with).collect()
}

/// Payloads of the queue.
#[must_use]
pub fn jobs() -> Vec<Vec<u8>> {
    bytes(&[
        r#"{"v":"1","order":"$ORDER","attempt":2}"#,
        r#"{"v":"1","order":"$ORDER","attempt":1,"outcome":{"outcome":"succeeded","payment_intent":"pi_1","charge":"ch_1","amount":2500,"currency":"usd"}}"#,
        r#"{"v":"1","order":"$ORDER","attempt":1,"outcome":{"outcome":"declined","payment_intent":null,"decline":{"class":"card_declined","may_retry":true,"raw":"x"}}}"#,
        r#"{"v":"1","order":"$ORDER","attempt":1,"outcome":{"outcome":"requires_action","payment_intent":"pi_1","client_secret":"s"}}"#,
        r#"{"v":"1","order":"$ORDER","attempt":1,"cause":"given_up"}"#,
        r#"{"v":"1","event":"evt_1"}"#,
    ])
}

/// Messages of rooms.
#[must_use]
pub fn room_messages() -> Vec<Vec<u8>> {
    vec![[[7; 16].as_slice(), br#"{"type":"order","order":{}}"#].concat(), [0; 16].to_vec(), b"short".to_vec()]
}

/// What clients say.
#[must_use]
pub fn frames() -> Vec<Vec<u8>> {
    bytes(&[r#"{"type":"ping"}"#, r#"{"type":"ping","more":[1,{"a":null}]}"#, r#"{"type":"order"}"#])
}

/// Settings, a line each.
#[must_use]
pub fn settings() -> Vec<Vec<u8>> {
    bytes(&[
        "BIND=127.0.0.1:3000\nPUBLIC_URL=https://shop.example.com/\nDATA_DIR=data\nSESSION_SECRET=0123456789abcdef0123456789abcdef\nWORKER_CONCURRENCY=64\nSANDBOX_BIND=127.0.0.1:12111\nRETRY_SECONDS=120\nAUTHENTICATE_SECONDS=300\nCHECKOUT_SECONDS=600\nORDER_SECONDS=900\nDEMO=true",
        "DATABASE_URL=postgres://u:p@localhost/stampede\nREDIS_URL=redis://127.0.0.1:6379/1\nSTRIPE_SECRET_KEY=sk_test_123456789012345678\nSTRIPE_PUBLISHABLE_KEY=pk_test_1234\nSTRIPE_WEBHOOK_SECRET=whsec_1,whsec_2\nSTRIPE_RATE_PER_SECOND=25\nTRUSTED_PROXIES=10.0.0.1, ::1\nLIMIT_LOOPBACK=false\nOPERATOR_KEY=0123456789abcdef0123456789abcdef\nLOG=info\nLOG_FORMAT=json",
        "STRIPE_API_BASE=http://127.0.0.1:1\nSANDBOX_LATENCY=100ms..2s\nSANDBOX_RATE_LIMIT=25\nDATABASE_URL=sqlite:x.db",
    ])
}

/// A sale, a line feed, a basket.
#[must_use]
pub fn sales() -> Vec<Vec<u8>> {
    let sale = r#"{"slug":"gate","name":"Gate","currency":"usd","opens_at":1700000000000,"closes_at":null,"hold_ms":60000,"late":"fulfil","paused":false,"epoch":1,"tiers":[{"id":"std","name":"Std","amount":2500,"capacity":100,"max_per_customer":4,"opens_at":null,"closes_at":1900000000000},{"id":"vip","name":"Vip","amount":99999999,"capacity":10000000,"max_per_customer":null,"opens_at":null,"closes_at":null}]}"#;
    let baskets = [r#"[{"tier":"std","quantity":1}]"#, r#"[{"tier":"std","quantity":4},{"tier":"vip","quantity":96}]"#];
    baskets.iter().map(|basket| format!("{sale}\n{basket}").into_bytes()).collect()
}

/// Short texts.
#[must_use]
pub fn words() -> Vec<Vec<u8>> {
    bytes(&[
        "usd",
        "JPY",
        "2026-11-20T12:00:00.000Z",
        "2026-11-20T12:00:00+02:00",
        "tok_visa",
        "pm_card_visa",
        "ctoken_1",
        "checkout:1:https://shop.example.com",
        "summer-night-2027",
        "A.B+c@GMail.com",
        "requires_action",
        "insufficient_funds",
        "fulfil",
        "$ORDER",
        "-9223372036854775808",
    ])
}

const PURCHASE: &str = r#"{"order":"$ORDER","token":"pm_card_visa","sale":"gate","items":[{"tier":"std","quantity":1}],"email":"a@example.com","name":"A. Shopper"}"#;
const JSON: &str = "content-type: application/json";

fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path}\n{headers}\n{JSON}\n\n{body}")
}

/// Requests that buy, and give back.
#[must_use]
pub fn buying() -> Vec<Vec<u8>> {
    let token = "authorization: Bearer $TOKEN\nx-forwarded-for: 10.1.2.3, 127.0.0.1";
    let cookie = "cookie: a=b; $COOKIE\nhost: 127.0.0.1:3000\norigin: http://127.0.0.1:3000";
    let operator = "authorization: Bearer $KEY";
    let held = r#"{"order":"$ORDER","token":"tok_visa","hold":"$ORDER","email":"a@example.com","name":"A"}"#;
    let page = r#"{"order":"$ORDER","sale":"gate","items":[{"tier":"front","quantity":2}],"email":"a@example.com","name":"A"}"#;
    let hold = r#"{"hold":"$ORDER","sale":"gate","items":[{"tier":"std","quantity":2}]}"#;
    let refund = r#"{"request":"$ORDER","amount":100,"tickets":["$ORDER"],"reason":"why","restock":true}"#;
    let all = [
        post("/charges", token, PURCHASE),
        post("/charges", cookie, held),
        post("/checkout", &format!("{token}\nhost: shop.example.com"), page),
        post("/api/holds", token, hold),
        post("/api/session", "x-forwarded-for: ::1", "{}"),
        post("/api/orders/$ORDER/refunds", operator, refund),
        post("/api/orders/$ORDER/refresh", token, r#"{"give_up":true}"#),
        post("/ops/api/login", cookie, r#"{"name":"ann","password":"correct horse battery"}"#),
        post("/ops/api/logout", &cookie.replace("$COOKIE", &format!("operator={}", "5".repeat(64))), ""),
        format!("DELETE /api/holds/$ORDER\n{token}\n\n"),
    ];
    bytes(&all.each_ref().map(String::as_str))
}

/// Requests that read.
#[must_use]
pub fn reading() -> Vec<Vec<u8>> {
    bytes(&[
        "GET /api/sales/gate\naccept-encoding: gzip\n\n",
        "GET /api/sales\n\n",
        "GET /ops/api/me\nauthorization: Bearer $KEY\n\n",
        "GET /api/session\ncookie: $COOKIE\n\n",
        "GET /api/orders?limit=10\nauthorization: Bearer $TOKEN\n\n",
        "GET /api/orders/$ORDER\nauthorization: Bearer $TOKEN\n\n",
        "GET /events?sale=gate&access_token=$TOKEN\nlast-event-id: 7\n\n",
        "GET /ws?sale=gate&access_token=$TOKEN\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\nsec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEA==\n\n",
        "GET /static/x/app.js\nif-none-match: \"x\"\nrange: bytes=0-1\n\n",
        "GET /sales/gate?order=$ORDER\naccept-language: en\n\n",
        "HEAD /tickets\n\n",
        "OPTIONS /charges\norigin: https://other.example\n\n",
        "GET /metrics\nauthorization: Bearer $KEY\n\n",
    ])
}

/// Events as Stripe sends them, with a signature that fits whatever becomes of them.
#[must_use]
pub fn webhooks() -> Vec<Vec<u8>> {
    let head = b"POST /webhooks/stripe\nstripe-signature: $SIGNED\n\n".as_slice();
    let forged = b"POST /webhooks/stripe\nstripe-signature: t=1,v1=00\n\n".as_slice();
    let all = events().into_iter().flat_map(|event| [[head, &event].concat(), [forged, &event].concat()]);
    all.collect()
}
