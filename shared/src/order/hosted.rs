//! An attempt on Stripe's own page (hosted Checkout), as it stands where else a payment token stands.
//!
//! It names the attempt, since no two attempts of an order have the same token, and the origin of the shop that the
//! page leads back to, since the worker that makes the page has not seen the buyer's request.

/// How such an attempt begins; no payment token of Stripe's does.
const MARK: &str = "checkout:";

/// What an accept says instead of a payment token. `origin` is `https://host[:port]`.
#[must_use]
pub fn wish(origin: &str) -> String {
    token(origin, 0)
}

/// What attempt `number` keeps.
#[must_use]
pub fn token(origin: &str, number: u32) -> String {
    format!("{MARK}{number}:{origin}")
}

/// The origin that the page leads back to; `None` when this is a payment token.
#[must_use]
pub fn origin(token: &str) -> Option<&str> {
    token.strip_prefix(MARK)?.split_once(':').map(|(_, origin)| origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::token_kind;

    #[test]
    fn a_wish_for_stripes_page_is_no_payment_token_and_a_payment_token_is_no_such_wish() {
        assert_eq!(origin(&wish("http://127.0.0.1:3000")), Some("http://127.0.0.1:3000"));
        assert_eq!(origin(&token("https://shop.example", 2)), Some("https://shop.example"));
        assert!(token_kind(&wish("https://shop.example")).is_err(), "nobody can send one to /charges");
        assert_eq!((origin("tok_visa"), origin("pm_card_visa"), origin("checkout:")), (None, None, None));
    }
}
