//! What was heard: orders, events, gaps, quarantine, watches.

use super::{Input, Kind, OWNER, Operation, PARTNER, Show, body, delete, get, path, post, query};

const SOURCE: Kind = Kind::OneOf(&["stream", "webhook", "reconcile"]);
const PRODUCT: Kind = Kind::OneOf(&["BUY", "SELL", "NFT"]);
const REASON: Kind = Kind::OneOf(&[
    "no_token",
    "no_token_fits",
    "not_signed",
    "other_algorithm",
    "unreadable",
    "no_partner",
    "refused",
]);

const WITH_STATUS: Input = query("status", Kind::Text, "Only with this status.");
const HEARD_BY: Input = query("source", SOURCE, "Only heard this way.");
const FOR_REASON: Input = query("reason", REASON, "Only for this reason.");
const BEFORE: Input = query("before", Kind::Time, "Received before.");

const OF_ORDER: Input = path("orderId", Kind::Text, "Transak's id of the order.");
const OF_EVENT: Input = path("id", Kind::Id("evt_"), "The event.");
const OF_MESSAGE: Input = path("id", Kind::Id("qrn_"), "The message.");
const OF_WATCH: Input = path("id", Kind::Id("wch_"), "The watch.");

const ORDERS: Show = Show::Rows(&[
    "orderId",
    "status",
    "product",
    "fiatAmount",
    "fiatCurrency",
    "cryptoAmount",
    "cryptoCurrency",
    "partnerOrderId",
    "createdAt",
]);
const EVENTS: Show = Show::Rows(&["id", "event", "status", "orderId", "occurredAt", "receivedAt", "anomaly"]);
const GAPS: Show =
    Show::Rows(&["id", "state", "from", "to|now", "reason", "repairedAt", "tries", "partnerId"]);
const QUARANTINE: Show =
    Show::Rows(&["id", "source", "reason", "times", "receivedAt", "partnerId|none", "event", "detail"]);
const WATCHES: Show = Show::Rows(&["id", "orderId", "partnerOrderId", "partnerId", "createdAt", "endedAt"]);

pub(super) const ROWS: &[Operation] = &[
    get("orders list", "list_orders", "/v1/orders", "List orders, newest first.")
        .takes(&[
            PARTNER,
            WITH_STATUS,
            query("partnerOrderId", Kind::Text, "Only with this id of the partner's own."),
            query("walletAddress", Kind::Text, "Only to this wallet."),
            query("product", PRODUCT, "Only of this product."),
            query("from", Kind::Time, "Created then or later."),
            query("to", Kind::Time, "Created before."),
        ])
        .shows(ORDERS),
    get("orders show", "get_order", "/v1/orders/{orderId}", "Show an order as it was heard last.")
        .takes(&[OF_ORDER, PARTNER]),
    get(
        "orders timeline",
        "get_timeline",
        "/v1/orders/{orderId}/timeline",
        "Draw what happened to an order, when, how it was learned, and who was told.",
    )
    .takes(&[OF_ORDER, PARTNER])
    .shows(Show::Timeline),
    get(
        "orders history",
        "get_status_history",
        "/v1/orders/{orderId}/status-history",
        "Show the statuses of an order, oldest first.",
    )
    .takes(&[OF_ORDER, PARTNER]),
    delete(
        "orders erase",
        "erase_order",
        "/v1/orders/{orderId}",
        "Erase everything that is kept of an order.",
    )
    .takes(&[OF_ORDER, PARTNER])
    .shows(Show::Done("The order is erased.")),
    get("events list", "list_events", "/v1/events", "List events, newest first.")
        .takes(&[
            PARTNER,
            query("orderId", Kind::Text, "Only of this order (Transak's id)."),
            query("event", Kind::Text, "Only with this name, such as ORDER_COMPLETED."),
            WITH_STATUS,
            HEARD_BY,
            query("from", Kind::Time, "Occurred then or later."),
            query("to", Kind::Time, "Occurred before."),
        ])
        .shows(EVENTS),
    get("events show", "get_event", "/v1/events/{id}", "Show an event with its payload.")
        .takes(&[OF_EVENT, PARTNER]),
    post(
        "events redeliver",
        "redeliver_event",
        "/v1/events/{id}/redeliver",
        "Send an event again, whatever happened before.",
    )
    .takes(&[OF_EVENT, PARTNER, body("endpointId", Kind::Id("ep_"), "Only to this endpoint.")]),
    get(
        "gaps list",
        "list_gaps",
        "/v1/gaps",
        "List the spans in which the stream was not heard, newest first.",
    )
    .takes(&[PARTNER])
    .shows(GAPS),
    get(
        "quarantine list",
        "list_quarantine",
        "/v1/quarantine",
        "List messages that were not understood, newest first.",
    )
    .takes(&[PARTNER, FOR_REASON, HEARD_BY, BEFORE])
    .shows(QUARANTINE),
    get("quarantine show", "get_quarantined", "/v1/quarantine/{id}", "Show a message as it came.")
        .takes(&[OF_MESSAGE, PARTNER]),
    post(
        "quarantine retry",
        "retry_quarantined",
        "/v1/quarantine/{id}/retry",
        "Try to understand a message again.",
    )
    .takes(&[OF_MESSAGE, PARTNER]),
    post(
        "quarantine retry-all",
        "retry_all_quarantined",
        "/v1/quarantine/retry",
        "Try to understand every message again.",
    )
    .takes(&[PARTNER]),
    delete("quarantine delete", "delete_quarantined", "/v1/quarantine/{id}", "Delete a message.")
        .takes(&[OF_MESSAGE, PARTNER])
        .shows(Show::Done("The message is deleted.")),
    delete(
        "quarantine empty",
        "empty_quarantine",
        "/v1/quarantine",
        "Delete every message, or those that are described.",
    )
    .takes(&[PARTNER, FOR_REASON, HEARD_BY, BEFORE]),
    get(
        "watches list",
        "list_watches",
        "/v1/watches",
        "List the orders whose public channels are listened to.",
    )
    .takes(&[PARTNER])
    .shows(WATCHES),
    post(
        "watches create",
        "create_watch",
        "/v1/watches",
        "Listen to the public channel of one order until it is over.",
    )
    .takes(&[
        OWNER,
        body("orderId", Kind::Text, "Transak's id of the order."),
        body("partnerOrderId", Kind::Text, "Or the partner's own id of it."),
    ]),
    delete("watches delete", "delete_watch", "/v1/watches/{id}", "End a watch.")
        .takes(&[OF_WATCH])
        .shows(Show::Done("The watch is ended.")),
];
