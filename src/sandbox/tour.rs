//! What `dev` shows once everything runs: where it answers, what opens it, and commands that work as they stand.

use std::fmt::Write;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// What the commands are about.
#[derive(Debug, Clone)]
pub struct Tour {
    /// Where the relay answers.
    pub relay_url: Url,
    /// A token of the sandbox; it is printed.
    pub token: SecretString,
    /// Where it is kept.
    pub token_file: PathBuf,
    /// `ptr_…`
    pub partner_id: String,
    /// The first order that is played.
    pub order_id: String,
    /// Where the receiver listens.
    pub receiver_url: Url,
}

/// The text to print.
pub fn banner(tour: &Tour) -> String {
    let Tour { relay_url, token, token_file, partner_id, order_id, receiver_url } = tour;
    let mut text = format!(
        "\n\
         transak-relay runs, between a simulated Transak and a callback receiver. It speaks to nobody outside.\n\n  \
         Address   {relay_url}\n  \
         Token     {}\n            the same at the next start; kept in {}\n  \
         Guide     {relay_url}docs\n\n\
         Try in another terminal:\n",
        token.expose_secret(),
        token_file.display(),
    );
    let get = |path: &str| format!("{} '{relay_url}{path}'", curl(tour));
    add(
        &mut text,
        "What happened to the first order, and who was told",
        &get(&format!("v1/orders/{order_id}/timeline")),
    );
    add(&mut text, "The newest deliveries", &get("v1/deliveries?limit=5"));
    // In Transak's own format, because the receiver knows the access token but not the secret of a second endpoint.
    let second = receiver_url.join("/second").unwrap_or_else(|_| receiver_url.clone());
    let body = serde_json::json!({ "partnerId": partner_id, "url": second, "format": "transak" });
    let json = "-H 'content-type: application/json'";
    let register = format!("{} '{relay_url}v1/endpoints' {json} -d '{body}'", curl(tour));
    add(&mut text, "Register another endpoint at the receiver, which gets Transak's own format", &register);
    text.push_str(
        "\nEvery line below is a callback that the receiver got. Ctrl-C ends it all; the database stays.\n",
    );
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
            token_file: "kept/token".into(),
            partner_id: "ptr_1".to_owned(),
            order_id: "aa39d8e1".to_owned(),
            receiver_url: "http://127.0.0.1:9000/callback".parse().unwrap(),
        }
    }

    fn commands() -> Vec<String> {
        let text = banner(&tour());
        text.lines().map(str::trim).filter(|line| line.starts_with("curl")).map(str::to_owned).collect()
    }

    #[test]
    fn every_command_is_one_line_for_a_shell_with_address_and_token() {
        assert_eq!(commands().len(), 3);
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
    fn the_address_the_token_with_its_file_and_the_guide_are_named() {
        let text = banner(&tour());
        for said in [
            "http://127.0.0.1:8080/\n",
            "rly_sandbox\n",
            "kept in kept/token",
            "http://127.0.0.1:8080/docs\n",
        ] {
            assert!(text.contains(said), "{said}: {text}");
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
