//! The figures of a run as tables: a row for each case, a column for each n.

use std::fmt::Write as _;

use super::Line;

/// From here on blobs are large ones, measured with few n.
const LARGE_BYTES: u64 = 32 << 20;

/// Three tables: stripes and extents, small blobs, large blobs.
pub(super) fn tables(lines: &[Line]) -> String {
    let is_many = |line: &Line| line.unit == "1/s" || line.blob_bytes >= LARGE_BYTES;
    let (large, others): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| is_many(line));
    let (small, full): (Vec<&Line>, Vec<&Line>) =
        others.into_iter().partition(|line| line.unit == "us");
    let mut text = table("full stripes and extents", &full);
    text.push('\n');
    text.push_str(&table("small blobs", &small));
    text.push('\n');
    text.push_str(&table("many slivers", &large));
    text
}

fn table(title: &str, lines: &[&Line]) -> String {
    let mut shards: Vec<u16> = lines.iter().map(|line| line.n).collect();
    shards.sort_unstable();
    shards.dedup();
    let mut text = format!("| {title} |");
    for n in &shards {
        let _ = write!(text, " n={n} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(shards.len()));
    let mut names: Vec<String> = Vec::new();
    for line in lines {
        let name = name(line);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for wanted in names {
        let of = |n: &u16| lines.iter().find(|line| line.n == *n && name(line) == wanted);
        row(&mut text, &wanted, shards.iter().map(|n| of(n).map(|line| cell(line))));
        if wanted.starts_with("encode an extent") {
            let peak = |n: &u16| of(n).and_then(|line| line.peak_bytes).map(mebibytes);
            row(&mut text, "its memory at the peak, MiB", shards.iter().map(peak));
        }
    }
    text
}

/// A case, its unit, and the size where cases have several.
fn name(line: &Line) -> String {
    match line.unit.as_str() {
        "us" => format!("{}, {} KiB, us", line.case, line.blob_bytes >> 10),
        unit => format!("{}, {unit}", line.case),
    }
}

fn row(text: &mut String, name: &str, cells: impl Iterator<Item = Option<String>>) {
    let _ = write!(text, "| {name} |");
    for cell in cells {
        let _ = write!(text, " {} |", cell.unwrap_or_default());
    }
    text.push('\n');
}

fn cell(line: &Line) -> String {
    let digits = usize::from(line.value < 100.0);
    let value = line.value;
    let ratio = line.ratio.map_or_else(String::new, |ratio| format!(" ({ratio:.2})"));
    format!("{value:.digits$}{ratio}")
}

fn mebibytes(bytes: u64) -> String {
    let tenths = (bytes * 10) >> 20;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(case: &str, n: u16, blob_bytes: u64, (value, unit): (f64, &str)) -> Line {
        let (case, unit) = (case.to_owned(), unit.to_owned());
        Line { case, n, blob_bytes, value, unit, ratio: None, peak_bytes: Some(1_572_864) }
    }

    #[test]
    fn cases_are_rows_and_shards_columns() {
        let encode = line("encode", 4, 196_608, (1194.2, "MB/s"));
        let lines = [
            Line { ratio: Some(1.313), ..encode },
            line("encode an extent", 10, 917_504, (17.44, "MB/s")),
            line("id only", 10, 4096, (32.54, "us")),
            line("id only", 10, 65_536, (132.5, "us")),
            line("rebuild 10,000", 10, 8192, (150_000.0, "1/s")),
            line("decode 64 MiB", 10, 64 << 20, (2000.0, "MB/s")),
        ];
        let tables = tables(&lines);
        assert_eq!(
            tables,
            "| full stripes and extents | n=4 | n=10 |\n|---|---:|---:|\n\
             | encode, MB/s | 1194 (1.31) |  |\n\
             | encode an extent, MB/s |  | 17.4 |\n\
             | its memory at the peak, MiB |  | 1.5 |\n\n\
             | small blobs | n=10 |\n|---|---:|\n\
             | id only, 4 KiB, us | 32.5 |\n\
             | id only, 64 KiB, us | 132 |\n\n\
             | many slivers | n=10 |\n|---|---:|\n\
             | rebuild 10,000, 1/s | 150000 |\n\
             | decode 64 MiB, MB/s | 2000 |\n"
        );
    }
}
