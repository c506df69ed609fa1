//! What a script answers: a flat list of texts, of which the first says what it is; or, to many at once, such a list for
//! each.

use std::str::FromStr;

use redis::Value;
use uuid::Uuid;

use crate::sale::PricedItem;
use crate::stock::StockError;

/// A reply, read from front to back. What cannot be read is a [`StockError`]: somebody else's script, or keys that
/// somebody has written into.
pub(super) struct Reply {
    word: String,
    parts: std::vec::IntoIter<String>,
}

impl Reply {
    pub(super) fn new(parts: Vec<String>) -> Result<Self, StockError> {
        let mut parts = parts.into_iter();
        let word = parts.next().ok_or_else(|| StockError("a script answered nothing".into()))?;
        Ok(Self { word, parts })
    }

    /// What a script answered to many: an answer for each of `asked`, or the same for all.
    pub(super) fn each(answer: Vec<Value>, asked: usize) -> Result<Vec<Self>, StockError> {
        let text = |value: Value| redis::from_redis_value::<String>(value);
        let list = |value: Value| redis::from_redis_value::<Vec<String>>(value);
        let failed = |error: redis::ParsingError| StockError(error.to_string());
        let mut answer = answer.into_iter();
        let word = answer.next().map(text).transpose().map_err(failed)?;
        match word.as_deref() {
            Some("each") if answer.len() == asked => answer.map(|one| Self::new(list(one).map_err(failed)?)).collect(),
            Some(word) if answer.len() == 0 => (0..asked).map(|_| Self::new(vec![word.to_owned()])).collect(),
            _ => Err(StockError(format!("a script did not answer {asked} questions"))),
        }
    }

    pub(super) fn word(&self) -> &str {
        &self.word
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.len() == 0
    }

    pub(super) fn text(&mut self) -> Result<String, StockError> {
        self.parts.next().ok_or_else(|| StockError(format!("a script's answer {:?} is too short", self.word)))
    }

    /// A part that stands for something else.
    pub(super) fn parsed<T: FromStr>(&mut self) -> Result<T, StockError> {
        let text = self.text()?;
        text.parse().map_err(|_| StockError(format!("a script's answer {:?} makes no sense: {text:?}", self.word)))
    }

    pub(super) fn number<T: FromStr>(&mut self) -> Result<T, StockError> {
        self.parsed()
    }

    pub(super) fn flag(&mut self) -> Result<bool, StockError> {
        Ok(self.number::<u8>()? == 1)
    }

    /// The order that a hold is pinned to, or nothing.
    pub(super) fn order(&mut self) -> Result<Option<Uuid>, StockError> {
        if self.parts.as_slice().first().is_some_and(String::is_empty) {
            self.text()?;
            return Ok(None);
        }
        self.parsed().map(Some)
    }

    pub(super) fn items(&mut self) -> Result<Vec<PricedItem>, StockError> {
        let text = self.text()?;
        serde_json::from_str(&text).map_err(|error| StockError(format!("items that make no sense: {error}")))
    }

    pub(super) fn nonsense(&self) -> StockError {
        StockError(format!("a script answered {:?}, which makes no sense here", self.word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(parts: &[&str]) -> Reply {
        Reply::new(parts.iter().map(|part| (*part).to_owned()).collect()).unwrap()
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_an_error_and_never_a_guess() {
        assert!(Reply::new(vec![]).is_err());
        assert!(reply(&["held"]).flag().is_err());
        assert!(reply(&["levels", "-1"]).number::<u32>().is_err());
        assert!(reply(&["levels", "4294967296"]).number::<u32>().is_err());
        assert!(reply(&["held", "x"]).order().is_err());
        assert_eq!(reply(&["held", ""]).order().unwrap(), None);
        assert!(reply(&["pinned", "[{\"tier\":\"std\"}]"]).items().is_err());
        assert!(reply(&["held"]).nonsense().to_string().contains("held"));
    }
}
