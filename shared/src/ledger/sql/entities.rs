//! The tables as SeaORM sees them, column by column; `migrations/` says why each is there.
#![expect(unreachable_pub, reason = "the entity macro makes public items, whoever may reach their module")]

pub(super) mod sales {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "sales")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub slug: String,
        pub position: i64,
        pub name: String,
        pub currency: String,
        pub opens_at: i64,
        pub closes_at: Option<i64>,
        pub hold_ms: i64,
        pub paused: bool,
        pub epoch: i64,
        pub stock_run: Option<String>,
        pub accepted: i64,
        pub finished: i64,
        pub created_at: i64,
        pub late: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod tiers {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "tiers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sale: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub position: i32,
        pub name: String,
        pub amount: i64,
        pub capacity: i32,
        pub committed: i32,
        pub returned: i32,
        pub max_per_customer: Option<i32>,
        pub opens_at: Option<i64>,
        pub closes_at: Option<i64>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod customers {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "customers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub created_at: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod orders {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "orders")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub customer: Uuid,
        pub sale: String,
        pub hold: Uuid,
        pub amount: i64,
        pub currency: String,
        pub email: String,
        pub email_key: String,
        pub name: String,
        pub state: String,
        pub version: i64,
        pub attempt: i32,
        pub queue_number: i64,
        pub payment_intent: Option<String>,
        pub charge: Option<String>,
        pub client_secret: Option<String>,
        pub decline_class: Option<String>,
        pub decline_may_retry: Option<bool>,
        pub decline_raw: Option<String>,
        pub closing_from: Option<String>,
        pub closing_to: Option<String>,
        pub review: Option<String>,
        pub expires_at: Option<i64>,
        pub think_ms: i64,
        pub refunded: i64,
        pub refunding: i64,
        pub accepted_at: i64,
        pub updated_at: i64,
        pub session: Option<String>,
        pub session_url: Option<String>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod order_items {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "order_items")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub order_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: i32,
        pub tier: String,
        pub quantity: i32,
        pub amount: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod attempts {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "attempts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub order_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        pub token: String,
        pub state: String,
        pub request_path: Option<String>,
        pub request_body: Option<String>,
        pub request_version: Option<String>,
        pub first_sent_at: Option<i64>,
        pub payment_intent: Option<String>,
        pub note: Option<String>,
    }

    impl std::fmt::Debug for Model {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "attempts::Model({} #{}, token and request not shown)", self.order_id, self.number)
        }
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod tickets {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "tickets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub order_id: Uuid,
        pub position: i32,
        pub tier: String,
        pub code: String,
        pub voided_by: Option<Uuid>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod refunds {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "refunds")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub order_id: Uuid,
        pub payment_intent: String,
        pub amount: i64,
        pub currency: String,
        pub reason: String,
        pub request: Option<Uuid>,
        pub asked: String,
        pub note: Option<String>,
        pub restock: bool,
        pub spent_keys: i32,
        pub ask_at: i64,
        pub state: String,
        pub stripe_id: Option<String>,
        pub created_at: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod audit {
    use sea_orm::entity::prelude::*;

    /// Without the column `sequence`, which the database fills in, and which only orders the lines.
    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "audit")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub order_id: Option<Uuid>,
        pub sale: String,
        pub at: i64,
        pub what: String,
        pub attempt: Option<i32>,
        pub version: Option<i64>,
        pub note: Option<String>,
        pub who: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod inbox {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "inbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub received_at: i64,
        pub body: String,
        pub handled: bool,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod outbox {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub kind: String,
        pub order_id: Uuid,
        pub created_at: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod unmatched {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "unmatched")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub payment_intent: String,
        pub order_id: Uuid,
        pub reason: String,
        pub amount: i64,
        pub currency: String,
        pub noticed_at: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod bookmarks {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, Default, DeriveEntityModel)]
    #[sea_orm(table_name = "bookmarks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub place: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
