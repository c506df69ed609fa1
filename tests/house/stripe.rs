//! The page about Stripe names the events that the code uses, and the API version that it sends.

use shared::stripe::API_VERSION;
use shared::stripe::webhook::EVENT_TYPES;

use super::{expect_none, read};

/// Names of a list `- \`name\`` that look like types of events.
fn listed(page: &str) -> Vec<&str> {
    let items = page.lines().filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`'));
    items.filter(|name| name.contains('.')).collect()
}

#[test]
fn the_page_about_stripe_lists_the_events_that_the_code_uses() {
    let page = read("docs/STRIPE.md");
    let (mut told, mut used) = (listed(&page), EVENT_TYPES.to_vec());
    told.sort_unstable();
    used.sort_unstable();
    assert_eq!(told, used, "an endpoint in the dashboard is made by this list");
    let version = page.contains(&format!("`{API_VERSION}`"));
    expect_none(&if version { vec![] } else { vec![format!("docs/STRIPE.md does not name {API_VERSION}")] });
}

#[test]
fn a_list_of_events_is_found_and_nothing_else() {
    assert_eq!(listed("- `charge.failed`\n- `charge.failed`, too\n`charge.x`\n- `plain`\n"), ["charge.failed"]);
}
