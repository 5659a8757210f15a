//! What is deployed agrees with the program: variables, metrics, ports, sections.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use transak_relay::telemetry::names;

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn documents(path: &str) -> Vec<Value> {
    text(path).split("\n---\n").map(|one| yaml_serde::from_str(one).unwrap()).collect()
}

fn rules() -> Vec<Value> {
    documents("deploy/prometheus/rules.yml")[0]["groups"][0]["rules"].as_array().unwrap().clone()
}

/// Every variable that the program reads.
fn variables() -> BTreeSet<String> {
    let page = text("docs/configuration.md");
    let named = page
        .split('`')
        .filter(|word| word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    named.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn on_kubernetes_two_relays_are_probed_confined_and_one_of_them_always_stays() {
    let all = documents("deploy/kubernetes/relay.yaml");
    let kinds: Vec<_> = all.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Deployment", "Service", "PodDisruptionBudget"]);
    let (deployment, budget) = (&all[0]["spec"], &all[2]["spec"]);
    assert_eq!(budget["unhealthyPodEvictionPolicy"], json!("AlwaysAllow"));
    assert_eq!((&deployment["replicas"], &budget["minAvailable"]), (&json!(2), &json!(1)));
    let labels = &deployment["template"]["metadata"]["labels"];
    assert_eq!(&deployment["selector"]["matchLabels"], labels);
    assert_eq!(&budget["selector"]["matchLabels"], labels);
    assert_eq!(&all[1]["spec"]["selector"], labels);
    let pod = &deployment["template"]["spec"];
    let relay = &pod["containers"][0];
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(relay[probe]["httpGet"]["path"], json!(path));
    }
    assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true));
    assert_eq!(relay["securityContext"]["readOnlyRootFilesystem"], json!(true));
    assert_eq!(relay["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    let pause = relay["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(pause > 0 && grace > pause + transak_relay::shutdown::GRACE.as_secs(), "{pause} of {grace}");
    let known = variables();
    for variable in relay["env"].as_array().unwrap() {
        assert!(known.contains(variable["name"].as_str().unwrap()), "{variable}");
    }
}

#[test]
fn every_manifest_for_kubernetes_is_of_a_version_that_there_is_and_named_for_the_relay() {
    let known = [
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("policy/v1", "PodDisruptionBudget"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ];
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes")).unwrap();
    let mut kinds = BTreeSet::new();
    for path in folder.map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let file = std::fs::read_to_string(&path).unwrap();
        for one in file.split("\n---\n").map(|one| yaml_serde::from_str::<Value>(one).unwrap()) {
            let kind = (one["apiVersion"].as_str().unwrap(), one["kind"].as_str().unwrap());
            assert!(known.contains(&kind), "{kind:?} in {}", path.display());
            assert_eq!(one["metadata"]["name"], json!("transak-relay"), "{kind:?}");
            assert!(one["spec"].is_object(), "{kind:?}");
            kinds.insert(kind.1.to_owned());
        }
    }
    assert_eq!(kinds.len(), known.len(), "{kinds:?}");
}

#[test]
fn what_scrapes_and_what_confines_the_relays_on_kubernetes_finds_them_and_their_port() {
    let all = documents("deploy/kubernetes/relay.yaml");
    let (pod, service) = (&all[0]["spec"]["template"], &all[1]);
    let labels = &pod["metadata"]["labels"];
    let port = &pod["spec"]["containers"][0]["ports"][0];
    let monitor = &documents("deploy/kubernetes/monitoring.yaml")[0]["spec"];
    let label = monitor["jobLabel"].as_str().unwrap();
    let job = service["metadata"]["labels"][label].as_str().unwrap();
    for rule in rules() {
        let asked = rule["expr"].as_str().unwrap();
        assert!(!asked.contains("job=") || asked.contains(&format!("job=\"{job}\"")), "{asked}");
    }
    assert_eq!(monitor["selector"]["matchLabels"], service["metadata"]["labels"]);
    assert_eq!(monitor["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(monitor["endpoints"][0]["path"], json!("/metrics"));
    let policy = &documents("deploy/kubernetes/network.yaml")[0]["spec"];
    assert_eq!(&policy["podSelector"]["matchLabels"], labels);
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy["ingress"][0]["ports"], json!([{ "protocol": "TCP", "port": port["name"] }]));
    let out: Vec<_> = policy["egress"].as_array().unwrap().iter().collect();
    for wanted in [53, 5432] {
        let allowed = |rule: &&Value| {
            rule["ports"].as_array().is_some_and(|ports| ports.iter().any(|one| one["port"] == wanted))
        };
        assert!(out.iter().any(allowed), "{wanted}");
    }
    let inside = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"];
    let except = out.iter().find_map(|rule| rule["to"][0]["ipBlock"]["except"].as_array()).unwrap();
    assert!(inside.iter().all(|block| except.contains(&json!(block))), "{except:?}");
}

#[test]
fn with_compose_no_log_grows_for_ever_and_alerts_have_somewhere_to_go() {
    let file = text("docker-compose.yml");
    let mut compose: yaml_serde::Value = yaml_serde::from_str(&file).unwrap();
    // What is merged may itself merge.
    for _ in 0..2 {
        compose.apply_merge().unwrap();
    }
    let compose: Value = serde_json::to_value(&compose).unwrap();
    for (name, service) in compose["services"].as_object().unwrap() {
        let options = &service["logging"]["options"];
        assert!(options["max-size"].is_string() && options["max-file"].is_string(), "{name}");
    }
    let manager = &compose["services"]["alertmanager"];
    assert_eq!(manager["profiles"], json!(["observability"]));
    let prometheus = &documents("deploy/prometheus/prometheus.yml")[0];
    assert_eq!(
        prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"],
        json!(["alertmanager:9093"])
    );
    let told = &documents("deploy/prometheus/alertmanager.yml")[0];
    let receivers = told["receivers"].as_array().unwrap();
    assert!(receivers.iter().any(|one| one["name"] == told["route"]["receiver"]), "{told}");
    assert!(manager["volumes"][0].as_str().unwrap().contains("alertmanager.yml"));
}

#[test]
fn with_compose_two_relays_are_confined_and_told_only_what_they_read() {
    let known = variables();
    for path in ["docker-compose.yml", "deploy/compose.secrets.yml"] {
        // Merged keys are the parser's business: what is said where it is said will do.
        let file = text(path);
        let variables = file.lines().filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name);
        for name in variables.filter(|name| name.starts_with("RELAY_") || name.starts_with("DATABASE_")) {
            assert!(known.contains(name), "{path}: {name}");
        }
    }
    let compose = &documents("docker-compose.yml")[0];
    let shared = &compose["x-relay"];
    assert_eq!((&shared["read_only"], &shared["cap_drop"]), (&json!(true), &json!(["ALL"])));
    let services = &compose["services"];
    assert_ne!(services["relay"]["volumes"], services["relay-2"]["volumes"], "each has a spool of its own");
    let targets = &documents("deploy/prometheus/prometheus.yml")[0]["scrape_configs"][0]["dns_sd_configs"][0];
    assert_eq!(targets["names"], json!(["relay", "relay-2"]));
}

#[test]
fn each_alert_has_a_section_in_the_runbook_and_each_section_an_alert() {
    let runbook = text("docs/runbook.md");
    let sections: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let rules = rules();
    let alerts: BTreeSet<&str> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert_eq!(alerts, sections);
    for rule in &rules {
        let alert = rule["alert"].as_str().unwrap();
        let link = format!("docs/runbook.md#{}", alert.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], json!(link));
    }
}

#[test]
fn each_alert_is_played_from_before_its_beginning_through_worse_until_after_its_end() {
    let tests = documents("deploy/prometheus/rules_test.yml")[0]["tests"].as_array().unwrap().clone();
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        let play = tests.iter().find(|test| test["name"] == json!(alert));
        let asked = play.unwrap_or_else(|| panic!("{alert} is not played"))["promql_expr_test"].as_array();
        let fires = |at: &Value| !at["exp_samples"].as_array().unwrap().is_empty();
        let fires: Vec<bool> = asked.unwrap().iter().map(fires).collect();
        assert_eq!(fires, [false, true, true, false], "{alert}: before, begun, worse, over");
    }
}

#[test]
fn alerts_and_dashboard_ask_only_for_metrics_that_there_are() {
    let counters = names::COUNTERS.iter().map(|(name, _)| *name);
    let gauges = names::GAUGES.iter().chain(names::DATABASE_GAUGES).map(|(name, _)| *name);
    let known: BTreeSet<&str> =
        counters.chain(gauges).chain(names::HISTOGRAMS.iter().map(|(name, _, _)| *name)).collect();
    let rules: Vec<String> = rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect();
    let dashboard: Value =
        serde_json::from_str(&text("deploy/grafana/dashboards/transak-relay.json")).unwrap();
    let targets =
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let asked: Vec<String> =
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).chain(rules).collect();
    for expression in &asked {
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("relay_") || word.starts_with("http_request")) {
            let histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end));
            let there = known.contains(word) || histogram.is_some_and(|name| known.contains(name));
            assert!(there, "{word} in {expression}");
        }
    }
}
