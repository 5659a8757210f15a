//! Conditions of a change: only if it still is what was read (RFC 9110 §13.1.1).

use axum::http::{HeaderMap, header};

/// The tags in `If-Match`; `None` if the header is absent.
#[derive(Debug, Clone)]
pub struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// Reads the header, given once or several times.
    pub fn of(headers: &HeaderMap) -> Self {
        let lines: Vec<_> = headers.get_all(header::IF_MATCH).iter().collect();
        let tags = lines.iter().flat_map(|line| line.to_str().unwrap_or_default().split(','));
        let tags = tags.map(|tag| tag.trim().to_owned()).collect();
        Self(if lines.is_empty() { None } else { Some(tags) })
    }

    /// There is no condition, or one of its tags is `tag` or `*`. A weak tag matches nothing.
    pub fn holds(&self, tag: &str) -> bool {
        self.0.as_ref().is_none_or(|tags| tags.iter().any(|wanted| wanted == tag || wanted == "*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(lines: &[&'static str]) -> IfMatch {
        let lines = lines.iter().map(|line| (header::IF_MATCH, line.parse().unwrap()));
        let mut headers = HeaderMap::new();
        headers.extend(lines);
        IfMatch::of(&headers)
    }

    #[test]
    fn without_the_header_everything_matches() {
        assert!(if_match(&[]).holds("\"1\""));
    }

    #[test]
    fn one_of_the_tags_or_a_star_matches() {
        assert!(if_match(&["\"7\", \"1\""]).holds("\"1\""));
        assert!(if_match(&["\"7\"", "\"1\""]).holds("\"1\""));
        assert!(if_match(&["*"]).holds("\"1\""));
    }

    #[test]
    fn another_or_a_weak_tag_does_not_match() {
        assert!(!if_match(&["\"2\""]).holds("\"1\""));
        assert!(!if_match(&["W/\"1\""]).holds("\"1\""));
        assert!(!if_match(&[""]).holds("\"1\""));
    }
}
