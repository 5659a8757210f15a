//! Problems in the OpenAPI document: each status once among the components, referred to by the operations.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::openapi::{Components, Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::FieldError;
use super::catalogue::{KINDS, Kind};

/// A problem as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body {
    /// The type of problem: a path below `/docs/problems/` of this relay, with a page behind it.
    #[schema(format = "uri-reference", example = "/docs/problems/validation-failed")]
    r#type: String,
    /// The type in words.
    #[schema(example = "Validation failed")]
    title: String,
    /// The status code of the answer.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: u16,
    /// This problem in words.
    #[schema(example = "`url` must begin with https://")]
    detail: String,
    /// The fields or parameters that are wrong, for types that are about fields or parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<FieldError>>,
}

/// What every operation with a token can answer.
pub struct Common;

/// What a list can answer beside whose filters have closed lists of values.
pub struct Filtering;

/// What every operation that changes something can answer beside.
pub struct Writing;

/// What every operation that changes something and refuses a body can answer beside.
pub struct WithoutBody;

/// What every operation with a body can answer beside.
pub struct WithBody;

/// What the way in for Transak's webhooks can answer beside.
pub struct Ingesting;

impl IntoResponses for Ingesting {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[401, 404, 413, 422, 429, 500, 503])
    }
}

impl IntoResponses for Common {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 429, 500, 503])
    }
}

impl IntoResponses for Filtering {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 422, 429, 500, 503])
    }
}

impl IntoResponses for Writing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 409, 422, 429, 500, 503])
    }
}

impl IntoResponses for WithoutBody {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503])
    }
}

impl IntoResponses for WithBody {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 500, 503])
    }
}

fn references(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    statuses
        .iter()
        .map(|status| (status.to_string(), RefOr::Ref(Ref::from_response_name(format!("Problem{status}")))))
        .collect()
}

/// Adds the answers that the operations refer to.
pub fn add_responses(components: &mut Components) {
    let mut by_status: BTreeMap<u16, Vec<&Kind>> = BTreeMap::new();
    for kind in KINDS {
        by_status.entry(kind.status.as_u16()).or_default().push(kind);
    }
    for (status, kinds) in by_status {
        components.responses.insert(format!("Problem{status}"), response(&kinds).into());
    }
}

fn response(kinds: &[&Kind]) -> Response {
    let lines: Vec<_> = kinds.iter().map(|kind| format!("`{}`: {}", kind.slug, kind.detail)).collect();
    let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
    content.example = kinds.first().map(|kind| {
        serde_json::json!({
            "type": format!("/docs/problems/{}", kind.slug),
            "title": kind.title,
            "status": kind.status.as_u16(),
            "detail": kind.detail,
        })
    });
    let response =
        ResponseBuilder::new().description(lines.join("\n\n")).content("application/problem+json", content);
    let headers = kinds.iter().filter_map(|kind| kind.header);
    headers.fold(response, |response, (name, _)| response.header(name, header(kinds[0].status))).build()
}

fn header(status: StatusCode) -> utoipa::openapi::Header {
    let mut header = utoipa::openapi::Header::default();
    header.description = Some(match status {
        StatusCode::UNAUTHORIZED => "How to authenticate.".to_owned(),
        _ => "Seconds to wait before the same request is sent again.".to_owned(),
    });
    header
}
