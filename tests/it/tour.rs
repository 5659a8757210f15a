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

/// What the banner fills in.
fn filled_in(dev: &Dev) -> String {
    let after = |command: usize, text: &str| dev.commands()[command].split(text).nth(1).unwrap().to_owned();
    let until = |text: String, end: &str| text.split(end).next().unwrap().to_owned();
    let order = until(after(0, "/orders/"), "/");
    let receiver = until(after(2, "\"url\":\""), "/second");
    let partner = until(after(2, "\"partnerId\":\""), "\"");
    format!("TOKEN={} ORDER={order} PARTNER={partner} RECEIVER={receiver}\n", dev.said("Token"))
}

/// The lines that are shown are printed, one for each event, in the same columns.
fn compare_lines(shown: &str, printed: &[String]) {
    for line in shown.lines() {
        let found = printed.iter().find(|printed| columns(printed)[1] == columns(line)[1]);
        let found = found.unwrap_or_else(|| panic!("{line} is shown, {printed:?} is printed"));
        assert_eq!(columns(found).len(), columns(line).len(), "{found}");
        assert!(found.contains("  verified  "), "{found}");
    }
}

/// Runs the commands of a block; the answer of the last.
async fn run(text: &str, (set, address): (&str, &str)) -> Value {
    let mut answer = Value::Null;
    for command in text.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty()) {
        let command = command.replace("http://127.0.0.1:8080", address);
        let said = shell(&format!("{set}{command}")).await;
        answer = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{command}: {said}"));
    }
    answer
}

/// Callbacks up to and with so many of completed orders.
async fn until_completed(dev: &mut Dev, times: usize) -> Vec<String> {
    let mut printed: Vec<String> = Vec::new();
    while printed.iter().filter(|line| line.contains("ORDER_COMPLETED")).count() < times {
        let line = dev.callback().await;
        assert!(!line.contains("NOT VERIFIED"), "{line}");
        printed.push(line);
    }
    printed
}

#[tokio::test]
async fn the_tour_of_the_readme_is_what_happens() {
    let blocks = tour();
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    let folder = folder();
    let mut dev = Dev::start(Dev::command(folder.path())).await;
    let address = dev.said("Address").trim_end_matches('/').to_owned();
    let set = filled_in(&dev);
    let printed = until_completed(&mut dev, 1).await;
    let mut answer = Value::Null;
    for Block { language, text } in &blocks {
        match *language {
            "" => compare_lines(text, &printed),
            "sh" if text.starts_with("TOKEN=") => {
                let names = |text: &str| -> Vec<String> {
                    let words = text.split_whitespace().filter_map(|word| word.split_once('='));
                    words.map(|(name, _)| name.to_owned()).collect()
                };
                assert_eq!(names(text), names(&set));
            }
            "sh" => answer = run(text, (&set, &address)).await,
            "json" => compare(&serde_json::from_str(text).unwrap(), &answer, "answer"),
            other => panic!("a block of `{other}`"),
        }
    }
    // Both endpoints are told, the registered one too.
    until_completed(&mut dev, 3).await;
    dev.interrupt().await;
}
