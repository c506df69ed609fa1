//! Access in memory: for simulations, and as the other half of the suite. It forgets everything when the process ends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use async_trait::async_trait;
use parking_lot::Mutex;
use uuid::Uuid;

use super::change::{self, Change, Changed};
use super::session::{Standing, is_worth_noting, standing};
use super::{Access, AccessError, By, Came, Deed, Digest, Key, Line, Login, Look, Name, Operator, PasswordHash};
use crate::env::{Env, Timestamp};
use crate::guards::Guard;

/// Access in memory.
pub struct MemoryAccess {
    env: Env,
    /// Everything; locked for one call at a time, never across an await.
    store: Mutex<Store>,
}

#[derive(Default)]
struct Store {
    operators: BTreeMap<Name, (Operator, PasswordHash)>,
    sessions: BTreeMap<Digest, Session>,
    keys: BTreeMap<Name, (Key, Digest)>,
    log: Vec<Line>,
}

struct Session {
    operator: Uuid,
    version: i64,
    created_at: Timestamp,
    seen_at: Timestamp,
}

impl MemoryAccess {
    /// Nobody may do anything yet.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self { env, store: Mutex::default() }
    }
}

impl Store {
    fn holder(&mut self, session: &Digest, now: Timestamp, is_use: bool) -> Option<Operator> {
        let found = self.sessions.get_mut(session)?;
        let mut operators = self.operators.values();
        let (operator, _) = operators.find(|(operator, _)| operator.id == found.operator)?;
        if operator.version != found.version {
            return None;
        }
        match standing(found.created_at, found.seen_at, now) {
            Standing::Over => return None,
            Standing::Used if is_use => found.seen_at = now,
            Standing::Used | Standing::Good => {}
        }
        Some(operator.clone())
    }

    fn tell(&mut self, line: Line) {
        let number = i64::try_from(self.log.len()).unwrap_or(i64::MAX - 1) + 1;
        self.log.push(Line { number, ..line });
    }

    fn end_sessions_of(&mut self, operator: Uuid) {
        self.sessions.retain(|_, session| session.operator != operator);
    }

    fn alter(&mut self, name: &Name, now: Timestamp, alter: impl FnOnce(&mut Operator, &mut PasswordHash)) {
        if let Some((operator, password)) = self.operators.get_mut(name) {
            alter(operator, password);
            (operator.version, operator.changed_at) = (operator.version + 1, now);
            let id = operator.id;
            self.end_sessions_of(id);
        }
    }

    fn write(&mut self, change: Change, env: &Env, now: Timestamp) {
        let id = env.uuid_v7();
        match change {
            Change::AddOperator { name, role, password } => {
                let operator = Operator { id, name: name.clone(), role, version: 1, created_at: now, changed_at: now };
                self.operators.insert(name, (operator, password));
            }
            Change::SetRole { name, role } => self.alter(&name, now, |operator, _| operator.role = role),
            Change::SetPassword { name, password } => self.alter(&name, now, |_, kept| *kept = password),
            Change::RemoveOperator { name } => {
                if let Some((operator, _)) = self.operators.remove(&name) {
                    self.end_sessions_of(operator.id);
                }
            }
            Change::AddKey { name, scopes, key: digest } => {
                let key = Key { id, name: name.clone(), scopes, created_at: now, last_used: None };
                self.keys.insert(name, (key, digest));
            }
            Change::RevokeKey { name } => drop(self.keys.remove(&name)),
        }
    }
}

#[async_trait]
impl Access for MemoryAccess {
    async fn operators(&self) -> Result<Vec<Operator>, AccessError> {
        Ok(self.store.lock().operators.values().map(|(operator, _)| operator.clone()).collect())
    }

    async fn operator(&self, name: &Name) -> Result<Option<(Operator, PasswordHash)>, AccessError> {
        Ok(self.store.lock().operators.get(name).cloned())
    }

    async fn keys(&self) -> Result<Vec<Key>, AccessError> {
        Ok(self.store.lock().keys.values().map(|(key, _)| key.clone()).collect())
    }

    async fn change(&self, change: Change, by: &By) -> Result<Changed, AccessError> {
        let (mut store, now) = (self.store.lock(), self.env.now());
        let operators: Vec<Operator> = store.operators.values().map(|(operator, _)| operator.clone()).collect();
        let keys: Vec<Key> = store.keys.values().map(|(key, _)| key.clone()).collect();
        let changed = change::decide(&operators, &keys, &change);
        if changed == Changed::Yes {
            store.tell(Line::changed(now, by, &change));
            store.write(change, &self.env, now);
        }
        Ok(changed)
    }

    async fn log_in(&self, login: Login) -> Result<bool, AccessError> {
        let (mut store, now) = (self.store.lock(), self.env.now());
        let Login { operator, session, replaces, address } = login;
        store.sessions.retain(|_, one| standing(one.created_at, one.seen_at, now) != Standing::Over);
        if let Some(replaced) = replaces {
            store.sessions.remove(&replaced);
        }
        let is = store.operators.get(&operator.name).map(|(operator, _)| (operator.id, operator.version));
        if Guard::SessionOfNow.refuses(is != Some((operator.id, operator.version))) {
            return Ok(false);
        }
        let begun = Session { operator: operator.id, version: operator.version, created_at: now, seen_at: now };
        store.sessions.insert(session, begun);
        store.tell(Line::logged_in(now, &By::operator(&operator.name, address)));
        Ok(true)
    }

    async fn login_failed(&self, known: Option<&Name>, others: u64, address: IpAddr) -> Result<(), AccessError> {
        self.store.lock().tell(Line::login_failed(self.env.now(), address, known, others));
        Ok(())
    }

    async fn session(&self, session: &Digest) -> Result<Option<Operator>, AccessError> {
        Ok(self.store.lock().holder(session, self.env.now(), true))
    }

    async fn who_has(&self, session: &Digest) -> Result<Option<Operator>, AccessError> {
        Ok(self.store.lock().holder(session, self.env.now(), false))
    }

    async fn log_out(&self, session: &Digest, address: IpAddr) -> Result<Option<Operator>, AccessError> {
        let (mut store, now) = (self.store.lock(), self.env.now());
        let operator = store.holder(session, now, true);
        store.sessions.remove(session);
        if let Some(operator) = &operator {
            store.tell(Line::logged_out(now, &By::operator(&operator.name, address)));
        }
        Ok(operator)
    }

    async fn key(&self, key: &Digest) -> Result<Option<Key>, AccessError> {
        let (mut store, now) = (self.store.lock(), self.env.now());
        let found = store.keys.values_mut().find(|(_, digest)| digest == key);
        Ok(found.map(|(key, _)| {
            let before = key.clone();
            if is_worth_noting(key.last_used, now) {
                key.last_used = Some(now);
            }
            before
        }))
    }

    async fn did(&self, by: &By, deed: Deed, came: Came) -> Result<(), AccessError> {
        self.store.lock().tell(Line::did(self.env.now(), by, deed, came));
        Ok(())
    }

    async fn log(&self, look: Look) -> Result<Vec<Line>, AccessError> {
        let is_meant = |line: &&Line| {
            look.before.is_none_or(|before| line.number < before) && (line.result.is_some() || !look.deeds_only)
        };
        Ok(self.store.lock().log.iter().rev().filter(is_meant).take(look.most as usize).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::conformance::{World, stories};
    use crate::env::Seeded;

    #[tokio::test]
    async fn access_in_memory_does_what_it_must() {
        for (name, story) in stories() {
            eprintln!("story: {name}");
            let clock = Seeded::new(11);
            story(World { access: std::sync::Arc::new(MemoryAccess::new(clock.env())), clock }).await;
        }
    }
}
