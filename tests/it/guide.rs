//! The receiver's guide: its examples run, and what it says is sent is sent.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::PgPool;
use transak_relay::http;
use transak_relay::sandbox::receiver::Arrival;
use transak_relay::store::pool::MIGRATOR;

use crate::world::{World, order};

const GUIDE: &str = include_str!("../../docs/receiving.md");

/// The example in this language that holds this text.
fn example(language: &str, holds: &str) -> &'static str {
    let blocks = GUIDE.split("```").skip(1).step_by(2);
    let codes = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    codes
        .into_iter()
        .find(|code| code.contains(holds))
        .unwrap_or_else(|| panic!("no {language} with {holds}"))
}

/// A callback as it arrived, the secret it was signed with, and copies of it that are not what was signed.
async fn cases(pool: PgPool, format: &str) -> (Arrival, Vec<Value>) {
    let mut world = World::new(pool).await;
    let settings = json!({ "signatures": ["v1", "v1a"], "format": format });
    let (receiver, endpoint) = world.endpoint(settings).await;
    let message = world.signed(&order("o1", "COMPLETED", 1));
    world.hear(&message).await;
    world.dispatcher.drain().await.unwrap();
    let arrival = receiver.arrivals().remove(0);
    let text = |name: &str| arrival.headers[name].to_str().unwrap().to_owned();
    let headers: serde_json::Map<String, Value> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .into_iter()
        .map(|name| (name.to_owned(), text(name).into()))
        .collect();
    let body = String::from_utf8(arrival.body.to_vec()).unwrap();
    let good = json!({ "secret": endpoint["secret"], "publicKey": endpoint["publicKey"], "headers": headers, "body": body });
    let with = |pointer: &str, value: Value| {
        let mut case = good.clone();
        *case.pointer_mut(pointer).unwrap() = value;
        case
    };
    let others = [
        with("/body", body.replace("COMPLETED", "REFUNDED").into()),
        with("/headers/webhook-id", "evt_other".into()),
        with("/headers/webhook-timestamp", "1".into()),
        with("/secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
    ];
    let cases = [vec![good.clone()], others.to_vec()].concat();
    (arrival, cases)
}

/// What a program says of the cases that it is given.
fn said(program: &str, arguments: &[&str], cases: &[Value]) -> Vec<String> {
    let mut command = Command::new(program);
    let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{error}: this test needs {program}"));
    child.stdin.take().unwrap().write_all(json!(cases).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

const EXPECTED: [&str; 5] = ["verified", "refused", "refused", "refused", "refused"];

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_python_example_verifies_a_callback_and_nothing_else(pool: PgPool) {
    let (_, cases) = cases(pool, "standard").await;
    let code = example("python", "def verify").to_owned()
        + "\nimport json, sys\nfor case in json.load(sys.stdin):\n    \
           good = verify(case['secret'], case['headers'], case['body'].encode())\n    \
           print('verified' if good else 'refused')\n";
    assert_eq!(said("python3", &["-c", &code], &cases), EXPECTED);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_node_examples_verify_a_callback_and_nothing_else(pool: PgPool) {
    let (_, cases) = cases(pool, "standard").await;
    let read =
        "import { readFileSync } from 'node:fs';\nfor (const one of JSON.parse(readFileSync(0, 'utf8')))\n";
    let code = format!(
        "{}\n{read} console.log(verify(one.secret, one.headers, one.body) ? 'verified' : 'refused');",
        example("js", "function verify(")
    );
    assert_eq!(said("node", &["--input-type=module", "-e", &code], &cases), EXPECTED);
    let code = format!(
        "{}\n{read} console.log(verifyV1a(one.publicKey, one.headers, one.body) ? 'verified' : 'refused');",
        example("js", "function verifyV1a(")
    );
    // A public key knows nothing of the secret.
    assert_eq!(said("node", &["--input-type=module", "-e", &code], &cases[..4]), EXPECTED[..4]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_shell_example_verifies_a_callback_and_nothing_else(pool: PgPool) {
    let (_, cases) = cases(pool, "standard").await;
    let folder = tempfile::tempdir().unwrap();
    let verdicts = cases.iter().map(|case| {
        std::fs::write(folder.path().join("body"), case["body"].as_str().unwrap()).unwrap();
        let text = |pointer: &str| case.pointer(pointer).unwrap().as_str().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", example("sh", "openssl dgst")]).current_dir(folder.path());
        command.env("SECRET", text("/secret")).env("ID", text("/headers/webhook-id"));
        command
            .env("STAMP", text("/headers/webhook-timestamp"))
            .env("GIVEN", text("/headers/webhook-signature"));
        String::from_utf8(command.output().expect("this test needs openssl").stdout)
            .unwrap()
            .trim()
            .to_owned()
    });
    assert_eq!(verdicts.collect::<Vec<_>>(), EXPECTED);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_arrives_in_either_format_is_what_the_document_describes(pool: PgPool) {
    let (standard, _) = cases(pool, "standard").await;
    let document = serde_json::to_value(http::openapi()).unwrap();
    let described = &document["webhooks"]["event"]["post"];
    for parameter in described["parameters"].as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        assert!(standard.headers.contains_key(name), "{name} is described and not sent");
    }
    let body: Value = serde_json::from_slice(&standard.body).unwrap();
    let schema =
        json!({ "$ref": "#/components/schemas/StandardCallback", "components": document["components"] });
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&body), "{body}");
    assert!(!validator.is_valid(&json!({ "data": "x" })));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_format_transak_is_what_the_document_describes(pool: PgPool) {
    let (arrival, _) = cases(pool, "transak").await;
    let document = serde_json::to_value(http::openapi()).unwrap();
    let schema =
        json!({ "$ref": "#/components/schemas/TransakCallback", "components": document["components"] });
    let body: Value = serde_json::from_slice(&arrival.body).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&body), "{body}");
}

#[test]
fn every_event_and_status_has_its_word_in_the_guide() {
    use transak_relay::model::endpoint::{EVENTS, STATUSES};
    let missing: Vec<_> = EVENTS
        .iter()
        .chain(&STATUSES)
        .filter(|name| **name != "relay.test" && !GUIDE.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
