//! The OpenAPI document, and the pages that show it.

use axum::http::{HeaderName, header};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi};
use utoipa::{Modify, OpenApi as _};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::callback::{self, Callback, StandardCallback, TransakCallback};
use super::problem::openapi as problem;

/// What every operation shares.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "transak-relay",
        description = "Hears every Transak order event, keeps it, and re-delivers it, signed and retried, to every \
            registered callback URL.\n\nTimes are RFC 3339 in UTC with milliseconds. Ids are opaque and sort by the \
            time they were made. Lists answer `{data, nextCursor}`. Errors are RFC 9457 problems; their `type` is a \
            path with a page behind it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(),
    ),
    servers((url = "/", description = "This relay.")),
    security(("token" = []), ("accessToken" = [])),
    components(schemas(
        problem::Body, super::problem::FieldError, Callback, StandardCallback, TransakCallback,
    )),
    modifiers(&Shared),
    tags(
        (name = "Endpoints", description = "Callback URLs and what they are sent."),
        (name = "Orders", description = "Where orders stand, and what happened to them."),
        (name = "Events", description = "The observed changes of orders."),
        (name = "Deliveries", description = "Who was told what, with what answer."),
        (name = "Quarantine", description = "What could not be verified or read."),
        (name = "Partners", description = "The holders of Transak API keys. For `admin` tokens."),
        (name = "Tokens", description = "Who may call. For `admin` tokens."),
        (name = "Callbacks", description = "What is sent to the callback URLs: see `webhooks`, and the guide at `/docs`."),
        (name = "Transak", description = "Transak's own interface, served by the relay."),
        (name = "Health", description = "For orchestrators and monitoring. No token."),
    ),
)]
struct Document;

struct Shared;

impl Modify for Shared {
    fn modify(&self, openapi: &mut OpenApi) {
        let components = openapi.components.get_or_insert_with(Components::new);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("rly_…");
        let bearer = bearer.description(Some("A token of the relay.")).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let header =
            ApiKeyValue::with_description("access-token", "The same token, in Transak's own header.");
        components.add_security_scheme("accessToken", SecurityScheme::ApiKey(ApiKey::Header(header)));
        problem::add_responses(components);
        openapi.webhooks = Some(callback::webhooks());
    }
}

/// The document before the operations are in it.
pub(super) fn base() -> OpenApi {
    Document::openapi()
}

/// What is protected from whom and how, and what is not.
pub(super) async fn get_security() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], include_str!("../../docs/security.md"))
}

/// The page that shows the document, with its assets.
pub(super) fn pages() -> SwaggerUi {
    SwaggerUi::new("/docs/reference")
        .config(Config::from("/openapi.json").try_it_out_enabled(true).persist_authorization(true))
}
