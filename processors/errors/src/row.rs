//! The row: what goes into each column, in the order of `shared::errors_table`.

use shared::datetime::{self, seconds};
use shared::{retention, uuid};
use tidegate_processor::{DateTime, Message, Rejection, Row, Rows, Uuid};

use crate::event::{Data, Event};
use crate::exception::{Exception, Frame, on_main_thread};

/// Writes the event as one row.
///
/// # Errors
/// If its id is not a UUID.
pub fn write(event: &mut Event<'_>, message: &Message<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let event_id = Uuid::parse(&event.event_id).ok_or("event_id is not a UUID")?;
    let at_ms = datetime::milliseconds(event.datetime.as_deref(), message.now_ms());
    let geo = std::mem::take(&mut event.data.user.geo);
    event.data.contexts.put_geo(geo);
    let event = &*event;
    let data = &event.data;
    let trace_id = data.contexts.trace.uuid();
    let trace_id_text = trace_id.map(|id| id.simple());
    let contexts = data.contexts.stored(trace_id_text.as_deref());

    let mut row = rows.begin(0);
    row.u64(event.project_id).date_time(seconds(at_ms)).uuid(event_id).string(event.platform.or_empty());
    row.nullable(data.tags.get("environment"));
    row.nullable(data.tags.get("sentry:release"));
    row.nullable(data.tags.get("sentry:dist"));
    who(&mut row, data);
    what_with(&mut row, data);
    row.array(data.tags.keys()).array(data.tags.values());
    let flags = data.contexts.flags.pairs();
    row.array(flags.clone().map(|(flag, _)| flag)).array(flags.map(|(_, result)| result));
    row.array(contexts.iter().map(|(key, _)| *key)).array(contexts.iter().map(|(_, value)| *value));
    row.string(data.tags.get("transaction").unwrap_or_default());
    row.nullable(data.contexts.trace.span()).nullable(trace_id);
    row.u16(message.partition() as u16).u64(message.offset() as u64).date_time(seconds(message.timestamp_ms()));
    row.u16(retention::days(event.retention_days)).u8(0);
    row.u64(event.group_id).uuid(uuid::of(&event.primary_hash)).date_time(DateTime(data.received as u32));
    row.string(&event.message).string(data.title.or_empty()).string(data.culprit.or_empty());
    row.nullable(data.tags.get("level"));
    row.nullable(data.location.0.as_deref()).nullable(data.version.0.as_deref()).string(data.kind.or_empty());
    stacks(&mut row, &data.exception.values);
    frames(&mut row, &data.exception.values);
    row.nullable(on_main_thread(&data.exception.values, &data.threads.values));
    row.array(data.sdk.integrations.0.iter().filter_map(|name| name.get()));
    row.array(data.modules.0.iter().map(|(name, _)| &**name));
    row.array(data.modules.0.iter().map(|(_, version)| version.or_empty()));
    row.nullable(data.contexts.trace.sampled.0.map(u8::from));
    row.nullable(Some(data.errors.0.len() as u64));
    row.nullable(data.contexts.replay.uuid().or_else(|| data.tags.get("replayId").and_then(Uuid::parse)));
    row.nullable(data.symbolicated_in_app.0.map(u8::from));
    row.nullable(Some(datetime::ticks(at_ms)));
    row.nullable((data.sample_rate != 0.0).then(|| 1.0 / data.sample_rate));
    let first_seen_ms = datetime::milliseconds(event.group_first_seen.0.as_deref(), message.now_ms());
    row.nullable(Some(seconds(first_seen_ms)));
    row.end()
}

fn who(row: &mut Row<'_>, data: &Data<'_>) {
    let (v4, v6) = data.user.addresses();
    row.nullable(v4).nullable(v6).string(data.tags.get("sentry:user").unwrap_or_default());
    row.nullable(data.user.id.get()).nullable(data.user.username.get()).nullable(data.user.email.get());
}

fn what_with(row: &mut Row<'_>, data: &Data<'_>) {
    row.nullable(Some(data.sdk.name.or_empty())).nullable(Some(data.sdk.version.or_empty()));
    row.nullable(data.request.method.get()).nullable(data.request.referer());
}

fn stacks(row: &mut Row<'_>, exceptions: &[Exception<'_>]) {
    row.array(exceptions.iter().map(|exception| exception.kind.get()));
    row.array(exceptions.iter().map(|exception| exception.value.get()));
    row.array(exceptions.iter().map(|exception| exception.mechanism.kind.get()));
    row.array(exceptions.iter().map(|exception| exception.mechanism.handled()));
}

fn frames(row: &mut Row<'_>, exceptions: &[Exception<'_>]) {
    let levels = exceptions.iter().enumerate();
    let of_all = levels.flat_map(|(level, exception)| exception.frames().map(move |frame| (level as u16, frame)));
    let frames: Vec<(u16, &Frame<'_>)> = of_all.collect();
    row.array(frames.iter().map(|(_, frame)| frame.abs_path.get()));
    row.array(frames.iter().map(|(_, frame)| frame.colno.0));
    row.array(frames.iter().map(|(_, frame)| frame.filename.get()));
    row.array(frames.iter().map(|(_, frame)| frame.function.get()));
    row.array(frames.iter().map(|(_, frame)| frame.lineno.0));
    row.array(frames.iter().map(|(_, frame)| frame.in_app.0.map(u8::from)));
    row.array(frames.iter().map(|(_, frame)| frame.package.get()));
    row.array(frames.iter().map(|(_, frame)| frame.module.get()));
    row.array(frames.iter().map(|(level, _)| Some(*level)));
}
