//! The parameters of a new Checkout Session.

use super::intent_params::{check_minimum, types};
use crate::{
    failure::Failure,
    form::Params,
    model::{CheckoutSession, IntentData, LineItem, SessionStatus},
    work::{new_id, random},
};

/// How long a Session may stay open: <https://docs.stripe.com/api/checkout/sessions/create>.
const OPEN_SECONDS_MIN: i64 = 30 * 60;
const OPEN_SECONDS_MAX: i64 = 24 * 60 * 60;
/// Items of one Session.
const LINE_ITEMS_MAX: usize = 100;

/// Parameters that Stripe knows and that change nothing here.
const IGNORED: &[&str] = &[
    "after_expiration",
    "billing_address_collection",
    "branding_settings",
    "consent_collection",
    "custom_text",
    "customer_creation",
    "customer_update",
    "excluded_payment_method_types",
    "integration_identifier",
    "name_collection",
    "origin_context",
    "payment_method_collection",
    "payment_method_configuration",
    "payment_method_data",
    "permissions",
    "phone_number_collection",
    "redirect_on_completion",
    "saved_payment_method_options",
    "wallet_options",
];

/// Reads a new Session. Parameters that would change what is paid, and that the sandbox cannot do (discounts, taxes,
/// shipping), are left to be refused as unknown.
pub(super) fn take(params: &mut Params, now: i64) -> Result<CheckoutSession, Failure> {
    match params.required("mode")?.as_str() {
        "payment" => {}
        other => {
            return Err(
                Failure::invalid(format!("Invalid mode: the sandbox knows payment only, not {other}")).param("mode")
            );
        }
    }
    params.one_of("ui_mode", &["hosted_page"])?;
    let given = params.text("currency")?.map(|code| code.to_ascii_lowercase());
    let (line_items, currency) = line_items(params, given)?;
    let (types, is_allowed) = types(params)?;
    let adaptive = match params.branch("adaptive_pricing")? {
        Some(mut pricing) => {
            let enabled = pricing.boolean("enabled")?.unwrap_or(false);
            pricing.finish()?;
            enabled
        }
        None => false,
    };
    let session = CheckoutSession {
        id: format!("cs_test_a1{}", random(58)),
        created: now,
        expires_at: expires_at(params, now)?,
        status: SessionStatus::Open,
        paid: false,
        currency,
        line_items,
        client_reference_id: params.text("client_reference_id")?,
        customer: params.text("customer")?,
        customer_email: params.text("customer_email")?,
        metadata: params.metadata()?.fresh(),
        intent: intent_data(params)?,
        payment_intent: None,
        allowed_payment_method_types: (is_allowed && !types.is_empty()).then_some(types),
        adaptive_pricing: adaptive,
        request_three_d_secure: three_d_secure(params)?.to_owned(),
        locale: params.text("locale")?,
        submit_type: params.one_of("submit_type", &["auto", "book", "donate", "pay"])?.map(str::to_owned),
        success_url: url(params, "success_url")?.ok_or_else(|| Failure::missing("success_url"))?,
        cancel_url: url(params, "cancel_url")?,
        payer_email: None,
        payer_name: None,
    };
    params.ignore(IGNORED);
    if session.customer.is_some() && session.customer_email.is_some() {
        return Err(Failure::invalid("You may only specify one of these parameters: customer, customer_email.")
            .param("customer_email"));
    }
    check_minimum(session.amount(), &session.currency)?;
    Ok(session)
}

fn expires_at(params: &mut Params, now: i64) -> Result<i64, Failure> {
    let Some(at) = params.integer("expires_at")? else { return Ok(now + OPEN_SECONDS_MAX) };
    let wrong = |message: &'static str| Err(Failure::invalid(message).param("expires_at"));
    if at < now + OPEN_SECONDS_MIN {
        return wrong("The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.");
    }
    if at > now + OPEN_SECONDS_MAX {
        return wrong("The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.");
    }
    Ok(at)
}

fn url(params: &mut Params, name: &str) -> Result<Option<String>, Failure> {
    let Some(text) = params.text(name)? else { return Ok(None) };
    match url::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(text)),
        _ => Err(Failure::invalid("Not a valid URL").code("url_invalid").param(name)),
    }
}

fn line_items(params: &mut Params, given: Option<String>) -> Result<(Vec<LineItem>, String), Failure> {
    let mut currency = given;
    let mut items = Vec::new();
    for mut item in params.branches("line_items")? {
        let (quantity_name, price_name) = (item.name("quantity"), item.name("price_data"));
        let quantity = item.integer("quantity")?.ok_or_else(|| Failure::missing(&quantity_name))?;
        if !(1..=1_000_000).contains(&quantity) {
            return Err(Failure::invalid("Invalid positive integer")
                .code("parameter_invalid_integer")
                .param(quantity_name));
        }
        let mut price = item.branch("price_data")?.ok_or_else(|| Failure::missing(&price_name))?;
        let of = price.required("currency")?.to_ascii_lowercase();
        if currency.get_or_insert_with(|| of.clone()) != &of {
            return Err(Failure::invalid("All prices on a Checkout Session must have the same currency.")
                .param(price.name("currency")));
        }
        let amount_name = price.name("unit_amount");
        let unit_amount = price.integer("unit_amount")?.ok_or_else(|| Failure::missing(&amount_name))?;
        if unit_amount < 0 {
            return Err(Failure::invalid("Invalid non-negative integer")
                .code("parameter_invalid_integer")
                .param(amount_name));
        }
        let product_name = price.name("product_data");
        let mut product = price.branch("product_data")?.ok_or_else(|| Failure::missing(&product_name))?;
        let name = product.required("name")?;
        product.ignore(&["description", "images", "metadata", "tax_code", "unit_label"]);
        product.finish()?;
        price.ignore(&["tax_behavior"]);
        price.finish()?;
        item.ignore(&["adjustable_quantity", "metadata"]);
        item.finish()?;
        let (id, price, product) = (new_id("li_1"), new_id("price_1"), new_id("prod_"));
        items.push(LineItem { id, price, product, name, unit_amount, quantity });
    }
    match currency {
        Some(currency) if (1..=LINE_ITEMS_MAX).contains(&items.len()) => Ok((items, currency)),
        _ if items.len() > LINE_ITEMS_MAX => {
            Err(Failure::invalid(format!("A Checkout Session may have {LINE_ITEMS_MAX} line items."))
                .param("line_items"))
        }
        _ => Err(Failure::missing("line_items")),
    }
}

fn intent_data(params: &mut Params) -> Result<IntentData, Failure> {
    let Some(mut data) = params.branch("payment_intent_data")? else { return Ok(IntentData::default()) };
    let capture = data.one_of("capture_method", &["automatic", "automatic_async", "manual"])?;
    let usage = data.one_of("setup_future_usage", &["off_session", "on_session"])?;
    let intent = IntentData {
        description: data.text("description")?,
        metadata: data.metadata()?.fresh(),
        receipt_email: data.text("receipt_email")?,
        capture_method: capture.map(str::to_owned),
        setup_future_usage: usage.map(str::to_owned),
        statement_descriptor: data.text("statement_descriptor")?,
        statement_descriptor_suffix: data.text("statement_descriptor_suffix")?,
        transfer_group: data.text("transfer_group")?,
    };
    data.ignore(&["shipping"]);
    data.finish()?;
    Ok(intent)
}

fn three_d_secure(params: &mut Params) -> Result<&'static str, Failure> {
    let mut requested = None;
    if let Some(mut options) = params.branch("payment_method_options")?
        && let Some(mut card) = options.branch("card")?
    {
        requested = card.one_of("request_three_d_secure", &["any", "automatic", "challenge"])?;
    }
    Ok(requested.unwrap_or("automatic"))
}
