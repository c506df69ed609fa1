-- The trail of access is append-only, as the audit trail is.
CREATE TRIGGER access_audit_is_never_changed BEFORE UPDATE ON access_audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
CREATE TRIGGER access_audit_is_never_removed BEFORE DELETE ON access_audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
