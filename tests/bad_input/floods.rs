//! Too much of something, or at an address where nothing is.

use tests::harness::shop::Shop;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ask, open_shop, still_sells};

const MIB: u64 = 1024 * 1024;
/// What a flood may leave in memory; far less than the flood.
const MEMORY_MORE: u64 = 48 * MIB;

/// Sends raw bytes and, while they are being sent, reads what is answered; the answer as text.
async fn raw(shop: &Shop, head: &str, filler: &[u8], times: usize) -> String {
    let address = shop.url().replace("http://", "");
    let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
    let sending = async {
        to.write_all(head.as_bytes()).await?;
        for _ in 0..times {
            to.write_all(filler).await?;
        }
        to.write_all(b"\r\n\r\n").await
    };
    let reading = async {
        let mut answer = Vec::new();
        // The server may cut the connection after its answer, since it does not read on.
        let _ = from.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let (_, answer) = tokio::join!(sending, reading);
    answer
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_without_being_kept() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let before = shop.process().memory();
    for path in ["/charges", "/api/holds"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            client.token,
            10 * MIB
        );
        let answer = raw(&shop, &head, &[b' '; 64 * 1024], 160).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(answer.contains("application/problem+json") && answer.contains("\"too_large\""), "{answer}");
    }
    // Without a length the body counts as it comes.
    let bearer = format!("Bearer {}", client.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let reply = ask(&shop, "POST", "/charges", &headers, vec![b' '; 17 * 1024]).await;
    assert_eq!((reply.refusal("17 KiB").as_str(), reply.status), ("too_large", 413));
    let chunked = "POST /api/holds HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
                   Transfer-Encoding: chunked\r\n";
    let head = format!("{chunked}Authorization: {bearer}\r\n\r\n");
    let chunk = [b"8000\r\n".as_slice(), &[b' '; 0x8000], b"\r\n"].concat();
    let answer = raw(&shop, &head, &chunk, 320).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(
        shop.process().memory() < before + MEMORY_MORE,
        "{} MiB before, {} now",
        before / MIB,
        shop.process().memory() / MIB
    );
    still_sells(&shop).await;
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let shop = open_shop().await;
    let before = shop.process().memory();
    for (filler, times) in [(b"X-Many: 1\r\n".to_vec(), 500), (vec![b'x'; 64 * 1024], 160)] {
        let answer = raw(&shop, "GET /api/sales HTTP/1.1\r\nHost: x\r\n", &filler, times).await;
        assert!(answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let answer = raw(&shop, "GET /", &[b'a'; 64 * 1024], 16).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(raw(&shop, "NONSENSE\r\n", b"\x00\x01\x02", 10).await.starts_with("HTTP/1.1 400 "));
    assert!(shop.process().memory() < before + MEMORY_MORE);
    still_sells(&shop).await;
}

#[tokio::test]
async fn unknown_addresses_methods_and_ids_are_refused_in_the_same_shape() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    let bearer = format!("Bearer {}", client.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let cases = [
        ("GET", "/nosuch", 404, "not_found"),
        ("POST", "/api/nosuch", 404, "not_found"),
        ("GET", "/api/sales/nosuch", 404, "not_found"),
        ("GET", "/api/sales/%ff", 400, "malformed"),
        ("GET", "/sales/%ff", 400, "malformed"),
        ("GET", "/api/orders/not-a-uuid", 400, "malformed"),
        ("GET", "/api/orders/0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39", 404, "not_found"),
        ("DELETE", "/api/holds/not-a-uuid", 400, "malformed"),
        ("DELETE", "/api/holds/0198f2c0-7c1e-7d6a-8f7e-0d6f3c1b2a39", 404, "not_found"),
        ("PUT", "/charges", 405, "method_not_allowed"),
        ("GET", "/charges", 405, "method_not_allowed"),
        ("DELETE", "/api/orders", 405, "method_not_allowed"),
        ("PATCH", "/api/holds", 405, "method_not_allowed"),
        ("BREW", "/api/sales", 405, "method_not_allowed"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/ws", 400, "malformed"),
    ];
    for (method, path, status, code) in cases {
        let what = format!("{method} {path}");
        let reply = ask(&shop, method, path, &headers, "").await;
        assert_eq!((reply.status, reply.refusal(&what).as_str()), (status, code), "{what}");
    }
    still_sells(&shop).await;
}

#[tokio::test]
async fn no_path_leads_out_of_the_static_files() {
    let shop = open_shop().await;
    let root = ask(&shop, "GET", "/", &[], "").await.text();
    let script = root.split('"').find(|part| part.starts_with("/static/") && part.ends_with(".js")).unwrap().to_owned();
    assert_eq!(ask(&shop, "GET", &script, &[], "").await.status, 200);
    let build = script.split('/').nth(2).unwrap();
    let outside = [
        "../Cargo.toml",
        "../../../../../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "..%5c..%5cCargo.toml",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "index.html",
        "tickets.html",
        "app.js%00.html",
        "%c0%ae%c0%ae/Cargo.toml",
        ".",
        "..",
    ];
    for path in outside {
        let reply = ask(&shop, "GET", &format!("/static/{build}/{path}"), &[], "").await;
        let code = reply.refusal(path);
        assert!(matches!(code.as_str(), "not_found" | "malformed"), "{path}: {code}");
    }
    for path in ["/static/../Cargo.toml", "/..%2fCargo.toml", "//etc/passwd"] {
        assert!(matches!(ask(&shop, "GET", path, &[], "").await.status, 400 | 404), "{path}");
    }
    still_sells(&shop).await;
}

#[tokio::test]
async fn one_customer_cannot_hold_more_than_a_few_carts() {
    let shop = open_shop().await;
    let client = shop.customer().await;
    for _ in 0..4 {
        assert_eq!(client.hold("gate", 1).await.1.0, 201);
    }
    let (_, (status, refusal)) = client.hold("gate", 1).await;
    assert_eq!((status, &refusal["code"]), (409, &"limit_reached".into()), "{refusal}");
    assert_eq!(shop.check("gate").await["tiers"][0]["held"], 4);
    still_sells(&shop).await;
}

#[tokio::test]
async fn one_address_cannot_take_sessions_and_holds_without_end() {
    let shop = Shop::start(&[("LIMIT_LOOPBACK", "true")]).await;
    shop.sale("gate", 100, &[]).await;
    let client = shop.customer().await;
    let mut last = ask(&shop, "POST", "/api/session", &[], "").await;
    for _ in 0..200 {
        if last.status == 429 {
            break;
        }
        last = ask(&shop, "POST", "/api/session", &[], "").await;
    }
    assert_eq!((last.refusal("sessions").as_str(), last.status), ("slow_down", 429));
    assert!(last.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));
    // What counts is who connects, not what they claim.
    let forwarded = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(ask(&shop, "POST", "/api/session", &forwarded, "").await.status, 429);

    let mut refused = None;
    for _ in 0..200 {
        let (hold, (status, body)) = client.hold("gate", 1).await;
        match status {
            201 => assert_eq!(client.delete(&format!("/api/holds/{hold}")).await.0, 204),
            _ => {
                refused = Some((status, body));
                break;
            }
        }
    }
    let (status, body) = refused.expect("a limit");
    assert_eq!((status, &body["code"]), (429, &"slow_down".into()), "{body}");
    shop.check("gate").await;
}
