//! Whom an error of Postgres is about, told from its SQLSTATE: the row, what stands in its way, or everything.
//!
//! What a row cannot help must never be taken for its own fault: it would be put aside for ever, though it could be kept
//! a moment later. So only what is certain to be the row's own is called so, and whatever nobody thought of is the
//! environment's.

/// Whom an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The row: it will be refused wherever and whenever it comes.
    Row,
    /// A lock that somebody holds: only what needs it has to wait.
    Lock,
    /// Another transaction came first: the same may succeed at once.
    Race,
    /// Postgres is not to be had right now: nothing can be written.
    Away,
    /// Postgres answers, but its schema, its rights or its state are not what they must be.
    Environment,
}

/// Judges a SQLSTATE; `constraint`: the error names the constraint that the row violates.
///
/// All classes of PostgreSQL 15 to 18 are named, so that a new one has to be thought about.
#[expect(clippy::match_same_arms, reason = "each is named for a reason of its own")]
pub fn fault(code: &str, constraint: bool) -> Fault {
    match code {
        // An enum without this value, a type with another form: program and schema differ.
        "22P02" | "22P03" | "22023" => Fault::Environment,
        // The row it refers to is not there: it may come, as in a restore.
        "23503" => Fault::Environment,
        // A column that this program does not know wants a value; a sequence has come to its end: no row is to blame.
        "23502" | "2200H" => Fault::Environment,
        // An exclusion or a division that this program does not know, as in a trigger.
        "23P01" | "22012" => Fault::Environment,
        // A partition that is missing is told as a check that fails, without a name.
        "23514" if !constraint => Fault::Environment,
        // A row or an index entry that is too large. Its neighbours in the class are about the statement.
        "54000" => Fault::Row,
        "55P03" => Fault::Lock,
        // Nobody knows whether it was committed.
        "40003" => Fault::Away,
        // The server only reads; the session was ended in its transaction; a database that takes no connections.
        "25006" | "25P03" | "25P04" | "55000" => Fault::Away,
        _ => class(code.get(..2).unwrap_or_default()),
    }
}

#[expect(clippy::match_same_arms, reason = "what is known is named, what is new is not")]
fn class(class: &str) -> Fault {
    match class {
        // Data exceptions; integrity constraints.
        "22" | "23" => Fault::Row,
        // Serialization failures and deadlocks.
        "40" => Fault::Race,
        // Connections; authorization and databases, which are asked about when one connects; resources; operators; the
        // system below.
        "08" | "28" | "3D" | "53" | "57" | "58" => Fault::Away,
        // Success, warnings and no data are no errors; unfinished statements, triggers, features, transactions, locators,
        // grants and roles, diagnostics, XQuery, cases, cardinality, cursors, transaction states, names of statements,
        // changes by triggers, privileges, endings, routines, savepoints, schemas, syntax and rights, views, limits of
        // statements, states of objects, snapshots, configuration, foreign data, PL/pgSQL, internal errors.
        "00" | "01" | "02" | "03" | "09" | "0A" | "0B" | "0F" | "0L" | "0P" | "0Z" | "10" | "20" | "21"
        | "24" | "25" | "26" | "27" | "2B" | "2D" | "2F" | "34" | "38" | "39" | "3B" | "3F" | "42" | "44"
        | "54" | "55" | "72" | "F0" | "HV" | "P0" | "XX" => Fault::Environment,
        _ => Fault::Environment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All classes of the appendix "PostgreSQL Error Codes" with the codes of each that are most often seen, and the
    /// exceptions within a class.
    const TABLE: &[(Fault, &[&str])] = &[
        (
            Fault::Row,
            &[
                "22000", "22001", "22003", "22007", "22008", "22021", "22026", "22030", "22032", "22P01",
                "22P04", "22P05", "22P06", "23000", "23001", "23505", "54000",
            ],
        ),
        (Fault::Lock, &["55P03"]),
        (Fault::Race, &["40000", "40001", "40002", "40P01"]),
        (
            Fault::Away,
            &[
                "08000", "08001", "08003", "08004", "08006", "08007", "08P01", "25006", "25P03", "25P04",
                "28000", "28P01", "3D000", "40003", "53000", "53100", "53200", "53300", "53400", "55000",
                "57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05", "58000", "58030", "58P01",
                "58P02", "58P03",
            ],
        ),
        (
            Fault::Environment,
            &[
                "00000",
                "01000",
                "02000",
                "03000",
                "09000",
                "0A000",
                "0B000",
                "0F000",
                "0L000",
                "0P000",
                "0Z000",
                "10608",
                "20000",
                "21000",
                "22023",
                "22P02",
                "22P03",
                "23503",
                "24000",
                "25000",
                "25P01",
                "25P02",
                "26000",
                "27000",
                "2B000",
                "2D000",
                "2F000",
                "34000",
                "38000",
                "39000",
                "3B000",
                "3F000",
                "42000",
                "42501",
                "42601",
                "42703",
                "42704",
                "42804",
                "42883",
                "42P01",
                "42P18",
                "44000",
                "54001",
                "54011",
                "54023",
                "55006",
                "55P02",
                "55P04",
                "72000",
                "F0000",
                "HV000",
                "P0000",
                "P0001",
                "XX000",
                "XX001",
                "XX002",
                "",
                "4",
                "99999",
                "zz999",
                "\u{e9}\u{e9}\u{e9}",
            ],
        ),
    ];

    #[test]
    fn every_class_is_judged() {
        for (fault_of, codes) in TABLE {
            for code in *codes {
                assert_eq!(fault(code, true), *fault_of, "{code}");
                assert_eq!(fault(code, false), *fault_of, "{code} without a constraint");
            }
        }
    }

    #[test]
    fn a_check_that_fails_is_the_rows_fault_and_a_missing_partition_is_not() {
        assert_eq!(fault("23514", true), Fault::Row);
        assert_eq!(fault("23514", false), Fault::Environment);
    }

    #[test]
    fn only_what_is_certain_is_called_the_rows_own_fault() {
        let alphabet: Vec<char> = ('0'..='9').chain('A'..='Z').collect();
        for first in &alphabet {
            for second in &alphabet {
                let class = format!("{first}{second}");
                let is_row = fault(&format!("{class}999"), true) == Fault::Row;
                assert_eq!(is_row, ["22", "23"].contains(&class.as_str()), "{class}");
            }
        }
    }
}
