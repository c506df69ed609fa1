//! The forms of secrets: what is one by its looks.

/// What a key or a token begins with, and what it is then.
const BEGINNINGS: [(&str, &str); 9] = [
    ("sk_test_", "a secret key of Stripe's"),
    ("sk_live_", "a secret key of Stripe's"),
    ("rk_test_", "a restricted key of Stripe's"),
    ("rk_live_", "a restricted key of Stripe's"),
    ("whsec_", "a secret of a webhook endpoint"),
    ("stk_", "a key of a machine"),
    ("pm_", "a payment token"),
    ("tok_", "a payment token"),
    ("ctoken_", "a payment token"),
];

/// What says that a secret follows, in small letters, and how long that is at least.
const ANNOUNCED: [(&str, usize, &str); 7] = [
    ("access_token=", 1, "a token in an address"),
    ("bearer ", 8, "a bearer token"),
    ("cookie: ", 8, "a cookie"),
    ("cookie=", 8, "a cookie"),
    ("cookie\":\"", 8, "a cookie"),
    ("password=", 1, "a password"),
    ("password\":\"", 1, "a password"),
];

/// The kind of the first secret in a line, if there is one.
#[must_use]
pub fn found_in(line: &str) -> Option<&'static str> {
    words(line)
        .find_map(of_word)
        .or_else(|| announced(line))
        .or_else(|| has_address(line).then_some("a mail address"))
        .or_else(|| has_password(line).then_some("a password in an address"))
        .or_else(|| has_card(line).then_some("a card number"))
        .or_else(|| has_code(line).then_some("a card's code"))
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// A line in words, as keys and tokens are.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    // A sentence ends in a full stop that no token has.
    line.split(|c| !is_of_word(c)).map(|word| word.trim_end_matches('.')).filter(|word| !word.is_empty())
}

/// The same, where mail addresses are in one piece.
pub(super) fn addresses(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c| !is_of_word(c) && !matches!(c, '@' | '+'))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.contains('@'))
}

fn of_word(word: &str) -> Option<&'static str> {
    let rest_of = |beginning: &str| word.strip_prefix(beginning).map_or(0, str::len);
    let begins = BEGINNINGS.iter().find(|(beginning, _)| rest_of(beginning) >= 3).map(|(_, kind)| *kind);
    let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let signed = |(customer, tag): (&str, &str)| is_hex(customer, 32) && tag.len() == 43;
    begins
        .or_else(|| word.split_once("_secret_").is_some_and(|(_, rest)| rest.len() >= 4).then_some("a client secret"))
        .or_else(|| word.split_once('.').is_some_and(signed).then_some("a shopper's cookie or token"))
        .or_else(|| is_hex(word, 64).then_some("an operator's session, or another secret of 256 bits"))
}

fn announced(line: &str) -> Option<&'static str> {
    let line = line.to_ascii_lowercase();
    let follows = |(word, least, kind): &(&str, usize, &'static str)| {
        let mut places = line.match_indices(word);
        let long = |at: usize| line[at + word.len()..].chars().take_while(|c| is_of_word(*c)).count() >= *least;
        places.any(|(at, _)| long(at)).then_some(*kind)
    };
    ANNOUNCED.iter().find_map(follows)
}

/// `name@host.tld`
fn has_address(line: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    line.match_indices('@').any(|(at, _)| {
        let named = line[..at].chars().next_back().is_some_and(is_name);
        let host: String =
            line[at + 1..].chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
        let (domain, top) = host.trim_end_matches('.').rsplit_once('.').unwrap_or_default();
        let is_top = top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic());
        // As in `stampede-worker@2.service`.
        let is_domain = domain.chars().any(|c| c.is_ascii_alphabetic());
        named && is_domain && is_top
    })
}

/// `scheme://user:password@host`
fn has_password(line: &str) -> bool {
    line.match_indices("://").any(|(at, scheme)| {
        let end = |c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#');
        let authority = line[at + scheme.len()..].split(end).next().unwrap_or_default();
        let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        password.is_some_and(|(_, password)| !password.is_empty() && !password.chars().all(|c| "*.…".contains(c)))
    })
}

/// 13 to 19 digits with the right check digit (ISO/IEC 7812), in one piece or in groups.
fn has_card(line: &str) -> bool {
    let bytes = line.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let joins = |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte));
    let mut at = 0;
    while at < bytes.len() {
        if !is_digit(at) {
            at += 1;
            continue;
        }
        let (start, mut digits) = (at, Vec::new());
        while is_digit(at) || (bytes.get(at).is_some_and(|byte| b" -".contains(byte)) && is_digit(at + 1)) {
            if is_digit(at) {
                digits.push(bytes[at] - b'0');
            }
            at += 1;
        }
        let is_part = joins(at) || start > 0 && joins(start - 1);
        if !is_part && (13..=19).contains(&digits.len()) && (3..=6).contains(&digits[0]) && checks(&digits) {
            return true;
        }
    }
    false
}

fn checks(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(if place % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10)
}

/// `cvc=123`, `"cvv":"1234"`
fn has_code(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["cvc", "cvv", "security_code"].iter().any(|name| {
        line.match_indices(name).any(|(at, _)| {
            let rest = line[at + name.len()..].trim_start_matches(|c: char| "\"'=:] ".contains(c));
            let digits = rest.chars().take_while(char::is_ascii_digit).count();
            (3..=4).contains(&digits) && rest.len() < line.len() - at - name.len()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_secret_is_found_by_its_form() {
        let hex = "0123456789abcdef".repeat(4);
        let shopper = format!("{}.{}", &hex[..32], "A".repeat(43));
        for line in [
            "key=sk_test_sandbox",
            "Invalid API Key provided: rk_live_abc123.",
            "secret whsec_0123 of the endpoint",
            r#"{"token":"pm_card_visa"}"#,
            "No such token: 'tok_visa'",
            "ctoken_1Nabc",
            "client_secret pi_123_secret_abcd",
            "stk_0011",
            "GET /ws?sale=a&access_token=x",
            "authorization: Bearer abcdefgh1234",
            "cookie: stampede=abcdefgh",
            &format!("session {hex}"),
            &format!("customer {shopper} came"),
            "email=a.b+c@mail.example.com",
            "postgres://stampede:hunter2@127.0.0.1:5432/x",
            "redis://:hunter2@127.0.0.1/0",
            "card 4242424242424242 declined",
            "card 4242 4242 4242 4242",
            "number=4000-0000-0000-0002",
            "card[cvc]=123",
            r#""cvc": "1234""#,
            r#"{"name":"ann","password":"x"}"#,
        ] {
            assert!(found_in(line).is_some(), "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_left_alone() {
        let trace = "0123456789abcdef".repeat(2);
        for line in [
            "order=0199d8a0-3f5e-7cc2-b6a5-0123456789ab key=0199d8a0-3f5e-7cc2-b6a5-0123456789ab:1 state=paid",
            "payment_intent=pi_3Nabc charge=ch_3Nabc payment_method refused",
            "elapsed_us=4242 at=1763787000000 entry=1763787000000-0 4242424242424243",
            "quantile 0.4242424242424242 4242424242424242.5 x4242424242424242",
            "postgres://127.0.0.1:5432/x redis://127.0.0.1:6379 https://a:***@host",
            "stampede-worker@2.service, somebody@localhost, @ 5.00",
            "the cookie is not known; a password is wrong; no bearer token; cvc is wrong",
            &format!("traceparent=00-{trace}-{}-01", &trace[..16]),
            "pm_ tok_ sk_test_ whsec_",
        ] {
            assert_eq!(found_in(line), None, "{line}");
        }
    }
}
