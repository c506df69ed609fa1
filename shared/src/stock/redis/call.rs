//! One call of a script: its keys, the run id, its arguments, and its reply.

use redis::{FromRedisValue, Script, ScriptInvocation, ToRedisArgs};

use super::reply::Reply;
use super::{RedisStock, keys};
use crate::redis_server::Known;
use crate::stock::StockError;

/// How often a call is repeated because there were more dead holds than one call frees. More of them than this many
/// batches have never been in one sale.
const MOST_ROUNDS: u32 = 100_000;

/// A call that is being put together.
pub(super) struct Call<'a> {
    stock: &'a RedisStock,
    known: Known,
    invocation: ScriptInvocation<'a>,
}

impl RedisStock {
    /// A call of a script that works on a sale.
    pub(super) async fn call<'a>(&'a self, script: &'a Script, sale: &str) -> Result<Call<'a>, StockError> {
        let mut call = Call { stock: self, known: self.known().await?, invocation: script.prepare_invoke() };
        call.invocation.key(&keys::of_sale(sale)?.all()).arg(&*call.known.run_id);
        Ok(call)
    }

    /// A call of a script that works on a rebuild.
    pub(super) async fn rebuild_call<'a>(&'a self, script: &'a Script, sale: &str) -> Result<Call<'a>, StockError> {
        let mut call = self.call(script, sale).await?;
        call.invocation.key(&keys::of_sale(sale)?.unshown());
        Ok(call)
    }
}

impl Call<'_> {
    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.invocation.arg(argument);
        self
    }

    pub(super) fn args(mut self, arguments: &[String]) -> Self {
        self.invocation.arg(arguments);
        self
    }

    /// Sends it, again and again while dead holds are in its way.
    pub(super) async fn send(self) -> Result<Reply, StockError> {
        self.until_it_is_done(|answer| Reply::new(answer).map(|reply| (reply.word() == "again", reply))).await
    }

    /// Sends a call in which so many ask.
    pub(super) async fn send_for(self, asked: usize) -> Result<Vec<Reply>, StockError> {
        let is_again = |replies: &[Reply]| replies.first().is_some_and(|reply| reply.word() == "again");
        self.until_it_is_done(|answer| Reply::each(answer, asked).map(|told| (is_again(&told), told))).await
    }

    async fn until_it_is_done<A: FromRedisValue, R>(
        self,
        read: impl Fn(A) -> Result<(bool, R), StockError>,
    ) -> Result<R, StockError> {
        for _ in 0..MOST_ROUNDS {
            let answer = self.invocation.invoke_async(&mut self.known.connection.clone()).await;
            let (again, reply) = read(answer.map_err(|error| self.stock.failed(&self.known, &error))?)?;
            if !again {
                return Ok(reply);
            }
        }
        Err(StockError("there is no end of dead holds".into()))
    }
}
