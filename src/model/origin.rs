//! The origins whose web pages may call the interface (html.spec.whatwg.org, "Origin").

use url::Url;

/// An origin like `https://app.example.com`, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin as browsers write it: scheme and host, a port where it is not the usual one, and no path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_origin = Url::parse(text).is_ok_and(|url| {
            ["http", "https"].contains(&url.scheme()) && url.origin().ascii_serialization() == text
        });
        if text != "*" && !is_origin {
            return Err("must be `*` or an origin like https://app.example.com, without a path".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The origin as browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path() {
        for good in ["*", "https://app.example.com", "http://localhost:3000"] {
            assert!(Origin::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "null", "app.example.com", "https://app.example.com/", "https://a.b/c", "ftp://a.b"] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
