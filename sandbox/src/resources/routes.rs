//! Every path of the API that the sandbox answers.

use super::{charges, customers, disputes, events, intents, methods, refunds, sessions, webhook_endpoints};
use crate::{
    failure::Failure,
    work::{Call, Request},
};

/// Which keys a path takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Secret,
    /// Also a publishable key, which for an object means together with its client secret.
    Either,
}

/// One path.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// The path, `:id` standing for an object.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// Reads the parameters.
    pub(crate) prepare: fn(Request<'_>) -> Result<Call, Failure>,
}

const fn secret(method: &'static str, path: &'static str, prepare: fn(Request<'_>) -> Result<Call, Failure>) -> Route {
    Route { method, path, access: Access::Secret, prepare }
}

const fn either(method: &'static str, path: &'static str, prepare: fn(Request<'_>) -> Result<Call, Failure>) -> Route {
    Route { method, path, access: Access::Either, prepare }
}

static ROUTES: &[Route] = &[
    either("POST", "/v1/tokens", methods::create_token),
    secret("GET", "/v1/tokens/:id", methods::retrieve_token),
    either("POST", "/v1/payment_methods", methods::create_payment_method),
    secret("GET", "/v1/payment_methods/:id", methods::retrieve_payment_method),
    secret("POST", "/v1/payment_methods/:id/attach", methods::attach),
    either("POST", "/v1/confirmation_tokens", methods::create_confirmation_token),
    secret("POST", "/v1/test_helpers/confirmation_tokens", methods::create_confirmation_token),
    secret("GET", "/v1/confirmation_tokens/:id", methods::retrieve_confirmation_token),
    secret("POST", "/v1/payment_intents", intents::create),
    secret("GET", "/v1/payment_intents", intents::list),
    either("GET", "/v1/payment_intents/:id", intents::retrieve),
    secret("POST", "/v1/payment_intents/:id", intents::update),
    either("POST", "/v1/payment_intents/:id/confirm", intents::confirm),
    secret("POST", "/v1/payment_intents/:id/capture", intents::capture),
    secret("POST", "/v1/payment_intents/:id/cancel", intents::cancel),
    secret("POST", "/v1/charges", charges::create),
    secret("GET", "/v1/charges", charges::list),
    secret("GET", "/v1/charges/:id", charges::retrieve),
    secret("POST", "/v1/charges/:id", charges::update),
    secret("POST", "/v1/customers", customers::create),
    secret("GET", "/v1/customers", customers::list),
    secret("GET", "/v1/customers/:id", customers::retrieve),
    secret("POST", "/v1/customers/:id", customers::update),
    secret("POST", "/v1/refunds", refunds::create),
    secret("GET", "/v1/refunds", refunds::list),
    secret("GET", "/v1/refunds/:id", refunds::retrieve),
    secret("GET", "/v1/disputes", disputes::list),
    secret("GET", "/v1/disputes/:id", disputes::retrieve),
    secret("POST", "/v1/checkout/sessions", sessions::create),
    secret("GET", "/v1/checkout/sessions", sessions::list),
    secret("GET", "/v1/checkout/sessions/:id", sessions::retrieve),
    secret("POST", "/v1/checkout/sessions/:id/expire", sessions::expire),
    secret("GET", "/v1/checkout/sessions/:id/line_items", sessions::line_items),
    secret("GET", "/v1/events", events::list),
    secret("GET", "/v1/events/:id", events::retrieve),
    secret("POST", "/v1/webhook_endpoints", webhook_endpoints::create),
    secret("GET", "/v1/webhook_endpoints", webhook_endpoints::list),
    secret("GET", "/v1/webhook_endpoints/:id", webhook_endpoints::retrieve),
    secret("DELETE", "/v1/webhook_endpoints/:id", webhook_endpoints::delete),
];

/// The route of a request, and the object that its path names.
pub(crate) fn find(method: &str, path: &str) -> Option<(&'static Route, String)> {
    ROUTES.iter().filter(|route| route.method == method).find_map(|route| {
        let (mut wanted, mut given) = (route.path.split('/'), path.split('/'));
        let mut id = String::new();
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some((route, id)),
                (Some(":id"), Some(object)) if !object.is_empty() => object.clone_into(&mut id),
                (Some(word), Some(other)) if word == other => {}
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        let path = |method, path| find(method, path).map(|(route, id)| (route.path, id));
        assert_eq!(
            path("POST", "/v1/payment_intents/pi_1/confirm"),
            Some(("/v1/payment_intents/:id/confirm", "pi_1".into()))
        );
        assert_eq!(path("GET", "/v1/payment_intents"), Some(("/v1/payment_intents", String::new())));
        for (method, nowhere) in
            [("GET", "/v1/payment_intents/"), ("PUT", "/v1/charges"), ("GET", "/v1"), ("GET", "/v2/charges")]
        {
            assert_eq!(path(method, nowhere), None, "{method} {nowhere}");
        }
    }
}
