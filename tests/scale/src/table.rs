//! What is printed.

#![expect(clippy::print_stdout, reason = "a command that reports")]

/// A table that is printed row by row, in the form of Markdown.
#[derive(Debug)]
pub(crate) struct Table(Vec<usize>);

impl Table {
    /// Prints the heading.
    pub(crate) fn new<const N: usize>(columns: [&str; N]) -> Self {
        let table = Self(columns.iter().map(|column| column.len().max(6)).collect());
        table.row(&columns.map(str::to_owned));
        let rules: Vec<String> = table.0.iter().map(|width| format!("{:->1$}:", "", width - 1)).collect();
        println!("| {} |", rules.join(" | "));
        table
    }

    /// Prints a row.
    pub(crate) fn row<const N: usize>(&self, cells: &[String; N]) {
        let cells: Vec<String> =
            cells.iter().zip(&self.0).map(|(cell, width)| format!("{cell:>width$}")).collect();
        println!("| {} |", cells.join(" | "));
    }
}

/// Prints a remark about what follows.
pub(crate) fn note(text: &str) {
    println!("({text})");
}

/// Seconds with two digits.
pub(crate) fn seconds(time: std::time::Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

/// `bytes` shared by `count`, in KiB with one digit.
pub(crate) fn kib_each(bytes: u64, count: usize) -> String {
    let tenths = bytes * 10 / 1024 / (count.max(1) as u64);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// `bytes` in MiB with one digit.
pub(crate) fn mib(bytes: u64) -> String {
    kib_each(bytes, 1024)
}

/// Prints a worker's remark, whose standard output is taken.
#[expect(clippy::print_stderr, reason = "a command that reports")]
pub(crate) fn complain(text: &str) {
    eprintln!("({text})");
}
