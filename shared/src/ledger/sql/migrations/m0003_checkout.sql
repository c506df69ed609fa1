-- Stripe's own payment page (hosted Checkout), and what a sale does with money that comes late.

-- The Checkout Session (cs_…) in which the order can be paid, until Stripe has said that it cannot.
ALTER TABLE orders ADD COLUMN session TEXT;
-- Where its page is, only while the buyer is to go there.
ALTER TABLE orders ADD COLUMN session_url TEXT;
-- Money for an order that had ended: fulfilled if the units are free, or given back whatever is free.
ALTER TABLE sales ADD COLUMN late TEXT NOT NULL DEFAULT 'fulfil'
    CONSTRAINT sales_late_is_known CHECK (late IN ('fulfil', 'refund'));
