//! What the doctor says: a verdict, what it is about, and what to do.

use std::io::Write;

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It does not work.
    Fail,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    verdict: Verdict,
    what: String,
    said: String,
}

impl Line {
    pub(super) fn ok(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what: what.into(), said: said.into() }
    }

    pub(super) fn warn(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, what: what.into(), said: said.into() }
    }

    pub(super) fn fail(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, what: what.into(), said: said.into() }
    }
}

/// The lines so far.
pub(super) struct Report<W> {
    output: W,
    failed: usize,
    warned: usize,
}

impl<W: Write> Report<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, failed: 0, warned: 0 }
    }

    pub(super) fn say(&mut self, line: Line) -> anyhow::Result<()> {
        let Line { verdict: judged, what, said } = line;
        let verdict = match judged {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        self.failed += usize::from(judged == Verdict::Fail);
        self.warned += usize::from(judged == Verdict::Warn);
        // A line is one line, whatever somebody else's words are.
        let said = said.replace(['\n', '\r'], " ");
        Ok(writeln!(self.output, "{verdict:<4}  {what:<12}  {said}")?)
    }

    /// An error if anything failed.
    pub(super) fn end(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.failed == 0,
            "{} of the things above fail, {} want looking after",
            self.failed,
            self.warned
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_fails_the_whole_and_a_warning_does_not() {
        let mut told = Vec::new();
        let mut report = Report::new(&mut told);
        report.say(Line::ok("clock", "right")).unwrap();
        report.say(Line::warn("replicas", "none\nis synchronous")).unwrap();
        assert!(report.end().is_ok());
        let mut report = Report::new(&mut told);
        report.say(Line::fail("database", "gone")).unwrap();
        assert_eq!(report.end().unwrap_err().to_string(), "1 of the things above fail, 0 want looking after");
        let told = String::from_utf8(told).unwrap();
        assert_eq!(
            told,
            "ok    clock         right\nwarn  replicas      none is synchronous\nfail  database      gone\n"
        );
    }
}
