//! What a crowd does: reserving and settling, many in one call.
//!
//! A call that fails may have failed because of one of those in it. Each of them then asks alone, which is safe, since
//! every one of these calls is; so a broken one keeps nobody else.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::reply::Reply;
use super::{RedisStock, json, millis, text, units_of};
use crate::order::state::StockEffect;
use crate::stock::{Hold, MOST_HOLDS_PER_CUSTOMER, Reserve, Reserved, Settlement, StockError, remembered_for};

impl RedisStock {
    pub(super) async fn reserve_with_others(&self, reserve: Reserve) -> Result<Reserved, StockError> {
        let stock = self.clone();
        let together = move |reserves: Vec<Reserve>| {
            let stock = stock.clone();
            async move { by_sale(reserves, |one| &one.sale, |some| stock.reserve_all(some)).await }
        };
        self.reserving.ask(reserve, together).await.unwrap_or_else(|| Err(no_answer()))
    }

    pub(super) async fn settle_with_others(&self, settlement: Settlement) -> Result<(), StockError> {
        let stock = self.clone();
        let together = move |settlements: Vec<Settlement>| {
            let stock = stock.clone();
            async move { by_sale(settlements, |one| &one.sale, |some| stock.settle_all(some)).await }
        };
        self.settling.ask(settlement, together).await.unwrap_or_else(|| Err(no_answer()))
    }

    /// Reservations in one sale, and a note of whose they are. Their owners have not heard of the holds yet; if the note
    /// fails, the call is repeated and comes here again. What is reserved for an order is not noted: nobody is told of
    /// such a hold, and whoever asks for the order is answered by the ledger.
    async fn reserve_all(&self, reserves: Vec<Reserve>) -> Vec<Result<Reserved, StockError>> {
        let sale = reserves.first().map(|reserve| reserve.sale.clone()).unwrap_or_default();
        let owner = |one: &Reserve| one.order.is_none().then_some((one.customer, one.think));
        let owners: Vec<_> = reserves.iter().map(owner).collect();
        let mut told = self.reserve_each(reserves).await;
        let held = |one: &Result<Reserved, StockError>| matches!(one, Ok(Reserved::Yes { .. }));
        let noted = owners.iter().zip(&told).filter(|(_, one)| held(one)).filter_map(|(owner, _)| *owner);
        let noted: Vec<_> = noted.map(|(customer, think)| (customer, sale.as_str(), think)).collect();
        if let Err(error) = self.touch_all(&noted).await {
            let unnoted = told.iter_mut().zip(&owners).filter(|(one, owner)| owner.is_some() && held(one));
            unnoted.for_each(|(one, _)| *one = Err(error.clone()));
        }
        told
    }

    async fn reserve_each(&self, reserves: Vec<Reserve>) -> Vec<Result<Reserved, StockError>> {
        match self.call_reserve(&reserves).await {
            Ok(replies) => reserves.into_iter().zip(replies).map(|(reserve, reply)| reserved(reserve, reply)).collect(),
            Err(error) if reserves.len() == 1 => vec![Err(error)],
            Err(_) => {
                let alone = reserves.into_iter().map(|reserve| async move {
                    let mut replies = self.call_reserve(std::slice::from_ref(&reserve)).await?;
                    replies.pop().ok_or_else(no_answer).and_then(|reply| reserved(reserve, reply))
                });
                join_all(alone).await
            }
        }
    }

    async fn call_reserve(&self, reserves: &[Reserve]) -> Result<Vec<Reply>, StockError> {
        let sale = reserves.first().map(|reserve| reserve.sale.as_str()).unwrap_or_default();
        let mut call = self.call(&self.scripts.reserve, sale).await?.arg(MOST_HOLDS_PER_CUSTOMER);
        for reserve in reserves {
            let order = reserve.order.map(text);
            call = call.arg(text(reserve.hold)).arg(text(reserve.customer)).arg(order.as_deref().unwrap_or_default());
            call = call.arg(millis(reserve.think)).arg(reserve.currency.as_str());
            call = call.arg(units_of(&reserve.items)).arg(json(&reserve.items)?);
        }
        call.send_for(reserves.len()).await
    }

    /// Settlements of orders of one sale.
    async fn settle_all(&self, settlements: Vec<Settlement>) -> Vec<Result<(), StockError>> {
        match self.call_settle(&settlements).await {
            Ok(replies) => settlements.iter().zip(replies).map(|(one, reply)| settled(one, reply)).collect(),
            Err(error) if settlements.len() == 1 => vec![Err(error)],
            Err(_) => {
                let alone = settlements.iter().map(|one| async move {
                    let mut replies = self.call_settle(std::slice::from_ref(one)).await?;
                    replies.pop().ok_or_else(no_answer).and_then(|reply| settled(one, reply))
                });
                join_all(alone).await
            }
        }
    }

    async fn call_settle(&self, settlements: &[Settlement]) -> Result<Vec<Reply>, StockError> {
        let sale = settlements.first().map(|settlement| settlement.sale.as_str()).unwrap_or_default();
        let mut call = self.call(&self.scripts.settle, sale).await?;
        for settlement in settlements {
            let effect = match settlement.effect {
                StockEffect::Pinned => "pinned",
                StockEffect::Sold => "sold",
                StockEffect::Released => "released",
            };
            call = call.arg(text(settlement.hold)).arg(text(settlement.order)).arg(settlement.version.max(0));
            call = call.arg(effect).arg(millis(remembered_for(settlement.effect)));
        }
        call.send_for(settlements.len()).await
    }
}

/// Asks for those of each sale together, and answers in the order in which they came.
async fn by_sale<Q, A, Fut: Future<Output = Vec<A>>>(
    all: Vec<Q>,
    sale_of: impl Fn(&Q) -> &str,
    ask: impl Fn(Vec<Q>) -> Fut,
) -> Vec<A> {
    let mut groups: BTreeMap<String, (Vec<usize>, Vec<Q>)> = BTreeMap::new();
    for (place, one) in all.into_iter().enumerate() {
        let (places, same) = groups.entry(sale_of(&one).to_owned()).or_default();
        places.push(place);
        same.push(one);
    }
    let (places, asked): (Vec<_>, Vec<_>) = groups.into_values().unzip();
    let answers = join_all(asked.into_iter().map(ask)).await;
    let placed = places.into_iter().zip(answers).flat_map(|(places, answers)| places.into_iter().zip(answers));
    let mut placed: Vec<(usize, A)> = placed.collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, answer)| answer).collect()
}

fn reserved(reserve: Reserve, mut reply: Reply) -> Result<Reserved, StockError> {
    Ok(match reply.word() {
        "held" => {
            let new = reply.flag()?;
            let hold = Hold {
                id: reserve.hold,
                epoch: reply.number()?,
                think_ms: reply.number()?,
                order: reply.order()?,
                currency: reply.parsed()?,
                sale: reserve.sale,
                customer: reserve.customer,
                items: reserve.items,
            };
            Reserved::Yes { hold, new }
        }
        "sold_out" => Reserved::SoldOut { tier: reply.text()? },
        "limit" => Reserved::LimitReached { tier: reply.text()? },
        "too_many" => Reserved::TooManyHolds,
        "taken" => Reserved::Taken,
        "unknown" => Reserved::Unknown,
        _ => return Err(reply.nonsense()),
    })
}

fn settled(settlement: &Settlement, mut reply: Reply) -> Result<(), StockError> {
    match reply.word() {
        "done" => Ok(()),
        "short" => {
            let missing = reply.number()?;
            Err(StockError::pins_first(&reply.text()?, missing))
        }
        "returned" => {
            let missing = reply.number()?;
            Err(StockError::came_back_before(&reply.text()?, missing))
        }
        "unknown" => Err(StockError::unknown(&settlement.sale)),
        _ => Err(reply.nonsense()),
    }
}

fn no_answer() -> StockError {
    StockError("the call in which this went was given up".into())
}
