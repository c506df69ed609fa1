//! Reading JSON bodies: bounded, and with an answer that names what is wrong.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::problem::Problem;

/// A JSON body.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
            return Err(Problem::not_json());
        }
        let body = Bytes::from_request(request, app).await.map_err(|rejection| match rejection.status().as_u16() {
            413 => Problem::too_large(),
            _ => Problem::malformed("The body could not be read."),
        })?;
        read(&body).map(Self)
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if !error.is_data() {
            return Problem::malformed("The body is not valid JSON.");
        }
        // What serde says quotes the value; a payment token could be one.
        match missing(&error.to_string()) {
            Some(field) => Problem::invalid(field, format!("The field {field} is missing.")),
            None => Problem::invalid(path.clone(), format!("The field {path} cannot be that.")),
        }
    })?;
    reader.end().map_err(|_| Problem::malformed("The body has more than one JSON value."))?;
    Ok(value)
}

fn missing(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Body {
        #[allow(dead_code, reason = "read by serde only")]
        items: Vec<shared::sale::Item>,
    }

    #[test]
    fn what_cannot_be_read_is_named_and_never_quoted() {
        let wrong = |text: &str| serde_json::to_value(read::<Body>(text.as_bytes()).unwrap_err()).unwrap();
        assert_eq!(wrong("{")["code"], "malformed");
        assert_eq!(wrong("{\"items\":[]} {}")["code"], "malformed");
        assert_eq!(wrong("{}")["field"], "items");
        for quantity in ["-1", "1.5", "1e99", "\"tok_secret\"", "99999999999"] {
            let problem = wrong(&format!(r#"{{"items":[{{"tier":"std","quantity":{quantity}}}]}}"#));
            assert_eq!((&problem["code"], &problem["field"]), (&"invalid".into(), &"items[0].quantity".into()));
            assert!(!problem.to_string().contains("tok_secret"));
        }
    }
}
