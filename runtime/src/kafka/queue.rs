//! The queue of all partitions held, read in batches. rust-rdkafka has none that several partitions share, so this holds its
//! own handle.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;
use std::thread::Thread;

use rdkafka::types::RDKafka;
use rdkafka_sys as sys;

use crate::message::Parts;

/// Messages of many partitions, those of each in order. librdkafka stops to fetch for all of them while this is full, so
/// what it reads ahead does not grow with their number. Must be dropped before its client.
pub(super) struct Queue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// The callback's argument: whom to wake.
    _reader: Box<Thread>,
    /// Messages taken out of librdkafka's queue and not shown yet.
    in_hand: VecDeque<*mut sys::rd_kafka_message_t>,
    /// Where librdkafka puts them; empty between calls.
    taken: Vec<*mut sys::rd_kafka_message_t>,
}

/// An error that came instead of a message.
pub(super) struct QueueError {
    pub code: sys::rd_kafka_resp_err_t,
    pub text: String,
}

// SAFETY: librdkafka's queues and messages may be used from any thread, one at a time.
unsafe impl Send for Queue {}

impl Queue {
    /// `reader` is woken when messages come into the empty queue.
    ///
    /// # Safety
    /// `client` must be a live consumer that outlives the queue.
    pub(super) unsafe fn new(client: *mut RDKafka, reader: Thread) -> Option<Self> {
        // SAFETY: the client is alive by contract.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(client) })?;
        let reader = Box::new(reader);
        // SAFETY: the queue was just given to us; the callback's argument lives in the box as long as `self`, and Drop
        // takes the callback away first.
        unsafe {
            let argument = std::ptr::from_ref::<Thread>(&reader).cast_mut().cast::<c_void>();
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(wake), argument);
        }
        Some(Self { queue, _reader: reader, in_hand: VecDeque::new(), taken: Vec::new() })
    }

    /// A partition's messages come here until the client stops it, and never go to the consumer's own queue. False if there is
    /// no such partition.
    ///
    /// # Safety
    /// `client` must be that of the queue.
    pub(super) unsafe fn take_in(&self, client: *mut RDKafka, topic: &str, partition: i32) -> bool {
        let Ok(topic) = CString::new(topic) else { return false };
        // SAFETY: the client is alive by contract, the name ends with a zero byte; the partition keeps what it is told
        // without our handle.
        unsafe {
            let source = sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if source.is_null() {
                return false;
            }
            sys::rd_kafka_queue_forward(source, self.queue.as_ptr());
            sys::rd_kafka_queue_destroy(source);
        }
        true
    }

    /// Drops what is in hand of a partition that is given up; librdkafka drops what it still has.
    pub(super) fn forget(&mut self, partition: i32) {
        self.in_hand.retain(|message| {
            // SAFETY: messages in hand are ours and alive until they are destroyed, here and once.
            unsafe {
                let stays = (**message).partition != partition;
                if !stays {
                    sys::rd_kafka_message_destroy(*message);
                }
                stays
            }
        });
    }

    /// Shows what is there already with its partition's number, until `take` says false: that message stays in hand, and is
    /// the first to be shown next time. At most `count_max` messages leave librdkafka's queue.
    pub(super) fn read(&mut self, count_max: usize, mut take: impl FnMut(i32, Result<Parts<'_>, QueueError>) -> bool) {
        if self.in_hand.is_empty() {
            self.refill(count_max);
        }
        while let Some(message) = self.in_hand.front() {
            // SAFETY: the message is ours until it is destroyed, here and once.
            unsafe {
                if !take((**message).partition, parts(*message, &mut Vec::new())) {
                    break;
                }
                sys::rd_kafka_message_destroy(*message);
            }
            self.in_hand.pop_front();
        }
    }

    fn refill(&mut self, count_max: usize) {
        self.taken.resize(count_max, std::ptr::null_mut());
        // SAFETY: the queue is alive and `taken` has room for `count_max` pointers.
        let count =
            unsafe { sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, self.taken.as_mut_ptr(), count_max) };
        self.in_hand.extend(&self.taken[..usize::try_from(count).unwrap_or(0)]);
        self.taken.clear();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue and the messages in hand are alive and ours; after the callback is gone nothing points to
        // `reader`.
        unsafe {
            for message in self.in_hand.drain(..) {
                sys::rd_kafka_message_destroy(message);
            }
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, std::ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// SAFETY: `argument` is the reader of a live [`Queue`].
unsafe extern "C" fn wake(_client: *mut sys::rd_kafka_t, argument: *mut c_void) {
    // SAFETY: see above.
    unsafe { &*argument.cast::<Thread>() }.unpark();
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
