//! What we sign is verified by the libraries receivers use: the official Standard Webhooks library from `PyPI`, and
//! `jsonwebtoken` from npm as Transak's guide calls it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::{TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use transak_relay::model::id::EventId;
use transak_relay::model::signing::{
    Ed25519Key, EndpointSecret, Keys, Message, Retired, Signer, standard_body, transak_body,
};

const ORDER: &str = r#"{"id":"9151faa1-e69b-4a36-b959-3c4f894afb68","status":"COMPLETED","fiatAmount":45.10,
    "cryptoAmount":0.01788752,"walletLink":"https://example.com/?a=b&c=\u00e9","statusHistories":[]}"#;

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official_clients")
}

/// Runs a command to its end, `input` on its standard input, and answers its lines.
fn run(command: &mut Command, install: &str, input: &Value) -> Vec<String> {
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = started.unwrap_or_else(|error| panic!("{error}: this test needs {install} on the PATH"));
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed ({}); it needs {install}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn official_standardwebhooks(cases: &Value) -> Vec<String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standardwebhooks");
    let python = venv.join("bin/python");
    if !python.exists() {
        run(
            Command::new("python3").args(["-m", "venv"]).arg(&venv),
            "python3 with its venv module",
            &Value::Null,
        );
    }
    let requirements = clients().join("standardwebhooks/requirements.txt");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements);
    run(&mut pip, "PyPI within reach, once", &Value::Null);
    run(Command::new(&python).arg(clients().join("verify_standardwebhooks.py")), "python3", cases)
}

fn npm_jsonwebtoken(cases: &Value) -> Vec<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("jsonwebtoken");
    fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(clients().join("jsonwebtoken").join(file), folder.join(file)).unwrap();
    }
    if !folder.join("node_modules/jsonwebtoken").exists() {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder);
        run(&mut npm, "npm, and its registry within reach, once", &Value::Null);
    }
    run(Command::new("node").arg(clients().join("verify_transak.mjs")).arg(folder), "node", cases)
}

/// A signed callback as the official library takes it.
fn callback(signer: &Signer, secret: &EndpointSecret, at: chrono::DateTime<Utc>) -> Value {
    let body = standard_body("ORDER_COMPLETED", at, ORDER.as_bytes());
    let headers = signer.headers(&Message { id: EventId::new(), at, body: &body });
    let headers =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().into()));
    json!({
        "secret": secret.expose().expose_secret(),
        "headers": headers.collect::<serde_json::Map<String, Value>>(),
        "body": std::str::from_utf8(&body).unwrap(),
    })
}

#[test]
fn the_official_standard_webhooks_library_verifies_what_is_signed_and_nothing_else() {
    let now = Utc::now();
    let (current, old, older) =
        (EndpointSecret::generate(), EndpointSecret::generate(), EndpointSecret::generate());
    let retired = vec![
        Retired { key: old.clone(), until: now + TimeDelta::seconds(60) },
        Retired { key: older.clone(), until: now - TimeDelta::seconds(1) },
    ];
    let pair = Keys { current: Ed25519Key::generate(), retired: vec![] };
    let signer = Signer { v1: Some(Keys { current: current.clone(), retired }), v1a: Some(pair) };
    let good = callback(&signer, &current, now);
    let with = |field: &str, value: &str| {
        let mut case = good.clone();
        *case.pointer_mut(field).unwrap() = value.into();
        case
    };
    let body = good["body"].as_str().unwrap().replace("45.10", "45.1");
    let cases = json!([
        good,
        callback(&signer, &old, now),
        callback(&signer, &older, now),
        callback(&signer, &EndpointSecret::generate(), now),
        with("/body", &body),
        with("/headers/webhook-id", &EventId::new().to_string()),
        with("/headers/webhook-timestamp", &(now.timestamp() - 1).to_string()),
        callback(&signer, &current, now - TimeDelta::seconds(301)),
    ]);
    let no_match = "refused: No matching signature found";
    let too_old = "refused: Message timestamp too old";
    let expected = ["verified", "verified", no_match, no_match, no_match, no_match, no_match, too_old];
    assert_eq!(official_standardwebhooks(&cases), expected);
}

/// The official library knows no `v1a` yet and passes over it, as the first test shows; Node's cryptography knows Ed25519.
#[test]
fn the_example_of_the_documents_verifies_v1a_with_the_public_key_and_nothing_else() {
    let now = Utc::now();
    let [current, old, older, strange] = std::array::from_fn(|_| Ed25519Key::generate());
    let keys = [current.public(), old.public(), older.public(), strange.public()];
    let retired = vec![
        Retired { key: old, until: now + TimeDelta::seconds(60) },
        Retired { key: older, until: now - TimeDelta::seconds(1) },
    ];
    let signer = Signer { v1: None, v1a: Some(Keys { current, retired }) };
    let secret = EndpointSecret::generate();
    let case = |at, key: &String| {
        let mut case = callback(&signer, &secret, at);
        case["publicKey"] = key.as_str().into();
        case
    };
    let mut cases: Vec<Value> = keys.iter().map(|key| case(now, key)).collect();
    let mut changed = case(now, &keys[0]);
    changed["body"] = changed["body"].as_str().unwrap().replace("45.10", "45.1").into();
    cases.extend([changed, case(now - TimeDelta::seconds(301), &keys[0])]);
    let mut node = Command::new("node");
    node.arg(clients().join("verify_v1a.mjs"));
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receiving.md"));
    let said = run(&mut node, "node", &Value::Array(cases));
    assert_eq!(said, ["verified", "verified", "refused", "refused", "refused", "refused"]);
}

#[test]
fn transaks_own_call_verifies_the_format_transak_and_reads_the_same_claims() {
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJBUElfS0VZIjoiMSJ9.c2lnbmF0dXJl";
    let at = "2026-11-22T12:00:00.250Z".parse().unwrap();
    let body = transak_body(&token.to_owned().into(), "ORDER_COMPLETED", at, ORDER.as_bytes());
    let body = std::str::from_utf8(&body).unwrap();
    let forged = body.replace("\"}", "A\"}");
    let cases = json!([
        { "body": body, "accessToken": token },
        { "body": body, "accessToken": "another token" },
        { "body": forged, "accessToken": token },
    ]);
    let lines = npm_jsonwebtoken(&cases);
    let claims: Value = serde_json::from_str(&lines[0]).unwrap();
    let order: Value = serde_json::from_str(ORDER).unwrap();
    let expected = json!({ "webhookData": order, "eventID": "ORDER_COMPLETED", "createdAt": "2026-11-22T12:00:00.250Z" });
    assert_eq!(claims, expected);
    assert_eq!(lines[1..], ["refused: invalid signature", "refused: invalid signature"]);
}
