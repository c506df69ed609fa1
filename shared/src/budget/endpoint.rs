//! What Stripe counts apart: a method, and a path with a place for the object.

/// An endpoint of Stripe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// `POST /v1/payment_intents`
    CreateIntent,
    /// `POST /v1/payment_intents/:id/confirm`
    ConfirmIntent,
    /// `POST /v1/checkout/sessions`
    CreateSession,
    /// `POST /v1/payment_intents/:id/cancel`
    CancelIntent,
    /// `GET /v1/payment_intents/:id`
    ReadIntent,
    /// `GET /v1/payment_intents`
    ListIntents,
    /// `GET /v1/checkout/sessions/:id`
    ReadSession,
    /// `POST /v1/checkout/sessions/:id/expire`
    ExpireSession,
    /// `GET /v1/checkout/sessions`
    ListSessions,
    /// `POST /v1/refunds`
    CreateRefund,
    /// `GET /v1/refunds/:id`
    ReadRefund,
    /// `GET /v1/refunds`
    ListRefunds,
    /// `GET /v1/events`
    ListEvents,
    /// Whatever else.
    Other,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 14] = [
        Self::CreateIntent,
        Self::ConfirmIntent,
        Self::CreateSession,
        Self::CancelIntent,
        Self::ReadIntent,
        Self::ListIntents,
        Self::ReadSession,
        Self::ExpireSession,
        Self::ListSessions,
        Self::CreateRefund,
        Self::ReadRefund,
        Self::ListRefunds,
        Self::ListEvents,
        Self::Other,
    ];

    /// The endpoint of a request.
    #[must_use]
    pub fn of(method: &str, path: &str) -> Self {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["payment_intents"]) => Self::CreateIntent,
            ("POST", ["payment_intents", _, "confirm"]) => Self::ConfirmIntent,
            ("POST", ["payment_intents", _, "cancel"]) => Self::CancelIntent,
            ("GET", ["payment_intents", _]) => Self::ReadIntent,
            ("GET", ["payment_intents"]) => Self::ListIntents,
            ("POST", ["checkout", "sessions"]) => Self::CreateSession,
            ("GET", ["checkout", "sessions", _]) => Self::ReadSession,
            ("POST", ["checkout", "sessions", _, "expire"]) => Self::ExpireSession,
            ("GET", ["checkout", "sessions"]) => Self::ListSessions,
            ("POST", ["refunds"]) => Self::CreateRefund,
            ("GET", ["refunds", _]) => Self::ReadRefund,
            ("GET", ["refunds"]) => Self::ListRefunds,
            ("GET", ["events"]) => Self::ListEvents,
            _ => Self::Other,
        }
    }

    /// One word, for the books and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateIntent => "create_intent",
            Self::ConfirmIntent => "confirm_intent",
            Self::CreateSession => "create_session",
            Self::CancelIntent => "cancel_intent",
            Self::ReadIntent => "read_intent",
            Self::ListIntents => "list_intents",
            Self::ReadSession => "read_session",
            Self::ExpireSession => "expire_session",
            Self::ListSessions => "list_sessions",
            Self::CreateRefund => "create_refund",
            Self::ReadRefund => "read_refund",
            Self::ListRefunds => "list_refunds",
            Self::ListEvents => "list_events",
            Self::Other => "other",
        }
    }

    /// Whether it takes money, or makes the page that does; a shopper waits for it.
    #[must_use]
    pub fn is_charge(self) -> bool {
        matches!(self, Self::CreateIntent | Self::ConfirmIntent | Self::CreateSession)
    }

    /// Its place in [`Self::ALL`].
    pub(super) fn place(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_one_endpoint_are_told_by_method_and_path_whatever_object_they_name() {
        let of = Endpoint::of;
        assert_eq!(of("POST", "/v1/payment_intents"), Endpoint::CreateIntent);
        assert_eq!(of("GET", "/v1/payment_intents"), Endpoint::ListIntents);
        assert_eq!(of("POST", "/v1/payment_intents/pi_1/confirm"), Endpoint::ConfirmIntent);
        assert_eq!(of("POST", "/v1/payment_intents/pi_2/cancel"), Endpoint::CancelIntent);
        assert_eq!(of("GET", "/v1/payment_intents/pi_1"), Endpoint::ReadIntent);
        assert_eq!(of("POST", "/v1/checkout/sessions/cs_1/expire"), Endpoint::ExpireSession);
        assert_eq!(of("DELETE", "/v1/webhook_endpoints/we_1"), Endpoint::Other);
        for (place, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint.place(), place);
        }
    }
}
