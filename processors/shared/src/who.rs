//! Who it happened to, with what, and what was asked: parts that every kind of event has.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

use crate::entries::Entries;
use crate::lenient::{List, Pair, Scalar, Str, Text, object};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct User<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub username: Text<'a>,
    #[serde(borrow)]
    pub email: Text<'a>,
    #[serde(borrow)]
    pub ip_address: Str<'a>,
    #[serde(borrow, deserialize_with = "object")]
    pub geo: Entries<'a, Scalar<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Request<'a> {
    #[serde(borrow)]
    pub method: Text<'a>,
    #[serde(borrow)]
    headers: List<Pair<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Sdk<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub version: Text<'a>,
    #[serde(borrow)]
    pub integrations: List<Text<'a>>,
}

impl User<'_> {
    /// The address, for the column of its kind; none for both if it is not an address.
    pub fn addresses(&self) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        match self.ip_address.0.as_deref().and_then(|text| text.parse().ok()) {
            Some(IpAddr::V4(v4)) => (Some(v4), None),
            Some(IpAddr::V6(v6)) => (None, Some(v6)),
            None => (None, None),
        }
    }
}

impl<'a> Request<'a> {
    /// A header of exactly this name; of several the last.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.pairs().rev().find(|(name, _)| name == wanted).map(|(_, value)| &**value)
    }

    /// The first header that is exactly `Referer` or `Referrer`.
    pub fn referer(&self) -> Option<&str> {
        self.pairs().find(|(name, _)| name == "Referer" || name == "Referrer").map(|(_, value)| &**value)
    }

    fn pairs(&self) -> impl DoubleEndedIterator<Item = &(Cow<'a, str>, Cow<'a, str>)> {
        self.headers.0.iter().filter_map(|Pair(header)| header.as_ref())
    }
}
