//! What is wrong with the settings in a body that could not be read as a whole.

use super::settings::{EndpointPatch, Judge, NewEndpoint, defaults};
use crate::http::Api;
use crate::http::body::Input;
use crate::http::problem::{FieldError, Problem};
use crate::model::id::EndpointId;

impl Input for NewEndpoint {
    fn judge(well_shaped: &[u8], api: &Api) -> Vec<FieldError> {
        judge_rest(well_shaped, api)
    }
}

impl Input for EndpointPatch {
    fn judge(well_shaped: &[u8], api: &Api) -> Vec<FieldError> {
        judge_rest(well_shaped, api)
    }
}

/// What is wrong with the settings in what is left of a body.
fn judge_rest(well_shaped: &[u8], api: &Api) -> Vec<FieldError> {
    let Ok(mut body) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(well_shaped)
    else {
        return Vec::new();
    };
    // What only a new endpoint has.
    body.retain(|name, _| name != "secret" && name != "partnerId");
    let Ok(patch) = serde_json::from_slice::<EndpointPatch>(&serde_json::to_vec(&body).unwrap_or_default())
    else {
        return Vec::new();
    };
    let judge = Judge { policy: &api.url_policy, key: &api.master_key, endpoint_id: EndpointId::new() };
    match patch.apply(defaults(), &judge) {
        Err(Problem::Validation(errors)) => errors,
        _ => Vec::new(),
    }
}
