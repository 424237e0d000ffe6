//! The event as it comes, and the moments it tells of: what is required is strict, what is optional is lenient. Times
//! are seconds since 1970.

use serde::Deserialize;
use shared::lenient::{List, Text, Whole, object};
use shared::who::{Sdk, User};
use shared::{id, number, uuid};
use tidegate_processor::{Message, Uuid};

#[derive(Deserialize)]
#[serde(tag = "type")]
pub enum Event<'a> {
    #[serde(rename = "replay_event", borrow)]
    Segment(Box<Segment<'a>>),
    #[serde(rename = "event_link")]
    Link(Link),
    #[serde(rename = "replay_viewed")]
    Viewed { viewed_by_id: u64, timestamp: f64 },
    #[serde(rename = "replay_actions")]
    Clicks {
        #[serde(borrow)]
        clicks: Vec<Click<'a>>,
        #[serde(borrow, default)]
        environment: Text<'a>,
    },
    #[serde(rename = "replay_tap")]
    Taps {
        #[serde(borrow)]
        taps: Vec<Tap<'a>>,
        #[serde(borrow, default)]
        environment: Text<'a>,
    },
}

/// What one row tells: of the parts, those that the event does not have are empty.
#[derive(Default)]
pub struct Moment<'a> {
    pub event_hash: Uuid,
    pub timestamp: f64,
    pub segment: Segment<'a>,
    pub link: Link,
    pub click: Click<'a>,
    pub tap: Tap<'a>,
    pub viewed_by_id: u64,
}

/// A piece of a recording, and where it was recorded.
#[derive(Default, Deserialize)]
pub struct Segment<'a> {
    pub timestamp: f64,
    #[serde(default, deserialize_with = "id::optional")]
    event_hash: Option<Uuid>,
    #[serde(default, deserialize_with = "number::whole")]
    segment_id: Option<u64>,
    #[serde(borrow, default)]
    pub replay_type: Text<'a>,
    #[serde(default, deserialize_with = "number::any")]
    pub replay_start_timestamp: Option<f64>,
    #[serde(default, deserialize_with = "id::list")]
    pub trace_ids: Vec<Uuid>,
    #[serde(default, deserialize_with = "id::list")]
    pub error_ids: Vec<Uuid>,
    #[serde(borrow, default)]
    pub urls: List<Text<'a>>,
    #[serde(borrow, default)]
    pub is_archived: Text<'a>,
    #[serde(borrow, default)]
    pub platform: Text<'a>,
    #[serde(borrow, default)]
    pub environment: Text<'a>,
    #[serde(borrow, default)]
    pub release: Text<'a>,
    #[serde(borrow, default)]
    pub dist: Text<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub user: User<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub sdk: Sdk<'a>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub contexts: Contexts<'a>,
    #[serde(borrow, default)]
    tags: List<List<Text<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Contexts<'a> {
    #[serde(borrow, deserialize_with = "object")]
    pub os: Product<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub browser: Product<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub device: Device<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub ota_updates: OtaUpdates<'a>,
    #[serde(deserialize_with = "object")]
    pub replay: SampleRates,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Product<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub version: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Device<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub brand: Text<'a>,
    #[serde(borrow)]
    pub family: Text<'a>,
    #[serde(borrow)]
    pub model: Text<'a>,
}

/// Updates of an app over the air.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct OtaUpdates<'a> {
    #[serde(borrow)]
    pub channel: Text<'a>,
    #[serde(borrow)]
    pub runtime_version: Text<'a>,
    #[serde(borrow)]
    pub update_id: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SampleRates {
    #[serde(deserialize_with = "number::any")]
    pub error_sample_rate: Option<f64>,
    #[serde(deserialize_with = "number::any")]
    pub session_sample_rate: Option<f64>,
}

/// An event that happened during the replay, by its level.
#[derive(Default, Deserialize)]
pub struct Link {
    timestamp: f64,
    #[serde(deserialize_with = "id::required")]
    event_hash: Uuid,
    #[serde(default, deserialize_with = "id::optional")]
    pub fatal_id: Option<Uuid>,
    #[serde(default, deserialize_with = "id::optional")]
    pub error_id: Option<Uuid>,
    #[serde(default, deserialize_with = "id::optional")]
    pub warning_id: Option<Uuid>,
    #[serde(default, deserialize_with = "id::optional")]
    pub info_id: Option<Uuid>,
    #[serde(default, deserialize_with = "id::optional")]
    pub debug_id: Option<Uuid>,
}

/// A click on an element of a page.
#[derive(Default, Deserialize)]
pub struct Click<'a> {
    timestamp: f64,
    #[serde(deserialize_with = "id::required")]
    event_hash: Uuid,
    #[serde(default)]
    pub node_id: Whole,
    #[serde(borrow, default)]
    pub tag: Text<'a>,
    #[serde(borrow, default)]
    pub id: Text<'a>,
    #[serde(borrow, default)]
    pub class: List<Text<'a>>,
    #[serde(borrow, default)]
    pub text: Text<'a>,
    #[serde(borrow, default)]
    pub role: Text<'a>,
    #[serde(borrow, default)]
    pub alt: Text<'a>,
    #[serde(borrow, default)]
    pub testid: Text<'a>,
    #[serde(borrow, default)]
    pub aria_label: Text<'a>,
    #[serde(borrow, default)]
    pub title: Text<'a>,
    #[serde(borrow, default)]
    pub component_name: Text<'a>,
    #[serde(borrow, default)]
    pub is_dead: Text<'a>,
    #[serde(borrow, default)]
    pub is_rage: Text<'a>,
}

/// A tap on a view of an app.
#[derive(Default, Deserialize)]
pub struct Tap<'a> {
    timestamp: f64,
    #[serde(deserialize_with = "id::required")]
    event_hash: Uuid,
    #[serde(borrow, default)]
    pub message: Text<'a>,
    #[serde(borrow, default)]
    pub view_class: Text<'a>,
    #[serde(borrow, default)]
    pub view_id: Text<'a>,
}

impl<'a> Event<'a> {
    /// One for each row.
    pub fn moments(self, message: &Message<'_>) -> Vec<Moment<'a>> {
        match self {
            Event::Segment(segment) => {
                let (event_hash, timestamp) = (segment.hash(message), segment.timestamp);
                vec![Moment { event_hash, timestamp, segment: *segment, ..Moment::default() }]
            }
            Event::Link(link) => {
                vec![Moment { event_hash: link.event_hash, timestamp: link.timestamp, link, ..Moment::default() }]
            }
            Event::Viewed { viewed_by_id, timestamp } => {
                let event_hash = Uuid(u128::from(viewed_by_id).to_be_bytes());
                vec![Moment { event_hash, timestamp, viewed_by_id, ..Moment::default() }]
            }
            Event::Clicks { clicks, environment } => {
                let moment = |click: Click<'a>| Moment {
                    event_hash: click.event_hash,
                    timestamp: click.timestamp,
                    click,
                    ..Moment::within(&environment)
                };
                clicks.into_iter().map(moment).collect()
            }
            Event::Taps { taps, environment } => {
                let moment = |tap: Tap<'a>| Moment {
                    event_hash: tap.event_hash,
                    timestamp: tap.timestamp,
                    tap,
                    ..Moment::within(&environment)
                };
                taps.into_iter().map(moment).collect()
            }
        }
    }
}

impl<'a> Moment<'a> {
    fn within(environment: &Text<'a>) -> Self {
        Self { segment: Segment { environment: environment.clone(), ..Segment::default() }, ..Self::default() }
    }
}

impl Segment<'_> {
    /// The event's own hash, or that of its segment, or, where it has neither, that of its message.
    fn hash(&self, message: &Message<'_>) -> Uuid {
        let of_segment = || self.segment_id.map(|id| uuid::md5(id.to_string().as_bytes()));
        self.event_hash.or_else(of_segment).unwrap_or_else(|| id::of_message(message))
    }

    /// None if the column cannot hold it.
    pub fn id(&self) -> Option<u16> {
        self.segment_id.and_then(|id| id.try_into().ok())
    }

    /// The tag `transaction`.
    pub fn title(&self) -> Option<&str> {
        self.all_tags().filter(|(key, _)| *key == TITLE).last().map(|(_, value)| value)
    }

    /// All tags but the title.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.all_tags().filter(|(key, _)| *key != TITLE)
    }

    fn all_tags(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.tags.0.iter().filter_map(|List(pair)| match pair.as_slice() {
            [key, value] => key.get().zip(value.get()),
            _ => None,
        })
    }
}

const TITLE: &str = "transaction";
