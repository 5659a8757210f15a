//! Every type of problem there is.

use axum::http::StatusCode;

/// A type of problem. Its URL is `/docs/problems/<slug>`.
pub(super) struct Kind {
    pub(super) slug: &'static str,
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    /// What the problem says unless it knows more.
    pub(super) detail: &'static str,
    /// What the caller can do, for the page.
    pub(super) advice: &'static str,
    /// A header every answer of this type has.
    pub(super) header: Option<(&'static str, &'static str)>,
}

const fn kind(slug: &'static str, status: StatusCode, texts: [&'static str; 3]) -> Kind {
    Kind { slug, status, title: texts[0], detail: texts[1], advice: texts[2], header: None }
}

pub(super) static MALFORMED_BODY: Kind = kind(
    "malformed-body",
    StatusCode::BAD_REQUEST,
    [
        "Malformed body",
        "The body is not valid JSON.",
        "Send one JSON value in UTF-8. The detail says where reading stopped.",
    ],
);
pub(super) static INVALID_PARAMETER: Kind = kind(
    "invalid-parameter",
    StatusCode::BAD_REQUEST,
    [
        "Invalid parameter",
        "A parameter is not what it must be.",
        "`errors` names each parameter of the path, the query or the headers and says what it must be.",
    ],
);
pub(super) static INVALID_CURSOR: Kind = kind(
    "invalid-cursor",
    StatusCode::BAD_REQUEST,
    [
        "Invalid cursor",
        "The cursor was not made for this list, this caller and these filters.",
        "Use `nextCursor` of the page before, unchanged, with the same path, filters and partner, or start again \
         without a cursor.",
    ],
);
pub(super) static UNAUTHORIZED: Kind = Kind {
    header: Some(("www-authenticate", "Bearer realm=\"transak-relay\"")),
    ..kind(
        "unauthorized",
        StatusCode::UNAUTHORIZED,
        [
            "Unauthorized",
            "Send a valid token as `Authorization: Bearer <token>` or in the header `access-token`.",
            "Tokens begin with `rly_` and are shown once, when they are made. An admin makes one with \
             `POST /v1/tokens`.",
        ],
    )
};
pub(super) static FORBIDDEN: Kind = kind(
    "forbidden",
    StatusCode::FORBIDDEN,
    [
        "Forbidden",
        "The token does not allow this.",
        "A `read` token may only GET, a `write` token may do everything for its one partner, and partners and tokens \
         are for `admin` tokens.",
    ],
);
pub(super) static NOT_FOUND: Kind = kind(
    "not-found",
    StatusCode::NOT_FOUND,
    [
        "Not found",
        "There is no such thing.",
        "Check the id and the path. What belongs to another partner looks the same as what is not there.",
    ],
);
pub(super) static METHOD_NOT_ALLOWED: Kind = kind(
    "method-not-allowed",
    StatusCode::METHOD_NOT_ALLOWED,
    [
        "Method not allowed",
        "The path has other methods: see the header `allow`.",
        "The header `allow` lists the methods of the path.",
    ],
);
pub(super) static CONFLICT: Kind = kind(
    "conflict",
    StatusCode::CONFLICT,
    ["Conflict", "It contradicts what is there.", "The detail says what is in the way."],
);
pub(super) static PRECONDITION_FAILED: Kind = kind(
    "precondition-failed",
    StatusCode::PRECONDITION_FAILED,
    [
        "Precondition failed",
        "It was changed since it was read: its `ETag` is not the one in `If-Match`.",
        "Read it again, apply the change to what is there now, and send the new `ETag` in `If-Match`.",
    ],
);
pub(super) static BODY_TOO_LARGE: Kind = kind(
    "body-too-large",
    StatusCode::PAYLOAD_TOO_LARGE,
    [
        "Payload too large",
        "The body must be at most 1 MiB, a webhook of Transak at most 256 KiB.",
        "Send at most 1 MiB; to `/ingest` at most 256 KiB.",
    ],
);
pub(super) static UNSUPPORTED_MEDIA_TYPE: Kind = kind(
    "unsupported-media-type",
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    [
        "Unsupported media type",
        "Send the body with `Content-Type: application/json`.",
        "Send the body with `Content-Type: application/json`.",
    ],
);
pub(super) static VALIDATION_FAILED: Kind = kind(
    "validation-failed",
    StatusCode::UNPROCESSABLE_ENTITY,
    [
        "Validation failed",
        "A field is not what it must be.",
        "`errors` names each field of the body and says what it must be. Unknown fields are refused, so that a \
         misspelt one is not silently ignored.",
    ],
);
pub(super) static IDEMPOTENCY_KEY_REUSED: Kind = kind(
    "idempotency-key-reused",
    StatusCode::UNPROCESSABLE_ENTITY,
    [
        "Idempotency key reused",
        "The `Idempotency-Key` was used before with another path or body.",
        "Use a new key for every new request, and the same key only to send the very same request again.",
    ],
);
pub(super) static UNVERIFIED: Kind = kind(
    "unverified",
    StatusCode::UNAUTHORIZED,
    [
        "Unverified webhook",
        "No access token of this partner verifies the webhook.",
        "Give the relay the partner's current access token with `PATCH /v1/partners/{id}`. The message was put aside \
         and can be retried: see `GET /v1/quarantine`.",
    ],
);
pub(super) static LOOP: Kind = kind(
    "loop",
    StatusCode::UNPROCESSABLE_ENTITY,
    [
        "Loop detected",
        "It has come through too many relays: `transak-relay-hops` is not a count from 0 to 5.",
        "Each relay that tells an event on adds one to `transak-relay-hops`. Look for a callback that ends, over other \
         relays or partners, where it began, and delete its endpoint.",
    ],
);
pub(super) static TOO_MANY_REQUESTS: Kind = Kind {
    header: Some(("retry-after", "1")),
    ..kind(
        "too-many-requests",
        StatusCode::TOO_MANY_REQUESTS,
        [
            "Too many requests",
            "Too many requests came from there.",
            "Send the same request again after the seconds in `Retry-After`. `RateLimit-Policy` and `RateLimit` say how \
             much a token may ask and what is left.",
        ],
    )
};
pub(super) static UNAVAILABLE: Kind = Kind {
    header: Some(("retry-after", "2")),
    ..kind(
        "unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
        [
            "Service unavailable",
            "The relay cannot answer this right now; try again later.",
            "Send the same request again after the seconds in `Retry-After`. Nothing that was heard is lost meanwhile.",
        ],
    )
};
pub(super) static INTERNAL: Kind = kind(
    "internal-error",
    StatusCode::INTERNAL_SERVER_ERROR,
    [
        "Internal server error",
        "The relay failed; its log says why.",
        "This is a defect of the relay. The header `x-request-id` of the answer finds it in the log.",
    ],
);

/// All of them.
pub(super) static KINDS: [&Kind; 18] = [
    &MALFORMED_BODY,
    &INVALID_PARAMETER,
    &INVALID_CURSOR,
    &UNAUTHORIZED,
    &FORBIDDEN,
    &NOT_FOUND,
    &METHOD_NOT_ALLOWED,
    &CONFLICT,
    &PRECONDITION_FAILED,
    &BODY_TOO_LARGE,
    &UNSUPPORTED_MEDIA_TYPE,
    &VALIDATION_FAILED,
    &IDEMPOTENCY_KEY_REUSED,
    &UNVERIFIED,
    &LOOP,
    &TOO_MANY_REQUESTS,
    &UNAVAILABLE,
    &INTERNAL,
];
