//! The command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::mode::{Mode, Table};
use crate::row::Row;
use crate::subject::Id;

/// What to measure, and how long.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How often everything is measured.
    pub(crate) rounds: usize,
    /// How long one measurement of load takes.
    pub(crate) seconds: f64,
    /// Idle connections.
    pub(crate) connections: usize,
    pub(crate) modes: Vec<Mode>,
    pub(crate) rows: Vec<Row>,
    pub(crate) peers: Vec<Id>,
    /// `log.level` of frp, ours and the original's.
    pub(crate) log: String,
    /// Our own load even where iperf3 and wrk are installed.
    pub(crate) builtin: bool,
    /// One short round that only has to complete.
    pub(crate) smoke: bool,
    /// The file whose section of results is replaced.
    pub(crate) markdown: Option<PathBuf>,
    /// The file that gets every single figure.
    pub(crate) csv: Option<PathBuf>,
}

impl Options {
    /// From the arguments of this process; ends it after `--help` or a mistake.
    pub(crate) fn parse() -> Self {
        Self::from_matches(&command().get_matches())
    }

    fn from_matches(matches: &ArgMatches) -> Self {
        let smoke = matches.get_flag("smoke");
        let chosen = |name: &str| -> Vec<String> {
            matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
        };
        let number = |name: &str, usual: usize, short: usize| {
            matches.get_one::<u32>(name).map_or(if smoke { short } else { usual }, |&given| given as usize)
        };
        let (modes, rows, peers) = (chosen("modes"), chosen("rows"), chosen("peers"));
        let tables = chosen("table");
        Self {
            rounds: number("rounds", 5, 1).max(1),
            seconds: matches
                .get_one::<f64>("seconds")
                .copied()
                .unwrap_or(if smoke { 0.1 } else { 3.0 })
                .max(0.05),
            connections: number("connections", 1000, 100).max(1),
            modes: pick(Mode::ALL, |mode| match modes.is_empty() {
                // A mode that is named brings its table.
                false => modes.iter().any(|word| word == mode.slug()),
                true if tables.is_empty() => smoke || mode.table() == Table::Load,
                true => tables.iter().any(|word| word == mode.table().slug()),
            }),
            rows: pick(Row::all(), |row| {
                rows.is_empty() || rows.iter().any(|word| row.slug().starts_with(word))
            }),
            peers: pick(Id::ALL, |id| match id {
                Id::Ours => true,
                Id::Again => !smoke,
                _ => peers.is_empty() || peers.iter().any(|word| word == id.slug()),
            }),
            log: matches.get_one::<String>("log-level").cloned().unwrap_or_else(|| "warn".to_owned()),
            builtin: matches.get_flag("builtin"),
            smoke,
            markdown: matches.get_one::<PathBuf>("markdown").cloned(),
            csv: matches.get_one::<PathBuf>("csv").cloned(),
        }
    }
}

fn pick<T: Copy>(all: impl IntoIterator<Item = T>, wanted: impl Fn(T) -> bool) -> Vec<T> {
    all.into_iter().filter(|&item| wanted(item)).collect()
}

fn command() -> Command {
    let value = |name: &'static str, what: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(what).help(help)
    };
    let list = |name, what, help| value(name, what, help).value_delimiter(',').action(ArgAction::Append);
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("frp-bench")
        .about(
            "Measures frps and frpc beside the original and every other tunnel or proxy that is installed, in \
             interleaved rounds over loopback, and prints a table. Peers are found in PATH and in the folder that \
             FRP_BENCH_BIN names; the original in the folder that FRP_REF names (vX.Y.Z/frps, vX.Y.Z/frpc).",
        )
        .arg(value("rounds", "N", "How often everything is measured [5]").value_parser(value_parser!(u32)))
        .arg(value("seconds", "S", "Length of one measurement of load [3]").value_parser(value_parser!(f64)))
        .arg(value("connections", "N", "Idle connections [1000]").value_parser(value_parser!(u32)))
        .arg(list("table", "TABLE,...", "Only these: load (frp over TCP beside every peer), transports (frp over each transport, also over bad lines) [load; with --smoke both]").value_parser(PossibleValuesParser::new(Table::ALL.map(Table::slug))))
        .arg(list("modes", "MODE,...", "Only these").value_parser(PossibleValuesParser::new(Mode::ALL.map(Mode::slug))))
        .arg(list("rows", "ROW,...", "Only rows that begin so: bulk, cpu, request, connection, idle, start, vhost, https, udp, line"))
        .arg(list("peers", "PEER,...", "Only these beside ours").value_parser(PossibleValuesParser::new(Id::ALL.map(Id::slug))))
        .arg(value("log-level", "LEVEL", "log.level of frp, ours and the original's [warn]"))
        .arg(flag("builtin", "The built-in load even where iperf3 and wrk are installed"))
        .arg(flag("smoke", "One short round without thresholds, to see that everything works"))
        .arg(
            value(
                "markdown",
                "FILE",
                "Put the tables into FILE, in place of its section \"## Results\", or \"## Results over transports\"",
            )
            .value_parser(value_parser!(PathBuf)),
        )
        .arg(value("csv", "FILE", "Write every single figure to FILE").value_parser(value_parser!(PathBuf)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Options {
        let words = std::iter::once("frp-bench").chain(arguments.split_whitespace());
        Options::from_matches(&command().try_get_matches_from(words).unwrap())
    }

    #[test]
    fn everything_by_default() {
        let options = parse("");
        assert_eq!((options.rounds, options.connections), (5, 1000));
        assert_eq!(options.modes, [Mode::Plain, Mode::Mux, Mode::Default, Mode::Encrypted]);
        assert_eq!(options.rows, Row::all());
        assert_eq!(options.peers, Id::ALL);
    }

    #[test]
    fn choices() {
        let options = parse("--modes mux,default --rows bulk,start --peers haproxy --rounds 2");
        assert_eq!(options.modes, [Mode::Mux, Mode::Default]);
        assert_eq!(options.rows, [Row::BulkUp, Row::BulkDown, Row::BulkEight, Row::Start]);
        assert_eq!(options.peers, [Id::Ours, Id::Again, Id::Haproxy]);
        assert_eq!(options.rounds, 2);
        assert!(command().try_get_matches_from(["frp-bench", "--modes", "quick"]).is_err());
    }

    #[test]
    fn a_table_chooses_modes_and_a_mode_its_table() {
        let options = parse("--table transports");
        assert_eq!((options.modes.first(), options.modes.len()), (Some(&Mode::Tcp), 7));
        assert_eq!(parse("--modes kcp,mux").modes, [Mode::Mux, Mode::Kcp]);
        assert_eq!(parse("--table load,transports").modes, Mode::ALL);
        assert_eq!(parse("--smoke").modes, Mode::ALL);
    }

    #[test]
    fn a_smoke_run_is_short() {
        let options = parse("--smoke");
        assert_eq!((options.rounds, options.connections), (1, 100));
        assert!(options.seconds < 1.0 && !options.peers.contains(&Id::Again));
    }
}
