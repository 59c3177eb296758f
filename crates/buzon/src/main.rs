//! The `buzon` binary: command line → role. What a role does is in its file; here is only who gets to run.

use std::process::ExitCode;

use clap::Parser;

mod admin;
mod cli;
mod config;
mod ctl;
mod data_dir;
mod demo;
mod frontend;
mod http;
mod import;
mod mail;
mod metad;
mod outcomes;
mod pki;
mod process;
mod standalone;

use cli::{Cli, Command, ConfigCommand};
use config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("buzon: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Standalone(arguments) => standalone::main(arguments),
        Command::Metad(arguments) => metad::main(&arguments),
        Command::Frontend(arguments) => frontend::main(&arguments),
        Command::Pki(command) => pki::issue::main(&command),
        Command::Ctl(arguments) => ctl::main(arguments),
        Command::Import(arguments) => import::main(&arguments),
        Command::Config(ConfigCommand::Check { file, role }) => {
            Config::load(Some(&file))?.validate_for(role)?;
            println!("{}: good", file.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(ConfigCommand::Show { config }) => {
            print!("{}", Config::load(config.as_deref())?.show()?);
            Ok(ExitCode::SUCCESS)
        }
    }
}
