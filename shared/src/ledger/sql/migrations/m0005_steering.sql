-- Who steers the shop says why, and the trail says what came of it.

-- The reason that was given; one line.
ALTER TABLE access_audit ADD COLUMN why TEXT;
-- Of a deed what came of it, as a machine word. NULL in lines about operators and keys, which tell of what is done.
ALTER TABLE access_audit ADD COLUMN result TEXT;

-- A line about units that were added bears the id of the request for them: who asks again finds it, and adds nothing.
CREATE UNIQUE INDEX audit_additions_come_once ON audit (id) WHERE what = 'stock_added';
