//! Who is told: partners, tokens, endpoints, deliveries, recoveries.

use super::{Input, Kind, OWNER, Operation, PARTNER, Show, body, delete, get, patch, path, post, query};

const ENVIRONMENT: Kind = Kind::OneOf(&["STAGING", "PRODUCTION"]);
const FORMAT: Kind = Kind::OneOf(&["standard", "transak"]);
const STATE: Kind = Kind::OneOf(&["pending", "succeeded", "exhausted", "held", "cancelled"]);

const OF_PARTNER: Input = path("id", Kind::Id("ptr_"), "The partner.");
const OF_TOKEN: Input = path("id", Kind::Id("tok_"), "The token's id.");
const OF_ENDPOINT: Input = path("id", Kind::Id("ep_"), "The endpoint.");
const OF_DELIVERY: Input = path("id", Kind::Id("dlv_"), "The delivery.");
const OF_RECOVERY: Input = path("id", Kind::Id("rec_"), "The recovery.");

const PARTNERS: Show = Show::Rows(&[
    "id",
    "name",
    "environment",
    "apiKey",
    "credentials.state",
    "stream.state",
    "accessTokenExpiresAt",
]);
const ENDPOINTS: Show = Show::Rows(&["id", "state", "format", "events|all", "url", "disabledReason"]);
const DELIVERIES: Show = Show::Rows(&[
    "id",
    "state",
    "attempts",
    "lastStatusCode",
    "eventId",
    "orderId",
    "endpointId",
    "createdAt",
    "nextAttemptAt",
]);
const RECOVERIES: Show =
    Show::Rows(&["id", "state", "only", "done", "total", "endpointId", "since", "until", "createdAt"]);

const NAME: Input = body("name", Kind::Text, "For people: what it is called.");
const API_KEY: Input = body("apiKey", Kind::Text, "The API key of Transak.");
const ACCESS_TOKEN: Input = body("accessToken", Kind::Secret, "The access token of Transak.");
const API_SECRET: Input =
    body("apiSecret", Kind::Secret, "The API secret of Transak, with which access tokens are renewed.");
const OF_ENVIRONMENT: Input = body("environment", ENVIRONMENT, "Which of Transak's environments.");

const URL: Input = body("url", Kind::Text, "The callback URL.");
const DESCRIPTION: Input = body("description", Kind::Text, "For people.");
const EVENTS: Input = body("events", Kind::Words, "The names of the events it gets; all if left out.");
const STATUSES: Input = body("statuses", Kind::Words, "The statuses it gets; all if left out.");
const OF_FORMAT: Input =
    body("format", FORMAT, "How the body is written: Standard Webhooks, or as Transak does.");
const HEADERS: Input = body("headers", Kind::Headers, "A header of every callback; may be given again.");
const TIMEOUT: Input = body("timeoutMs", Kind::Number, "How long an attempt may take, in milliseconds.");
const SCHEDULE: Input = body("retrySchedule", Kind::Numbers, "Seconds to wait after each failure.");
const REDACT: Input = body("redact", Kind::Words, "JSON pointers into the order, to what is left out.");
const IN_FLIGHT: Input = body("maxInFlight", Kind::Number, "The most requests at once.");
const PER_SECOND: Input = body("rateLimit.perSecond", Kind::Number, "The most requests a second.");
const BURST: Input = body("rateLimit.burst", Kind::Number, "The most requests at once beyond that rate.");
const ORDERED: Input = body("ordered", Kind::Switch, "One request at a time for each order, oldest first.");
const SIGNATURES: Input = body("signatures", Kind::Words, "Which signatures it gets: v1, v1a.");
const SECRET: Input = body("secret", Kind::Secret, "The secret to sign with (whsec_…); made if left out.");
const CA: Input =
    body("tls.ca", Kind::File, "Certificates of the authority that the endpoint's is from, PEM.");
const CERTIFICATE: Input =
    body("tls.clientCertificate", Kind::File, "The certificate that the relay shows, PEM.");
const KEY: Input = body("tls.clientKey", Kind::File, "The key of that certificate, PEM.");

pub(super) const ROWS: &[Operation] = &[
    get("partners list", "list_partners", "/v1/partners", "List partners.").shows(PARTNERS),
    get("partners show", "get_partner", "/v1/partners/{id}", "Show a partner.").takes(&[OF_PARTNER]),
    post(
        "partners create",
        "create_partner",
        "/v1/partners",
        "Register a partner: the holder of an API key.",
    )
    .takes(&[NAME.needed(), OF_ENVIRONMENT.needed(), API_KEY.needed(), ACCESS_TOKEN, API_SECRET]),
    patch("partners edit", "change_partner", "/v1/partners/{id}", "Change a partner.").takes(&[
        OF_PARTNER,
        NAME,
        OF_ENVIRONMENT,
        API_KEY,
        ACCESS_TOKEN,
        API_SECRET,
        body("maxEndpoints", Kind::Number, "The most endpoints it may have."),
    ]),
    delete(
        "partners delete",
        "delete_partner",
        "/v1/partners/{id}",
        "Delete a partner: its orders are not heard any more.",
    )
    .takes(&[OF_PARTNER])
    .shows(Show::Done("The partner is deleted.")),
    get("tokens list", "list_tokens", "/v1/tokens", "List tokens.").takes(&[PARTNER]).shows(Show::Rows(&[
        "id",
        "name",
        "scope",
        "partnerId|all",
        "createdAt",
    ])),
    post("tokens create", "create_token", "/v1/tokens", "Make a token, and print it: it is not shown again.")
        .takes(&[
            body("name", Kind::Text, "What it is for.").needed(),
            body("scope", Kind::OneOf(&["read", "write", "admin"]), "What it may do.").needed().or("read"),
            body("partnerId", Kind::Id("ptr_"), "Whose data it opens; needed unless the scope is admin."),
        ])
        .shows(Show::Only("token")),
    delete(
        "tokens revoke",
        "delete_token",
        "/v1/tokens/{id}",
        "Delete a token: whoever has it is refused from then on.",
    )
    .takes(&[OF_TOKEN])
    .shows(Show::Done("The token is revoked.")),
    get("endpoints list", "list_endpoints", "/v1/endpoints", "List the registered callback URLs.")
        .takes(&[PARTNER])
        .shows(ENDPOINTS),
    get("endpoints show", "get_endpoint", "/v1/endpoints/{id}", "Show an endpoint.")
        .takes(&[OF_ENDPOINT, PARTNER]),
    post(
        "endpoints create",
        "create_endpoint",
        "/v1/endpoints",
        "Register a callback URL. Its secret is shown this once.",
    )
    .takes(&[
        URL.needed(),
        OWNER,
        DESCRIPTION,
        EVENTS,
        STATUSES,
        OF_FORMAT,
        HEADERS,
        TIMEOUT,
        SCHEDULE,
        REDACT,
        IN_FLIGHT,
        PER_SECOND,
        BURST,
        ORDERED,
        SIGNATURES,
        SECRET,
        CA,
        CERTIFICATE,
        KEY,
    ]),
    patch(
        "endpoints edit",
        "change_endpoint",
        "/v1/endpoints/{id}",
        "Change an endpoint; what is not named stays.",
    )
    .takes(&[
        OF_ENDPOINT,
        PARTNER,
        URL,
        DESCRIPTION,
        EVENTS,
        STATUSES,
        OF_FORMAT,
        HEADERS,
        TIMEOUT,
        SCHEDULE,
        REDACT,
        IN_FLIGHT,
        PER_SECOND,
        BURST,
        ORDERED,
        SIGNATURES,
        CA,
        CERTIFICATE,
        KEY,
    ]),
    post(
        "endpoints enable",
        "enable_endpoint",
        "/v1/endpoints/{id}/enable",
        "Enable an endpoint: what was held for it is sent.",
    )
    .takes(&[OF_ENDPOINT, PARTNER]),
    post(
        "endpoints disable",
        "disable_endpoint",
        "/v1/endpoints/{id}/disable",
        "Disable an endpoint: what it is owed is held.",
    )
    .takes(&[OF_ENDPOINT, PARTNER]),
    post(
        "endpoints rotate",
        "rotate_secret",
        "/v1/endpoints/{id}/rotate-secret",
        "Make a new secret; both sign for a while.",
    )
    .takes(&[
        OF_ENDPOINT,
        PARTNER,
        body("overlapSeconds", Kind::Number, "How long the old one signs too."),
    ]),
    post(
        "endpoints test",
        "test_endpoint",
        "/v1/endpoints/{id}/test",
        "Send a test event now, and print what came back.",
    )
    .takes(&[
        OF_ENDPOINT,
        body(
            "event",
            Kind::Text,
            "The event it is told as, such as ORDER_COMPLETED, of an order that nobody made.",
        ),
        PARTNER,
    ])
    .shows(Show::Attempt),
    delete(
        "endpoints delete",
        "delete_endpoint",
        "/v1/endpoints/{id}",
        "Delete an endpoint: what it is owed is cancelled.",
    )
    .takes(&[OF_ENDPOINT, PARTNER])
    .shows(Show::Done("The endpoint is deleted.")),
    get("deliveries list", "list_deliveries", "/v1/deliveries", "List deliveries, newest first.")
        .takes(&[
            PARTNER,
            query("endpointId", Kind::Id("ep_"), "Only to this endpoint."),
            query("eventId", Kind::Id("evt_"), "Only of this event."),
            query("orderId", Kind::Text, "Only of this order (Transak's id)."),
            query("state", STATE, "Only in this state."),
        ])
        .shows(DELIVERIES),
    get("deliveries show", "get_delivery", "/v1/deliveries/{id}", "Show a delivery with its attempts.")
        .takes(&[OF_DELIVERY, PARTNER]),
    post(
        "deliveries retry",
        "retry_delivery",
        "/v1/deliveries/{id}/retry",
        "Send a delivery again, whatever became of it.",
    )
    .takes(&[OF_DELIVERY, PARTNER]),
    post(
        "recover",
        "recover_endpoint",
        "/v1/endpoints/{id}/recover",
        "Send again what an endpoint missed, and show how far it is.",
    )
    .takes(&[
        OF_ENDPOINT,
        PARTNER,
        body("since", Kind::Time, "Events received then or later.").needed(),
        body("until", Kind::Time, "Events received before; left out: until now."),
        body(
            "only",
            Kind::OneOf(&["failed", "missing", "all"]),
            "Which: those that were given up, those that were never owed, or all.",
        )
        .needed()
        .or("failed"),
        body("dryRun", Kind::Switch, "Only count what would be sent."),
    ])
    .shows(Show::Progress),
    get("recover list", "list_recoveries", "/v1/recoveries", "List recoveries, newest first.")
        .takes(&[PARTNER])
        .shows(RECOVERIES),
    post(
        "recover cancel",
        "cancel_recovery",
        "/v1/recoveries/{id}/cancel",
        "Cancel a recovery: what it has owed so far is still sent.",
    )
    .takes(&[OF_RECOVERY, PARTNER]),
    get("recover show", "get_recovery", "/v1/recoveries/{id}", "Show a recovery and how far it is.")
        .takes(&[OF_RECOVERY, PARTNER]),
];
