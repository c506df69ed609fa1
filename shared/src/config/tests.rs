//! Settings as they are read: defaults, refusals, and the sample file.

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let find = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    Settings::read(&find)
}

#[test]
fn no_setting_is_needed() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.bind.to_string(), "127.0.0.1:3000");
    assert_eq!(settings.sandbox.bind.to_string(), "127.0.0.1:12111");
    assert!(settings.stripe.is_none() && settings.stripe_rate.is_none() && settings.demo);
    assert_eq!(settings.worker_concurrency, None, "the budget decides");
    assert_eq!(settings.metrics_bind, None, "a worker listens nowhere unless it is told to");
}

#[test]
fn the_sample_file_has_every_setting_and_no_other() {
    let sample = include_str!("../../../.env.sample");
    let listed = sample.lines().filter_map(|line| line.strip_prefix('#')?.split_once('=')).map(|(name, _)| name);
    let mut listed: Vec<&str> = listed.filter(|name| !name.contains(' ')).collect();
    let mut known: Vec<&str> = SETTINGS.iter().map(|(name, ..)| *name).collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[test]
fn a_wrong_value_names_its_variable_and_all_are_told_at_once() {
    let wrong = read(&[
        ("BIND", "here"),
        ("DATABASE_URL", "mysql://x"),
        ("SESSION_SECRET", "short"),
        ("OPERATOR_KEY", "short"),
        ("WORKER_CONCURRENCY", "0"),
        ("METRICS_BIND", "9464"),
        ("STRIPE_SECRET_KEY", "sk_test_x"),
        ("LOG_FORMAT", "xml"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("TRUSTED_PROXIES", "10.0.0.1,proxy"),
    ]);
    let SettingsError(sentences) = wrong.unwrap_err();
    for name in [
        "BIND",
        "DATABASE_URL",
        "SESSION_SECRET",
        "OPERATOR_KEY",
        "WORKER_CONCURRENCY",
        "METRICS_BIND",
        "STRIPE_PUBLISHABLE_KEY",
        "LOG_FORMAT",
        "OTEL_TRACES_SAMPLER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "TRUSTED_PROXIES",
    ] {
        assert!(sentences.iter().any(|sentence| sentence.contains(name)), "{name} in {sentences:?}");
    }
}

#[test]
fn keys_turn_to_the_real_stripe_at_its_default_rate_and_are_not_shown() {
    let settings = read(&[("STRIPE_SECRET_KEY", "sk_live_abc"), ("STRIPE_PUBLISHABLE_KEY", "pk_live_abc")]).unwrap();
    assert_eq!(settings.stripe_rate, Some(25));
    assert!(!format!("{settings:?}").contains("sk_live_abc"));
    assert!(read(&[("STRIPE_SECRET_KEY", "pk_live_abc"), ("STRIPE_PUBLISHABLE_KEY", "pk_live_abc")]).is_err());
}
