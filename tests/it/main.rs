//! The service from outside its functions: real databases, real sockets, other people's clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails, and says where")]

mod api;
mod api_bad_input;
mod api_edge;
mod api_endpoint_fields;
mod api_endpoints;
mod api_isolation;
mod api_live;
mod api_orders;
mod api_pages;
mod api_requests;
mod api_tenants;
mod api_webhooks;
mod deployment;
mod fake_transak;
mod figures;
mod get_webhooks;
mod heard_is_kept;
mod hops;
mod hot_path;
mod intake_house;
mod live_client;
mod main_job;
mod maintenance;
mod official_clients;
mod openapi;
mod payload;
mod process;
mod proof_signatures;
mod proof_tls;
mod queue_breaker;
mod queue_lanes;
mod queue_lease;
mod queue_pace;
mod queue_properties;
mod queue_recovery;
mod queue_retry;
mod reconcile;
mod redaction;
mod requeue;
mod signatures;
mod stub;
mod tokens;
mod traces;
mod world;
