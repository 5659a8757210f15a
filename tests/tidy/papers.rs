//! Files that must agree with each other: numbered files, links, versions, the example environment.

use std::collections::BTreeSet;

use super::source::Source;

/// What is wrong with files that are numbered `0001_…`, `0002_…` (or with `-`), if anything.
pub(crate) fn numbering(names: &[&str]) -> Option<String> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let expected = |at: usize| format!("{:04}", at + 1);
    let (at, name) = sorted
        .iter()
        .enumerate()
        .find(|(at, name)| !name.starts_with(&expected(*at)) || !name[4..].starts_with(['_', '-']))?;
    Some(format!("{name}: expected number {}: number without holes and without repeats", expected(at)))
}

/// Where a document's relative links lead, without anchors.
pub(crate) fn links(document: &Source) -> Vec<String> {
    let targets = document.text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
    targets.filter(|to| !to.is_empty() && !to.contains("://")).map(str::to_owned).collect()
}

/// Set by the system, not by an operator.
const OF_THE_SYSTEM: [&str; 1] = ["HOME"];
/// Read by the database of docker-compose.yml, not by the relay.
const OF_COMPOSE: [&str; 3] = ["POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_USER"];

/// The variables an operator may set: `env = "NAME"` in the configuration, and those of the compose file.
pub(crate) fn variables(config: &str) -> BTreeSet<&str> {
    let read = config.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
    read.filter(|name| !OF_THE_SYSTEM.contains(name)).chain(OF_COMPOSE).collect()
}

/// The variables an example environment names, commented out or not.
pub(crate) fn named_variables(example: &str) -> BTreeSet<&str> {
    example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').trim_start_matches(' ').split_once('='))
        // A command in a comment is no setting.
        .filter(|(_, value)| !value.contains(' '))
        .map(|(name, _)| name)
        .filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
        .collect()
}

/// The names of the dependencies in a Cargo.toml, as code writes them.
pub(crate) fn dependencies(manifest: &str) -> Vec<String> {
    let mut within = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            within = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| within) {
            names.push(name.trim().replace('-', "_"));
        }
    }
    names
}

#[test]
fn a_hole_a_repeat_and_a_name_without_a_number_are_told() {
    assert_eq!(numbering(&["0002_b.sql", "0001_a.sql"]), None);
    for bad in
        [&["0001_a.sql", "0003_b.sql"][..], &["0001_a.sql", "0001_b.sql"], &["first.sql"], &["0001a.sql"]]
    {
        assert!(numbering(bad).is_some(), "{bad:?}");
    }
}

#[test]
fn links_variables_and_dependencies_are_found() {
    let document = Source::new("README.md", "[a](docs/a.md#b) [c](https://d) [e](#f) [g](../h)");
    assert_eq!(links(&document), ["docs/a.md", "../h"]);
    let read = variables("#[arg(long, env = \"RELAY_A\", x)] env = \"B\" env = \"HOME\"");
    assert_eq!(read, ["B", "RELAY_A"].into_iter().chain(OF_COMPOSE).collect());
    assert_eq!(named_variables("# prose = here\nA=1\n#B_2=\n# C=3\n# D=4 run"), ["A", "B_2", "C"].into());
    let manifest =
        "[package]\nname = 1\n[dependencies]\na-b = 1\n[dev-dependencies]\nc = 2\n[lints.rust]\nd = 3";
    assert_eq!(dependencies(manifest), ["a_b", "c"]);
}
