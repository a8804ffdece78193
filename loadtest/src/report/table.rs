//! Tables as data, so that HTML and Markdown show the same cells.

/// A table; each row has one cell for each heading.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) headings: Vec<Heading>,
    pub(super) rows: Vec<Row>,
}

/// A column heading.
#[derive(Debug)]
pub(super) struct Heading {
    pub(super) text: String,
    /// Whether the column is right-aligned.
    pub(super) is_number: bool,
}

/// A row with its style classes.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) class: String,
    pub(super) cells: Vec<Cell>,
}

/// A figure or a text, with an optional range below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) range: Option<String>,
}

impl Cell {
    pub(super) fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            range: None,
        }
    }

    /// Makes the cell of an unmeasured figure: a dash.
    pub(super) fn absent() -> Self {
        Self::of("–")
    }

    pub(super) fn with_range(self, range: String) -> Self {
        Self {
            range: Some(range),
            ..self
        }
    }
}

impl Table {
    /// Makes a table with text columns, then number columns.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a str>, numbers: impl IntoIterator<Item = String>) -> Self {
        let heading = |is_number: bool| move |text: String| Heading { text, is_number };
        let texts = texts.into_iter().map(str::to_owned).map(heading(false));
        Self {
            headings: texts.chain(numbers.into_iter().map(heading(true))).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, class: impl Into<String>, cells: impl IntoIterator<Item = Cell>) {
        let cells = cells.into_iter().collect();
        self.rows.push(Row {
            class: class.into(),
            cells,
        });
    }

    /// Renders the table as Markdown with aligned columns; ranges follow their figures in brackets.
    pub(super) fn markdown(&self) -> String {
        let headings = self.headings.iter().map(|heading| escaped(&heading.text)).collect();
        let mut lines: Vec<Vec<String>> = vec![headings];
        lines.extend(self.rows.iter().map(|row| row.cells.iter().map(written).collect()));
        let length = |text: &String| text.chars().count();
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                lines
                    .iter()
                    .filter_map(|line| line.get(column))
                    .map(length)
                    .max()
                    .unwrap_or(0)
                    .max(3)
            })
            .collect();
        let rules = self
            .headings
            .iter()
            .zip(&widths)
            .map(|(heading, width)| match heading.is_number {
                true => format!("{}:", "-".repeat(width.saturating_sub(1))),
                false => "-".repeat(*width),
            });
        lines.insert(1, rules.collect());
        let mut text = String::new();
        for line in lines {
            for ((cell, width), heading) in line.iter().zip(&widths).zip(&self.headings) {
                text += &match heading.is_number {
                    true => format!("| {cell:>width$} "),
                    false => format!("| {cell:<width$} "),
                };
            }
            text += "|\n";
        }
        text
    }
}

fn written(cell: &Cell) -> String {
    match &cell.range {
        Some(range) => format!("{} [{}]", escaped(&cell.text), escaped(&range.replace('–', ".."))),
        None => escaped(&cell.text),
    }
}

/// Escapes text for Markdown.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => escaped.extend(['\\', letter]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_aligned_by_characters() {
        let mut table = Table::new(["name"], ["CPU µs".to_owned()]);
        table.push(
            "subject",
            [Cell::of("squall"), Cell::of("5.31").with_range("5.26–5.32".to_owned())],
        );
        table.push("", [Cell::of("a|b"), Cell::absent()]);
        let expected = "\
| name   |            CPU µs |
| ------ | ----------------: |
| squall | 5.31 [5.26..5.32] |
| a\\|b   |                 – |
";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn markup_in_the_record_is_escaped() {
        assert_eq!(escaped("<img>*a_b*|`x`\n&"), "&lt;img&gt;\\*a\\_b\\*\\|\\`x\\` &amp;");
    }
}
