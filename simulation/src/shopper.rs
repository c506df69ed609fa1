//! Shoppers: they look, hold, think, pay, click twice, lose their connection, leave, come back, and try another card.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use shared::env::Env;
use uuid::Uuid;

use crate::chance::Dice;
use crate::shop::Shop;
use crate::stage::Who;
use crate::stripe::{Status, Tries};
use crate::tab::{Tab, View};
use crate::wire::{Call, Reply};

/// Whoever the shop knows, for the checker.
#[derive(Default)]
pub(crate) struct Crowd {
    pub(crate) tabs: Mutex<Vec<Arc<Tab>>>,
    /// Customers with their tokens.
    pub(crate) customers: Mutex<Vec<(String, Uuid, String)>>,
    /// Who was refused because nothing was free: the tier, and how many they wanted.
    pub(crate) refused: Mutex<Vec<(&'static str, u32)>>,
}

/// What one wants.
#[derive(Clone, Debug)]
struct Wish {
    order: Uuid,
    tier: &'static str,
    quantity: u32,
    /// The hold, if it was taken before paying.
    hold: Option<Uuid>,
    token: String,
    /// Paid on Stripe's own page.
    hosted: bool,
}

pub(crate) struct Shopper {
    pub(crate) shop: Arc<Shop>,
    pub(crate) crowd: Arc<Crowd>,
    name: String,
    /// Their own, so that one shopper more or less changes nobody else's mind.
    dice: Arc<Dice>,
    ids: Env,
    customer: Uuid,
    token: String,
}

/// How paying ended, as far as the shopper knows.
enum Paid {
    Accepted,
    Refused,
    NoAnswer,
}

impl Shopper {
    /// Comes, and gets a session; `None` when the shop could not be reached for too long.
    pub(crate) async fn arrive(shop: Arc<Shop>, crowd: Arc<Crowd>, name: String, seed: u64) -> Option<Self> {
        let (dice, ids) = (Arc::new(Dice::new(seed)), shared::env::Seeded::new(seed).env());
        for tries in 0..12 {
            let call = Call::post("/api/session", None, &json!({}), None);
            if let Some(reply) = shop.ask(dice.below(shop.plan.webs), call).await.filter(|reply| reply.status == 200) {
                let text = |field: &str| reply.body[field].as_str().map(ToOwned::to_owned);
                let (customer, token) = (text("customer")?.parse().ok()?, text("token")?);
                crowd.customers.lock().push((name.clone(), customer, token.clone()));
                return Some(Self { shop, crowd, name, dice, ids, customer, token });
            }
            shop.scene.sleep(shop.scene.env.backoff(tries, Duration::from_secs(1), Duration::from_secs(600))).await;
        }
        None
    }

    /// Buys once or twice, in one or two tabs, and leaves.
    pub(crate) async fn shop_around(self) {
        let mut tabs = vec![self.open_tab()];
        for _ in 0..1 + self.dice.below(2) {
            if self.dice.below(4) == 0 {
                tabs.push(self.open_tab());
            }
            self.pause(0, 4_000).await;
            if let Some(wish) = self.choose().await {
                self.buy(&tabs[0], wish).await;
            }
            if self.dice.below(5) == 0 {
                // Away, and back again.
                tabs[0].close();
                self.pause(1_000, 200_000).await;
                tabs[0] = self.open_tab();
            }
        }
        if self.dice.below(3) == 0 {
            tabs.iter().for_each(|tab| tab.close());
            self.say(None, || "leaves".into());
        }
    }

    /// Comes once more at the end, and buys what is free; whether that worked out.
    pub(crate) async fn try_again(self, tier: &'static str, quantity: u32) -> bool {
        let (order, token) = (self.ids.uuid_v7(), self.card(&["visa"]));
        let wish = Wish { order, tier, quantity, hold: None, token, hosted: false };
        for _ in 0..20 {
            match self.pay(&wish).await {
                Paid::Accepted => return true,
                Paid::Refused => return false,
                Paid::NoAnswer => self.pause(500, 2_000).await,
            }
        }
        false
    }

    /// Opens a tab that stays open.
    pub(crate) fn open_tab(&self) -> Arc<Tab> {
        let mut tabs = self.crowd.tabs.lock();
        let tab = Tab::new(format!("{}'s tab {}", self.name, tabs.len() + 1), self.customer, &self.token);
        tabs.push(tab.clone());
        let (shop, dice) = (self.shop.clone(), self.dice.clone());
        self.shop.scene.enter(Who::World, tab.clone().live(shop, dice).boxed());
        tab
    }

    fn say(&self, about: Option<Uuid>, what: impl FnOnce() -> String) {
        self.shop.scene.tell_as(about, || (self.name.clone(), what()));
    }

    async fn pause(&self, least_ms: u64, most_ms: u64) {
        self.shop.scene.sleep(self.dice.between(least_ms, most_ms)).await;
    }

    fn card(&self, cards: &[&'static str]) -> String {
        format!("tok_{}_{}", self.dice.pick(cards, "visa"), self.ids.random_u64())
    }

    fn any_card(&self) -> String {
        self.card(&[
            "visa",
            "visa",
            "visa",
            "visa",
            "visa",
            "declined",
            "declined",
            "action",
            "action",
            "processing",
            "used",
            "blank",
        ])
    }

    /// Chooses, and takes a hold or goes straight to paying.
    async fn choose(&self) -> Option<Wish> {
        let tiers: Vec<&'static str> = self.shop.plan.tiers.iter().map(|(id, ..)| *id).collect();
        let tier = self.dice.pick(&tiers, "std");
        let quantity = u32::try_from(1 + self.dice.below(10) / 6 + self.dice.below(10) / 9).unwrap_or(1);
        let (order, token) = (self.ids.uuid_v7(), self.any_card());
        let mut wish = Wish { order, tier, quantity, hold: None, token, hosted: self.dice.below(5) == 0 };
        if self.dice.below(3) == 0 {
            return Some(wish);
        }
        let hold = self.ids.uuid_v7();
        let body = json!({"hold": hold, "sale": Shop::sale(), "items": [{"tier": tier, "quantity": quantity}]});
        for _ in 0..4 {
            match self.ask(Call::post("/api/holds", Some(&self.token), &body, Some(order))).await {
                Some(reply) if reply.status == 201 => {
                    wish.hold = Some(hold);
                    return self.think(wish).await;
                }
                Some(reply) if reply.code() == "sold_out" => {
                    self.was_refused(&wish);
                    return None;
                }
                Some(reply) if reply.status != 503 && reply.code() != "paused" => return None,
                _ => self.pause(500, 5_000).await,
            }
        }
        None
    }

    async fn think(&self, wish: Wish) -> Option<Wish> {
        match self.dice.below(12) {
            0 => {
                self.say(Some(wish.order), || "leaves without paying".into());
                None
            }
            1 => {
                let path = format!("/api/holds/{}", wish.hold.unwrap_or_default());
                let call =
                    Call { method: "DELETE", ..Call::post(path, Some(&self.token), &json!({}), Some(wish.order)) };
                self.ask(call).await;
                None
            }
            2 => {
                self.pause(30_000, 900_000).await;
                Some(wish)
            }
            _ => {
                self.pause(500, 40_000).await;
                Some(wish)
            }
        }
    }

    async fn ask(&self, call: Call) -> Option<Reply> {
        self.shop.ask(self.dice.below(self.shop.plan.webs), call).await
    }

    fn was_refused(&self, wish: &Wish) {
        self.say(Some(wish.order), || format!("is told that {} of {} are not free", wish.quantity, wish.tier));
        self.crowd.refused.lock().push((wish.tier, wish.quantity));
    }

    /// Sends the purchase once; the same order id makes it safe to send again.
    async fn pay(&self, wish: &Wish) -> Paid {
        let mut body = json!({"order": wish.order, "name": "A. Shopper",
            "email": format!("{}@example.com", self.customer.simple())});
        if !wish.hosted {
            body["token"] = json!(wish.token);
        }
        match wish.hold {
            Some(hold) => body["hold"] = json!(hold),
            None => {
                body["sale"] = json!(Shop::sale());
                body["items"] = json!([{"tier": wish.tier, "quantity": wish.quantity}]);
            }
        }
        let by = if wish.hosted { "Stripe's page" } else { card_of(&wish.token) };
        self.say(Some(wish.order), || format!("pays for {} of {} with {by}", wish.quantity, wish.tier));
        let call =
            Call::post(if wish.hosted { "/checkout" } else { "/charges" }, Some(&self.token), &body, Some(wish.order));
        let reply = if self.dice.below(6) == 0 {
            self.say(Some(wish.order), || "clicks twice".into());
            let (one, two) = futures::join!(self.ask(call.clone()), self.ask(call));
            one.filter(|reply| reply.status < 300).or(two)
        } else {
            self.ask(call).await
        };
        match reply {
            Some(reply) if reply.status < 300 => Paid::Accepted,
            Some(reply) if matches!(reply.code(), "unavailable" | "paused" | "slow_down") => Paid::NoAnswer,
            Some(reply) => {
                if reply.code() == "sold_out" {
                    self.was_refused(wish);
                }
                Paid::Refused
            }
            None => Paid::NoAnswer,
        }
    }

    async fn buy(&self, tab: &Tab, mut wish: Wish) {
        if !self.pay_until_answered(tab, &wish).await {
            return;
        }
        // Not for ever: who has heard nothing for long goes about their life.
        for _ in 0..40 {
            let waits = self.shop.scene.env.timeout(Duration::from_secs(60), tab.changed.notified()).await;
            let Some(view) = tab.view(wish.order) else {
                if waits.is_none() && self.dice.below(3) == 0 {
                    return;
                }
                continue;
            };
            match view.state.as_str() {
                "declined" if view.may_retry && self.dice.below(4) > 0 => {
                    self.pause(1_000, 30_000).await;
                    wish.token = self.any_card();
                    wish.hosted = self.dice.below(5) == 0;
                    self.pay_until_answered(tab, &wish).await;
                }
                "requires_action" if view.has_page => {
                    if !self.pay_on_page(tab, &mut wish).await {
                        return;
                    }
                }
                "requires_action" => {
                    if !self.authenticate(&wish, &view).await {
                        return;
                    }
                }
                "accepted" | "charging" => {}
                _ => return,
            }
        }
    }

    /// Sends again and again until an answer comes, by whichever way; whether to wait for its end.
    async fn pay_until_answered(&self, tab: &Tab, wish: &Wish) -> bool {
        let before = tab.view(wish.order).map(|view| view.version);
        for tries in 0..8 {
            match self.pay(wish).await {
                Paid::Accepted => return true,
                Paid::Refused => return tab.view(wish.order).is_some(),
                Paid::NoAnswer if tab.view(wish.order).map(|view| view.version) != before => return true,
                Paid::NoAnswer if self.dice.below(8) == 0 => return false,
                Paid::NoAnswer => {
                    let pause = self.shop.scene.env.backoff(tries, Duration::from_secs(1), Duration::from_secs(120));
                    self.shop.scene.sleep(pause).await;
                }
            }
        }
        false
    }

    /// Pays on Stripe's page, or leaves it for a card or for good; `false` when the shopper has gone.
    async fn pay_on_page(&self, tab: &Tab, wish: &mut Wish) -> bool {
        let refresh = |give_up: bool| {
            let path = format!("/api/orders/{}/refresh", wish.order);
            Call::post(path, Some(&self.token), &json!({"give_up": give_up}), Some(wish.order))
        };
        let choice = self.dice.below(10);
        if choice == 9 {
            self.say(Some(wish.order), || "never comes back from Stripe's page".into());
            return false;
        }
        self.pause(1_000, if choice == 8 { 900_000 } else { 60_000 }).await;
        if choice == 7 {
            self.say(Some(wish.order), || "leaves Stripe's page to pay by card".into());
            if self.dice.below(2) == 0 {
                self.ask(refresh(true)).await;
            }
            (wish.hosted, wish.token) = (false, self.any_card());
            self.pay_until_answered(tab, wish).await;
            return true;
        }
        // The last page is where the browser is.
        let Some(page) = self.shop.stripe.open_pages(wish.order).pop() else {
            self.ask(refresh(false)).await;
            return true;
        };
        if choice > 4 {
            self.shop.stripe.try_on_page(&page.id, Tries::BadCard);
            self.pause(1_000, 30_000).await;
        }
        let paid = self.shop.stripe.try_on_page(&page.id, Tries::GoodCard);
        self.say(Some(wish.order), || {
            format!("{} on Stripe's page", if paid { "pays" } else { "cannot pay any more" })
        });
        if self.dice.below(3) > 0 {
            self.ask(refresh(false)).await;
        }
        true
    }

    /// Answers the bank, or does not, or asks for another card; `false` when the shopper has gone.
    async fn authenticate(&self, wish: &Wish, view: &View) -> bool {
        if !view.has_secret {
            self.shop.scene.broken(Some(wish.order), "a page that should open the bank's window has no client secret");
        }
        let of_order = |intents: &std::collections::BTreeMap<String, crate::stripe::Intent>| {
            let mine =
                intents.values().rev().find(|intent| intent.order == wish.order && intent.status == Status::Action);
            mine.map(|intent| (intent.id.clone(), intent.challenge))
        };
        let Some((intent, challenge)) = self.shop.stripe.look(of_order) else {
            self.pause(200, 2_000).await;
            return true;
        };
        let choice = self.dice.below(10);
        if choice == 9 {
            self.say(Some(wish.order), || "never answers the bank".into());
            return false;
        }
        let refresh = |give_up: bool| {
            let path = format!("/api/orders/{}/refresh", wish.order);
            Call::post(path, Some(&self.token), &json!({"give_up": give_up}), Some(wish.order))
        };
        if choice == 8 {
            self.say(Some(wish.order), || "wants another card".into());
            self.ask(refresh(true)).await;
            return true;
        }
        self.pause(500, if choice == 7 { 400_000 } else { 30_000 }).await;
        let good = choice < 6;
        self.say(Some(wish.order), || format!("{} the bank's challenge", if good { "passes" } else { "fails" }));
        self.shop.stripe.decide(&intent, Status::Action, Some(challenge), good);
        if self.dice.below(2) == 0 {
            self.ask(refresh(false)).await;
        }
        true
    }
}

fn card_of(token: &str) -> &str {
    token.split('_').nth(1).unwrap_or_default()
}

/// An operator's wish to give money back, by HTTP.
pub(crate) fn refund_call(order: Uuid, request: Uuid, amount: Option<i64>, restock: bool) -> Call {
    let mut body = json!({"request": request, "restock": restock});
    if let Some(amount) = amount {
        body["amount"] = Value::from(amount);
    }
    Call::post(format!("/api/orders/{order}/refunds"), Some(crate::shop::OPERATOR_KEY), &body, Some(order))
}
