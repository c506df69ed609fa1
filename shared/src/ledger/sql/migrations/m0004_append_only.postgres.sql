-- The trail of access is append-only, as the audit trail is, and by the same function.
CREATE TRIGGER access_audit_is_never_changed BEFORE UPDATE OR DELETE ON access_audit
    FOR EACH ROW EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER access_audit_is_never_truncated BEFORE TRUNCATE ON access_audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();
