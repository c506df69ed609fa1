//! Pages and static files, embedded in the binary. Files live under a path with the build's hash in it, so that they
//! can be cached for ever and a new build is never mixed with an old one.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::problem::Problem;
use crate::session::Visitor;

#[derive(RustEmbed)]
#[folder = "../static"]
#[exclude = "tests/*"]
#[exclude = "*.md"]
struct Static;

/// A hash over every embedded file.
static BUILD: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Static::iter().collect();
    names.sort();
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_bytes());
        hash.update(Static::get(&name).map(|file| file.metadata.sha256_hash()).unwrap_or_default());
    }
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..9])
});

pub(crate) fn page(name: &str, headers: HeaderMap) -> Response {
    let Some(file) = Static::get(name) else { return Problem::not_found().into_response() };
    let html = String::from_utf8_lossy(&file.data).replace("{{static}}", &format!("/static/{}", *BUILD));
    let mut response = (headers, Html(html)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `GET /`: the sale, or the list of sales; assigns the customer.
pub async fn index(visitor: Visitor) -> Response {
    page("index.html", visitor.headers())
}

/// `GET /sales/{sale}`: one sale.
pub async fn sale(State(app): State<App>, Path(slug): Path<String>, visitor: Visitor) -> Response {
    let mut response = page("index.html", visitor.headers());
    if app.catalogue.find(&*app.ledger, &app.env, &slug).await.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// `GET /tickets`: the customer's own orders.
pub async fn tickets(visitor: Visitor) -> Response {
    page("tickets.html", visitor.headers())
}

/// What the operators' page may load: nothing that is not ours.
const OWN_ONLY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// `GET /ops`: the page of operators. It holds nothing that anybody may not see; what it shows, it asks for.
pub async fn ops() -> Response {
    let mut response = page("ops.html", HeaderMap::new());
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, OWN_ONLY);
    response
}

/// `GET /static/{build}/{path}`: an embedded file.
pub async fn file(Path((build, path)): Path<(String, String)>) -> Response {
    let Some(file) = Static::get(&path).filter(|_| !path.ends_with(".html")) else {
        return Problem::not_found().into_response();
    };
    let kind = mime_guess::from_path(&path).first_or_octet_stream();
    // An old page may ask for files of its build; it gets those of this one, and must not keep them as the old.
    let cache = if build == *BUILD { "public, max-age=31536000, immutable" } else { "no-store" };
    let headers = [(header::CONTENT_TYPE, kind.to_string()), (header::CACHE_CONTROL, cache.to_owned())];
    (headers, file.data).into_response()
}

/// `GET /favicon.ico`: browsers ask for it whatever the page says.
pub async fn favicon() -> Response {
    file(Path((BUILD.clone(), "favicon.svg".to_owned()))).await
}
