//! One shopper: their name, and their purchases' request, written once.

use std::net::SocketAddr;

use uuid::Uuid;

use crate::adapter::{Adapter, Vars, fill};
use crate::wire::{Address, request};

/// Stands in the request where the purchase's id goes; as long as one.
const PLACE: &str = "------------order-goes-here---------";

/// A shopper.
#[derive(Debug)]
pub(super) struct Shopper {
    pub(super) index: u32,
    pub(super) id: Uuid,
    /// Where purchases are made.
    pub(super) till: SocketAddr,
    pub(super) declines: bool,
    request: Vec<u8>,
    places: Vec<usize>,
}

/// A new shopper's UUID: random, but for its last four bytes, which number the purchases.
pub(super) fn new_id() -> Uuid {
    numbered(Uuid::new_v4(), 0)
}

fn numbered(id: Uuid, number: u32) -> Uuid {
    let mut bytes = id.into_bytes();
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    Uuid::from_bytes(bytes)
}

impl Shopper {
    /// Writes the request of a shopper whose variables are complete.
    pub(super) fn new(index: u32, id: Uuid, declines: bool, adapter: &Adapter, mut vars: Vars) -> Result<Self, String> {
        vars.insert("order".to_owned(), PLACE.to_owned());
        let url = fill(&adapter.post.url, &vars);
        let address = Address::parse(&url).ok_or_else(|| format!("{url} is no http:// address"))?;
        let till = resolve(&address.authority)?;
        let body = fill(&adapter.post.body, &vars);
        let request = request("POST", &address, &adapter.post.headers, &body, &vars);
        let places = request.windows(PLACE.len()).enumerate().filter(|(_, window)| *window == PLACE.as_bytes());
        let places = places.map(|(at, _)| at).collect();
        Ok(Self { index, id, till, declines, request, places })
    }

    /// The bytes of a purchase.
    pub(super) fn request_of(&self, number: u32) -> Vec<u8> {
        let mut request = self.request.clone();
        let mut text = Uuid::encode_buffer();
        let text = numbered(self.id, number).hyphenated().encode_lower(&mut text);
        for &at in &self.places {
            request[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        request
    }

    /// Which of this shopper's purchases bears a name; `None` when it is somebody else's.
    pub(super) fn number_of(&self, name: &str) -> Option<u32> {
        let bytes = Uuid::try_parse(name).ok()?.into_bytes();
        let (head, tail) = bytes.split_at(12);
        (head == &self.id.as_bytes()[..12]).then(|| u32::from_be_bytes(tail.try_into().unwrap_or_default()))
    }
}

/// `127.0.0.1:3000`, or a name that the machine knows.
pub(super) fn resolve(authority: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs as _;
    let found = authority.to_socket_addrs().map_err(|error| format!("{authority}: {error}"))?.next();
    found.ok_or_else(|| format!("{authority} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shopper() -> Shopper {
        let adapter = Adapter::parse(include_str!("../../adapters/stampede.toml")).unwrap();
        let mut vars = adapter.vars.clone();
        for name in ["uuid", "token", "i", "bearer"] {
            vars.insert(name.to_owned(), name.to_uppercase());
        }
        Shopper::new(3, new_id(), false, &adapter, vars).unwrap()
    }

    #[test]
    fn each_purchase_has_its_own_id_in_the_same_request() {
        let shopper = shopper();
        let text = |number: u32| String::from_utf8(shopper.request_of(number)).unwrap();
        let (first, second) = (text(0), text(1));
        assert!(first.contains(&format!("\"order\":\"{}\"", shopper.id)) && !second.contains(&shopper.id.to_string()));
        assert_eq!(first.len(), second.len());
        let body = first.split("\r\n\r\n").nth(1).unwrap();
        assert!(first.contains(&format!("Content-Length: {}\r\n", body.len())), "{first}");
        assert!(first.contains("Authorization: Bearer BEARER\r\n"), "{first}");
    }

    #[test]
    fn a_purchase_is_known_by_its_name_and_another_shoppers_is_not() {
        let shopper = shopper();
        assert_eq!(shopper.number_of(&numbered(shopper.id, 70_000).to_string()), Some(70_000));
        assert_eq!(shopper.number_of(&Uuid::new_v4().to_string()), None);
        assert_eq!(shopper.number_of("no id"), None);
    }
}
