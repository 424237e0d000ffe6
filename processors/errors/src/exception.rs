//! Exceptions, their stacks and frames, and whether they happened on the main thread.

use serde::{Deserialize, Deserializer};
use shared::lenient::{Flag, List, Object, Text, Whole, object};

/// One exception of a chain; its place in the chain is its stack level.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Exception<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub value: Text<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub mechanism: Mechanism<'a>,
    #[serde(borrow, deserialize_with = "object")]
    stacktrace: Stacktrace<'a>,
    thread_id: ThreadId,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Mechanism<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    handled: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stacktrace<'a> {
    #[serde(borrow)]
    frames: List<Option<Object<Frame<'a>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Frame<'a> {
    #[serde(borrow)]
    pub abs_path: Text<'a>,
    #[serde(borrow)]
    pub filename: Text<'a>,
    #[serde(borrow)]
    pub package: Text<'a>,
    #[serde(borrow)]
    pub module: Text<'a>,
    #[serde(borrow)]
    pub function: Text<'a>,
    pub in_app: Flag,
    pub colno: Whole,
    pub lineno: Whole,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Thread<'a> {
    id: ThreadId,
    main: Flag,
    #[serde(skip)]
    _life: std::marker::PhantomData<&'a ()>,
}

/// A number and the same number as text are different threads.
#[derive(Clone, Debug, Default, PartialEq)]
enum ThreadId {
    #[default]
    None,
    Number(i128),
    Text(String),
}

impl Mechanism<'_> {
    /// Booleans, and the words that stand for them.
    pub fn handled(&self) -> Option<u8> {
        match self.handled.get()? {
            "true" | "yes" | "1" => Some(1),
            "false" | "no" | "0" => Some(0),
            _ => None,
        }
    }
}

impl<'a> Exception<'a> {
    pub fn frames(&self) -> impl Iterator<Item = &Frame<'a>> {
        self.stacktrace.frames.0.iter().flatten().map(|Object(frame)| frame)
    }
}

/// 1 if one of the exceptions happened on a main thread, 0 if threads are known and none did, none if nothing is known.
pub fn on_main_thread(exceptions: &[Exception<'_>], threads: &[Thread<'_>]) -> Option<u8> {
    let mut answer = None;
    let threads = threads.iter().filter_map(|thread| thread.main.0.map(|main| (&thread.id, main)));
    let known: Vec<_> = threads.filter(|(id, _)| **id != ThreadId::None).collect();
    for exception in exceptions.iter().filter(|exception| exception.thread_id != ThreadId::None) {
        for (id, main) in &known {
            if *main && **id == exception.thread_id {
                return Some(1);
            }
            answer = Some(0);
        }
    }
    answer
}

impl<'de> Deserialize<'de> for ThreadId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => ThreadId::Text(text),
            serde_json::Value::Number(number) => number.as_i128().map_or(ThreadId::None, ThreadId::Number),
            _ => ThreadId::None,
        })
    }
}
