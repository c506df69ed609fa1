//! One shopper: their name, and their purchases' request, written once.

use std::net::SocketAddr;

use uuid::Uuid;

use crate::adapter::{Adapter, Vars, fill};
use crate::wire::{Address, request};

/// Stands in the request where the purchase's id goes; as long as one.
const PLACE: &str = "------------order-goes-here---------";
/// Purchases that one shopper can tell apart.
pub(super) const PURCHASES_MAX: u32 = 1 << 12;

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

/// The id of a shopper's purchase, made as the page makes it (RFC 9562, version 7): the time, and randomness of the
/// shopper's own. Between them stands the number of the purchase.
fn purchase_id(shopper: Uuid, number: u32, now_ms: u64) -> Uuid {
    let mut bytes = shopper.into_bytes();
    bytes[..6].copy_from_slice(&now_ms.to_be_bytes()[2..]);
    let number = u16::try_from(number % PURCHASES_MAX).unwrap_or(0);
    bytes[6..8].copy_from_slice(&(0x7000 | number).to_be_bytes());
    Uuid::from_bytes(bytes)
}

/// Now, as an id tells it.
pub(super) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
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

    /// The bytes of a purchase whose id was made at this time.
    pub(super) fn request_of(&self, number: u32, made_ms: u64) -> Vec<u8> {
        let mut request = self.request.clone();
        let mut text = Uuid::encode_buffer();
        let text = purchase_id(self.id, number, made_ms).hyphenated().encode_lower(&mut text);
        for &at in &self.places {
            request[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        request
    }

    /// Which of this shopper's purchases bears a name; `None` when it is somebody else's.
    pub(super) fn number_of(&self, name: &str) -> Option<u32> {
        let id = Uuid::try_parse(name).ok()?;
        if id == self.id {
            // Where purchases have no ids, the shopper's stands for the only one.
            return Some(0);
        }
        let bytes = id.as_bytes();
        let number = u16::from_be_bytes([bytes[6] & 0x0f, bytes[7]]);
        (bytes[8..] == self.id.as_bytes()[8..] && bytes[6] >> 4 == 7).then_some(u32::from(number))
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
        Shopper::new(3, Uuid::new_v4(), false, &adapter, vars).unwrap()
    }

    #[test]
    fn each_purchase_has_its_own_id_in_the_same_request() {
        let shopper = shopper();
        let text = |number: u32| String::from_utf8(shopper.request_of(number, now_ms())).unwrap();
        let (first, second) = (text(0), text(1));
        assert_eq!(first.len(), second.len());
        let body = first.split("\r\n\r\n").nth(1).unwrap();
        for (number, text) in [&first, &second].into_iter().enumerate() {
            let order = text.split("\"order\":\"").nth(1).and_then(|rest| rest.get(..36)).unwrap();
            assert_eq!(shopper.number_of(order), u32::try_from(number).ok(), "{text}");
            assert_eq!(Uuid::try_parse(order).unwrap().get_version_num(), 7, "{text}");
        }
        assert!(first.contains(&format!("Content-Length: {}\r\n", body.len())), "{first}");
        assert!(first.contains("Authorization: Bearer BEARER\r\n"), "{first}");
    }

    #[test]
    fn a_purchase_is_known_by_its_name_and_another_shoppers_is_not() {
        let shopper = shopper();
        assert_eq!(shopper.number_of(&purchase_id(shopper.id, 4_095, 1 << 40).to_string()), Some(4_095));
        assert_eq!(shopper.number_of(&shopper.id.to_string()), Some(0));
        let early = purchase_id(shopper.id, 9, 1_000);
        assert!(early < purchase_id(shopper.id, 0, 1_001), "they lie in the order of their making");
        assert_eq!(shopper.number_of(&Uuid::new_v4().to_string()), None);
        assert_eq!(shopper.number_of("no id"), None);
    }
}
