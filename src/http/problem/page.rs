//! The pages that the `type` of a problem leads to.

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};

use super::Problem;
use super::catalogue::{KINDS, Kind};

/// `GET /docs/problems`: every type of problem.
pub async fn list_problems() -> Html<String> {
    let entries = KINDS.iter().fold(String::new(), |entries, Kind { slug, title, .. }| {
        entries
            + "<li><a href=\"/docs/problems/"
            + slug
            + "\">"
            + slug
            + "</a>: "
            + title
            + "</li>
"
    });
    Html(page("Problems", &format!("<h1>Problems</h1>\n<ul>\n{entries}</ul>")))
}

/// `GET /docs/problems/{slug}`: one type of problem.
pub async fn get_problem(slug: Option<Path<String>>) -> Response {
    let kind = slug.and_then(|Path(slug)| KINDS.iter().copied().find(|kind| kind.slug == slug));
    kind.map_or_else(
        || Problem::NotFound("problem").into_response(),
        |kind| Html(describe(kind)).into_response(),
    )
}

fn describe(kind: &Kind) -> String {
    let body = format!(
        "<h1>{}</h1>\n<p><code>{}</code>, status {}.</p>\n<p>{}</p>\n<p>{}</p>\n<p><a href=\"/docs/problems\">All problems</a></p>",
        kind.title,
        kind.slug,
        kind.status.as_u16(),
        kind.detail,
        kind.advice,
    );
    page(kind.title, &body)
}

/// The texts are our own and hold nothing that HTML would read otherwise, `<token>` excepted.
pub fn page(title: &str, body: &str) -> String {
    let body = body.replace("<token>", "&lt;token&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title} · transak-relay</title>\n{body}\n</html>\n"
    )
}
