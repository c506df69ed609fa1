//! The Lua scripts, each put together from its own file and from what it shares with others.

use redis::Script;

use crate::guards::{Guard, in_text};

/// What tells the scripts the time.
pub(super) const CLOCK: &str = include_str!("lua/clock.lua");

/// A clock that stands still until a test moves it.
#[cfg(any(test, feature = "conformance"))]
pub(super) const CLOCK_OF_TESTS: &str = "local now = tonumber(redis.call('GET', 'stampede:stock:clock-of-tests'))\n";

const SALE: &str = include_str!("lua/sale.lua");
const REBUILD: &str = include_str!("lua/rebuild.lua");

/// The guards in the scripts, and what is in their place in a build that has taken them away.
const OF_EVERY_SALE: [(Guard, &str, &str); 1] =
    [(Guard::RunId, "call('HGET', SALE, 'run') == RUN", "call('HEXISTS', SALE, 'run') == 1")];
const OF_RESERVE: [(Guard, &str, &str); 2] = [
    (Guard::StockUnits, "free < unit.n", "false"),
    (Guard::StockLimit, "tonumber(has) + unit.n > tonumber(limit)", "false"),
];
const OF_PIN: [(Guard, &str, &str); 2] = [
    (Guard::PinOfCustomer, "not hold or hold.customer ~= customer", "not hold"),
    (Guard::PinOfOrder, "hold.stage == 'pinned' and hold.order == order", "hold.stage == 'pinned'"),
];
const OF_FREE: [(Guard, &str, &str); 1] =
    [(Guard::FreeOfCustomer, "not hold or hold.customer ~= customer", "not hold")];
const OF_SETTLE: [(Guard, &str, &str); 2] = [
    (Guard::StockVersion, " or tonumber(version) <= tonumber(hold.version) then", " then"),
    (Guard::LonePin, "    take_from(LONE, id)\n", ""),
];
const OF_RETURNED: [(Guard, &str, &str); 1] = [(Guard::ReturnedOnce, "tonumber(before or 0)", "0")];

/// Every script.
pub(super) struct Scripts {
    pub(super) reserve: Script,
    pub(super) pin: Script,
    pub(super) unpin: Script,
    pub(super) free: Script,
    pub(super) free_orphan: Script,
    pub(super) settle: Script,
    pub(super) holds_of: Script,
    pub(super) levels: Script,
    pub(super) exhausted: Script,
    pub(super) expire: Script,
    pub(super) lone_pins: Script,
    pub(super) set_capacity: Script,
    pub(super) set_returned: Script,
    pub(super) begin_rebuild: Script,
    pub(super) rebuild_start: Script,
    pub(super) rebuild_pins: Script,
    pub(super) rebuild_bought: Script,
    pub(super) rebuild_sold: Script,
    pub(super) rebuild_finish: Script,
    pub(super) touch: Script,
}

impl Scripts {
    pub(super) fn new(clock: &str) -> Self {
        let sale = in_text(SALE, &OF_EVERY_SALE);
        let of_sale = |own: &str| Script::new(&[clock, &sale, own].concat());
        let of_rebuild = |own: &str| Script::new(&[clock, &sale, REBUILD, own].concat());
        Self {
            reserve: of_sale(&in_text(include_str!("lua/reserve.lua"), &OF_RESERVE)),
            pin: of_sale(&in_text(include_str!("lua/pin.lua"), &OF_PIN)),
            unpin: of_sale(include_str!("lua/unpin.lua")),
            free: of_sale(&in_text(include_str!("lua/free.lua"), &OF_FREE)),
            free_orphan: of_sale(include_str!("lua/free_orphan.lua")),
            settle: of_sale(&in_text(include_str!("lua/settle.lua"), &OF_SETTLE)),
            holds_of: of_sale(include_str!("lua/holds_of.lua")),
            levels: of_sale(include_str!("lua/levels.lua")),
            exhausted: of_sale(include_str!("lua/exhausted.lua")),
            expire: of_sale(include_str!("lua/expire.lua")),
            lone_pins: of_sale(include_str!("lua/lone_pins.lua")),
            set_capacity: of_sale(include_str!("lua/set_capacity.lua")),
            set_returned: of_sale(&in_text(include_str!("lua/set_returned.lua"), &OF_RETURNED)),
            begin_rebuild: of_sale(include_str!("lua/begin_rebuild.lua")),
            rebuild_start: of_rebuild(include_str!("lua/rebuild_start.lua")),
            rebuild_pins: of_rebuild(include_str!("lua/rebuild_pins.lua")),
            rebuild_bought: of_rebuild(include_str!("lua/rebuild_bought.lua")),
            rebuild_sold: of_rebuild(include_str!("lua/rebuild_sold.lua")),
            rebuild_finish: of_rebuild(include_str!("lua/rebuild_finish.lua")),
            touch: Script::new(&[clock, include_str!("lua/touch.lua")].concat()),
        }
    }
}
