//! What an address may do, it may do at all doors together.

use serde_json::json;
use tests::harness::client::post;
use tests::harness::fleet::Fleet;

#[tokio::test]
async fn who_goes_from_one_web_process_to_the_next_is_counted_by_both() {
    let fleet = Fleet::start(&[("LIMIT_LOOPBACK", "true")]).await;
    let mut sessions = 0;
    for n in 0..150 {
        let (status, body) =
            post(&format!("{}/api/session", fleet.url(n % 2)), None, &json!({})).await.expect("a shop");
        assert!(status == 200 || (status == 429 && body["code"] == "slow_down"), "{status} {body}");
        sessions += u32::from(status == 200);
    }
    // A burst of 60, a quarter of one more at each of the two doors, and what comes due meanwhile.
    assert!((60..=95).contains(&sessions), "{sessions} sessions");
}
