-- Who may steer the shop. What is here opens nothing: passwords are argon2id hashes, cookies and keys SHA-256 of 256
-- random bits.

CREATE TABLE operators (
    -- A name may be given to somebody else later; this may not.
    id UUID NOT NULL CONSTRAINT operators_pk PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT operators_name_is_unique UNIQUE,
    role TEXT NOT NULL
        CONSTRAINT operators_role_is_known CHECK (role IN ('owner', 'operator', 'support', 'read_only')),
    -- A PHC string, which names its own parameters. A password itself is not one.
    password TEXT NOT NULL CONSTRAINT operators_password_is_hashed CHECK (password LIKE '$argon2id$%'),
    -- Grows with each change of role or password; sessions of an earlier version are not good.
    version BIGINT NOT NULL CONSTRAINT operators_version_counts_up CHECK (version >= 1),
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- Browsers that are logged in.
CREATE TABLE operator_sessions (
    -- SHA-256 of the cookie, in hexadecimal digits.
    digest TEXT NOT NULL CONSTRAINT operator_sessions_pk PRIMARY KEY
        CONSTRAINT operator_sessions_are_hashed CHECK (length(digest) = 64),
    operator UUID NOT NULL
        CONSTRAINT operator_sessions_belong_to_an_operator REFERENCES operators (id) ON DELETE CASCADE,
    -- The operator's, when they logged in.
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX operator_sessions_of_operator ON operator_sessions (operator);

-- Machines.
CREATE TABLE access_keys (
    id UUID NOT NULL CONSTRAINT access_keys_pk PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT access_keys_name_is_unique UNIQUE,
    -- SHA-256 of the key, in hexadecimal digits.
    digest TEXT NOT NULL CONSTRAINT access_keys_digest_is_unique UNIQUE
        CONSTRAINT access_keys_are_hashed CHECK (length(digest) = 64),
    -- Words with commas between them. A key that could make keys would outlive its own end.
    scopes TEXT NOT NULL
        CONSTRAINT access_keys_never_manage CHECK (length(scopes) > 0 AND scopes NOT LIKE '%manage%'),
    created_at BIGINT NOT NULL,
    last_used BIGINT
);

-- What was changed about access, by whom and from where; append-only.
CREATE TABLE access_audit (
    sequence {sequence},
    at BIGINT NOT NULL,
    what TEXT NOT NULL,
    who TEXT NOT NULL,
    whom TEXT,
    address TEXT,
    note TEXT
);
