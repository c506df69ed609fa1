//! Who is asking: a customer's UUID, signed. Checking a cookie or a token needs no store.
//!
//! Cookie and bearer token carry the same UUID, signed for different purposes, so that the one cannot be used as the
//! other: a script on our page must not turn the HttpOnly cookie into a token. The UUID alone opens nothing.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared::guards::Guard;
use uuid::Uuid;

use crate::app::App;
use crate::connection::Client;
use crate::guard::{self, is_same_site};
use crate::problem::Problem;

const COOKIE: &str = "stampede";
/// Half a year: long enough to find one's tickets again.
const COOKIE_SECONDS: u32 = 15_552_000;

/// What a signature is for.
#[derive(Clone, Copy)]
enum Purpose {
    Cookie,
    Bearer,
}

/// Signs customers' UUIDs.
pub struct Signer {
    mac: Hmac<Sha256>,
    /// Whether cookies may travel over https only.
    secure: bool,
}

impl Signer {
    /// A signer with a secret of any length; its hash is the key.
    #[must_use]
    pub fn new(secret: &[u8], secure: bool) -> Self {
        let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
        key[..32].copy_from_slice(&Sha256::digest(secret));
        Self { mac: Hmac::new(&key), secure }
    }

    fn tag(&self, purpose: Purpose, customer: Uuid) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(match purpose {
            Purpose::Bearer if !Guard::SignedPurpose.is_on() => b"cookie:",
            Purpose::Cookie => b"cookie:",
            Purpose::Bearer => b"bearer:",
        });
        mac.update(customer.as_bytes());
        mac
    }

    fn sign(&self, purpose: Purpose, customer: Uuid) -> String {
        let tag = self.tag(purpose, customer).finalize().into_bytes();
        format!("{}.{}", customer.simple(), URL_SAFE_NO_PAD.encode(tag))
    }

    fn verify(&self, purpose: Purpose, signed: &str) -> Option<Uuid> {
        let (customer, tag) = signed.split_once('.')?;
        let customer = Uuid::try_parse(customer).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        Guard::SignedRoom.holds(self.tag(purpose, customer).verify_slice(&tag).is_ok()).then_some(customer)
    }

    /// A bearer token.
    #[must_use]
    pub fn token(&self, customer: Uuid) -> String {
        self.sign(Purpose::Bearer, customer)
    }

    /// The header that sets a customer's cookie.
    #[must_use]
    pub fn set_cookie(&self, customer: Uuid) -> (HeaderName, HeaderValue) {
        let secure = if self.secure { "; Secure" } else { "" };
        let value = self.sign(Purpose::Cookie, customer);
        let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax{secure}");
        (header::SET_COOKIE, HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static("")))
    }

    fn cookie_of(&self, headers: &HeaderMap) -> Option<Uuid> {
        cookies(headers)
            .find_map(|(name, value)| (name == COOKIE).then(|| self.verify(Purpose::Cookie, value)).flatten())
    }
}

/// Names and values of all cookies that were sent.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// A customer who has proved to be one.
#[derive(Clone, Copy, Debug)]
pub struct Customer {
    /// The UUID, which is also the room's name.
    pub id: Uuid,
    /// By a token of an API client, not by a browser's cookie.
    pub by_token: bool,
}

impl Customer {
    fn of(app: &App, parts: &Parts) -> Option<Self> {
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
            let id = app.signer.verify(Purpose::Bearer, token.trim())?;
            return Some(Self { id, by_token: true });
        }
        if let Some(token) = guard::access_token(parts) {
            let id = app.signer.verify(Purpose::Bearer, &token)?;
            return Some(Self { id, by_token: true });
        }
        app.signer.cookie_of(&parts.headers).map(|id| Self { id, by_token: false })
    }
}

impl FromRequestParts<App> for Customer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let customer = Self::of(app, parts).ok_or_else(Problem::no_customer)?;
        // A browser sends the cookie along, whoever's page asks it to: so the page must be ours.
        if !customer.by_token && Guard::SameSite.refuses(!is_same_site(&app.policy, parts)) {
            return Err(Problem::cross_site());
        }
        Ok(customer)
    }
}

/// A customer, or a new one whose cookie has to be set.
pub struct Visitor {
    /// The UUID.
    pub id: Uuid,
    /// Sets the cookie of a new one.
    pub set_cookie: Option<(HeaderName, HeaderValue)>,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if let Some(id) = app.signer.cookie_of(&parts.headers) {
            return Ok(Self { id, set_cookie: None });
        }
        app.limits.new_session(Client::of(parts)).await?;
        let id = app.env.uuid_v4();
        Ok(Self { id, set_cookie: Some(app.signer.set_cookie(id)) })
    }
}

impl Visitor {
    /// The cookie's header, if one is to be set.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        self.set_cookie.clone().into_iter().collect()
    }
}

fn body(app: &App, customer: Uuid) -> Value {
    json!({
        "customer": customer,
        "stripe": { "publishable_key": app.page.publishable_key, "js": app.page.js },
        "sandbox": app.page.sandbox,
        "server_time": app.env.now().to_rfc3339(),
    })
}

/// `GET /api/session`: who this browser is; a new customer when it is nobody yet.
pub async fn show(State(app): State<App>, visitor: Visitor) -> (HeaderMap, Json<Value>) {
    let mut headers = visitor.headers();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (headers, Json(body(&app, visitor.id)))
}

/// `POST /api/session`: a new customer for an API client, cookies ignored.
pub async fn create(State(app): State<App>, client: Client) -> Result<(StatusCode, HeaderMap, Json<Value>), Problem> {
    app.limits.new_session(client).await?;
    let customer = app.env.uuid_v4();
    let mut body = body(&app, customer);
    body["token"] = Value::String(app.signer.token(customer));
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))].into_iter().collect();
    Ok((StatusCode::OK, headers, Json(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_no_token_and_a_changed_one_is_nothing() {
        let signer = Signer::new(b"0123456789abcdef0123456789abcdef", true);
        let customer = Uuid::from_u128(7);
        let (_, header) = signer.set_cookie(customer);
        let header = header.to_str().unwrap();
        assert!(header.ends_with("; Path=/; Max-Age=15552000; HttpOnly; SameSite=Lax; Secure"), "{header}");
        let cookie = header.strip_prefix("stampede=").unwrap().split(';').next().unwrap();
        assert_eq!(signer.verify(Purpose::Cookie, cookie), Some(customer));
        assert_eq!(signer.verify(Purpose::Bearer, cookie), None);
        assert_eq!(signer.verify(Purpose::Bearer, &signer.token(customer)), Some(customer));
        let other = cookie.replacen('0', "1", 1);
        for forged in [other.as_str(), &cookie[..cookie.len() - 1], &customer.to_string(), "", ".", "a.b"] {
            assert_eq!(signer.verify(Purpose::Cookie, forged), None, "{forged}");
        }
        let another_secret = Signer::new(b"another secret, as long as the other one", true);
        assert_eq!(another_secret.verify(Purpose::Cookie, cookie), None);
    }
}
