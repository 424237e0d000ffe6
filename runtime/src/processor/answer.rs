//! What came back from a guest, checked before use. Nothing a guest returns is trusted: not a length, not an index,
//! not a row.

use std::sync::Arc;

use tidegate_rows::{Layout, encode, validate};

use super::contract::{self, tidegate::processor::types as told};
use super::instance::ANSWER_BYTES_MAX;
use super::sql;
use super::{Output, RowFormat};
use crate::message::MessageBatch;
use crate::offset::{Counts, Partition, Progress};
use crate::outcome::{DeadLetter, ModuleName, OutputRows, Processed, Reason, Rejection, Replacement, Rewrite};

/// The answer to one call, message by message.
struct Answer<'a> {
    batch: &'a MessageBatch,
    outcomes: Vec<u8>,
    rejected: Vec<Option<Rejection>>,
}

const ROWS: u8 = 0;
const SKIPPED: u8 = 1;
const REPLACEMENT: u8 = 2;
const REWRITE: u8 = 3;
const REJECTED: u8 = 4;

/// Turns an answer into outcomes. A row that is not a row of its table costs its message, which is dead-lettered.
///
/// # Errors
/// The answer makes no sense as a whole; the text says where. Which message is to blame is not known then.
pub(super) fn check(
    told: contract::Processed,
    batch: &MessageBatch,
    layouts: &[Layout],
    outputs: &[Output],
    module: &Arc<ModuleName>,
) -> Result<Processed, String> {
    let mut answer = Answer::new(batch, told.outcomes)?;
    answer.take_rejections(told.rejections)?;
    let rewrites = answer.take_rewrites(told.rewrites, layouts)?;
    let replacements = answer.take_replacements(told.replacements)?;
    let mut rows = Vec::new();
    for output in told.rows {
        let index = output.output as usize;
        let declared = outputs.get(index).zip(layouts.get(index));
        let (declared, layout) = declared.ok_or_else(|| format!("there is no output {index}"))?;
        if rows.iter().any(|(have, _): &(usize, told::Rows)| *have == index) {
            return Err(format!("output {index} comes twice"));
        }
        rows.push((index, answer.walk(output, declared.format, layout)?));
    }
    let received = answer.received(told.received)?;
    let rows = rows.into_iter().map(|(index, output)| answer.keep(index, output)).collect();
    Ok(Processed {
        rows,
        replacements,
        rewrites: answer.carried_out(rewrites),
        dead_letters: answer.dead_letters(module),
        progress: answer.progress(&received),
    })
}

/// A batch of one message that could not be processed at all.
pub(super) fn rejected(batch: &MessageBatch, rejection: Rejection, module: &Arc<ModuleName>) -> Processed {
    let answer = Answer { batch, outcomes: vec![REJECTED; batch.len()], rejected: vec![Some(rejection); batch.len()] };
    Processed { dead_letters: answer.dead_letters(module), progress: answer.progress(&[]), ..Processed::default() }
}

impl<'a> Answer<'a> {
    fn new(batch: &'a MessageBatch, outcomes: Vec<u8>) -> Result<Self, String> {
        let n = batch.len();
        if outcomes.len() != n {
            return Err(format!("{} outcomes for {n} messages", outcomes.len()));
        }
        if let Some(unknown) = outcomes.iter().find(|outcome| **outcome > REJECTED) {
            return Err(format!("there is no outcome {unknown}"));
        }
        let rejected = outcomes
            .iter()
            .map(|outcome| (*outcome == REJECTED).then(|| Rejection::new(Reason::Invalid, "no reason given")))
            .collect();
        Ok(Self { batch, outcomes, rejected })
    }

    fn take_rejections(&mut self, rejections: Vec<told::Rejection>) -> Result<(), String> {
        for rejection in rejections {
            let message = rejection.message as usize;
            match self.rejected.get_mut(message) {
                Some(Some(reason)) => reason.detail = cut(rejection.reason),
                _ => return Err(format!("a rejection of message {message}, whose outcome is another")),
            }
        }
        Ok(())
    }

    /// A rewrite that is not of columns and expressions costs its message.
    fn take_rewrites(&mut self, told: Vec<told::Rewrite>, layouts: &[Layout]) -> Result<Vec<told::Rewrite>, String> {
        for rewrite in &told {
            let (message, output) = (rewrite.source as usize, rewrite.output as usize);
            if self.outcomes.get(message) != Some(&REWRITE) {
                return Err(format!("a rewrite of message {message}, whose outcome is another"));
            }
            let layout = layouts.get(output).ok_or_else(|| format!("there is no output {output}"))?;
            if let Err(error) = readable(rewrite, layout) {
                self.rejected[message].get_or_insert_with(|| Rejection::new(Reason::InvalidAnswer, error));
            }
        }
        if told.is_sorted_by_key(|rewrite| rewrite.source) { Ok(told) } else { Err("rewrites out of order".into()) }
    }

    fn carried_out(&self, told: Vec<told::Rewrite>) -> Vec<Rewrite> {
        let good = told.into_iter().filter(|rewrite| self.rejected[rewrite.source as usize].is_none());
        let rewrite = |told: told::Rewrite| {
            let message = self.batch.iter().nth(told.source as usize)?;
            Some(Rewrite {
                output: told.output as usize,
                partition: message.partition.clone(),
                offset: message.offset,
                columns: told.columns.into_iter().map(|new| (new.column, new.expression)).collect(),
                predicate: told.predicate,
            })
        };
        good.filter_map(rewrite).collect()
    }

    fn take_replacements(&self, told: Option<told::Replacements>) -> Result<Vec<Replacement>, String> {
        let expected = self.outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == REPLACEMENT);
        let expected = expected.map(|(message, _)| message as u32);
        let Some(told) = told else {
            return match expected.count() {
                0 => Ok(Vec::new()),
                n => Err(format!("{n} replacements promised, none given")),
            };
        };
        if !told.sources.iter().copied().eq(expected) {
            return Err("the replacements are not those of the outcomes, in their order".into());
        }
        if told.key_ends.len() != told.sources.len() || told.value_ends.len() != told.sources.len() {
            return Err("replacements with another number of keys or values".into());
        }
        rising(&told.key_ends, told.keys.len(), "replacement keys")?;
        rising(&told.value_ends, told.values.len(), "replacement values")?;
        let keys = pieces(&told.keys, &told.key_ends);
        let values = pieces(&told.values, &told.value_ends);
        Ok(keys.zip(values).map(|(key, value)| Replacement { key: key.to_vec(), value: value.to_vec() }).collect())
    }

    /// Walks every row by the types of its table; rows of JSON become RowBinary.
    fn walk(&mut self, rows: told::Rows, format: RowFormat, layout: &Layout) -> Result<told::Rows, String> {
        let output = rows.output;
        if rows.row_ends.len() != rows.sources.len() {
            return Err(format!("output {output}: {} rows from {} sources", rows.row_ends.len(), rows.sources.len()));
        }
        rising(&rows.row_ends, rows.data.len(), "rows")?;
        let (mut data, mut row_ends) = (Vec::new(), Vec::new());
        let mut last = 0;
        for (row, source) in pieces(&rows.data, &rows.row_ends).zip(&rows.sources) {
            let message = self.message_of(output, std::mem::replace(&mut last, *source), *source)?;
            let checked = match format {
                RowFormat::RowBinary => validate(layout, row),
                RowFormat::JsonEachRow => encode(layout, row, &mut data),
            };
            if let Err(error) = checked {
                self.rejected[message].get_or_insert_with(|| Rejection::new(Reason::InvalidRow, error.to_string()));
            }
            if format == RowFormat::JsonEachRow {
                row_ends.push(end_of(data.len(), output)?);
            }
        }
        Ok(match format {
            RowFormat::RowBinary => rows,
            RowFormat::JsonEachRow => told::Rows { data, row_ends, ..rows },
        })
    }

    /// The message that a row is of, if it may have one. The row before it was one of the message `last`.
    fn message_of(&self, output: u32, last: u32, source: u32) -> Result<usize, String> {
        if source < last {
            return Err(format!("output {output}: a row of message {source} follows one of message {last}"));
        }
        let message = source as usize;
        if !matches!(self.outcomes.get(message), Some(&(ROWS | REWRITE))) {
            return Err(format!("output {output}: a row of message {message}, whose outcome is another"));
        }
        Ok(message)
    }

    fn received(&self, told: Vec<i64>) -> Result<Vec<i64>, String> {
        if told.is_empty() || told.len() == self.batch.len() {
            Ok(told)
        } else {
            Err(format!("{} times of reception for {} messages", told.len(), self.batch.len()))
        }
    }

    /// The rows without those of rejected messages. The usual case moves the bytes as they are.
    fn keep(&self, output: usize, rows: told::Rows) -> OutputRows {
        let of_partitions = self.of_partitions(&rows.sources);
        if rows.sources.iter().all(|source| self.rejected[*source as usize].is_none()) {
            return OutputRows { output, data: rows.data, ends: rows.row_ends, of_partitions };
        }
        let mut kept = OutputRows { output, of_partitions, ..OutputRows::default() };
        for (row, source) in pieces(&rows.data, &rows.row_ends).zip(&rows.sources) {
            if self.rejected[*source as usize].is_none() {
                kept.data.extend_from_slice(row);
                kept.ends.push(kept.data.len() as u32);
            }
        }
        kept
    }

    /// Rows without those of rejected messages, by partition. The sources rise, as the runs do.
    fn of_partitions(&self, mut sources: &[u32]) -> Vec<(Partition, u64)> {
        let (mut of_partitions, mut end) = (Vec::new(), 0);
        for run in &self.batch.runs {
            end += run.count;
            let (of_run, later) = sources.split_at(sources.partition_point(|source| *source < end));
            let rows = of_run.iter().filter(|source| self.rejected[**source as usize].is_none()).count();
            if rows > 0 {
                of_partitions.push((run.partition.clone(), rows as u64));
            }
            sources = later;
        }
        of_partitions
    }

    fn dead_letters(&self, module: &Arc<ModuleName>) -> Vec<DeadLetter> {
        if self.rejected.iter().all(Option::is_none) {
            return Vec::new();
        }
        let guilty = self.batch.iter().zip(&self.rejected);
        guilty.filter_map(|(m, r)| r.clone().map(|r| DeadLetter::of(&m, r, module.clone()))).collect()
    }

    fn progress(&self, received: &[i64]) -> Progress {
        let mut progress = self.batch.progress();
        let mut first = 0;
        for run in &self.batch.runs {
            let messages = first..first + run.count as usize;
            first = messages.end;
            let Some(covered) = progress.get_mut(&run.partition) else { continue };
            for message in messages {
                self.count(message, &mut covered.counts);
                if let Some(at) = received.get(message).filter(|at| **at > 0 && self.rejected[message].is_none()) {
                    covered.received_ms.push(*at);
                }
            }
        }
        progress
    }

    fn count(&self, message: usize, counts: &mut Counts) {
        if self.rejected[message].is_some() {
            counts.dead_letters += 1;
            return;
        }
        match self.outcomes[message] {
            SKIPPED => counts.skipped += 1,
            REPLACEMENT => counts.replacements += 1,
            REWRITE => counts.rewrites += 1,
            _ => counts.inserted += 1,
        }
    }
}

fn readable(rewrite: &told::Rewrite, layout: &Layout) -> Result<(), String> {
    let is_column = |name: &str| layout.columns().iter().any(|column| column.name == name);
    for (at, new) in rewrite.columns.iter().enumerate() {
        let column = &new.column;
        if !is_column(column) {
            return Err(format!("a rewrite of column {column:?}, which the output has not"));
        }
        if rewrite.columns[..at].iter().any(|other| other.column == *column) {
            return Err(format!("a rewrite that has column {column:?} twice"));
        }
        sql::check(&new.expression, is_column).map_err(|error| format!("new value of column {column:?}: {error}"))?;
    }
    if rewrite.columns.is_empty() {
        return Err("a rewrite of no column".into());
    }
    sql::check(&rewrite.predicate, is_column).map_err(|error| format!("predicate of a rewrite: {error}"))
}

/// Where the messages must be cut: after each that asks for a rewrite, unless it is the last.
pub(super) fn cuts(outcomes: &[u8]) -> Vec<usize> {
    let rewrites = outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == REWRITE);
    rewrites.map(|(message, _)| message + 1).filter(|cut| *cut < outcomes.len()).collect()
}

fn rising(ends: &[u32], len: usize, what: &str) -> Result<(), String> {
    if !ends.is_sorted() {
        return Err(format!("the ends of the {what} do not rise"));
    }
    match ends.last().map_or(0, |end| *end as usize) {
        end if end == len => Ok(()),
        end => Err(format!("the {what} end at {end} and have {len} bytes")),
    }
}

/// Where a row of JSON ends in RowBinary. Columns that are left out can make much of little.
fn end_of(len: usize, output: u32) -> Result<u32, String> {
    match u32::try_from(len) {
        Ok(end) if len <= ANSWER_BYTES_MAX => Ok(end),
        _ => Err(format!("output {output}: the rows take more than {} MiB in RowBinary", ANSWER_BYTES_MAX >> 20)),
    }
}

/// `ends` must be rising and within `data`.
fn pieces<'a>(data: &'a [u8], ends: &'a [u32]) -> impl Iterator<Item = &'a [u8]> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, end)| &data[start as usize..*end as usize])
}

/// A reason is for people and travels in a header.
fn cut(mut reason: String) -> String {
    const REASON_BYTES_MAX: usize = 1024;
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Parts;
    use crate::offset::Assignment;

    fn verdict(columns: &[(&str, &str)], predicate: &str) -> Result<(), String> {
        let new = |(column, expression): &(&str, &str)| told::ColumnExpression {
            column: (*column).to_owned(),
            expression: (*expression).to_owned(),
        };
        let columns = columns.iter().map(new).collect();
        let rewrite = told::Rewrite { source: 0, output: 0, columns, predicate: predicate.to_owned() };
        readable(&rewrite, &Layout::parse([("id".to_owned(), "UInt8"), ("note".to_owned(), "String")]).unwrap())
    }

    #[test]
    fn rewrites_keep_to_the_columns_of_their_output() {
        assert_eq!(verdict(&[("id", "id"), ("note", "'x'")], "id = 1"), Ok(()));
        assert_eq!(verdict(&[], "1").unwrap_err(), "a rewrite of no column");
        let cases = [
            (vec![("id", "id"), ("secret", "1")], "1", "a rewrite of column \"secret\""),
            (vec![("id", "id"), ("id", "1")], "1", "has column \"id\" twice"),
            (vec![("id", "secret")], "1", "new value of column \"id\": \"secret\" is no column"),
            (vec![("id", "id"), ("note", "1, 2")], "1", "new value of column \"note\": a comma"),
            (vec![("id", "id")], "1 UNION ALL SELECT 1", "predicate of a rewrite"),
        ];
        for (columns, predicate, why) in cases {
            let error = verdict(&columns, predicate).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    /// Three messages, the last of another partition; the first has two rows.
    fn walked(rows: &[&str], columns: &[(&str, &str)]) -> Result<(Vec<Option<String>>, OutputRows), String> {
        let mut batch = MessageBatch::default();
        batch.begin_run(Partition::new("t", 0), Assignment(1), 0);
        for offset in 0..3 {
            if offset == 2 {
                batch.begin_run(Partition::new("t", 1), Assignment(1), 0);
            }
            batch.push(Parts { offset, payload: Some(b""), ..Parts::default() });
        }
        let ends = rows.iter().scan(0, |end, row| {
            *end += row.len() as u32;
            Some(*end)
        });
        let told = told::Rows {
            output: 0,
            data: rows.concat().into_bytes(),
            row_ends: ends.collect(),
            sources: [0, 0, 1, 2][..rows.len()].to_vec(),
        };
        let mut answer = Answer::new(&batch, vec![ROWS; 3])?;
        let walked = answer.walk(told, RowFormat::JsonEachRow, &Layout::parse(columns.iter().copied()).unwrap())?;
        let kept = answer.keep(0, walked);
        Ok((answer.rejected.into_iter().map(|why| why.map(|why| why.to_string())).collect(), kept))
    }

    #[test]
    fn rows_of_json_become_rows_or_cost_their_message() {
        let columns = [("id", "UInt8"), ("note", "String")];
        let (rejected, kept) =
            walked(&["{\"id\":1}\n", "{\"note\":\"x\"}", "{\"id\":256}", "{\"id\":3}"], &columns).unwrap();
        let why = "invalid-row: column \"id\", byte 9 of the row: 256 is no UInt8";
        assert_eq!(rejected, [None, Some(why.to_owned()), None]);
        assert_eq!((kept.data, kept.ends), (b"\x01\0\0\x01x\x03\0".to_vec(), vec![2, 5, 7]));
        let partitions = [0, 1].map(|number| Partition::new("t", number));
        assert_eq!(kept.of_partitions, partitions.clone().into_iter().zip([2, 1]).collect::<Vec<_>>());
        let (rejected, kept) = walked(&["{\"id\":1}", "{\"id\":2}{", "{}", "{}"], &columns).unwrap();
        assert!(rejected[0].is_some() && rejected[1].is_none());
        assert_eq!(kept.data, [0, 0, 0, 0]);
        assert_eq!(kept.of_partitions, partitions.into_iter().zip([1, 1]).collect::<Vec<_>>());
    }

    #[test]
    fn rows_that_grow_beyond_an_answer_cost_the_call() {
        assert_eq!(end_of(ANSWER_BYTES_MAX, 0), Ok(256 << 20));
        assert_eq!(
            end_of(ANSWER_BYTES_MAX + 1, 7).unwrap_err(),
            "output 7: the rows take more than 256 MiB in RowBinary"
        );
    }

    #[test]
    fn messages_are_cut_after_each_rewrite() {
        assert_eq!(cuts(&[ROWS, REWRITE, ROWS, REWRITE, REWRITE, SKIPPED]), [2, 4, 5]);
        assert!(cuts(&[ROWS, SKIPPED, REWRITE]).is_empty());
    }
}
