//! A source file as the rules see it: its text, and its tokens without comments and without what strings hold.
//!
//! This is not a parser. It knows just enough of Rust's lexical rules to tell code from comments, strings, characters
//! and lifetimes, so that no rule is fooled by prose.

use std::path::Path;

/// Never looked into: made by tools, or not part of the repository.
const FOREIGN: [&str; 6] = [".git", "target", "node_modules", ".sqlx", ".dev", ".env"];

/// One file, named relative to the repository.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A word, `::`, one punctuation character, or `""` for any string or character.
#[derive(Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
    /// How many inline modules it is in.
    pub(crate) modules: usize,
    /// Whether it is in a file of tests or in an inline `mod tests`.
    pub(crate) test: bool,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Every text file below `folder`, in a stable order.
    pub(crate) fn all(root: &Path, folder: &str) -> Vec<Self> {
        let mut found = Vec::new();
        walk(root, &root.join(folder), &mut found);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// The module of a file in `src/`: `src/store/order/mod.rs` is `["store", "order"]`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/").unwrap_or_default();
        let inside = inside.strip_suffix(".rs").unwrap_or(inside);
        inside.split('/').filter(|part| !["mod", "lib", "main", ""].contains(part)).collect()
    }

    fn is_test(&self) -> bool {
        let of_tests = |part: &str| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs");
        self.path.split('/').any(of_tests)
    }

    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let mut tokens = Vec::new();
        let (mut at, mut line) = (0, 1);
        while at < self.text.len() {
            let (length, kept) = next(&self.text[at..], self.text[..at].chars().next_back());
            if let Some(text) = kept {
                tokens.push(Token { text, line, modules: 0, test: self.is_test() });
            }
            line += self.text[at..at + length].matches('\n').count();
            at += length;
        }
        mark_modules(&mut tokens);
        tokens
    }
}

fn walk(root: &Path, at: &Path, found: &mut Vec<Source>) {
    let name = at.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if FOREIGN.contains(&name) {
        return;
    }
    if at.is_dir() {
        for child in std::fs::read_dir(at).unwrap() {
            walk(root, &child.unwrap().path(), found);
        }
    } else if let Ok(text) = std::fs::read_to_string(at) {
        found.push(Source { path: at.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text });
    }
}

/// The length of what comes next, and what is kept of it.
fn next(rest: &str, before: Option<char>) -> (usize, Option<&str>) {
    let first = rest.chars().next().unwrap_or(' ');
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), None);
    }
    if let Some(length) = raw_string(rest) {
        return (length, Some("\"\""));
    }
    match first {
        '"' => (quoted(rest, '"'), Some("\"\"")),
        '\'' if is_character(rest) => (quoted(rest, '\''), Some("\"\"")),
        // A lifetime: the name stays, the quote goes.
        '\'' => (1, None),
        ':' if rest.starts_with("::") => (2, Some("::")),
        _ if is_word(first) && !before.is_some_and(is_word) => {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (length, Some(&rest[..length]))
        }
        _ if first.is_whitespace() => (first.len_utf8(), None),
        _ => (first.len_utf8(), Some(&rest[..first.len_utf8()])),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, also with `b` or `c` before it.
fn raw_string(rest: &str) -> Option<usize> {
    let start = ["br", "cr", "r"].iter().find(|prefix| rest.starts_with(**prefix))?.len();
    let hashes = rest[start..].chars().take_while(|c| *c == '#').count();
    let body = start + hashes;
    if !rest[body..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest[body + 1..].find(&end).map_or(rest.len(), |length| body + 1 + length + end.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn is_character(rest: &str) -> bool {
    let mut inside = rest.chars().skip(1);
    inside.next() == Some('\\') || inside.next() == Some('\'')
}

fn mark_modules(tokens: &mut [Token<'_>]) {
    let mut open: Vec<Option<&str>> = Vec::new();
    for at in 0..tokens.len() {
        match tokens[at].text {
            "{" if at >= 2 && tokens[at - 2].text == "mod" => open.push(Some(tokens[at - 1].text)),
            "{" => open.push(None),
            "}" => drop(open.pop()),
            _ => {}
        }
        tokens[at].modules = open.iter().flatten().count();
        tokens[at].test |= open.iter().flatten().any(|name| *name == "tests");
    }
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "/* a /* b */ c */ d // e\n\"f \\\" g\" r#\"h \" i\"# 'j' '\\'' &'k l::m";
    let words: Vec<_> =
        Source::new("src/x.rs", text).tokens().iter().map(|token| token.text.to_owned()).collect();
    assert_eq!(words, ["d", "\"\"", "\"\"", "\"\"", "\"\"", "&", "k", "l", "::", "m"]);
}

#[test]
fn tokens_know_their_line_and_their_inline_modules() {
    let source = Source::new("src/x.rs", "a\nmod tests {\n b }\nc");
    let found: Vec<_> = source.tokens().iter().map(|token| (token.line, token.modules, token.test)).collect();
    let (out, inside) = (|line| (line, 0, false), |line| (line, 1, true));
    assert_eq!(found, [out(1), out(2), out(2), inside(2), inside(3), out(3), out(4)]);
}
