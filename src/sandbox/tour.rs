//! What to try next, printed once everything runs: commands that work as they stand.

use std::fmt::Write;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What the commands are about.
#[derive(Debug, Clone)]
pub struct Tour {
    /// Where the relay answers.
    pub relay_url: Url,
    /// A token of the sandbox; it is printed.
    pub token: SecretString,
    /// `ptr_…`
    pub partner_id: String,
    /// An order that has already been heard.
    pub order_id: String,
    /// Where the receiver listens.
    pub receiver_url: Url,
}

/// The text to print.
pub fn next_steps(tour: &Tour) -> String {
    let Tour { relay_url, partner_id, order_id, receiver_url, .. } = tour;
    let mut text = String::from("\nTry next:\n");
    for (what, path) in [
        ("What happened to an order, and who was told", format!("v1/orders/{order_id}/timeline")),
        ("Its statuses, oldest first", format!("v1/orders/{order_id}/status-history")),
        ("The newest events", "v1/events?limit=5".to_owned()),
        ("The newest deliveries", "v1/deliveries?limit=5".to_owned()),
        ("The same rows as Transak's Get Webhooks", format!("partners/api/v2/webhooks?orderID={order_id}")),
    ] {
        add(&mut text, what, &format!("{} '{relay_url}{path}'", curl(tour)));
    }
    // In Transak's own format, because the receiver knows the access token but not the secret of a second endpoint.
    let second = receiver_url.join("/second").unwrap_or_else(|_| receiver_url.clone());
    let body = serde_json::json!({ "partnerId": partner_id, "url": second, "format": "transak" });
    let json = "-H 'content-type: application/json'";
    let register = format!("{} '{relay_url}v1/endpoints' {json} -d '{body}'", curl(tour));
    add(&mut text, "Register another endpoint, which gets Transak's own format", &register);
    add(&mut text, "All calls, in a browser", &format!("{relay_url}docs"));
    text
}

fn curl(tour: &Tour) -> String {
    format!("curl -sS -H 'authorization: Bearer {}'", tour.token.expose_secret())
}

fn add(text: &mut String, what: &str, command: &str) {
    let _never_fails = write!(text, "\n  # {what}\n  {command}\n");
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn tour() -> Tour {
        Tour {
            relay_url: "http://127.0.0.1:8080".parse().unwrap(),
            token: "rly_sandbox".into(),
            partner_id: "ptr_1".to_owned(),
            order_id: "aa39d8e1".to_owned(),
            receiver_url: "http://127.0.0.1:9000/callback".parse().unwrap(),
        }
    }

    fn commands() -> Vec<String> {
        let text = next_steps(&tour());
        text.lines().map(str::trim).filter(|line| line.starts_with("curl")).map(str::to_owned).collect()
    }

    #[test]
    fn every_command_is_one_line_for_a_shell_with_address_and_token() {
        assert_eq!(commands().len(), 6);
        for command in commands() {
            let words =
                Command::new("sh").args(["-c", &format!("printf '%s\\n' {command}")]).output().unwrap();
            let words = String::from_utf8(words.stdout).unwrap();
            let words: Vec<_> = words.lines().collect();
            assert_eq!(words[..4], ["curl", "-sS", "-H", "authorization: Bearer rly_sandbox"]);
            assert!(
                words[4].starts_with("http://127.0.0.1:8080/") && !words[4].contains("8080//"),
                "{command}"
            );
        }
    }

    #[test]
    fn the_second_endpoint_is_registered_with_valid_json_for_the_partner() {
        let command = commands().into_iter().find(|command| command.contains(" -d ")).unwrap();
        let body = command.split_once(" -d '").unwrap().1.trim_end_matches('\'');
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&body["partnerId"], &body["url"]),
            (&"ptr_1".into(), &"http://127.0.0.1:9000/second".into())
        );
    }
}
