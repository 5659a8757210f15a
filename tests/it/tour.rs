//! README's tour, word by word: every command in it is run as it stands, and answers as shown.

use serde_json::Value;

use crate::dev::{Dev, folder, shell};

const README: &str = include_str!("../../README.md");

/// A fenced block of the tour: its language, and what is in it.
struct Block {
    language: &'static str,
    text: &'static str,
}

fn tour() -> Vec<Block> {
    let tour = README.split("## A tour of three minutes").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = tour.split("```").skip(1).step_by(2);
    blocks
        .map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            Block { language, text }
        })
        .collect()
}

/// What is shown must be answered: the same members, each of the same kind. `…` stands for what is left out.
fn compare(shown: &Value, answered: &Value, place: &str) {
    match (shown, answered) {
        (Value::Object(shown), Value::Object(answered)) => {
            for (name, value) in shown {
                let found =
                    answered.get(name).unwrap_or_else(|| panic!("{place}: no `{name}` in {answered:?}"));
                compare(value, found, &format!("{place}.{name}"));
            }
        }
        (Value::Array(shown), Value::Array(answered)) => {
            assert!(shown.len() <= answered.len(), "{place}: {answered:?}");
            for (shown, answered) in shown.iter().zip(answered) {
                compare(shown, answered, place);
            }
        }
        // Ids begin alike, and the words of closed sets are the same.
        (Value::String(shown), Value::String(answered)) => {
            let prefix = shown
                .split_once('_')
                .filter(|(prefix, _)| prefix.len() < 6 && prefix.chars().all(char::is_lowercase));
            let same = prefix.is_none_or(|(prefix, _)| answered.starts_with(&format!("{prefix}_")));
            assert!(same, "{place}: {shown} is shown, {answered} is answered");
        }
        (shown, answered) => {
            let kind = |value: &Value| std::mem::discriminant(value);
            assert_eq!(kind(shown), kind(answered), "{place}: {shown} is shown, {answered} is answered");
        }
    }
}

/// The columns of a line that the receiver prints.
fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect()
}

#[tokio::test]
async fn the_tour_of_the_readme_is_what_happens() {
    let blocks = tour();
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    let folder = folder();
    let mut dev = Dev::start(Dev::command(folder.path())).await;
    let address = dev.said("Address").trim_end_matches('/').to_owned();
    let order = dev.commands()[0].split("/orders/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let receiver =
        dev.commands()[2].split("\"url\":\"").nth(1).unwrap().split("/second").next().unwrap().to_owned();
    let partner =
        dev.commands()[2].split("\"partnerId\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let set = format!("TOKEN={} ORDER={order} PARTNER={partner} RECEIVER={receiver}\n", dev.said("Token"));
    // Until the first order is over, as the tour shows it.
    let mut printed = Vec::new();
    while !printed.iter().any(|line: &String| line.contains("ORDER_COMPLETED")) {
        printed.push(dev.callback().await);
    }
    let mut answer = None;
    for Block { language, text } in &blocks {
        match *language {
            // What the receiver prints.
            "" if text.contains("verified") => {
                for line in text.lines() {
                    let found = printed.iter().find(|printed| columns(printed)[1] == columns(line)[1]);
                    let found = found.unwrap_or_else(|| panic!("{line} is shown, {printed:?} is printed"));
                    assert_eq!(columns(found).len(), columns(line).len(), "{found}");
                    assert!(found.contains("  verified  "), "{found}");
                }
            }
            // What is filled in from the banner.
            "sh" if text.starts_with("TOKEN=") => {
                let named = text.split_whitespace().filter_map(|word| word.split_once('='));
                let named: Vec<_> = named.map(|(name, _)| name).collect();
                assert_eq!(named, ["TOKEN", "ORDER", "PARTNER", "RECEIVER"]);
            }
            "sh" => {
                for command in text.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty()) {
                    let command = command.replace("http://127.0.0.1:8080", &address);
                    let said = shell(&format!("{set}{command}")).await;
                    answer = Some(
                        serde_json::from_str::<Value>(&said).unwrap_or_else(|_| panic!("{command}: {said}")),
                    );
                }
            }
            "json" => {
                let shown: Value =
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                compare(&shown, answer.as_ref().expect("a command comes before its answer"), "answer");
            }
            other => panic!("a block of `{other}`"),
        }
    }
    // The endpoint that was registered is told too.
    let told = async {
        let mut seen = 0;
        while seen < 2 {
            let line = dev.callback().await;
            assert!(!line.contains("NOT VERIFIED"), "{line}");
            seen += usize::from(line.contains("ORDER_COMPLETED"));
        }
    };
    told.await;
    dev.interrupt().await;
}
