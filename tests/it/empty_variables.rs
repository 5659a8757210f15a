//! An empty variable is an unset one, for every setting of every command.

use std::process::{Command as Process, Stdio};

use clap::{Command, CommandFactory as _};
use transak_relay::config::Cli;

/// A command by its words, and the variables it reads.
fn commands(command: &Command, words: &[String], found: &mut Vec<(Vec<String>, Vec<String>)>) {
    let variables = command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned()));
    found.push((words.to_owned(), variables.collect()));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        commands(inner, &[words, &[inner.get_name().to_owned()]].concat(), found);
    }
}

/// What a command says and how it ends, with these variables empty and no others.
fn run(words: &[String], empty: &[&str]) -> (String, Option<i32>) {
    let mut process = Process::new(env!("CARGO_BIN_EXE_transak-relay"));
    process.args(words).env_clear().stdin(Stdio::null());
    // Where they would wait for somebody, or begin to work.
    match words[0].as_str() {
        "healthcheck" => drop(process.args(["--listen", "127.0.0.1:1"])),
        "dev" if words.len() == 1 => drop(process.args(["--dir", "/proc/nowhere"])),
        _ => {}
    }
    let output = process.envs(empty.iter().map(|name| (name, ""))).output().unwrap();
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code())
}

#[test]
fn an_empty_variable_is_an_unset_one_for_every_setting_of_every_command() {
    let mut command = Cli::command();
    command.build();
    let mut found = Vec::new();
    commands(&command, &[], &mut found);
    let mut tried = 0;
    for (words, variables) in found.iter().filter(|(words, _)| !words.is_empty()) {
        let unset = run(words, &[]);
        for variable in variables {
            assert_eq!(run(words, &[variable]), unset, "{words:?} with {variable} empty");
            tried += 1;
        }
        let all: Vec<_> = variables.iter().map(String::as_str).collect();
        assert_eq!(run(words, &all), unset, "{words:?} with all empty");
    }
    assert!(tried > 80, "{tried} settings were tried");
}
