//! The other rules of the house: sizes, names, tests that do not cheat, one place for the environment.

use super::source::{Source, Token};

/// Most lines of a file, and most lines with code of a function.
const FILE: usize = 300;
const FUNCTION: usize = 50;

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "misc", "service", "services", "shared", "types", "util",
    "utils",
];

/// Paths of one machine, in two parts, so that this file does not break its own rule.
const MACHINE: &[(&str, &str)] =
    &[("/", "work/"), ("/", "root/"), ("/tmp/", "bash"), ("/home", "/"), ("/Users", "/")];

/// Taking or leaving an advisory lock, in two parts for the same reason.
const LOCKS: &[(&str, &str)] = &[
    ("advisory_", "lock("),
    ("advisory_", "lock_shared("),
    ("advisory_", "xact_lock("),
    ("advisory_", "xact_lock_shared("),
    ("advisory_", "unlock("),
];

/// What is left to do, in two parts.
const LEFT: &[(&str, &str)] = &[("FIX", "ME"), ("TO", "DO"), ("XX", "X")];

/// What the rules say against a Rust file.
pub(crate) fn complaints(source: &Source) -> Vec<String> {
    let tokens = source.tokens();
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE {
        found.push(format!(
            "{}: {lines} lines, {FILE} at most: make it a folder of the same name, split by idea",
            source.path
        ));
    }
    if !source.text.starts_with("//!") {
        found.push(format!(
            "{}:1: begin with `//!`: what it is, what it guarantees, what it does not",
            source.path
        ));
    }
    for part in source.path.trim_end_matches(".rs").split('/').filter(|part| EMPTY_NAMES.contains(part)) {
        found.push(format!("{}: `{part}` says nothing: name it after the thing it is about", source.path));
    }
    for at in 0..tokens.len() {
        let complaint = cheats(&tokens[at..])
            .or_else(|| unfinished(&tokens[at..]))
            .or_else(|| environment(source, &tokens[at..]))
            .or_else(|| empty_name(&tokens[at..]))
            .or_else(|| long_function(&tokens[at..]));
        found.extend(complaint.map(|text| format!("{}:{}: {text}", source.path, tokens[at].line)));
    }
    found
}

/// What the rules say against any text file.
pub(crate) fn complaints_about_text(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        let place = format!("{}:{}", source.path, number + 1);
        if MACHINE.iter().any(|(a, b)| line.contains(&format!("{a}{b}"))) {
            found.push(format!("{place}: a path of one machine: make it relative, or configurable"));
        }
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        if words.any(|word| LEFT.iter().any(|(a, b)| word.strip_prefix(a) == Some(b))) {
            found.push(format!("{place}: something left to do: do it, or open an issue and name no marker"));
        }
    }
    for (number, line) in source.text.lines().enumerate().filter(|_| source.path.starts_with("src/")) {
        // A lock on the hash of an id that is made once is nobody else's.
        let keyed =
            ["lock_key(", "dispatcher_id::text", "$1::uuid::text"].iter().any(|key| line.contains(key));
        if LOCKS.iter().any(|(a, b)| line.contains(&format!("{a}{b}"))) && !keyed {
            let place = format!("{}:{}", source.path, number + 1);
            found.push(format!("{place}: all schemas share advisory locks: name it with lock_key('…')"));
        }
    }
    if source.path.starts_with("src/")
        && source.has_extension("sql")
        && !source.path.starts_with("src/store/")
    {
        found.push(format!("{}: SQL is in src/store or migrations only: move it there", source.path));
    }
    found
}

fn texts<'a>(rest: &[Token<'a>]) -> [&'a str; 4] {
    std::array::from_fn(|at| rest.get(at).map_or("", |token| token.text))
}

fn cheats(rest: &[Token<'_>]) -> Option<String> {
    let text = match texts(rest) {
        ["sleep" | "sleep_ms" | "sleep_until", "(", ..] => {
            "a test never sleeps: pause the clock, or wait for a signal"
        }
        ["#", "[", "ignore", ..] => "a test is not ignored: mend it or remove it",
        _ => return None,
    };
    rest[0].test.then(|| text.to_owned())
}

fn unfinished(rest: &[Token<'_>]) -> Option<String> {
    let [name, bang, ..] = texts(rest);
    (["todo", "unimplemented"].contains(&name) && bang == "!")
        .then(|| format!("`{name}!` is not an answer: write the code"))
}

fn environment(source: &Source, rest: &[Token<'_>]) -> Option<String> {
    let [env, path, name, ..] = texts(rest);
    let reads = env == "env"
        && path == "::"
        && ["var", "var_os", "vars", "vars_os", "set_var", "remove_var", "{"].contains(&name);
    (reads && source.path.starts_with("src/") && !source.path.starts_with("src/config/")).then(|| {
        "only src/config reads the environment: make it a field there and pass the value in".to_owned()
    })
}

fn empty_name(rest: &[Token<'_>]) -> Option<String> {
    let [keyword, name, ..] = texts(rest);
    let module = keyword == "mod" && EMPTY_NAMES.contains(&name);
    let item = ["struct", "enum", "trait"].contains(&keyword)
        && ["Manager", "Helper", "Util", "Utils"].iter().any(|end| name.ends_with(end));
    (module || item).then(|| format!("`{name}` says nothing: name it after the thing it is about"))
}

fn long_function(rest: &[Token<'_>]) -> Option<String> {
    let [keyword, name, ..] = texts(rest);
    if keyword != "fn" || name == "(" {
        return None;
    }
    let open =
        rest.iter().position(|token| ["{", ";"].contains(&token.text)).filter(|at| rest[*at].text == "{")?;
    let mut depth = 0;
    let end = rest[open..].iter().position(|token| {
        depth += i32::from(token.text == "{") - i32::from(token.text == "}");
        depth == 0
    })?;
    let mut lines: Vec<_> = rest[open + 1..open + end].iter().map(|token| token.line).collect();
    lines.dedup();
    let lines = lines.len();
    (lines > FUNCTION)
        .then(|| format!("`{name}` has {lines} lines of code, {FUNCTION} at most: name its steps"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str, text: &str) -> Vec<String> {
        complaints(&Source::new(path, text))
    }

    #[test]
    fn each_bad_file_is_told_once() {
        let long_function = format!("//! A.\nfn f() {{\n{}}}", "g();\n".repeat(FUNCTION + 1));
        for (path, text) in [
            ("src/store/a.rs", &*format!("//! A.\n{}", "//\n".repeat(FILE))),
            ("src/store/a.rs", "use std::fmt;"),
            ("src/store/utils.rs", "//! A."),
            ("src/helpers/mod.rs", "//! A."),
            ("src/store/a.rs", "//! A.\nmod common {}"),
            ("src/store/a.rs", "//! A.\nstruct EndpointManager;"),
            ("src/store/a.rs", "//! A.\nfn f() { todo! () }"),
            ("tests/it/a.rs", "//! A.\nfn f() { sleep (SECOND) }"),
            ("src/store/tests.rs", "//! A.\nfn f() { std::thread::sleep (SECOND) }"),
            ("src/store/a.rs", "//! A.\nmod tests { # [ignore] fn f() {} }"),
            ("src/store/a.rs", "//! A.\nfn f() { std::env::var(\"A\") }"),
            ("src/store/a.rs", &long_function),
        ] {
            assert_eq!(said(path, text).len(), 1, "{path}: {text}");
        }
    }

    #[test]
    fn what_is_allowed_is_not_told() {
        let longest = format!("//! A.\nfn f() {{\n{}}}", "g();\n\n// why\n".repeat(FUNCTION));
        for (path, text) in [
            ("src/config/serve.rs", "//! A.\nfn f() { std::env::var(\"A\") }"),
            ("src/store/wake.rs", "//! A.\nfn f() { sleep(SECOND) }\nmod tests { // sleep(SECOND)\n}"),
            ("src/store/a.rs", "//! A.\ntrait T { fn f(); }\nconst A: &str = env!(\"A\");"),
            ("src/store/a.rs", &*longest),
        ] {
            assert!(said(path, text).is_empty(), "{path}: {:?}", said(path, text));
        }
    }

    #[test]
    fn text_with_a_machine_or_a_marker_in_it_is_told() {
        for ((a, b), rest) in MACHINE.iter().zip([""; 5]).chain(LEFT.iter().zip([": later"; 3])) {
            let source = Source::new("README.md", &format!("see {a}{b}{rest}"));
            assert_eq!(complaints_about_text(&source).len(), 1, "{}", source.text);
        }
        for (a, b) in LOCKS {
            let lock = |key: &str| Source::new("src/store/a.rs", &format!("select pg_{a}{b}{key})"));
            assert_eq!(complaints_about_text(&lock("7")).len(), 1, "{a}{b}");
            assert!(complaints_about_text(&lock("lock_key('slot/' || $1)")).is_empty());
        }
        assert_eq!(complaints_about_text(&Source::new("src/http/list.sql", "select 1")).len(), 1);
        assert!(complaints_about_text(&Source::new("src/store/list.sql", "select 1")).is_empty());
    }
}
