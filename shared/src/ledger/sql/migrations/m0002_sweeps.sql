-- What the sweep remembers from one round, and one process, to the next.

-- Where a part of the sweep has come to, in its own words.
CREATE TABLE bookmarks (
    name TEXT NOT NULL CONSTRAINT bookmarks_pk PRIMARY KEY,
    place TEXT NOT NULL
);

-- Payments that ledger and Stripe disagree about: for a person, and gone when they agree.
CREATE TABLE unmatched (
    payment_intent TEXT NOT NULL CONSTRAINT unmatched_pk PRIMARY KEY,
    -- No foreign key: that the ledger does not know the order may be what is wrong.
    order_id UUID NOT NULL,
    reason TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    noticed_at BIGINT NOT NULL
);

-- What was paid lately, for the comparison with Stripe.
CREATE INDEX orders_paid ON orders (updated_at, id) WHERE state = 'paid';
-- What the inbox may forget.
CREATE INDEX inbox_handled ON inbox (received_at, id) WHERE handled;
