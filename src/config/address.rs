//! URLs as settings: what is wrong with one is said in a sentence that does not hold it.

use url::Url;

/// The address of something that is called over HTTP.
pub(super) fn web(text: &str) -> Result<Url, String> {
    of(text, ["http", "https"])
}

/// The address of something that is listened to over a WebSocket.
pub(super) fn stream(text: &str) -> Result<Url, String> {
    of(text, ["ws", "wss"])
}

fn of(text: &str, schemes: [&str; 2]) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| schemes.contains(&url.scheme()) && url.has_host());
    let [plain, secure] = schemes;
    url.ok_or_else(|| {
        format!("must be a whole URL, such as {plain}://localhost:8080 or {secure}://example.com")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_url_of_the_scheme_is_refused_without_repeating_it() {
        for text in
            ["", "localhost:8080", "example.com", "ftp://example.com", "http://", "https:", "ws://localhost"]
        {
            let refused = web(text).unwrap_err();
            assert_eq!(
                refused, "must be a whole URL, such as http://localhost:8080 or https://example.com",
                "{text}"
            );
        }
        assert!(web("http://localhost:8080/base").is_ok() && stream("wss://ws-ap2.pusher.com").is_ok());
        assert!(stream("https://ws-ap2.pusher.com").unwrap_err().contains("wss://"));
    }
}
