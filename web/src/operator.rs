//! Who may do what no shopper may: an operator who has logged in, a machine with a key, or whoever has the shop's own key
//! (`OPERATOR_KEY`).
//!
//! A handler asks for [`May`] with what it needs, as `May<Refund>`; there is no other way to come by an [`Operator`], so
//! that no handler can forget to ask. 401 `no_operator` is for somebody who is nobody, 403 `not_allowed` for somebody who
//! lacks the permission.

use std::marker::PhantomData;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use shared::access::session::LONGEST;
use shared::access::{self, AccessError, By, Digest, Permission, Permissions, Role, Token};
use shared::guards::Guard;

use crate::app::App;
use crate::guard::is_same_site;
use crate::problem::Problem;
use crate::session::cookies;

/// What the shop's own key may do, as it always could.
const SHOPS_KEY: Permissions = Permissions::of(&[Permission::See, Permission::SeeOrders, Permission::Refund]);

/// Knows the operator's key again without keeping it.
pub struct OperatorKey(Option<[u8; 32]>);

impl OperatorKey {
    /// The key, if there is one.
    #[must_use]
    pub fn new(key: Option<&str>) -> Self {
        Self(key.map(|key| tag(key).finalize().into_bytes().into()))
    }

    /// Whether this is the key; it takes as long whatever was sent.
    fn is(&self, sent: &str) -> bool {
        self.0.is_some_and(|expected| Guard::OperatorKey.holds(tag(sent).verify_slice(&expected).is_ok()))
    }
}

fn tag(key: &str) -> Hmac<Sha256> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block[..32].copy_from_slice(&Sha256::digest(key.as_bytes()));
    let mut mac = Hmac::<Sha256>::new(&block);
    mac.update(b"operator");
    mac
}

/// The cookie of an operator's browser.
#[derive(Clone, Copy, Debug)]
pub struct SessionCookie {
    /// Whether it may travel over https only.
    secure: bool,
}

impl SessionCookie {
    /// The cookie of a shop that is reached over https, or not.
    #[must_use]
    pub fn new(secure: bool) -> Self {
        Self { secure }
    }

    /// With the prefix a browser takes it from this very host and over https only
    /// (<https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes>).
    fn name(self) -> &'static str {
        if self.secure { "__Host-operator" } else { "operator" }
    }

    /// The header that sets it.
    #[must_use]
    pub fn set(self, session: &Token) -> (HeaderName, HeaderValue) {
        self.header(session.expose(), LONGEST.as_secs())
    }

    /// The header that takes it away.
    #[must_use]
    pub fn clear(self) -> (HeaderName, HeaderValue) {
        self.header("", 0)
    }

    fn header(self, value: &str, seconds: u64) -> (HeaderName, HeaderValue) {
        let (name, secure) = (self.name(), if self.secure { "; Secure" } else { "" });
        let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        let mut value = HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        (header::SET_COOKIE, value)
    }

    /// The session that a browser sent, whether it is good or not.
    #[must_use]
    pub fn of(self, headers: &HeaderMap) -> Option<Digest> {
        cookies(headers).find_map(|(name, value)| (name == self.name()).then(|| Digest::of_session(value)).flatten())
    }
}

/// How somebody has proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A person, by the session of their browser.
    Session(Role),
    /// A machine, by its key.
    Key,
    /// By the shop's own key.
    ShopsKey,
}

/// By what somebody who stays is asked again who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The session of a browser.
    Session(Digest),
    /// A machine's key.
    Key(Digest),
    /// The shop's own key, which is good for as long as the process runs.
    ShopsKey,
}

/// Whether somebody who stays may do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Still {
    /// As before.
    Yes,
    /// They are nobody now: logged out, too long idle, changed or removed; their key is revoked.
    Nobody,
    /// They are somebody, and may not do this any more.
    NotAllowed,
}

/// Somebody who has proved to be who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What they have proved it with.
    pub credential: Credential,
    /// What they are called.
    pub name: String,
    /// How they are called in trails: `operator:ann`, `key:nightly`.
    pub by: String,
    /// How they have proved it.
    pub proof: Proof,
    /// What they may do.
    pub permissions: Permissions,
}

impl Operator {
    /// For the trail: who, and from where.
    #[must_use]
    pub fn from(&self, address: IpAddr) -> By {
        By { who: self.by.clone(), address: Some(address) }
    }

    async fn of(app: &App, parts: &Parts) -> Result<Self, Problem> {
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(sent) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
            return Self::of_key(app, sent.trim()).await;
        }
        let Some(session) = app.operators_cookie.of(&parts.headers) else { return Err(Problem::no_operator()) };
        // A browser sends the cookie along, whoever's page asks it to: so the page must be ours.
        if Guard::SameSite.refuses(!is_same_site(&app.policy, parts)) {
            return Err(Problem::cross_site());
        }
        let operator = app.access.session(&session).await?.ok_or_else(Problem::no_operator)?;
        Ok(Self {
            credential: Credential::Session(session),
            by: access::by_operator(&operator.name),
            name: operator.name.to_string(),
            proof: Proof::Session(operator.role),
            permissions: operator.role.permissions(),
        })
    }

    async fn of_key(app: &App, sent: &str) -> Result<Self, Problem> {
        if app.operator.is(sent) {
            let name = "operator".to_owned();
            let (credential, proof) = (Credential::ShopsKey, Proof::ShopsKey);
            return Ok(Self { credential, by: name.clone(), name, proof, permissions: SHOPS_KEY });
        }
        let Some(digest) = Digest::of_key(sent) else { return Err(Problem::no_operator()) };
        let key = app.access.key(&digest).await?.ok_or_else(Problem::no_operator)?;
        Ok(Self {
            credential: Credential::Key(digest),
            by: access::by_key(&key.name),
            name: key.name.to_string(),
            proof: Proof::Key,
            permissions: key.scopes.permissions(),
        })
    }

    /// Asks again, for somebody whose request has not ended. `is_use` keeps their session from idling.
    ///
    /// # Errors
    /// When the store cannot be reached: then nobody knows.
    pub async fn still_may(&self, app: &App, permission: Permission, is_use: bool) -> Result<Still, AccessError> {
        let permissions = match &self.credential {
            Credential::ShopsKey => Some(self.permissions),
            Credential::Key(digest) => app.access.key(digest).await?.map(|key| key.scopes.permissions()),
            Credential::Session(session) if is_use => {
                app.access.session(session).await?.map(|one| one.role.permissions())
            }
            Credential::Session(session) => app.access.who_has(session).await?.map(|one| one.role.permissions()),
        };
        Ok(match permissions {
            None => Still::Nobody,
            Some(now) if now.has(permission) => Still::Yes,
            Some(_) => Still::NotAllowed,
        })
    }
}

/// What a handler needs.
pub trait Need: Send {
    /// The permission; `None` when to be somebody is enough.
    const PERMISSION: Option<Permission>;
}

macro_rules! needs {
    ($($(#[doc = $says:literal])* $name:ident => $permission:expr,)*) => {
        $($(#[doc = $says])* #[derive(Clone, Copy, Debug)] pub struct $name;
        impl Need for $name { const PERMISSION: Option<Permission> = $permission; })*
    };
}

needs! {
    /// To be somebody, whatever they may do.
    Nothing => None,
    /// [`Permission::See`]
    See => Some(Permission::See),
    /// [`Permission::SeeOrders`]
    SeeOrders => Some(Permission::SeeOrders),
    /// [`Permission::Refund`]
    Refund => Some(Permission::Refund),
    /// [`Permission::Steer`]
    Steer => Some(Permission::Steer),
    /// [`Permission::Manage`]
    Manage => Some(Permission::Manage),
}

/// Somebody who may do what the handler does.
#[derive(Clone, Debug)]
pub struct May<N> {
    /// Who.
    pub operator: Operator,
    need: PhantomData<N>,
}

impl<N: Need> FromRequestParts<App> for May<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let operator = Operator::of(app, parts).await?;
        match N::PERMISSION {
            Some(needed) if Guard::Permitted.refuses(!operator.permissions.has(needed)) => Err(Problem::not_allowed()),
            _ => Ok(Self { operator, need: PhantomData }),
        }
    }
}

/// A page of ours asks, or nobody's: for calls that have no cookie yet, or no use for one.
pub struct OwnPage;

impl FromRequestParts<App> for OwnPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let foreign = Guard::SameSite.refuses(!is_same_site(&app.policy, parts));
        if foreign { Err(Problem::cross_site()) } else { Ok(Self) }
    }
}

#[cfg(test)]
mod tests {
    use shared::env::Seeded;

    use super::*;

    #[test]
    fn only_the_whole_key_opens_and_no_key_opens_nothing() {
        let key = "0123456789abcdef0123456789abcdef";
        let operator = OperatorKey::new(Some(key));
        assert!(operator.is(key));
        for wrong in ["", "0", &key[1..], &key[..31], &format!("{key}0"), &key.to_uppercase()] {
            assert!(!operator.is(wrong), "{wrong}");
        }
        assert!(!OperatorKey::new(None).is("") && !OperatorKey::new(None).is(key));
    }

    #[test]
    fn the_shops_own_key_cannot_do_more_than_it_could() {
        let may: Vec<Permission> = SHOPS_KEY.iter().collect();
        assert_eq!(may, [Permission::See, Permission::SeeOrders, Permission::Refund]);
    }

    #[test]
    fn an_operators_cookie_is_for_no_script_no_other_site_and_over_https_for_this_host_alone() {
        let session = Token::session(&Seeded::new(1).env());
        let (plain, secure) = (SessionCookie::new(false), SessionCookie::new(true));
        let text = |(_, value): (HeaderName, HeaderValue)| value.to_str().unwrap().to_owned();
        let value = session.expose();
        let rest = "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict";
        assert_eq!(text(plain.set(&session)), format!("operator={value}; {rest}"));
        assert_eq!(text(secure.set(&session)), format!("__Host-operator={value}; {rest}; Secure"));
        assert!(text(secure.clear()).starts_with("__Host-operator=; Path=/; Max-Age=0; "));
        assert!(!format!("{:?}", plain.set(&session)).contains(value), "nor is it shown");

        let sent = |cookie: String| HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&cookie).unwrap())]);
        let known = Some(session.digest());
        assert_eq!(plain.of(&sent(format!("stampede=x; operator={value}"))), known);
        assert_eq!(secure.of(&sent(format!("a=b;__Host-operator={value}"))), known);
        assert_eq!(secure.of(&sent(format!("operator={value}"))), None, "set by whoever can speak plain http");
        for wrong in [format!("operator={value}0"), "operator=".into(), format!("xoperator={value}"), value.to_owned()]
        {
            assert_eq!(plain.of(&sent(wrong.clone())), None, "{wrong}");
        }
    }
}
