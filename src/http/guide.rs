//! `/docs`: the receiver's guide, for a person, as a page.
//!
//! It is docs/receiving.md, so that the repository, the running relay and the tests that run its examples have one text.

use axum::Router;
use axum::body::Bytes;
use axum::response::Html;
use axum::routing::get;
use pulldown_cmark::{Options, Parser, html};

use super::problem::page::page;

const GUIDE: &str = include_str!("../../docs/receiving.md");

/// Where else to look, above the guide.
const LINKS: &str = "<p><a href=\"/docs/reference/\">Reference of every operation (Swagger UI)</a> · \
    <a href=\"/openapi.json\">OpenAPI</a> · <a href=\"/docs/problems\">Problems</a> · \
    <a href=\"/docs/security.md\">Security</a></p>\n";

/// The guide's routes, its page made once.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = Bytes::from(render());
    let show = get(async move || Html(page.clone()));
    Router::new().route("/docs", show.clone()).route("/docs/", show)
}

fn render() -> String {
    let mut body = LINKS.to_owned();
    html::push_html(&mut body, Parser::new_ext(GUIDE, Options::ENABLE_TABLES));
    page("Receiving callbacks", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_is_a_page_with_its_tables_and_examples() {
        let page = render();
        for part in [
            "<h1>Receiving callbacks</h1>",
            "<table>",
            "<code class=\"language-python\">",
            "/docs/reference/",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("&lt;table&gt;") && page.ends_with("</html>\n"));
    }
}
