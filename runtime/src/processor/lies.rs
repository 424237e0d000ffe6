//! Answers that no guest would dare to give: whatever they say, checking them does not panic, and every message of an answer
//! that is taken has one end.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tidegate_rows::Layout;

use super::answer::check;
use super::contract::{Processed, tidegate::processor::types as told};
use super::{Output, RowFormat};
use crate::digest::Digest;
use crate::message::{MessageBatch, Parts};
use crate::offset::{Assignment, Partition};
use crate::outcome::ModuleName;

/// Numbers near those that would be right, and far away.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0u32..6, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

fn numbers() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        vec(number(), 0..6),
        (0u32..6).prop_map(|n| (0..n).collect()),
        (0u32..6).prop_map(|n| (1..=n).collect())
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..6)
}

prop_compose! {
    fn rows()(output in number(), data in bytes(), row_ends in numbers(), sources in numbers()) -> told::Rows {
        told::Rows { output, data, row_ends, sources }
    }
}

prop_compose! {
    fn replacements()(
        keys in bytes(), key_ends in numbers(), values in bytes(), value_ends in numbers(), sources in numbers(),
    ) -> told::Replacements {
        told::Replacements { keys, key_ends, values, value_ends, sources }
    }
}

prop_compose! {
    fn rewrite()(source in number(), output in number(), column in "id|note", expression in ".{0,6}", predicate in "1|.{0,6}")
        -> told::Rewrite {
        told::Rewrite { source, output, columns: vec![told::ColumnExpression { column, expression }], predicate }
    }
}

prop_compose! {
    fn rejection()(message in number(), reason in ".{0,20}") -> told::Rejection {
        told::Rejection { message, reason }
    }
}

prop_compose! {
    fn answer()(
        outcomes in vec(0u8..6, 0..6),
        rows in vec(rows(), 0..3),
        replacements in option::of(replacements()),
        rewrites in vec(rewrite(), 0..2),
        rejections in vec(rejection(), 0..3),
        received in vec(any::<i64>(), 0..6),
    ) -> Processed {
        Processed { outcomes, rows, replacements, rewrites, rejections, received }
    }
}

fn batch(messages: i64) -> MessageBatch {
    let mut batch = MessageBatch::default();
    batch.begin_run(Partition::new("lies", 0), Assignment(1), 0);
    for offset in 0..messages {
        batch.push(Parts { offset, payload: Some(b"x"), ..Parts::default() });
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn every_message_of_a_checked_answer_has_one_end(told in answer(), messages in 1i64..6, is_json: bool) {
        let format = if is_json { RowFormat::JsonEachRow } else { RowFormat::RowBinary };
        let batch = batch(messages);
        let layout = Layout::parse([("id".to_owned(), "UInt8"), ("note".to_owned(), "String")]).unwrap();
        let module = Arc::new(ModuleName { name: "lies".into(), version: "1".into(), digest: Digest::of(b"") });
        let output = Output { name: "o".into(), format, columns: Vec::new() };
        let Ok(processed) = check(told, &batch, &[layout], &[output], &module) else { return Ok(()) };
        let counts = processed.progress.counts();
        let ends = counts.inserted + counts.skipped + counts.replacements + counts.rewrites + counts.dead_letters;
        prop_assert_eq!(counts.messages, messages as u64);
        prop_assert_eq!(ends, counts.messages);
        prop_assert_eq!(counts.dead_letters, processed.dead_letters.len() as u64);
        prop_assert_eq!(counts.replacements, processed.replacements.len() as u64);
        for rows in &processed.rows {
            prop_assert_eq!(rows.output, 0);
            prop_assert!(rows.ends.is_sorted());
            prop_assert_eq!(rows.ends.last().copied().unwrap_or(0) as usize, rows.data.len());
        }
    }
}
