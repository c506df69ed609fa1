//! What a server was asked, as it tells it itself: every call of a script, and every key that the script touched.

use futures::StreamExt as _;
use tests::harness::redis::Redis;

/// One call of a script.
#[derive(Clone, Debug)]
pub(super) struct ScriptCall {
    pub(super) sha: String,
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<String>,
    /// Keys of the commands that it gave.
    pub(super) touched: Vec<String>,
}

impl ScriptCall {
    /// Makes the call again.
    pub(super) async fn repeat(
        &self,
        redis: &mut redis::aio::MultiplexedConnection,
    ) -> redis::RedisResult<redis::Value> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.sha).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command.query_async(redis).await
    }
}

/// Every call of a script that the server gets while something is done.
pub(super) async fn calls_during(redis: &Redis, work: impl Future<Output = ()>) -> Vec<ScriptCall> {
    const END: &str = "this is the end of it";
    let client = redis::Client::open(redis.url()).unwrap();
    let mut lines = client.get_async_monitor().await.unwrap().into_on_message::<String>();
    let reader = tokio::spawn(async move {
        let mut calls: Vec<ScriptCall> = Vec::new();
        let mut in_call = false;
        while let Some(line) = lines.next().await {
            let words = words(&line);
            let name = words.first().map(String::as_str).unwrap_or_default();
            if name == "ECHO" && words[1] == END {
                break;
            } else if line.contains(" lua] ") {
                if let Some(call) = calls.last_mut().filter(|_| in_call) {
                    call.touched.extend(keys_of(&words));
                }
            } else {
                in_call = name == "EVALSHA";
                if in_call {
                    let (keys, arguments) = words[3..].split_at(words[2].parse().unwrap());
                    let (keys, arguments) = (keys.to_vec(), arguments.to_vec());
                    calls.push(ScriptCall { sha: words[1].clone(), keys, arguments, touched: Vec::new() });
                }
            }
        }
        // One that did nothing was not known to the server yet, and came again.
        calls.retain(|call| !call.touched.is_empty());
        calls
    });
    work.await;
    redis.ask(&["ECHO", END]).await;
    reader.await.unwrap()
}

/// Which words of a command are keys.
fn keys_of(words: &[String]) -> Vec<String> {
    let keys = match words[0].as_str() {
        "TIME" => &words[..0],
        "UNLINK" | "RENAME" => &words[1..],
        _ => &words[1..2],
    };
    keys.to_vec()
}

/// The words of a line such as `1700000000.5 [0 lua] "HSET" "key" "a \"quoted\" word"`.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut letters = line.split_once("] ").map_or("", |(_, rest)| rest).chars();
    while letters.by_ref().any(|letter| letter == '"') {
        let mut word = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '"' => break,
                '\\' => word.extend(letters.next()),
                _ => word.push(letter),
            }
        }
        found.push(word);
    }
    found
}

#[test]
fn a_line_of_the_monitor_is_read_word_by_word() {
    let line = r#"1.5 [0 lua] "HSET" "a:{b}:c" "[{\"tier\":\"std\"}]" "back\\slash" """#;
    assert_eq!(words(line), ["HSET", "a:{b}:c", r#"[{"tier":"std"}]"#, r"back\slash", ""]);
    assert_eq!(words("+OK"), Vec::<String>::new());
}
