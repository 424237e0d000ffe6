//! The row: its columns, and what goes into each, in the same order.

use shared::epoch;
use shared::lenient::Text;
use shared::who::User;
use tidegate_processor::{Message, Rejection, Row, Rows, Uuid};

use crate::event::{Click, Contexts, Link, Moment, Tap};

/// Every column that is written; the others are the table's own.
pub const COLUMNS: &[(&str, &str)] = &[
    ("replay_id", "UUID"),
    ("replay_type", "LowCardinality(Nullable(String))"),
    ("error_sample_rate", "Nullable(Float64)"),
    ("session_sample_rate", "Nullable(Float64)"),
    ("event_hash", "UUID"),
    ("segment_id", "Nullable(UInt16)"),
    ("timestamp", "DateTime"),
    ("replay_start_timestamp", "Nullable(DateTime)"),
    ("trace_ids", "Array(UUID)"),
    ("error_ids", "Array(UUID)"),
    ("fatal_id", "UUID"),
    ("error_id", "UUID"),
    ("warning_id", "UUID"),
    ("info_id", "UUID"),
    ("debug_id", "UUID"),
    ("title", "Nullable(String)"),
    ("urls", "Array(String)"),
    ("is_archived", "Nullable(UInt8)"),
    ("project_id", "UInt64"),
    ("platform", "LowCardinality(String)"),
    ("environment", "LowCardinality(Nullable(String))"),
    ("release", "LowCardinality(Nullable(String))"),
    ("dist", "LowCardinality(Nullable(String))"),
    ("ip_address_v4", "Nullable(IPv4)"),
    ("ip_address_v6", "Nullable(IPv6)"),
    ("user", "Nullable(String)"),
    ("user_id", "Nullable(String)"),
    ("user_name", "Nullable(String)"),
    ("user_email", "Nullable(String)"),
    ("user_geo_city", "LowCardinality(String)"),
    ("user_geo_country_code", "LowCardinality(String)"),
    ("user_geo_region", "LowCardinality(String)"),
    ("user_geo_subdivision", "LowCardinality(String)"),
    ("viewed_by_id", "UInt64"),
    ("os_name", "LowCardinality(Nullable(String))"),
    ("os_version", "LowCardinality(Nullable(String))"),
    ("browser_name", "LowCardinality(Nullable(String))"),
    ("browser_version", "LowCardinality(Nullable(String))"),
    ("device_name", "LowCardinality(Nullable(String))"),
    ("device_brand", "LowCardinality(Nullable(String))"),
    ("device_family", "LowCardinality(Nullable(String))"),
    ("device_model", "LowCardinality(Nullable(String))"),
    ("ota_updates_channel", "LowCardinality(String)"),
    ("ota_updates_runtime_version", "LowCardinality(String)"),
    ("ota_updates_update_id", "LowCardinality(String)"),
    ("sdk_name", "LowCardinality(Nullable(String))"),
    ("sdk_version", "LowCardinality(Nullable(String))"),
    ("tags.key", "Array(String)"),
    ("tags.value", "Array(String)"),
    ("click_node_id", "UInt32"),
    ("click_tag", "LowCardinality(String)"),
    ("click_id", "String"),
    ("click_class", "Array(String)"),
    ("click_text", "String"),
    ("click_role", "LowCardinality(String)"),
    ("click_alt", "String"),
    ("click_testid", "String"),
    ("click_aria_label", "String"),
    ("click_title", "String"),
    ("click_component_name", "String"),
    ("click_is_dead", "UInt8"),
    ("click_is_rage", "UInt8"),
    ("tap_message", "String"),
    ("tap_view_class", "String"),
    ("tap_view_id", "String"),
    ("retention_days", "UInt16"),
    ("partition", "UInt16"),
    ("offset", "UInt64"),
];

/// What all rows of a message have in common.
pub struct Replay<'a> {
    pub project_id: u64,
    pub replay_id: Uuid,
    pub retention_days: u16,
    pub message: &'a Message<'a>,
}

/// Writes a moment of the replay as one row.
///
/// # Errors
/// If the row is not the manifest's.
pub fn write(replay: &Replay<'_>, moment: &Moment<'_>, rows: &mut Rows) -> Result<(), Rejection> {
    let segment = &moment.segment;
    let rates = &segment.contexts.replay;
    let mut row = rows.begin(0);
    row.uuid(replay.replay_id);
    text(&mut row, &segment.replay_type);
    row.nullable(Some(rates.error_sample_rate.unwrap_or(NO_RATE)));
    row.nullable(Some(rates.session_sample_rate.unwrap_or(NO_RATE)));
    row.uuid(moment.event_hash).nullable(segment.id()).date_time(epoch::date_time(moment.timestamp));
    row.nullable(segment.replay_start_timestamp.map(epoch::date_time));
    row.array(&segment.trace_ids).array(&segment.error_ids);
    linked(&mut row, &moment.link);
    row.nullable(segment.title()).array(segment.urls.0.iter().filter_map(|url| url.get()));
    row.nullable(Some(is_set(&segment.is_archived))).u64(replay.project_id).string(segment.platform.or_empty());
    [&segment.environment, &segment.release, &segment.dist].into_iter().for_each(|value| text(&mut row, value));
    who(&mut row, &segment.user);
    row.u64(moment.viewed_by_id);
    contexts(&mut row, &segment.contexts);
    text(&mut row, &segment.sdk.name);
    text(&mut row, &segment.sdk.version);
    row.array(segment.tags().map(|(key, _)| key)).array(segment.tags().map(|(_, value)| value));
    click(&mut row, &moment.click);
    tap(&mut row, &moment.tap);
    row.u16(replay.retention_days).u16(replay.message.partition() as u16).u64(replay.message.offset() as u64);
    row.end()
}

fn linked(row: &mut Row<'_>, link: &Link) {
    for id in [link.fatal_id, link.error_id, link.warning_id, link.info_id, link.debug_id] {
        row.uuid(id.unwrap_or_default());
    }
}

fn who(row: &mut Row<'_>, user: &User<'_>) {
    let (v4, v6) = user.addresses();
    row.nullable(v4).nullable(v6);
    let ways = [user.id.or_empty(), user.username.or_empty(), user.email.or_empty()];
    let address = user.ip_address.0.as_deref().unwrap_or_default();
    row.nullable(ways.into_iter().find(|way| !way.is_empty()).or(Some(address)));
    ways.into_iter().for_each(|way| {
        row.nullable(Some(way));
    });
    for key in ["city", "country_code", "region", "subdivision"] {
        let found = user.geo.0.iter().find(|(have, _)| have == key);
        row.string(found.and_then(|(_, value)| value.0.as_deref()).unwrap_or_default());
    }
}

fn contexts(row: &mut Row<'_>, contexts: &Contexts<'_>) {
    let Contexts { os, browser, device, ota_updates, .. } = contexts;
    for value in [&os.name, &os.version, &browser.name, &browser.version] {
        text(row, value);
    }
    for value in [&device.name, &device.brand, &device.family, &device.model] {
        text(row, value);
    }
    for value in [&ota_updates.channel, &ota_updates.runtime_version, &ota_updates.update_id] {
        row.string(value.or_empty());
    }
}

fn click(row: &mut Row<'_>, click: &Click<'_>) {
    row.u32(click.node_id.0.unwrap_or_default()).string(click.tag.or_empty()).string(click.id.or_empty());
    row.array(click.class.0.iter().filter_map(|class| class.get()));
    row.string(click.text.or_empty()).string(click.role.or_empty()).string(click.alt.or_empty());
    row.string(click.testid.or_empty()).string(click.aria_label.or_empty()).string(click.title.or_empty());
    row.string(click.component_name.or_empty()).u8(is_set(&click.is_dead)).u8(is_set(&click.is_rage));
}

fn tap(row: &mut Row<'_>, tap: &Tap<'_>) {
    row.string(tap.message.or_empty()).string(tap.view_class.or_empty()).string(tap.view_id.or_empty());
}

/// The reference writes empty text where there is none, though the column could be NULL.
fn text(row: &mut Row<'_>, value: &Text<'_>) {
    row.nullable(Some(value.or_empty()));
}

/// SDKs say it as a boolean or as a number.
fn is_set(value: &Text<'_>) -> u8 {
    u8::from(value.is("true") || value.is("1"))
}

/// Stands for a sample rate that is not known.
const NO_RATE: f64 = -1.0;
