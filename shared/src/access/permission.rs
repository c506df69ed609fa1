//! What can be permitted, and to whom.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::guards::Guard;

/// The stable machine word of each variant, by which it is shown and read.
macro_rules! words {
    ($kind:ident, $one:literal, { $($variant:ident = $word:literal,)* }) => {
        impl $kind {
            /// Every one.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// The stable machine word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $kind {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
                found.ok_or_else(|| format!(concat!($one, " is one of {}"), Self::ALL.map(Self::as_str).join(", ")))
            }
        }
    };
}

/// One thing that somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Look at sales, figures and processes; at nothing that is a buyer's.
    See,
    /// Look at orders, and with them at their buyers' names and mail addresses.
    SeeOrders,
    /// Give money back.
    Refund,
    /// Steer sales, workers and jobs, and decide reviews.
    Steer,
    /// Add, change and remove operators and keys, and read their trail.
    Manage,
}

words!(Permission, "a permission", {
    See = "see",
    SeeOrders = "see_orders",
    Refund = "refund",
    Steer = "steer",
    Manage = "manage",
});

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// These.
    #[must_use]
    pub const fn of(these: &[Permission]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < these.len() {
            bits |= 1 << these[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.has(*permission))
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Permission::as_str).collect();
        f.write_str(&words.join(","))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permissions({self})")
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Permission::as_str))
    }
}

impl FromStr for Permissions {
    type Err = String;

    /// Words with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let these: Vec<Permission> = words.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self::of(&these))
    }
}

/// What an operator is to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Whose shop it is.
    Owner,
    /// Runs the sales.
    Operator,
    /// Talks to buyers.
    Support,
    /// Looks on.
    ReadOnly,
}

impl Role {
    /// **The table**: what each role may do. Nothing else in the program looks at a role to decide something.
    #[must_use]
    pub const fn permissions(self) -> Permissions {
        use Permission::{Manage, Refund, See, SeeOrders, Steer};
        match self {
            Self::Owner => Permissions::of(&[See, SeeOrders, Refund, Steer, Manage]),
            Self::Operator => Permissions::of(&[See, SeeOrders, Steer]),
            Self::Support => Permissions::of(&[See, SeeOrders, Refund]),
            Self::ReadOnly => Permissions::of(&[See, SeeOrders]),
        }
    }

    /// Whether it may do this.
    #[must_use]
    pub const fn may(self, permission: Permission) -> bool {
        self.permissions().has(permission)
    }
}

words!(Role, "a role", {
    Owner = "owner",
    Operator = "operator",
    Support = "support",
    ReadOnly = "read_only",
});

/// What a key may do: something, and never [`Permission::Manage`]. A key that could make keys and operators would outlive
/// its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(Permissions);

impl Scopes {
    /// These, if a key may have them.
    ///
    /// # Errors
    /// A sentence when there are none, or when `manage` is among them.
    pub fn new(permissions: Permissions) -> Result<Self, String> {
        if Guard::KeyNeverManages.refuses(permissions.has(Permission::Manage)) {
            return Err("a key cannot manage operators and keys".to_owned());
        }
        if permissions == Permissions::default() {
            return Err("a key that may do nothing is of no use".to_owned());
        }
        Ok(Self(permissions))
    }

    /// As a set.
    #[must_use]
    pub fn permissions(self) -> Permissions {
        self.0
    }
}

impl FromStr for Scopes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text.parse()?)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_table_says_and_nothing_else() {
        use Permission::{Manage, Refund, See, SeeOrders, Steer};
        let expected = [
            (Role::Owner, [(See, true), (SeeOrders, true), (Refund, true), (Steer, true), (Manage, true)]),
            (Role::Operator, [(See, true), (SeeOrders, true), (Refund, false), (Steer, true), (Manage, false)]),
            (Role::Support, [(See, true), (SeeOrders, true), (Refund, true), (Steer, false), (Manage, false)]),
            (Role::ReadOnly, [(See, true), (SeeOrders, true), (Refund, false), (Steer, false), (Manage, false)]),
        ];
        assert_eq!(expected.map(|(role, _)| role), Role::ALL);
        for (role, row) in expected {
            assert_eq!(row.map(|(permission, _)| permission), Permission::ALL);
            for (permission, may) in row {
                assert_eq!(role.may(permission), may, "{role} {permission}");
                assert_eq!(role.permissions().iter().any(|one| one == permission), may, "{role} {permission}");
            }
        }
    }

    #[test]
    fn a_key_never_manages_and_may_do_something() {
        for wrong in ["manage", "see,manage", "manage,see", "", ",", "everything", "See", "see;refund"] {
            assert!(wrong.parse::<Scopes>().is_err(), "{wrong:?}");
        }
        let scopes: Scopes = " refund, see ,refund".parse().unwrap();
        assert_eq!(scopes.to_string(), "see,refund");
        assert!(scopes.permissions().has(Permission::Refund) && !scopes.permissions().has(Permission::SeeOrders));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert!(Role::ALL.iter().all(|role| role.as_str().parse() == Ok(*role)));
        assert!(Permission::ALL.iter().all(|permission| permission.as_str().parse() == Ok(*permission)));
        assert!("Owner".parse::<Role>().is_err() && "root".parse::<Role>().is_err());
        assert_eq!(
            serde_json::to_value(Role::Support.permissions()).unwrap().to_string(),
            r#"["see","see_orders","refund"]"#
        );
    }
}
