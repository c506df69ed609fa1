use proptest::prelude::*;

use super::*;

const ORDER: Uuid = Uuid::from_u128(0x0198_f2c0_0000_7000_8000_0000_0000_0001);

fn first_attempt() -> ChargeRequest<'static> {
    ChargeRequest {
        order: ORDER,
        attempt: 1,
        token: "pm_card_visa",
        amount: 2500,
        currency: "usd",
        email: "a+b@example.com",
        description: "Demo concert: 1 × Standing & more",
        payment_intent: None,
        return_url: None,
    }
}

/// What Stripe reads from a body.
fn decoded(body: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

#[test]
fn the_bytes_of_a_first_attempt_with_a_payment_method_are_pinned() {
    let stored = prepare(&first_attempt()).unwrap();
    assert_eq!(stored.path, "/v1/payment_intents");
    assert_eq!(stored.version, "2026-09-30.endive");
    assert_eq!(
        stored.body,
        "allowed_payment_method_types[0]=card&amount=2500&confirm=true&currency=usd&description=Demo+concert:+1+%C3%97+Standing+%26+more\
         &payment_method=pm_card_visa&receipt_email=a%2Bb@example.com\
         &use_stripe_sdk=true&metadata[order]=0198f2c0-0000-7000-8000-000000000001&metadata[attempt]=1"
    );
}

#[test]
fn the_bytes_of_a_first_attempt_with_a_card_token_are_pinned() {
    let request = ChargeRequest {
        token: "tok_visa",
        email: "",
        return_url: Some("https://shop.example/r?a=1"),
        ..first_attempt()
    };
    assert_eq!(
        prepare(&request).unwrap().body,
        "allowed_payment_method_types[0]=card&amount=2500&confirm=true&currency=usd&description=Demo+concert:+1+%C3%97+Standing+%26+more\
         &return_url=https://shop.example/r?a%3D1&use_stripe_sdk=true\
         &metadata[order]=0198f2c0-0000-7000-8000-000000000001&metadata[attempt]=1\
         &payment_method_data[type]=card&payment_method_data[card][token]=tok_visa"
    );
}

#[test]
fn the_bytes_of_a_first_attempt_with_a_confirmation_token_are_pinned() {
    let request = ChargeRequest { token: "ctoken_1abc", description: "x", email: "", ..first_attempt() };
    assert_eq!(
        prepare(&request).unwrap().body,
        "allowed_payment_method_types[0]=card&amount=2500&confirm=true&confirmation_token=ctoken_1abc&currency=usd&description=x\
         &use_stripe_sdk=true\
         &metadata[order]=0198f2c0-0000-7000-8000-000000000001&metadata[attempt]=1"
    );
}

#[test]
fn the_second_attempt_confirms_the_same_payment_intent_with_a_key_of_its_own() {
    let request = ChargeRequest { attempt: 2, token: "tok_visa", payment_intent: Some("pi_1"), ..first_attempt() };
    let stored = prepare(&request).unwrap();
    assert_eq!(stored.path, "/v1/payment_intents/pi_1/confirm");
    assert_eq!(
        stored.body,
        "receipt_email=a%2Bb@example.com&use_stripe_sdk=true\
         &payment_method_data[type]=card&payment_method_data[card][token]=tok_visa"
    );
    assert_eq!(idempotency_key(ORDER, 1), "charge-0198f2c0-0000-7000-8000-000000000001-1");
    assert_ne!(idempotency_key(ORDER, 1), idempotency_key(ORDER, 2));
}

#[test]
fn preparing_twice_gives_the_same_bytes() {
    let first = prepare(&first_attempt()).unwrap();
    for _ in 0..100 {
        assert_eq!(prepare(&first_attempt()).unwrap(), first);
    }
    let kept: StoredRequest = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    assert_eq!(kept, first);
}

#[test]
fn the_version_sent_is_the_one_whose_types_are_built_in() {
    assert_eq!(stripe_client_core::VERSION.as_str(), API_VERSION);
}

#[test]
fn only_tokens_of_stripe_js_are_taken() {
    assert_eq!(token_kind("tok_visa"), Ok(TokenKind::Token));
    assert_eq!(token_kind("pm_card_visa_chargeDeclined"), Ok(TokenKind::PaymentMethod));
    assert_eq!(token_kind("ctoken_1NnQUf2eZvKYlo2C"), Ok(TokenKind::ConfirmationToken));
    let long = format!("tok_{}", "a".repeat(TOKEN_BYTES_MAX));
    for bad in ["", "tok_", "pm_", "card_1", "4242424242424242", "tok_a b", "tok_a&amount=1", "pm_é", "TOK_x", &long] {
        assert_eq!(token_kind(bad), Err(UnknownToken), "{bad}");
        assert_eq!(prepare(&ChargeRequest { token: bad, ..first_attempt() }), Err(UnknownToken));
    }
}

#[test]
fn neither_token_nor_mail_shows_in_debug_output() {
    let request = ChargeRequest { token: "tok_visa", ..first_attempt() };
    let shown = format!("{request:?} {:?}", prepare(&request).unwrap());
    assert!(!shown.contains("tok_visa") && !shown.contains("example.com"), "{shown}");
}

proptest! {
    #[test]
    fn whatever_was_asked_for_is_what_stripe_reads(
        order in any::<u128>(), attempt in 1..1000u32, amount in 1..99_999_999i64, email in "\\PC{0,40}",
        description in "\\PC{0,60}", token in "(tok|pm|ctoken)_[A-Za-z0-9_]{1,60}", again in any::<bool>(),
    ) {
        let order = Uuid::from_u128(order);
        let request = ChargeRequest {
            order, attempt, token: &token, amount, currency: "eur", email: &email, description: &description,
            payment_intent: again.then_some("pi_7"), return_url: None,
        };
        let pairs = decoded(&prepare(&request).unwrap().body);
        let value = |key: &str| {
            let mut values = pairs.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str());
            let value = values.next();
            assert!(values.next().is_none(), "{key} is given twice");
            value
        };
        let carrier = match token_kind(&token).unwrap() {
            TokenKind::Token => "payment_method_data[card][token]",
            TokenKind::PaymentMethod => "payment_method",
            TokenKind::ConfirmationToken => "confirmation_token",
        };
        prop_assert_eq!(value(carrier), Some(token.as_str()));
        prop_assert_eq!(value("receipt_email"), (!email.is_empty()).then_some(email.as_str()));
        prop_assert_eq!(value("use_stripe_sdk"), Some("true"));
        prop_assert_eq!(value("error_on_requires_action"), None);
        let created = |text: String| (!again).then_some(text);
        prop_assert_eq!(value("amount").map(str::to_owned), created(amount.to_string()));
        prop_assert_eq!(value("currency").map(str::to_owned), created("eur".to_owned()));
        prop_assert_eq!(value("confirm").map(str::to_owned), created("true".to_owned()));
        prop_assert_eq!(value("allowed_payment_method_types[0]").map(str::to_owned), created("card".to_owned()));
        prop_assert_eq!(value("description").map(str::to_owned), created(description.clone()));
        prop_assert_eq!(value("metadata[order]").map(str::to_owned), created(order.to_string()));
        prop_assert_eq!(value("metadata[attempt]").map(str::to_owned), created(attempt.to_string()));
    }
}
