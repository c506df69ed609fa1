//! The parameters of a PaymentIntent, and what a new one looks like.

use serde_json::{Value, json};

use super::{instrument::address, payments::Manner};
use crate::{
    failure::Failure,
    form::{MetadataChange, Params},
    model::{Customer, Metadata, PaymentIntent, Status},
    work::{Work, new_id, random},
};

/// Eight digits: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>.
const AMOUNT_MAX: i64 = 99_999_999;

/// Parameters that Stripe knows and that change nothing here.
const IGNORED: &[&str] = &[
    "mandate_data",
    "radar_options",
    "amount_details",
    "payment_details",
    "client_context",
    "hooks",
    "excluded_payment_method_types",
    "payment_method_configuration",
    "use_stripe_sdk",
];

/// Takes `amount` and checks its bounds.
pub(super) fn amount(params: &mut Params) -> Result<Option<i64>, Failure> {
    let Some(amount) = params.integer("amount")? else {
        return Ok(None);
    };
    let invalid = |message: String, code| Err(Failure::invalid(message).code(code).param("amount"));
    match amount {
        ..=0 => invalid("This value must be greater than or equal to 1.".to_owned(), "parameter_invalid_integer"),
        1..=AMOUNT_MAX => Ok(Some(amount)),
        _ => invalid(
            format!("Amount must be no more than {AMOUNT_MAX} in the currency's smallest unit."),
            "amount_too_large",
        ),
    }
}

/// Takes `currency`: three letters, in any case.
pub(super) fn currency(params: &mut Params) -> Result<Option<String>, Failure> {
    let Some(currency) = params.text("currency")? else {
        return Ok(None);
    };
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(Failure::invalid(format!("Invalid currency: {currency}.")).param("currency"));
    }
    Ok(Some(currency.to_ascii_lowercase()))
}

/// The least that can be charged, where the sandbox knows it.
pub(super) fn check_minimum(amount: i64, currency: &str) -> Result<(), Failure> {
    let (minimum, shown) = match currency {
        "usd" | "eur" | "cad" | "aud" | "chf" => (50, "0.50"),
        "gbp" => (30, "0.30"),
        "jpy" => (50, "50"),
        _ => return Ok(()),
    };
    if amount >= minimum {
        return Ok(());
    }
    let currency = currency.to_uppercase();
    Err(Failure::invalid(format!("Amount must be at least {shown} {currency}"))
        .code("amount_too_small")
        .param("amount"))
}

/// What creating, updating and confirming an intent may set.
pub(super) struct Fields {
    customer: Option<String>,
    description: Option<String>,
    receipt_email: Option<String>,
    setup_future_usage: Option<&'static str>,
    statement_descriptor: Option<String>,
    statement_descriptor_suffix: Option<String>,
    transfer_group: Option<String>,
    shipping: Option<Value>,
    pub(super) types: Vec<String>,
    /// They were given as `allowed_payment_method_types`, which the intent then shows.
    types_allowed: bool,
    request_three_d_secure: Option<&'static str>,
    metadata: MetadataChange,
}

/// Takes the list of methods by its name of today, `allowed_payment_method_types` (since API version 2026-07-29), or by
/// the older one, and says whether it was today's. Callers of a version that knows the older one no more were refused
/// before (`api`).
pub(super) fn types(params: &mut Params) -> Result<(Vec<String>, bool), Failure> {
    let allowed = params.list("allowed_payment_method_types")?;
    let older = params.list("payment_method_types")?;
    if !allowed.is_empty() && !older.is_empty() {
        return Err(Failure::invalid(
            "You may only specify one of these parameters: allowed_payment_method_types, payment_method_types.",
        )
        .param("payment_method_types"));
    }
    let (types, is_allowed) = if older.is_empty() { (allowed, true) } else { (older, false) };
    match types.iter().find(|kind| *kind != "card") {
        None => Ok((types, is_allowed)),
        Some(other) => Err(Failure::invalid(format!(
            "The payment method type \"{other}\" is invalid. The sandbox knows cards only."
        ))
        .param(if is_allowed { "allowed_payment_method_types" } else { "payment_method_types" })),
    }
}

impl Fields {
    pub(super) fn take(params: &mut Params) -> Result<Self, Failure> {
        let (types, types_allowed) = types(params)?;
        let mut request_three_d_secure = None;
        if let Some(mut options) = params.branch("payment_method_options")?
            && let Some(mut card) = options.branch("card")?
        {
            request_three_d_secure = card.one_of("request_three_d_secure", &["any", "automatic", "challenge"])?;
        }
        params.ignore(IGNORED);
        Ok(Self {
            customer: params.text("customer")?,
            description: params.text_or_empty("description")?,
            receipt_email: params.text_or_empty("receipt_email")?,
            setup_future_usage: params.one_of("setup_future_usage", &["off_session", "on_session"])?,
            statement_descriptor: params.text_or_empty("statement_descriptor")?,
            statement_descriptor_suffix: params.text_or_empty("statement_descriptor_suffix")?,
            transfer_group: params.text_or_empty("transfer_group")?,
            shipping: params.branch("shipping")?.map(shipping).transpose()?,
            types,
            types_allowed,
            request_three_d_secure,
            metadata: params.metadata()?,
        })
    }

    pub(super) fn apply(self, work: &Work<'_>, intent: &mut PaymentIntent) -> Result<(), Failure> {
        if let Some(customer) = self.customer {
            intent.customer = Some(work.find::<Customer>("customer", &customer, "customer")?.id.clone());
        }
        let texts = [
            (&mut intent.description, self.description),
            (&mut intent.receipt_email, self.receipt_email),
            (&mut intent.statement_descriptor, self.statement_descriptor),
            (&mut intent.statement_descriptor_suffix, self.statement_descriptor_suffix),
            (&mut intent.transfer_group, self.transfer_group),
        ];
        for (field, value) in texts {
            if let Some(value) = value {
                *field = Some(value).filter(|value| !value.is_empty());
            }
        }
        if let Some(usage) = self.setup_future_usage {
            intent.setup_future_usage = Some(usage.to_owned());
        }
        if self.shipping.is_some() {
            intent.shipping = self.shipping;
        }
        if !self.types.is_empty() {
            intent.allowed_payment_method_types = self.types_allowed.then(|| self.types.clone());
            intent.payment_method_types = self.types;
        }
        if let Some(request) = self.request_three_d_secure {
            request.clone_into(&mut intent.request_three_d_secure);
        }
        self.metadata.apply(&mut intent.metadata);
        Ok(())
    }
}

fn shipping(mut params: Params) -> Result<Value, Failure> {
    let given = params.branch("address")?.map(address).transpose()?.unwrap_or_default();
    let part = |name: &str| given.get(name);
    let address = json!({
        "city": part("city"), "country": part("country"), "line1": part("line1"), "line2": part("line2"),
        "postal_code": part("postal_code"), "state": part("state"),
    });
    let shipping = json!({
        "address": address, "carrier": params.text("carrier")?, "name": params.text("name")?,
        "phone": params.text("phone")?, "tracking_number": params.text("tracking_number")?,
    });
    params.finish()?;
    Ok(shipping)
}

/// What only a confirmation takes.
pub(super) struct Confirmation {
    pub(super) manner: Manner,
    pub(super) return_url: Option<String>,
}

impl Confirmation {
    pub(super) fn take(params: &mut Params) -> Result<Self, Failure> {
        let off_session = params.text("off_session")?.is_some_and(|value| value != "false");
        let refuse_actions = params.boolean("error_on_requires_action")?.unwrap_or(false);
        // With `use_stripe_sdk` the page shows the challenge, and nobody is redirected.
        let on_page = params.boolean("use_stripe_sdk")?.unwrap_or(false);
        let return_url = params.text("return_url")?.filter(|_| !on_page);
        Ok(Self { manner: Manner { no_challenge: off_session || refuse_actions, authenticated: false }, return_url })
    }
}

/// Takes `automatic_payment_methods`: its `allow_redirects` when it is enabled.
pub(super) fn automatic(params: &mut Params) -> Result<Option<String>, Failure> {
    let Some(mut automatic) = params.branch("automatic_payment_methods")? else {
        return Ok(None);
    };
    let enabled =
        automatic.boolean("enabled")?.ok_or_else(|| Failure::missing("automatic_payment_methods[enabled]"))?;
    let redirects = automatic.one_of("allow_redirects", &["always", "never"])?.unwrap_or("always");
    automatic.finish()?;
    Ok(enabled.then(|| redirects.to_owned()))
}

/// An intent that nothing is known of but its amount.
pub(crate) fn blank(now: i64, amount: i64, currency: String, automatic: Option<String>) -> PaymentIntent {
    let id = new_id("pi_3");
    PaymentIntent {
        client_secret: format!("{id}_secret_{}", random(25)),
        id,
        created: now,
        amount,
        currency,
        status: Status::RequiresPaymentMethod,
        description: None,
        metadata: Metadata::new(),
        customer: None,
        payment_method: None,
        allowed_payment_method_types: None,
        payment_method_types: vec!["card".to_owned()],
        automatic,
        capture_method: String::new(),
        confirmation_method: String::new(),
        receipt_email: None,
        setup_future_usage: None,
        statement_descriptor: None,
        statement_descriptor_suffix: None,
        shipping: None,
        transfer_group: None,
        request_three_d_secure: "automatic".to_owned(),
        return_url: None,
        latest_charge: None,
        last_error: None,
        amount_capturable: 0,
        amount_received: 0,
        canceled_at: None,
        cancellation_reason: None,
        checkout_session: None,
    }
}
