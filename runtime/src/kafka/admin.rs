//! What rust-rdkafka has no call for, asked of librdkafka itself: the members of a group, by both protocols.

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;

use rdkafka::types::RDKafka;
use rdkafka_sys as sys;

use super::REQUEST_TIMEOUT;

/// Who is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub client_id: String,
    /// Where it connects from, as the broker sees it.
    pub host: String,
}

/// What came back of a request; destroyed with it.
struct Answer(NonNull<sys::rd_kafka_event_t>);

/// What a request is sent with, destroyed with it.
struct Request {
    options: *mut sys::rd_kafka_AdminOptions_t,
    queue: *mut sys::rd_kafka_queue_t,
}

/// The members of a group; none of one that is not there. Blocks.
///
/// # Safety
/// `client` must be a live client.
///
/// # Errors
/// With the broker's words, or if none answers.
pub(super) unsafe fn members(client: *mut RDKafka, group: &str) -> Result<Vec<Member>, String> {
    use sys::rd_kafka_resp_err_t as code;
    let group = CString::new(group).map_err(|_| "a group's name has no zero byte".to_owned())?;
    // SAFETY: the client is alive by contract, and what the answer owns is looked at only while it lives.
    unsafe {
        let request = Request::new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
        let mut names = [group.as_ptr()];
        sys::rd_kafka_DescribeConsumerGroups(client, names.as_mut_ptr(), 1, request.options, request.queue);
        let answer = request.answer()?;
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.0.as_ptr());
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        if groups.is_null() || count == 0 {
            return Err("the answer names no group".into());
        }
        let error = sys::rd_kafka_ConsumerGroupDescription_error(*groups);
        if !error.is_null() && sys::rd_kafka_error_code(error) != code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return match sys::rd_kafka_error_code(error) {
                code::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND => Ok(Vec::new()),
                _ => Err(text(sys::rd_kafka_error_string(error))),
            };
        }
        let member = |index| {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(*groups, index);
            let client_id = text(sys::rd_kafka_MemberDescription_client_id(member));
            Member { client_id, host: text(sys::rd_kafka_MemberDescription_host(member)) }
        };
        Ok((0..sys::rd_kafka_ConsumerGroupDescription_member_count(*groups)).map(member).collect())
    }
}

impl Request {
    /// # Safety
    /// `client` must be a live client, and outlive this.
    unsafe fn new(client: *mut RDKafka, kind: sys::rd_kafka_admin_op_t) -> Self {
        let mut cause: [c_char; 256] = [0; 256];
        // SAFETY: by contract; the buffer is as long as is said.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(client, kind);
            let timeout_ms = REQUEST_TIMEOUT.as_millis() as i32;
            sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, cause.as_mut_ptr(), cause.len());
            Self { options, queue: sys::rd_kafka_queue_new(client) }
        }
    }

    /// Waits for it.
    fn answer(&self) -> Result<Answer, String> {
        // SAFETY: the queue lives as long as this, and the event belongs to us.
        unsafe {
            // The request's own timeout is told by an event; this one is only for when there is none.
            let patience_ms = 2 * REQUEST_TIMEOUT.as_millis() as i32;
            let event = NonNull::new(sys::rd_kafka_queue_poll(self.queue, patience_ms));
            let answer = Answer(event.ok_or("no broker answers")?);
            match sys::rd_kafka_event_error(answer.0.as_ptr()) {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(answer),
                _ => Err(text(sys::rd_kafka_event_error_string(answer.0.as_ptr()))),
            }
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: both are ours and are used by nobody after this.
        unsafe {
            sys::rd_kafka_AdminOptions_destroy(self.options);
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: the event is ours and is used by nobody after this.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

/// # Safety
/// `text` must be null or end with a zero byte.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return "no reason is given".into();
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
