//! What a person at a terminal sees and types: standard output and error, and passwords.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::error::Error;

/// Writes lines to standard output. Who closed it (`| head`) wants no more, so that is no error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes lines to standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person reads standard output.
pub(crate) fn is_read_by_a_person() -> bool {
    io::stdout().is_terminal()
}

/// Text that somebody else chose, fit for a terminal: control characters could move the cursor or change the title, and
/// bidi marks could reorder what is read.
pub(crate) fn tame(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// Rows in columns, with a heading. What was chosen by others is tamed here.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let tamed: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| tame(cell))).collect();
    let mut widths = heading.map(|cell| cell.chars().count());
    for row in &tamed {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heading)];
    lines.extend(tamed.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

/// Names and values, one a line; those without a value are left out. What was chosen by others is tamed here.
pub(crate) fn facts<const N: usize>(rows: [(&str, String); N]) -> String {
    let told = rows.iter().filter(|(_, value)| !value.trim().is_empty());
    let width = told.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
    told.map(|(name, value)| format!("{name:width$}  {}", tame(value))).collect::<Vec<_>>().join("\n")
}

/// A new password: typed twice without echo, or one line of standard input. Never from the command line, which others on
/// the machine can read.
pub(crate) fn new_password(from_stdin: bool) -> Result<String, Error> {
    if from_stdin {
        let mut line = String::new();
        io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(Error::because("cannot read the password from standard input"))?;
        let password = line.strip_suffix('\n').unwrap_or(&line);
        return Ok(password.strip_suffix('\r').unwrap_or(password).to_owned());
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map_err(Error::because("cannot ask for the password here; pipe it in with --password-stdin"))
    };
    let password = ask("New password: ")?;
    if ask("Once more: ")? != password {
        return Err(Error::failed("the two passwords differ; nothing was changed"));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_moves_the_cursor() {
        let rows = [["a".to_owned(), "x\u{1b}[2J".to_owned()], ["long name".to_owned(), "\u{202e}y".to_owned()]];
        assert_eq!(table(["NAME", "IS"], &rows), "NAME       IS\na          x\u{fffd}[2J\nlong name  \u{fffd}y");
    }
}
