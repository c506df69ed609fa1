-- The ledger's tables. One text for SQLite and PostgreSQL; only {sequence} and {by_key} differ.
--
-- Times are BIGINT milliseconds since 1970, by the ledger's clock: one representation in both databases, without
-- time zones to convert. Money is BIGINT in the currency's minor unit. Words (states, classes) are TEXT under a named
-- CHECK, so that a row which no version of the program could have meant is refused by the database itself, under a
-- name that says what was wrong. UUID columns hold 16 bytes in both (SQLite keeps the blob as it is).
--
-- Every guard that the program's own decision could have got wrong stands here once more: no tier is sold above its
-- capacity, no hold serves two orders, no token is charged twice, no mistaken payment goes back twice,
-- and no order gives back more than it was paid.

-- What is sold, and from when to when.
CREATE TABLE sales (
    -- The name in addresses. It never changes, so other tables refer to it.
    slug TEXT NOT NULL CONSTRAINT sales_pk PRIMARY KEY,
    -- Order of creation: several sales can be made within one millisecond.
    position BIGINT NOT NULL CONSTRAINT sales_position_is_unique UNIQUE,
    name TEXT NOT NULL,
    -- ISO 4217 in lower case. One per sale: amounts of one basket can be added up.
    currency TEXT NOT NULL CONSTRAINT sales_currency_is_a_code CHECK (length(currency) = 3),
    opens_at BIGINT NOT NULL,
    -- May lie before opens_at: an operator can close a sale before it ever opened.
    closes_at BIGINT,
    hold_ms BIGINT NOT NULL CONSTRAINT sales_hold_has_a_length CHECK (hold_ms > 0),
    paused BOOLEAN NOT NULL,
    -- Grows whenever the stock is rebuilt from here; an accept compares it inside its transaction.
    epoch BIGINT NOT NULL CONSTRAINT sales_epoch_counts_up CHECK (epoch >= 0),
    -- Which run of the stock's store was last filled from this ledger; NULL until one was.
    stock_run TEXT,
    -- For the place in the queue: charges that were ever owed, and those that are owed no longer.
    accepted BIGINT NOT NULL,
    finished BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT sales_finish_only_what_they_accepted CHECK (finished BETWEEN 0 AND accepted)
);

-- Price categories, and the count that makes overselling impossible.
CREATE TABLE tiers (
    sale TEXT NOT NULL CONSTRAINT tiers_belong_to_a_sale REFERENCES sales (slug),
    -- The order in which they are shown.
    position INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT tiers_price_is_not_negative CHECK (amount >= 0),
    capacity INTEGER NOT NULL,
    -- Units of every order that is not expired or canceled; moves in the transaction that moves the order.
    committed INTEGER NOT NULL,
    -- Units of refunded tickets that may be sold again: paid once, and not committed any more. It only grows, so that
    -- the stock can be told the number again and again.
    returned INTEGER NOT NULL CONSTRAINT tiers_returned_is_not_negative CHECK (returned >= 0),
    max_per_customer INTEGER CONSTRAINT tiers_limit_is_positive CHECK (max_per_customer > 0),
    opens_at BIGINT,
    closes_at BIGINT,
    CONSTRAINT tiers_pk PRIMARY KEY (sale, id),
    -- The last word on overselling, whatever the stock or the program believed.
    CONSTRAINT tiers_never_oversell CHECK (committed BETWEEN 0 AND capacity)
);

-- Shoppers, born with their first order: a visitor who buys nothing leaves no row.
CREATE TABLE customers (
    id UUID NOT NULL CONSTRAINT customers_pk PRIMARY KEY,
    created_at BIGINT NOT NULL
){by_key};

-- Purchases that were accepted.
CREATE TABLE orders (
    -- Made by the page before it sends, so that sending again finds this row.
    id UUID NOT NULL CONSTRAINT orders_pk PRIMARY KEY,
    customer UUID NOT NULL CONSTRAINT orders_belong_to_a_customer REFERENCES customers (id),
    sale TEXT NOT NULL CONSTRAINT orders_belong_to_a_sale REFERENCES sales (slug),
    -- Stock that was held once is sold once.
    hold UUID NOT NULL CONSTRAINT orders_one_per_hold UNIQUE,
    -- The total of the items, frozen with the hold; and its currency, which a sale never changes, but which an order
    -- should be able to tell on its own.
    amount BIGINT NOT NULL CONSTRAINT orders_amount_is_not_negative CHECK (amount >= 0),
    currency TEXT NOT NULL CONSTRAINT orders_currency_is_a_code CHECK (length(currency) = 3),
    email TEXT NOT NULL,
    -- The normalised address: what the limit per customer counts by, next to the customer.
    email_key TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CONSTRAINT orders_state_is_known CHECK (state IN ('accepted', 'charging', 'requires_action',
        'declined', 'closing', 'review', 'paid', 'expired', 'canceled')),
    -- Grows by one per change; every write compares it with the version it read.
    version BIGINT NOT NULL CONSTRAINT orders_version_counts_up CHECK (version > 0),
    attempt INTEGER NOT NULL CONSTRAINT orders_attempt_counts_from_one CHECK (attempt > 0),
    queue_number BIGINT NOT NULL,
    payment_intent TEXT,
    charge TEXT,
    -- Only while strong authentication is asked for.
    client_secret TEXT,
    -- Why the current attempt was declined, and whether another card may be tried.
    decline_class TEXT,
    decline_may_retry BOOLEAN,
    decline_raw TEXT,
    -- While closing: where from and where to.
    closing_from TEXT,
    closing_to TEXT,
    review TEXT,
    -- When an order that waits for its buyer is closed; NULL while it waits for us.
    expires_at BIGINT,
    think_ms BIGINT NOT NULL,
    -- What has gone back on request, and what is on its way; the last word on giving back more than was paid.
    refunded BIGINT NOT NULL,
    refunding BIGINT NOT NULL,
    accepted_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT orders_give_back_what_was_paid CHECK (refunded >= 0 AND refunding >= 0
        AND refunded + refunding <= amount),
    CONSTRAINT orders_decline_is_whole CHECK ((decline_class IS NULL) = (decline_may_retry IS NULL)),
    CONSTRAINT orders_closing_knows_its_ends CHECK ((state = 'closing') = (closing_to IS NOT NULL)
        AND (closing_to IS NULL) = (closing_from IS NULL))
);
-- A room's snapshot: a customer's orders, the newest first. Also the limit per customer.
CREATE INDEX orders_of_customer ON orders (customer, accepted_at);
-- The limit per mail address. The address first: with the sale in front, a planner without statistics would look up
-- a whole sale. Nothing else asks for all orders of a sale but a rebuild of the stock, which may read the table.
CREATE INDEX orders_of_address ON orders (email_key, sale);
-- What the sweep looks for. Partial: of a sale that is over, nothing is left in it.
CREATE INDEX orders_open ON orders (state, updated_at) WHERE state NOT IN ('paid', 'expired', 'canceled');
-- Buyers whose time is over.
CREATE INDEX orders_due ON orders (expires_at) WHERE expires_at IS NOT NULL;

-- What was bought, at the prices of the hold.
CREATE TABLE order_items (
    order_id UUID NOT NULL CONSTRAINT order_items_belong_to_an_order REFERENCES orders (id),
    -- The basket's order, as the buyer saw it.
    position INTEGER NOT NULL,
    tier TEXT NOT NULL,
    quantity INTEGER NOT NULL CONSTRAINT order_items_quantity_is_positive CHECK (quantity > 0),
    amount BIGINT NOT NULL CONSTRAINT order_items_price_is_not_negative CHECK (amount >= 0),
    CONSTRAINT order_items_pk PRIMARY KEY (order_id, position)
){by_key};

-- Tries at charging. The idempotency key at Stripe follows from the primary key.
CREATE TABLE attempts (
    order_id UUID NOT NULL CONSTRAINT attempts_belong_to_an_order REFERENCES orders (id),
    number INTEGER NOT NULL CONSTRAINT attempts_count_from_one CHECK (number > 0),
    token TEXT NOT NULL,
    state TEXT NOT NULL CONSTRAINT attempts_state_is_known CHECK (state IN ('owed', 'sent', 'waiting', 'succeeded',
        'failed', 'stuck')),
    -- The exact request, stored before its first sending; a retry sends these bytes.
    request_path TEXT,
    request_body TEXT,
    request_version TEXT,
    first_sent_at BIGINT,
    payment_intent TEXT,
    note TEXT,
    CONSTRAINT attempts_pk PRIMARY KEY (order_id, number),
    -- A token that was tried is a repeat, never another try.
    CONSTRAINT attempts_one_per_token UNIQUE (order_id, token),
    CONSTRAINT attempts_request_is_whole CHECK ((request_path IS NULL) = (request_body IS NULL)
        AND (request_path IS NULL) = (request_version IS NULL)),
    CONSTRAINT attempts_send_what_is_stored CHECK (first_sent_at IS NULL OR request_body IS NOT NULL)
);

-- Money that goes back.
CREATE TABLE refunds (
    -- Its idempotency key at Stripe follows from it.
    id UUID NOT NULL CONSTRAINT refunds_pk PRIMARY KEY,
    order_id UUID NOT NULL CONSTRAINT refunds_belong_to_an_order REFERENCES orders (id),
    payment_intent TEXT NOT NULL,
    amount BIGINT NOT NULL CONSTRAINT refunds_amount_is_not_negative CHECK (amount >= 0),
    currency TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- Whoever asked for it, and what for: the same request again is this refund. NULL and empty for those that nobody
    -- asked for.
    request UUID CONSTRAINT refunds_one_per_request UNIQUE,
    asked TEXT NOT NULL,
    note TEXT,
    restock BOOLEAN NOT NULL,
    -- Keys under which Stripe has stored an answer that moved no money; the next one has this number.
    spent_keys INTEGER NOT NULL CONSTRAINT refunds_spent_keys_count_up CHECK (spent_keys >= 0),
    -- When Stripe is asked next.
    ask_at BIGINT NOT NULL,
    state TEXT NOT NULL CONSTRAINT refunds_state_is_known CHECK (state IN ('owed', 'pending', 'succeeded', 'failed')),
    -- One row per refund at Stripe, whoever made it.
    stripe_id TEXT CONSTRAINT refunds_one_per_refund_at_stripe UNIQUE,
    created_at BIGINT NOT NULL
);
CREATE INDEX refunds_of_payment_intent ON refunds (payment_intent);
-- Money that came by mistake goes back once.
CREATE UNIQUE INDEX refunds_of_mistakes_go_once ON refunds (payment_intent)
    WHERE reason IN ('paid_late', 'paid_twice', 'amount_differs');
CREATE INDEX refunds_of_order ON refunds (order_id);
-- What the sweep looks for.
CREATE INDEX refunds_open ON refunds (ask_at, id) WHERE state IN ('owed', 'pending');

-- Admissions, issued in the transaction that made their order paid.
CREATE TABLE tickets (
    id UUID NOT NULL CONSTRAINT tickets_pk PRIMARY KEY,
    order_id UUID NOT NULL CONSTRAINT tickets_belong_to_an_order REFERENCES orders (id),
    -- Issuing twice would collide here.
    position INTEGER NOT NULL,
    tier TEXT NOT NULL,
    -- What stands on the ticket; the door looks it up.
    code TEXT NOT NULL CONSTRAINT tickets_code_is_unique UNIQUE,
    -- Set while its price goes back or has gone back: the door lets nobody in on it.
    voided_by UUID CONSTRAINT tickets_are_voided_by_a_refund REFERENCES refunds (id),
    CONSTRAINT tickets_issued_once UNIQUE (order_id, position)
){by_key};

-- What happened, line by line. Append-only: triggers refuse UPDATE and DELETE. No foreign keys: a line stays true
-- even if what it speaks of were removed by hand.
CREATE TABLE audit (
    -- The order of the lines; several can be written within one millisecond.
    sequence {sequence},
    id UUID NOT NULL,
    order_id UUID,
    sale TEXT NOT NULL,
    at BIGINT NOT NULL,
    what TEXT NOT NULL,
    attempt INTEGER,
    version BIGINT,
    note TEXT,
    who TEXT NOT NULL
);
CREATE INDEX audit_of_order ON audit (order_id, sequence);
CREATE INDEX audit_of_sale ON audit (sale, sequence) WHERE order_id IS NULL;

-- Webhook events, raw, stored before they are answered. Stripe sends again; the primary key makes that harmless.
CREATE TABLE inbox (
    id TEXT NOT NULL CONSTRAINT inbox_pk PRIMARY KEY,
    received_at BIGINT NOT NULL,
    body TEXT NOT NULL,
    handled BOOLEAN NOT NULL
);
CREATE INDEX inbox_unhandled ON inbox (received_at, id) WHERE NOT handled;

-- What is owed to the outside, written in the same transaction as its cause, removed when done.
CREATE TABLE outbox (
    -- Of version 7: the oldest comes first.
    id UUID NOT NULL CONSTRAINT outbox_pk PRIMARY KEY,
    kind TEXT NOT NULL,
    order_id UUID NOT NULL CONSTRAINT outbox_belongs_to_an_order REFERENCES orders (id),
    created_at BIGINT NOT NULL
){by_key};
