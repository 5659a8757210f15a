//! What the operating system says of this process, under the names that Prometheus' own clients use, and which version runs.

use super::round::Round;

/// Shows it. Where the system does not tell something, that is not shown.
pub fn show(round: &mut Round) {
    round.show_of("relay_build_info", ("version", env!("CARGO_PKG_VERSION")), 1.0);
    let process = metrics_process::collector::collect();
    let whole = |value: Option<u64>| value.map(float);
    round.show_some("process_cpu_seconds_total", process.cpu_seconds_total);
    round.show_some("process_resident_memory_bytes", whole(process.resident_memory_bytes));
    round.show_some("process_virtual_memory_bytes", whole(process.virtual_memory_bytes));
    round.show_some("process_open_fds", whole(process.open_fds));
    round.show_some("process_max_fds", whole(process.max_fds));
    round.show_some("process_start_time_seconds", whole(process.start_time_seconds));
    round.show_some("process_threads", whole(process.threads));
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes, seconds and counts fit exactly for all that a process can have"
)]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_told_of_this_process_is_plausible() {
        let mut round = Round::default();
        show(&mut round);
        let text = round.render();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6 && value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
        let began = value("process_start_time_seconds");
        let now = float(u64::try_from(chrono::Utc::now().timestamp()).unwrap());
        assert!(began <= now + 1.0 && began > now - 86_400.0, "{began}");
        assert!(text.contains("# TYPE process_cpu_seconds_total counter\n"), "{text}");
        assert!(text.contains("\nrelay_build_info{version=\""), "{text}");
    }
}
