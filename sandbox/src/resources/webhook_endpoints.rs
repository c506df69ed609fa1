//! Webhook endpoints: where events are sent.

use serde_json::json;

use super::lists;
use crate::{
    failure::Failure,
    model::WebhookEndpoint,
    work::{Call, Request, new_id, random},
};

/// Endpoints of one account, as at Stripe.
const ENDPOINTS_MAX: usize = 16;

pub(super) fn create(mut request: Request<'_>) -> Result<Call, Failure> {
    let params = &mut request.params;
    let url = params.required("url")?;
    let enabled_events = params.list("enabled_events")?;
    let description = params.text("description")?;
    let api_version = params.text("api_version")?;
    let metadata = params.metadata()?;
    params.ignore(&["connect"]);
    if enabled_events.is_empty() {
        return Err(Failure::missing("enabled_events"));
    }
    let parsed = url::Url::parse(&url).map_err(|_| Failure::invalid("Invalid URL: must be absolute.").param("url"))?;
    if parsed.scheme() != "http" {
        return Err(Failure::invalid("The sandbox delivers webhooks over http:// only.")
            .code("url_invalid")
            .param("url"));
    }
    Call::new(request.params, move |work| {
        if work.store.webhook_endpoints.len() >= ENDPOINTS_MAX {
            return Err(Failure::refused(format!(
                "You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints."
            )));
        }
        let endpoint = work.put(WebhookEndpoint {
            id: new_id("we_"),
            created: work.now,
            url,
            secret: format!("whsec_{}", random(32)),
            enabled_events,
            description,
            metadata: metadata.fresh(),
            api_version,
        });
        let mut answer = work.render(&*endpoint);
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("secret".into(), json!(endpoint.secret));
        }
        Ok(answer)
    })
}

pub(super) fn retrieve(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let endpoint = work.find::<WebhookEndpoint>("webhook endpoint", &request.id, "id")?;
        Ok(work.render(&*endpoint))
    })
}

pub(super) fn list(request: Request<'_>) -> Result<Call, Failure> {
    let created = |endpoint: &WebhookEndpoint| endpoint.created;
    lists::call(request.params, "/v1/webhook_endpoints", "webhook endpoint", created, |_| true)
}

pub(super) fn delete(request: Request<'_>) -> Result<Call, Failure> {
    Call::new(request.params, move |work| {
        let endpoint = work.find::<WebhookEndpoint>("webhook endpoint", &request.id, "id")?;
        work.batch.remove::<WebhookEndpoint>(&endpoint.id);
        Ok(json!({"id": endpoint.id, "object": "webhook_endpoint", "deleted": true}))
    })
}
