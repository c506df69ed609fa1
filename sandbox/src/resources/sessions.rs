//! Checkout Sessions on a hosted page: <https://docs.stripe.com/api/checkout/sessions>. The page is `hosted`.

use std::sync::Arc;

use super::{instrument, intent_params::blank, lists, payments, session_params};
use crate::{
    failure::Failure,
    model::{
        Billing, Card, CheckoutSession, Customer, Metadata, PaymentIntent, PaymentMethod, SessionStatus, Snapshot,
        Status,
    },
    server::Sandbox,
    work::{Call, Request, Work},
};

pub(super) fn create(mut request: Request<'_>) -> Result<Call, Failure> {
    let session = session_params::take(&mut request.params, request.store.now())?;
    Call::new(request.params, move |work| {
        if let Some(customer) = &session.customer {
            work.find::<Customer>("customer", customer, "customer")?;
        }
        let session = work.put(session);
        Ok(work.render(&*session))
    })
}

pub(super) fn retrieve(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let session = work.find::<CheckoutSession>("checkout.session", &request.id, "session")?;
        Ok(work.render(&*session))
    })
}

pub(super) fn line_items(mut request: Request<'_>) -> Result<Call, Failure> {
    request.params.ignore(&["limit", "starting_after", "ending_before"]);
    Call::new(request.params, move |work| {
        Ok(work.find::<CheckoutSession>("checkout.session", &request.id, "session")?.items())
    })
}

pub(super) fn list(mut request: Request<'_>) -> Result<Call, Failure> {
    let params = &mut request.params;
    let (intent, customer) = (params.text("payment_intent")?, params.text("customer")?);
    let status = params.one_of("status", &["complete", "expired", "open"])?;
    let email = match params.branch("customer_details")? {
        Some(mut details) => {
            let email = details.text("email")?;
            details.finish()?;
            email
        }
        None => None,
    };
    let created = |session: &CheckoutSession| session.created;
    lists::call(request.params, "/v1/checkout/sessions", "checkout.session", created, move |session| {
        let of_payer = [&session.payer_email, &session.customer_email].into_iter().any(|given| *given == email);
        (intent.is_none() || session.payment_intent == intent)
            && (customer.is_none() || session.customer == customer)
            && (email.is_none() || of_payer)
            && status.is_none_or(|status| session.status.word() == status)
    })
}

pub(super) fn expire(request: Request<'_>) -> Result<Call, Failure> {
    let id = request.id;
    let lock = id.clone();
    let call = Call::new(request.params, move |work| {
        let session = work.find::<CheckoutSession>("checkout.session", &id, "session")?;
        if session.status != SessionStatus::Open {
            return Err(Failure::refused(format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `{}`.",
                session.status.word()
            )));
        }
        let session = end(work, &session);
        Ok(work.render(&*session))
    })?;
    Ok(call.locking([lock]))
}

/// Closes an open Session: what its page had begun to pay is canceled.
fn end(work: &mut Work<'_>, session: &CheckoutSession) -> Arc<CheckoutSession> {
    if let Some(intent) = session.payment_intent.as_deref().and_then(|id| work.store.payment_intents.get(id))
        && !matches!(intent.status, Status::Succeeded | Status::Canceled)
    {
        let canceled = PaymentIntent {
            status: Status::Canceled,
            canceled_at: Some(work.now),
            cancellation_reason: Some("automatic".to_owned()),
            ..(*intent).clone()
        };
        let canceled = work.put(canceled);
        work.event("payment_intent.canceled", Snapshot::PaymentIntent(canceled));
    }
    let session = work.put(CheckoutSession { status: SessionStatus::Expired, ..session.clone() });
    work.event("checkout.session.expired", Snapshot::CheckoutSession(Arc::clone(&session)));
    session
}

/// Ends every Session whose time is over.
pub(crate) async fn expire_due(sandbox: &Arc<Sandbox>) -> anyhow::Result<()> {
    if sandbox.store.checkout_sessions.len() == 0 {
        return Ok(());
    }
    let now = sandbox.store.now();
    let is_due = |session: &CheckoutSession| session.status == SessionStatus::Open && !session.is_open(now);
    for due in sandbox.store.checkout_sessions.all().into_iter().filter(|session| is_due(session)) {
        let Ok(held) = sandbox.locks.hold(vec![due.id.clone()]).await else { continue };
        // As it is now that nobody else works on it.
        let Some(session) = sandbox.store.checkout_sessions.get(&due.id).filter(|session| is_due(session)) else {
            continue;
        };
        let mut work = Work::new(&sandbox.store, &sandbox.origin);
        end(&mut work, &session);
        let Work { batch, events, .. } = work;
        sandbox.store.commit(batch).await?;
        drop(held);
        sandbox.webhooks.send(sandbox, events);
    }
    Ok(())
}

/// What somebody typed into a Session's page.
pub(crate) struct Payer {
    pub(crate) card: Card,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
}

/// Pays an open Session, under its lock. A decline is an `Err`, and changes its PaymentIntent all the same.
pub(crate) fn pay(work: &mut Work<'_>, session: &CheckoutSession, payer: Payer) -> Result<Arc<PaymentIntent>, Failure> {
    let known = session.payment_intent.as_deref().and_then(|id| work.store.payment_intents.get(id));
    let mut intent = match known {
        Some(intent) => (*intent).clone(),
        None => {
            let intent = intent_of(work, session);
            let put = work.put(intent.clone());
            work.event("payment_intent.created", Snapshot::PaymentIntent(put));
            intent
        }
    };
    let (email, name) = (payer.email.or_else(|| session.customer_email.clone()), payer.name);
    work.put(CheckoutSession {
        payment_intent: Some(intent.id.clone()),
        payer_email: email.clone(),
        payer_name: name.clone(),
        ..session.clone()
    });
    let billing = Billing { name, email, ..Billing::default() };
    let method = instrument::make_method(work, payer.card, billing, Metadata::new());
    // A challenge leads back to the page.
    intent.return_url = Some(session.page(work.base));
    payments::confirm(work, intent, &method, payments::Manner::default())
}

fn intent_of(work: &Work<'_>, session: &CheckoutSession) -> PaymentIntent {
    let data = session.intent.clone();
    PaymentIntent {
        description: data.description,
        metadata: data.metadata,
        receipt_email: data.receipt_email,
        capture_method: data.capture_method.unwrap_or_else(|| "automatic".to_owned()),
        confirmation_method: "automatic".to_owned(),
        setup_future_usage: data.setup_future_usage,
        statement_descriptor: data.statement_descriptor,
        statement_descriptor_suffix: data.statement_descriptor_suffix,
        transfer_group: data.transfer_group,
        customer: session.customer.clone(),
        allowed_payment_method_types: session.allowed_payment_method_types.clone(),
        request_three_d_secure: session.request_three_d_secure.clone(),
        checkout_session: Some(session.id.clone()),
        ..blank(work.now, session.amount(), session.currency.clone(), None)
    }
}

/// A payment went through: if it was a Session's, that is complete.
pub(super) fn paid(work: &mut Work<'_>, intent: &PaymentIntent, method: &PaymentMethod) {
    let Some(id) = intent.checkout_session.as_deref() else { return };
    let Some(session) = work.store.checkout_sessions.get(id) else { return };
    let session = work.put(CheckoutSession {
        status: SessionStatus::Complete,
        paid: intent.status == Status::Succeeded,
        payment_intent: Some(intent.id.clone()),
        payer_email: method.billing.email.clone(),
        payer_name: method.billing.name.clone(),
        ..(*session).clone()
    });
    work.event("checkout.session.completed", Snapshot::CheckoutSession(session));
}
