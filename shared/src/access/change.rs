//! What may be changed about operators and keys: decided here, for every store alike.

use super::{Key, Name, Operator, PasswordHash, Permission, Role, Scopes};
use crate::access::token::Digest;
use crate::guards::Guard;

/// Operators at most.
pub const OPERATORS_MAX: usize = 500;
/// Keys at most.
pub const KEYS_MAX: usize = 500;

/// What somebody wants changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new operator.
    AddOperator {
        /// By which they log in.
        name: Name,
        /// What they may do.
        role: Role,
        /// What their password is verified with.
        password: PasswordHash,
    },
    /// Another role.
    SetRole {
        /// Whose.
        name: Name,
        /// Which from now on.
        role: Role,
    },
    /// Another password.
    SetPassword {
        /// Whose.
        name: Name,
        /// What it is verified with.
        password: PasswordHash,
    },
    /// An operator goes.
    RemoveOperator {
        /// Who.
        name: Name,
    },
    /// A new key.
    AddKey {
        /// What it is called.
        name: Name,
        /// What it may do.
        scopes: Scopes,
        /// By which it is known again.
        key: Digest,
    },
    /// A key opens nothing any more.
    RevokeKey {
        /// Which.
        name: Name,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is done.
    Yes,
    /// There is nobody, or no key, of this name.
    Unknown,
    /// There is one of this name already.
    NameTaken,
    /// Nobody would be left who may manage operators.
    LastOwner,
    /// There are as many as there may be.
    TooMany,
}

impl Change {
    /// Whom or what it is about.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::AddOperator { name, .. }
            | Self::SetRole { name, .. }
            | Self::SetPassword { name, .. }
            | Self::RemoveOperator { name }
            | Self::AddKey { name, .. }
            | Self::RevokeKey { name } => name,
        }
    }

    /// What it is called in the trail; on whom; and what else there is to know.
    #[must_use]
    pub(super) fn told(&self) -> (&'static str, String, Option<String>) {
        let (what, note) = match self {
            Self::AddOperator { role, .. } => ("operator_added", Some(role.to_string())),
            Self::SetRole { role, .. } => ("role_changed", Some(role.to_string())),
            Self::SetPassword { .. } => ("password_changed", None),
            Self::RemoveOperator { .. } => ("operator_removed", None),
            Self::AddKey { scopes, .. } => ("key_added", Some(scopes.to_string())),
            Self::RevokeKey { .. } => ("key_revoked", None),
        };
        let whom = match self {
            Self::AddKey { name, .. } | Self::RevokeKey { name } => super::by_key(name),
            _ => super::by_operator(self.name()),
        };
        (what, whom, note)
    }
}

/// Whether a change may be made, while there are these operators and keys.
#[must_use]
pub fn decide(operators: &[Operator], keys: &[Key], change: &Change) -> Changed {
    let known = operators.iter().find(|operator| operator.name == *change.name());
    let known_key = keys.iter().any(|key| key.name == *change.name());
    // Counted by what they may do: this is not the place to know which role that is.
    let others_manage = || {
        let others = operators.iter().filter(|operator| operator.name != *change.name());
        others.into_iter().any(|operator| operator.role.may(Permission::Manage))
    };
    match change {
        Change::AddOperator { .. } if known.is_some() => Changed::NameTaken,
        Change::AddOperator { .. } if operators.len() >= OPERATORS_MAX => Changed::TooMany,
        Change::AddKey { .. } if known_key => Changed::NameTaken,
        Change::AddKey { .. } if keys.len() >= KEYS_MAX => Changed::TooMany,
        Change::AddOperator { .. } | Change::AddKey { .. } => Changed::Yes,
        Change::RevokeKey { .. } if !known_key => Changed::Unknown,
        Change::RevokeKey { .. } => Changed::Yes,
        Change::SetRole { .. } | Change::SetPassword { .. } | Change::RemoveOperator { .. } => {
            let Some(operator) = known else { return Changed::Unknown };
            let stays_one = match change {
                Change::SetRole { role, .. } => role.may(Permission::Manage),
                Change::RemoveOperator { .. } => false,
                _ => true,
            };
            let is_last = operator.role.may(Permission::Manage) && !stays_one && !others_manage();
            if Guard::LastOwner.refuses(is_last) {
                return Changed::LastOwner;
            }
            Changed::Yes
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::env::Timestamp;

    fn operator(name: &str, role: Role) -> Operator {
        let at = Timestamp(0);
        Operator { id: Uuid::nil(), name: name.parse().unwrap(), role, version: 1, created_at: at, changed_at: at }
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_owner_stays_and_stays_owner() {
        let remove = |who: &str| Change::RemoveOperator { name: name(who) };
        let role = |who: &str, role| Change::SetRole { name: name(who), role };
        let one = [operator("ann", Role::Owner), operator("bob", Role::Operator), operator("cy", Role::Support)];
        assert_eq!(decide(&one, &[], &remove("ann")), Changed::LastOwner);
        for lesser in [Role::Operator, Role::Support, Role::ReadOnly] {
            assert_eq!(decide(&one, &[], &role("ann", lesser)), Changed::LastOwner, "{lesser}");
        }
        assert_eq!(decide(&one, &[], &role("ann", Role::Owner)), Changed::Yes);
        let password = Change::SetPassword { name: name("ann"), password: PasswordHash::of_nobody() };
        assert_eq!(decide(&one, &[], &password), Changed::Yes);
        assert_eq!(decide(&one, &[], &remove("bob")), Changed::Yes);
        let two = [operator("ann", Role::Owner), operator("bob", Role::Owner)];
        assert_eq!(decide(&two, &[], &remove("ann")), Changed::Yes);
        assert_eq!(decide(&two, &[], &role("bob", Role::ReadOnly)), Changed::Yes);
        assert_eq!(decide(&one, &[], &remove("nobody")), Changed::Unknown);
        assert_eq!(decide(&[], &[], &role("ann", Role::Owner)), Changed::Unknown);
    }

    #[test]
    fn names_are_taken_once_and_there_are_not_more_than_may_be() {
        let add =
            |who: &str| Change::AddOperator { name: name(who), role: Role::Owner, password: PasswordHash::of_nobody() };
        let many: Vec<Operator> = (0..OPERATORS_MAX).map(|n| operator(&format!("o{n}"), Role::Owner)).collect();
        assert_eq!(decide(&many[1..], &[], &add("o1")), Changed::NameTaken);
        assert_eq!(decide(&many[1..], &[], &add("o0")), Changed::Yes);
        assert_eq!(decide(&many, &[], &add("more")), Changed::TooMany);
        let scopes: Scopes = "see".parse().unwrap();
        let key = |n: usize| Key {
            id: Uuid::nil(),
            name: name(&format!("k{n}")),
            scopes,
            created_at: Timestamp(0),
            last_used: None,
        };
        let keys: Vec<Key> = (0..KEYS_MAX).map(key).collect();
        let digest = crate::access::Token::key(&crate::env::Seeded::new(1).env()).digest();
        let add = |which: &str| Change::AddKey { name: name(which), scopes, key: digest };
        assert_eq!(decide(&[], &keys[1..], &add("k1")), Changed::NameTaken);
        assert_eq!(decide(&[], &keys[1..], &add("k0")), Changed::Yes);
        assert_eq!(decide(&[], &keys, &add("more")), Changed::TooMany);
        let revoke = |which: &str| Change::RevokeKey { name: name(which) };
        assert_eq!(decide(&[], &keys, &revoke("k1")), Changed::Yes);
        assert_eq!(decide(&many, &keys, &revoke("o1")), Changed::Unknown, "an operator is no key");
    }
}
