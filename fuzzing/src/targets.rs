//! Parsers, each by itself.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use shared::config::Settings;
use shared::decline::DeclineClass;
use shared::env::Timestamp;
use shared::jobs::{Authentication, CreateCharge, ProcessResponse, Webhook};
use shared::money::{Currency, Money};
use shared::order::{State, email_key, hosted};
use shared::queue::Job;
use shared::sale::{Item, LatePolicy, Sale, is_slug};
use shared::stripe::webhook::{Distrust, Event, verify};
use shared::stripe::{Answer, Refunded, readings, token_kind};

/// What events are signed with here.
pub const SECRET: &str = "whsec_fuzz";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// An event: what is looked at of it is of the form that goes into requests and rows.
pub fn webhook_event(bytes: &[u8]) {
    let Some(event) = Event::read(bytes) else { return };
    let plain = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-');
    assert!(!event.id.is_empty() && event.id.len() <= 255 && plain(&event.id), "the id {:?}", event.id);
    let named = [(&event.payment_intent, "pi_"), (&event.session, "cs_")];
    assert!(named.iter().all(|(id, begins)| id.as_ref().is_none_or(|id| id.starts_with(begins) && plain(id))));
    let _ = (event.may_move_a_payment(), event.may_move_a_refund());
}

/// A header, a line feed, a body: nobody signs without the secret, and what is signed with it is believed.
pub fn webhook_signature(bytes: &[u8]) {
    let (header, body) = split(bytes);
    let header = std::str::from_utf8(header).ok();
    let judged = verify([SECRET].into_iter(), header, body, NOW);
    if judged != Err(Distrust::Unsigned) && judged != Err(Distrust::Forged) {
        // The corpus is signed; then the header has to hold what we would write.
        let time = header.and_then(|header| header.split("t=").nth(1)).and_then(|rest| rest.split(',').next());
        let ours = time.map(|time| sign(time, body)).unwrap_or_default();
        let lower = header.unwrap_or_default().to_ascii_lowercase();
        assert!(lower.contains(&ours), "{header:?} was believed");
    }
    let seconds = (NOW.0 / 1_000).to_string();
    let good = format!("t={seconds},v1={}", sign(&seconds, body));
    assert_eq!(verify([SECRET].into_iter(), Some(&good), body, NOW), Ok(()), "our own signature");
    assert_eq!(verify(["another"].into_iter(), Some(&good), body, NOW), Err(Distrust::Forged), "another secret");
}

/// The signature of a body at a time, in hexadecimal.
#[must_use]
pub fn sign(time: &str, body: &[u8]) -> String {
    // An HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else { return String::new() };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two bytes of status, then a body of Stripe's: only a 2xx says that money was taken or given back, and then it says
/// which.
pub fn stripe_reply(bytes: &[u8]) {
    let Some((head, body)) = bytes.split_at_checked(2) else { return };
    let status = 100 + (u16::from(head[0]) * 2 + u16::from(head[1] & 1)) % 500;
    let read = readings::of(status, head[1] & 2 != 0, body);
    let good = (200..300).contains(&status);
    for answer in [&read.intent, &read.session] {
        if let Answer::Succeeded(payment) = answer {
            assert!(good && payment.payment_intent.starts_with("pi_") && !payment.charge.is_empty());
        }
    }
    if let Answer::Succeeded(_) | Answer::Canceled { .. } | Answer::SessionExpired { .. } = read.intent {
        assert!(good, "a {status} that ends a payment");
    }
    assert!(!matches!(read.refund, Refunded::Succeeded { .. }) || good);
    assert!(read.listed == 0 || good);
}

/// A job: what is read is written as it was read, and its key is of bounded length.
pub fn job(bytes: &[u8]) {
    fn round<J: Job + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        let Ok(job) = serde_json::from_slice::<J>(bytes) else { return };
        let written = serde_json::to_vec(&job).map_err(|error| error.to_string());
        let again = written.and_then(|text| serde_json::from_slice::<J>(&text).map_err(|error| error.to_string()));
        assert_eq!(again.as_ref(), Ok(&job));
        assert!(job.key().len() <= bytes.len() + 100);
    }
    round::<CreateCharge>(bytes);
    round::<ProcessResponse>(bytes);
    round::<Authentication>(bytes);
    round::<Webhook>(bytes);
}

/// What a foreign writer publishes: text for a room, or nothing.
pub fn room_message(bytes: &[u8]) {
    if let Some(envelopes) = shared::rooms::redis::unpack(bytes) {
        assert_eq!(bytes.len(), envelopes.iter().map(|envelope| 20 + envelope.frame.len()).sum::<usize>());
    }
}

/// What a client says in a socket.
pub fn socket_frame(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && web::socket::says_ping(text)
    {
        assert!(text.contains("type"));
    }
}

/// `NAME=VALUE`, a line each: settings, or every wrong one by its name, and no secret shown.
pub fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let values: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    match Settings::read(&|name| values.get(name).map(|value| (*value).to_owned())) {
        Ok(settings) => {
            let shown = format!("{settings:?}");
            for name in ["SESSION_SECRET", "OPERATOR_KEY", "STRIPE_SECRET_KEY"] {
                // What stands in another setting too, which is none, is shown there.
                let elsewhere = |secret: &str| {
                    let others = values.iter().filter(|(other, _)| **other != name);
                    others.into_iter().any(|(_, value)| value.contains(secret))
                };
                let secret = values.get(name).map(|value| value.trim()).filter(|value| value.len() > 15);
                let secret = secret.filter(|secret| !elsewhere(secret));
                assert!(secret.is_none_or(|secret| !shown.contains(secret)), "{name} is shown");
            }
            let _ = (settings.terms(), settings.ledger_url());
        }
        Err(wrong) => assert!(!wrong.0.is_empty()),
    }
}

/// A sale from outside, and a basket of it: a price is a sum in bounds.
pub fn sale(bytes: &[u8]) {
    let (first, rest) = split(bytes);
    let Ok(sale) = serde_json::from_slice::<Sale>(first) else { return };
    let is_good = sale.check().is_ok();
    let _ = sale.status(NOW, 1);
    let basket: Vec<Item> = serde_json::from_slice(rest).unwrap_or_default();
    if let Ok((items, money)) = sale.price(&basket, NOW)
        && is_good
    {
        let sum = items.iter().map(|item| i128::from(item.amount) * i128::from(item.quantity)).sum::<i128>();
        assert_eq!(i128::from(money.amount), sum);
    }
}

/// Short texts: ids, tokens, times, sums, addresses, words.
pub fn word(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(currency) = text.parse::<Currency>() {
        assert_eq!(currency.as_str().parse(), Ok::<_, <Currency as std::str::FromStr>::Err>(currency));
    }
    if let Ok(at) = Timestamp::parse_rfc3339(text) {
        assert!(!at.to_rfc3339().is_empty());
    }
    if token_kind(text).is_ok() {
        assert!(hosted::origin(text).is_none() && text.len() <= shared::stripe::TOKEN_BYTES_MAX);
    }
    if is_slug(text) {
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_'));
    }
    let key = email_key(text);
    assert!(email_key(&key).len() <= key.len(), "{key:?}");
    if let Ok(state) = text.parse::<State>() {
        assert_eq!(state.as_str(), text);
    }
    let _ = (text.parse::<DeclineClass>(), text.parse::<LatePolicy>(), text.parse::<uuid::Uuid>());
    let _ = DeclineClass::of_stripe(Some(text), Some(text), Some(text));
    let amount = text.parse::<i64>().unwrap_or(0);
    let money = Money::new(amount, Currency::default());
    let _ = money.map(|money| (money.times(7), money.plus(money)));
    let _ = serde_json::from_str::<Value>(text);
}

/// What stands before the first line feed, and what follows it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n');
    at.map_or((bytes, &[]), |at| (&bytes[..at], &bytes[at + 1..]))
}
