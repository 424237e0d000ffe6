//! A partition's own queue, read in batches. rust-rdkafka hides the pointer, so this holds its own handle; while it
//! lives, the partition's messages go nowhere else.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::Thread;

use rdkafka::types::RDKafka;
use rdkafka_sys as sys;

use crate::message::Parts;

/// Must be dropped before its client.
pub(super) struct Queue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// What the callback points to.
    place: Box<Place>,
    /// Messages taken out of librdkafka's queue and not shown yet.
    in_hand: VecDeque<*mut sys::rd_kafka_message_t>,
    /// Where librdkafka puts them; empty between calls.
    taken: Vec<*mut sys::rd_kafka_message_t>,
    /// As many were taken as were asked for: librdkafka may have more, and will not call.
    has_more: bool,
}

/// The partitions that may have messages, in the order in which they are read. Asking a queue costs as much as reading a
/// message, and of many partitions most have none at a time.
pub(super) struct Line {
    reader: Thread,
    waiting: Mutex<VecDeque<i32>>,
}

/// Of a partition in the line. librdkafka's callback takes it, under its queue's lock, whenever something comes into the
/// empty queue.
struct Place {
    line: Arc<Line>,
    partition: i32,
}

/// An error that came instead of a message.
pub(super) struct QueueError {
    pub code: sys::rd_kafka_resp_err_t,
    pub text: String,
}

// SAFETY: librdkafka's queues and messages may be used from any thread, one at a time.
unsafe impl Send for Queue {}

impl Line {
    /// `reader` is woken when messages arrive.
    pub(super) fn new(reader: Thread) -> Self {
        Self { reader, waiting: Mutex::default() }
    }

    /// Everybody in it.
    pub(super) fn take(&self) -> VecDeque<i32> {
        std::mem::take(&mut self.waiting())
    }

    /// Those that still wait come before those that came meanwhile.
    pub(super) fn put_back(&self, mut still: VecDeque<i32>) {
        let mut waiting = self.waiting();
        still.append(&mut waiting);
        *waiting = still;
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<i32>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Place {
    fn wait(&self) {
        self.line.waiting().push_back(self.partition);
        self.line.reader.unpark();
    }
}

impl Queue {
    /// Takes the partition's messages away from the consumer's queue. It waits in the line when some arrive.
    ///
    /// # Safety
    /// `client` must be a live consumer that outlives the queue.
    pub(super) unsafe fn of(client: *mut RDKafka, topic: &str, partition: i32, line: Arc<Line>) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive by contract, the name ends with a zero byte.
        let queue = unsafe { sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        let queue = NonNull::new(queue)?;
        let place = Box::new(Place { line, partition });
        // SAFETY: the queue was just given to us; the callback's argument lives in the box as long as `self`, and Drop
        // takes the callback away first.
        unsafe {
            sys::rd_kafka_queue_forward(queue.as_ptr(), std::ptr::null_mut());
            let argument = std::ptr::from_ref::<Place>(&place).cast_mut().cast::<c_void>();
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(wake), argument);
        }
        // What came before there was a callback is found without it.
        place.wait();
        Some(Self { queue, place, in_hand: VecDeque::new(), taken: Vec::new(), has_more: false })
    }

    /// Waits in the line, whether there are messages or not.
    pub(super) fn wait(&self) {
        self.place.wait();
    }

    /// Whether to wait in the line again: for what comes into the empty queue, the callback does.
    pub(super) fn may_have_more(&self) -> bool {
        !self.in_hand.is_empty() || self.has_more
    }

    /// Shows what is there already, in order, until `take` says false: that message stays in hand, and is the first to be
    /// shown next time. At most `count_max` messages leave librdkafka's queue. Returns how many were taken.
    pub(super) fn read(
        &mut self,
        count_max: usize,
        mut take: impl FnMut(Result<Parts<'_>, QueueError>) -> bool,
    ) -> usize {
        if self.in_hand.is_empty() {
            self.refill(count_max);
        }
        let mut count = 0;
        while let Some(message) = self.in_hand.front() {
            // SAFETY: the message is ours until it is destroyed, here and once.
            unsafe {
                if !take(parts(*message, &mut Vec::new())) {
                    break;
                }
                sys::rd_kafka_message_destroy(*message);
            }
            self.in_hand.pop_front();
            count += 1;
        }
        count
    }

    fn refill(&mut self, count_max: usize) {
        self.taken.resize(count_max, std::ptr::null_mut());
        // SAFETY: the queue is alive and `taken` has room for `count_max` pointers.
        let count =
            unsafe { sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.taken.as_mut_ptr(), count_max) };
        let count = usize::try_from(count).unwrap_or(0);
        self.has_more = count == count_max;
        self.in_hand.extend(&self.taken[..count]);
        self.taken.clear();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue and the messages in hand are alive and ours; after the callback is gone nothing points into
        // `place`.
        unsafe {
            for message in self.in_hand.drain(..) {
                sys::rd_kafka_message_destroy(message);
            }
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, std::ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// SAFETY: `argument` is the place of a live [`Queue`].
unsafe extern "C" fn wake(_client: *mut sys::rd_kafka_t, argument: *mut c_void) {
    // SAFETY: see above.
    unsafe { &*argument.cast::<Place>() }.wait();
}

/// # Safety
/// `message` is alive and outlives what is returned.
unsafe fn parts<'a>(
    message: *mut sys::rd_kafka_message_t,
    header_list: &'a mut Vec<(&'a str, &'a [u8])>,
) -> Result<Parts<'a>, QueueError> {
    // SAFETY: alive by contract; payload and key have the lengths beside them, or are null.
    unsafe {
        let raw = &*message;
        if raw.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            let text = sys::rd_kafka_message_errstr(message);
            let text = if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() };
            return Err(QueueError { code: raw.err, text });
        }
        *header_list = headers(message);
        Ok(Parts {
            offset: raw.offset,
            timestamp_ms: sys::rd_kafka_message_timestamp(message, std::ptr::null_mut()).max(0),
            key: bytes(raw.key, raw.key_len),
            payload: bytes(raw.payload, raw.len),
            headers: header_list,
        })
    }
}

/// # Safety
/// `message` is alive and outlives what is returned.
unsafe fn headers<'a>(message: *mut sys::rd_kafka_message_t) -> Vec<(&'a str, &'a [u8])> {
    let mut headers = std::ptr::null_mut();
    let mut found = Vec::new();
    // SAFETY: librdkafka hands out pointers into the message, with their lengths.
    unsafe {
        if sys::rd_kafka_message_headers(message, &mut headers) != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return found;
        }
        let (mut name, mut value, mut len) = (std::ptr::null(), std::ptr::null(), 0);
        while sys::rd_kafka_header_get_all(headers, found.len(), &mut name, &mut value, &mut len)
            == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            found.push((CStr::from_ptr(name).to_str().unwrap_or("\u{fffd}"), bytes(value, len).unwrap_or_default()));
        }
    }
    found
}

/// # Safety
/// `data` is null, or has `len` bytes that live as long as `'a`.
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by contract.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}
