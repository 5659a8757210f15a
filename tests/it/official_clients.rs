//! Pusher's official client judges the sandbox's Pusher server: what it accepts is the protocol.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use serde_json::{Value, json};
use tokio::process::Command;
use transak_relay::sandbox::lifecycle::{Ending, Journey, Lifecycle, Plan, Step};
use transak_relay::sandbox::{APP_KEY, Upstream, UpstreamSettings, signing};

const KEY: &str = "c4f1a5de-0000-4000-8000-5a6b7c8d9e0f";
const ADVICE: &str = "the official Pusher client needs node 18 or newer and npm: install them \
    (Debian, Ubuntu: apt-get install nodejs npm; macOS: brew install node)";

/// A folder under `target/` with the script and its dependencies.
static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official_clients");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("official_clients");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json", "pusher_js.mjs"] {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    let npm = std::process::Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"])
        .current_dir(&folder)
        .output();
    let npm = npm.expect(ADVICE);
    assert!(npm.status.success(), "npm ci failed: {}", String::from_utf8_lossy(&npm.stderr));
    folder
});

/// What the official client hears of an order's first step on the channel that `name` picks.
async fn heard(name: impl FnOnce(&Lifecycle) -> String) -> (Value, Step) {
    let upstream = Upstream::start_idle(UpstreamSettings::local(KEY, "token".into())).await.unwrap();
    let plan = Plan::new(Journey::Nft, Ending::Completed);
    let mut life = Lifecycle::new(plan, &mut fastrand::Rng::new());
    let (channel, addr) = (name(&life), upstream.pusher().addr());
    let client = Command::new("node")
        .arg(INSTALLED.join("pusher_js.mjs"))
        .args([&addr.ip().to_string(), &addr.port().to_string(), APP_KEY, &channel])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect(ADVICE);
    let ended = client.wait_with_output();
    let played = async {
        upstream.pusher().subscribed(&channel, 1).await;
        upstream.step(&mut life).await.unwrap().unwrap().0
    };
    tokio::pin!(ended, played);
    tokio::select! {
        early = &mut ended => panic!("it gave up: {}", String::from_utf8_lossy(&early.unwrap().stderr)),
        step = &mut played => {
            let output = ended.await.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            (serde_json::from_slice(&output.stdout).unwrap(), step)
        }
    }
}

#[tokio::test]
async fn pusher_js_receives_an_order_on_its_public_channel() {
    let (heard, step) = heard(|life| life.order_id().to_owned()).await;
    let order: Value = serde_json::from_str(&step.order.to_json()).unwrap();
    assert_eq!(heard, json!({ "event": "ORDER_CREATED", "data": order }));
}

#[tokio::test]
async fn pusher_js_receives_a_signed_order_on_the_channel_of_the_api_key() {
    let (heard, step) = heard(|_| KEY.to_owned()).await;
    let token = signing::sign(&"token".into(), &step.order.to_json()).unwrap();
    assert_eq!(heard, json!({ "event": "ORDER_CREATED", "data": token }));
}
