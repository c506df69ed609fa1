//! A shopper: what they mean to do is drawn from the seed; how they insist is the page's way (`static/paying.js`,
//! `static/holding.js`): the same ids again after silence or 503, new ones only after a refusal.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tests::harness::client::{Answer, Client, exchange, post};
use uuid::Uuid;

use super::crowd::Crowd;
use super::dice::Dice;
use super::ear::{Ear, Heard};

/// An unanswered request counts as unreachable after this long. (The page waits 20 s.)
const ANSWER_WITHIN: Duration = Duration::from_secs(6);
/// A shopper who has no answer for this long says so, and has found something.
const PATIENCE: Duration = Duration::from_secs(150);
/// Tries of a shopper whose hold is lost again and again.
const HOLDS: usize = 40;

const GOOD: &str = "pm_card_visa";
const BAD: &str = "pm_card_chargeDeclined";
const ASKS: &str = "pm_card_threeDSecure2Required";

/// States in which an order needs no more of anybody.
pub(super) const FINAL: [&str; 6] = ["paid", "expired", "canceled", "partially_refunded", "refunded", "disputed"];

/// What a shopper does about their purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Pays with this card, and with the next one where it is declined.
    Pays([Option<&'static str>; 2]),
    /// Answers the bank's challenge so: `complete`, `fail`; then pays with a good card.
    Answers(&'static str),
    /// Leaves at the bank's challenge, for good.
    LeavesTheBank,
    /// Clicks twice, at both doors at once.
    ClicksTwice,
    /// Closes the page when the order is sent, and comes back later.
    ComesBack,
    /// Takes a hold and never pays.
    OnlyHolds,
    /// Pays, and has all of it given back by the operator.
    GivesBack,
}

impl Plan {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        match dice.percent() {
            0..70 => Self::Pays([Some(GOOD), None]),
            70..77 => Self::Pays([Some(BAD), Some(GOOD)]),
            77..80 => Self::Pays([Some(BAD), None]),
            80..84 => Self::Answers("complete"),
            84..86 => Self::Answers("fail"),
            86..87 => Self::LeavesTheBank,
            87..92 => Self::ClicksTwice,
            92..96 => Self::ComesBack,
            96..98 => Self::OnlyHolds,
            _ => Self::GivesBack,
        }
    }

    fn first_card(self) -> &'static str {
        match self {
            Self::Pays([Some(card), _]) => card,
            Self::Answers(_) | Self::LeavesTheBank => ASKS,
            _ => GOOD,
        }
    }
}

/// What the shopper was told, for whoever compares it with the ledger.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Orders that were answered with 202.
    pub(super) accepted: Vec<Uuid>,
    /// Orders that were refused, after which the shopper went on with another id, or home.
    pub(super) refused: Vec<Uuid>,
    /// The last word was that nothing is left.
    pub(super) sold_out: bool,
    /// What should never be heard.
    pub(super) complaints: Vec<String>,
}

/// One shopper.
pub(super) struct Shopper {
    crowd: Arc<Crowd>,
    pub(super) ear: Arc<Ear>,
    told: Mutex<Told>,
    plan: Plan,
    seed: (u64, u64),
    place: usize,
}

enum Bought {
    /// An order, and what was sent for it.
    Order(Uuid, Value),
    SoldOut,
    Nothing,
}

impl Shopper {
    pub(super) fn new(crowd: Arc<Crowd>, place: usize, plan: Plan) -> Self {
        let seed = (crowd.seed, place as u64 + 1);
        Self { crowd, ear: Ear::new(), told: Mutex::default(), plan, seed, place }
    }

    pub(super) fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, with: impl FnOnce(&mut Told)) {
        with(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn complain(&self, text: String) {
        let id = self.place;
        self.tell(|told| told.complaints.push(format!("shopper {id}, {:?}: {text}", self.plan)));
    }

    /// Comes, buys, and stays in the room; once more each time the crowd is told that the dust has settled, if there was
    /// nothing left the last time.
    pub(super) async fn live(&self) {
        let mut dice = Dice::new(self.seed.0, self.seed.1);
        let mut rounds = self.crowd.rounds.subscribe();
        tokio::time::sleep(self.crowd.arrival(&mut dice)).await;
        let client = self.enter(&mut dice).await;
        self.ear.listen(client.clone(), self.crowd.doors.clone(), Dice::new(self.seed.0, dice.next()));
        let quantity = u32::try_from(dice.between(1, 5).div_ceil(4)).unwrap();
        let shopping = self.shop(&client, &mut dice, self.plan, quantity);
        if tokio::time::timeout(PATIENCE, shopping).await.is_err() {
            self.complain(format!("was not done within {PATIENCE:?}; heard {:?}", self.ear.orders()));
        }
        self.crowd.rest();
        while rounds.changed().await.is_ok() {
            if self.told().sold_out {
                let again = self.shop(&client, &mut dice, Plan::Pays([Some(GOOD), None]), 1);
                if tokio::time::timeout(PATIENCE, again).await.is_err() {
                    self.complain(format!("came back and was not done within {PATIENCE:?}"));
                }
            }
            self.crowd.rest();
        }
    }

    async fn enter(&self, dice: &mut Dice) -> Client {
        for try_number in self.place.. {
            let door = self.crowd.door(try_number);
            if let Ok(Ok(client)) = tokio::time::timeout(ANSWER_WITHIN, Client::try_new(door)).await {
                return client;
            }
            self.crowd.count_unanswered(dice).await;
        }
        unreachable!("there is always a next try")
    }

    async fn shop(&self, client: &Client, dice: &mut Dice, plan: Plan, quantity: u32) {
        match self.buy(client, dice, plan, quantity).await {
            Bought::Order(order, sent) => {
                self.tell(|told| told.sold_out = false);
                self.see_through(client, dice, plan, order, sent).await;
            }
            Bought::SoldOut => self.tell(|told| told.sold_out = true),
            Bought::Nothing => {}
        }
    }

    /// Gets an order accepted, with as many holds as it takes.
    async fn buy(&self, client: &Client, dice: &mut Dice, plan: Plan, quantity: u32) -> Bought {
        let two_steps = plan == Plan::OnlyHolds || dice.percent() < 20;
        for _ in 0..HOLDS {
            let (order, hold) = (Uuid::new_v4(), Uuid::new_v4());
            let items = json!([{"tier": "std", "quantity": quantity}]);
            if two_steps {
                let wish = json!({"hold": hold, "sale": "night", "items": items});
                match self.ask(client, dice, "/api/holds", &wish, None).await {
                    Some((201 | 200, _)) => {}
                    Some((409, refusal)) if refusal["code"] == "sold_out" => return Bought::SoldOut,
                    answer => {
                        self.complain(format!("a hold was answered {answer:?}"));
                        return Bought::Nothing;
                    }
                }
                if plan == Plan::OnlyHolds {
                    return Bought::Nothing;
                }
                tokio::time::sleep(Duration::from_millis(dice.between(100, 1_500))).await;
            }
            let card = plan.first_card();
            let body = if two_steps {
                client.payment(order, hold, card)
            } else {
                client.purchase(order, "night", quantity, card)
            };
            match self.send(client, dice, plan, order, &body).await {
                Some(bought) => return bought,
                None => self.tell(|told| told.refused.push(order)),
            }
        }
        self.complain(format!("lost {HOLDS} holds in a row"));
        Bought::Nothing
    }

    /// Sends one order until there is a word about it; `None` when its hold is lost and another is to be taken.
    async fn send(&self, client: &Client, dice: &mut Dice, plan: Plan, order: Uuid, body: &Value) -> Option<Bought> {
        if plan == Plan::ComesBack {
            self.ear.leave();
        }
        let answer = if plan == Plan::ClicksTwice {
            let mut other = Dice::new(dice.next(), 1);
            let (first, second) = tokio::join!(
                self.ask(client, dice, "/charges", body, Some(order)),
                self.ask_from(client, &mut other, "/charges", body, Some(order), 1)
            );
            [first, second].into_iter().max_by_key(|answer| match answer {
                Some((202, _)) => 2,
                None => 1,
                _ => 0,
            })?
        } else {
            self.ask(client, dice, "/charges", body, Some(order)).await
        };
        if plan == Plan::ComesBack {
            tokio::time::sleep(Duration::from_millis(dice.between(500, 5_000))).await;
            self.ear.listen(client.clone(), self.crowd.doors.clone(), Dice::new(dice.next(), 2));
        }
        let known = self.ear.of(order).is_some();
        match answer {
            Some((202, told)) if told["id"] == order.to_string() => {
                self.tell(|told| told.accepted.push(order));
                Some(Bought::Order(order, body.clone()))
            }
            // The room told of it before the answer came.
            None => Some(Bought::Order(order, body.clone())),
            Some((409, refusal)) => match refusal["code"].as_str() {
                Some("order_in_progress") => Some(Bought::Order(order, body.clone())),
                Some("sold_out" | "hold_expired") if known => Some(Bought::Order(order, body.clone())),
                Some("sold_out") => {
                    self.tell(|told| told.refused.push(order));
                    Some(Bought::SoldOut)
                }
                Some("hold_expired") => None,
                _ => {
                    self.complain(format!("order {order} was answered 409 {refusal}"));
                    Some(Bought::Nothing)
                }
            },
            Some((status, told)) => {
                self.complain(format!("order {order} was answered {status} {told}"));
                Some(Bought::Nothing)
            }
        }
    }

    /// Does what the plan says until the order has ended, as far as this shopper has anything to do with it.
    async fn see_through(&self, client: &Client, dice: &mut Dice, plan: Plan, order: Uuid, sent: Value) {
        let mut cards = match plan {
            Plan::Pays([_, next]) => next,
            Plan::Answers("fail") => Some(GOOD),
            _ => None,
        };
        let mut after = 0;
        loop {
            let stands = |heard: &Heard| {
                heard.version > after
                    && (FINAL.contains(&&*heard.state)
                        || matches!(&*heard.state, "declined" | "requires_action" | "review"))
            };
            let heard = self.ear.until(order, stands).await;
            after = heard.version;
            match &*heard.state {
                "declined" => {
                    let Some(card) = cards.take() else { continue };
                    let mut body = sent.clone();
                    body["token"] = card.into();
                    match self.ask(client, dice, "/charges", &body, None).await {
                        Some((202, _)) => {}
                        // It ended, or goes on already: the room tells.
                        Some((409, refusal))
                            if ["hold_expired", "order_in_progress", "sold_out"]
                                .contains(&refusal["code"].as_str().unwrap_or_default()) => {}
                        answer => self.complain(format!("another card for {order} was answered {answer:?}")),
                    }
                }
                "requires_action" => match plan {
                    Plan::Answers(outcome) => self.answer(client, dice, order, &heard, outcome).await,
                    _ => return,
                },
                "review" => {}
                "paid" if plan == Plan::GivesBack => {
                    self.give_back(dice, order).await;
                    return;
                }
                _ => return,
            }
        }
    }

    /// The bank's window: answered, and the shop told that it was, as the page does.
    async fn answer(&self, client: &Client, dice: &mut Dice, order: Uuid, heard: &Heard, outcome: &str) {
        let Some(secret) = &heard.secret else { return };
        tokio::time::sleep(Duration::from_millis(dice.between(100, 1_000))).await;
        let intent = secret.split("_secret_").next().unwrap_or_default();
        let url = format!("{}/_sandbox/3ds/{intent}", self.crowd.sandbox);
        loop {
            let form = format!("client_secret={secret}&outcome={outcome}");
            let request = Request::post(&url).header("content-type", "application/x-www-form-urlencoded");
            let answered = exchange(request.body(Full::from(form)).expect("a request")).await;
            if answered.is_ok_and(|reply| reply.status < 500) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let path = format!("/api/orders/{order}/refresh");
        match self.ask(client, dice, &path, &json!({}), None).await {
            Some((200 | 202, _)) => {}
            answer => self.complain(format!("a look at {order} was answered {answer:?}")),
        }
    }

    /// The operator gives all of it back, and the units are sold again.
    async fn give_back(&self, dice: &mut Dice, order: Uuid) {
        let body = json!({"request": Uuid::new_v4(), "restock": true});
        for try_number in self.place.. {
            let url = format!("{}/api/orders/{order}/refunds", self.crowd.door(try_number));
            match tokio::time::timeout(ANSWER_WITHIN, post(&url, Some(super::crowd::OPERATOR_KEY), &body)).await {
                Ok(Ok((202, _))) => return,
                Ok(Ok((503, _)) | Err(_)) | Err(_) => self.crowd.count_unanswered(dice).await,
                Ok(Ok(answer)) => return self.complain(format!("a refund of {order} was answered {answer:?}")),
            }
        }
    }

    async fn ask(
        &self,
        client: &Client,
        dice: &mut Dice,
        path: &str,
        body: &Value,
        order: Option<Uuid>,
    ) -> Option<Answer> {
        self.ask_from(client, dice, path, body, order, 0).await
    }

    /// Sends the same call until the shop says yes or no, at the doors in turn; `None` when the room told of the order
    /// before.
    async fn ask_from(
        &self,
        client: &Client,
        dice: &mut Dice,
        path: &str,
        body: &Value,
        order: Option<Uuid>,
        first: usize,
    ) -> Option<Answer> {
        let asking = async {
            for try_number in self.place + first.. {
                let client = client.at(self.crowd.door(try_number));
                match tokio::time::timeout(ANSWER_WITHIN, client.try_post(path, body)).await {
                    Ok(Ok((503 | 429, _))) | Err(_) => {}
                    Ok(Err(_)) => self.crowd.count_cut(),
                    Ok(Ok((409, refusal))) if refusal["code"] == "paused" || refusal["code"] == "not_open" => {}
                    Ok(Ok(answer)) => return Some(answer),
                }
                self.crowd.count_unanswered(dice).await;
            }
            None
        };
        match order {
            Some(order) => tokio::select! {
                answer = asking => answer,
                _ = self.ear.until(order, |_| true) => None,
            },
            None => asking.await,
        }
    }
}
