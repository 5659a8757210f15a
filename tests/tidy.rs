//! The house rules that a compiler does not know, held by a test: who may import whom, sizes, names, and files that must
//! agree with each other. What a rule says is in the file of the rule, together with proof that it can fail.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in the functions its tests share")]

#[path = "tidy/house.rs"]
mod house;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/source.rs"]
mod source;

use std::path::Path;

use source::Source;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rust(folders: &[&str]) -> Vec<Source> {
    let existing = folders.iter().filter(|folder| root().join(folder).exists());
    let found: Vec<_> = existing
        .flat_map(|folder| Source::all(root(), folder))
        .filter(|file| file.has_extension("rs"))
        .collect();
    assert!(!found.is_empty(), "no Rust file found below {folders:?}");
    found
}

#[track_caller]
fn nothing_said(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_module_uses_only_what_its_layer_may() {
    let crates = papers::dependencies(&text("Cargo.toml"));
    assert!(crates.contains(&"sqlx".to_owned()), "no dependencies were read from Cargo.toml");
    let complaints: Vec<_> =
        rust(&["src"]).iter().flat_map(|file| layers::complaints(file, &crates)).collect();
    nothing_said(&complaints);
}

#[test]
fn every_layer_is_on_the_map() {
    let map = text("ARCHITECTURE.md");
    let missing: Vec<_> = layers::names().filter(|name| !map.contains(&format!("`{name}`"))).collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md does not say what {missing:?} is: add it to the table of layers"
    );
}

#[test]
fn every_rust_file_keeps_the_rules_of_the_house() {
    let files = rust(&["src", "tests", "examples", "benches", "fuzz"]);
    nothing_said(&files.iter().flat_map(house::complaints).collect::<Vec<_>>());
}

#[test]
fn no_file_names_a_machine_or_leaves_something_to_do() {
    nothing_said(&Source::all(root(), "").iter().flat_map(house::complaints_about_text).collect::<Vec<_>>());
}

#[test]
fn migrations_and_decisions_are_numbered_without_holes() {
    for folder in ["migrations", "docs/adr"] {
        let files = Source::all(root(), folder);
        let names: Vec<_> = files.iter().filter_map(|file| file.path.rsplit('/').next()).collect();
        assert!(!names.is_empty(), "{folder} is empty");
        assert_eq!(papers::numbering(&names), None, "{folder}");
    }
}

#[test]
fn every_link_of_every_document_leads_somewhere() {
    let documents: Vec<_> =
        Source::all(root(), "").into_iter().filter(|file| file.has_extension("md")).collect();
    for document in &documents {
        let folder = root().join(&document.path).parent().unwrap().to_owned();
        for to in papers::links(document) {
            assert!(
                folder.join(&to).exists(),
                "{}: the link to {to} leads nowhere: mend or remove it",
                document.path
            );
        }
    }
}

#[test]
fn the_example_environment_names_exactly_the_variables_that_are_read() {
    let config: String = Source::all(root(), "src/config").into_iter().map(|file| file.text).collect();
    let example = text(".env.example");
    let (read, named) = (papers::variables(&config), papers::named_variables(&example));
    assert!(read.contains("DATABASE_URL"), "no variables were found in src/config");
    assert_eq!(read, named, "src/config reads the first, .env.example names the second");
}

#[test]
fn one_version_of_rust_is_named_everywhere() {
    let manifest = text("Cargo.toml");
    let version = manifest.split("rust-version = \"").nth(1).unwrap().split('"').next().unwrap();
    let toolchain = text("rust-toolchain.toml");
    assert!(toolchain.contains(&format!("channel = \"{version}.")), "rust-toolchain.toml is not {version}");
    assert!(
        text("Dockerfile").contains(&format!("rust:{version}-")),
        "the Dockerfile does not build with {version}"
    );
}
