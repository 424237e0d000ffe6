//! Rows from structs: what `#[derive(Row)]` implements, and the columns that Rust types have. All names are put together at
//! compile time; what is written is what the row writer would write.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::encode::{
    Date, Date32, DateTime, DateTime64, Decimal, Encode, Enum8, Enum16, FixedString, Parts, Uuid, Wide,
};
use crate::row::Row;
use crate::text::Text;

/// A struct whose fields are the columns of a row, in their order. Derive it:
///
/// ```
/// use tidegate_processor::{DateTime64, Enum8, Manifest, Row, Uuid};
///
/// #[derive(Row)]
/// struct Event<'a> {
///     /// `UInt64`
///     id: u64,
///     /// `Nullable(UUID)`
///     trace: Option<Uuid>,
///     /// The precision is not in the Rust type.
///     #[row(rename = "timestamp", type = "DateTime64(3)")]
///     at: DateTime64,
///     #[row(type = "LowCardinality(String)")]
///     service: &'a str,
///     level: Level,
///     /// `UInt32`, not Nullable: `None` writes 0. `default = 7` would write 7.
///     #[row(default)]
///     retries: Option<u32>,
///     /// The arrays `tags.key` and `tags.value` of a `Nested`.
///     #[row(nested)]
///     tags: Vec<Tag<'a>>,
///     /// No column.
///     #[row(skip)]
///     seen: usize,
/// }
///
/// #[derive(Row)]
/// struct Tag<'a> {
///     key: &'a str,
///     value: Option<&'a str>,
/// }
///
/// #[derive(Clone, Copy, Enum8)]
/// enum Level {
///     #[row(rename = "info")]
///     Info = 1,
///     #[row(rename = "error")]
///     Error = 2,
/// }
///
/// let manifest = Manifest::new("events", "1").output_of::<Event>("events");
/// # let told = format!("{manifest:?}");
/// # for column in [r#"("id", "UInt64")"#, r#"("trace", "Nullable(UUID)")"#, r#"("timestamp", "DateTime64(3)")"#,
/// #     r#"("level", "Enum8('info' = 1, 'error' = 2)")"#, r#"("retries", "UInt32")"#,
/// #     r#"("tags.key", "Array(String)")"#, r#"("tags.value", "Array(Nullable(String))")"#] {
/// #     assert!(told.contains(column), "{column} in {told}");
/// # }
/// # let _ = (Level::Info, Level::Error);
/// ```
///
/// What does not fit is a compile error that says what to do. A type that does not say everything needs `type`:
/// ```compile_fail,E0080
/// #[derive(tidegate_processor::Row)]
/// struct Event { at: tidegate_processor::DateTime64 }
/// ```
/// A `type` must have the bytes of the field:
/// ```compile_fail,E0080
/// #[derive(tidegate_processor::Row)]
/// struct Event { #[row(type = "DateTime")] at: u64 }
/// ```
/// ClickHouse has no Nullable arrays:
/// ```compile_fail,E0080
/// #[derive(tidegate_processor::Row)]
/// struct Event { tags: Option<Vec<u8>> }
/// ```
/// A field must have a type that a column can have:
/// ```compile_fail,E0277
/// #[derive(tidegate_processor::Row)]
/// struct Event { at: std::time::Duration }
/// ```
/// And a Nested is a `Vec` or a slice of structs without a Nested of their own:
/// ```compile_fail,E0277
/// #[derive(tidegate_processor::Row)]
/// struct Event { #[row(nested)] tags: Vec<u8> }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a row",
    note = "add #[derive(Row)] to the struct: its fields become the columns"
)]
pub trait Record {
    const COLUMNS: &'static [Column];

    /// Writes every column of [`Record::COLUMNS`], in their order. The row is not ended.
    fn write(&self, row: &mut Row<'_>);
}

/// A column of a record, or the columns of a `Nested`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Plain {
        name: &'static str,
        /// ClickHouse type.
        kind: &'static str,
    },
    /// Each of them is the array `name.column`.
    Nested { name: &'static str, columns: &'static [Column] },
}

/// A Rust type whose values are those of a column.
///
/// `TYPE` is the ClickHouse type; `?` stands for what the Rust type does not say, as in `DateTime64(?)`: the field says it
/// with `#[row(type = "...")]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the type of a column",
    note = "use one of the types that implement `ColumnType` (numbers, bool, String, Option, Vec, Uuid, DateTime, …), mark \
            the field #[row(skip)], or mark a Vec of structs #[row(nested)]"
)]
pub trait ColumnType: Encode {
    const TYPE: &'static str;
}

/// A record that may be an element of a `Nested`: one without a `Nested` of its own. `#[derive(Row)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an element of a Nested",
    note = "a Nested is a Vec or a slice of structs that derive Row and have no #[row(nested)] field themselves"
)]
pub trait Element: Record + Sized {
    /// Writes an array per column.
    fn write_columns(elements: &[Self], row: &mut Row<'_>);
}

/// What a field with `#[row(nested)]` may be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a Nested",
    note = "use a Vec or a slice of structs that derive Row"
)]
pub trait Elements {
    type Element: Element;

    fn elements(&self) -> &[Self::Element];
}

impl Column {
    /// A column with the type of `T`.
    ///
    /// # Panics
    /// At compile time, if `T` does not say the type in full.
    pub const fn of<T: ColumnType + ?Sized>(name: &'static str) -> Self {
        possible(T::TYPE);
        if Text::contains(T::TYPE, "?") {
            let text =
                Text::join(&["`", T::TYPE, "` is not all: say it in #[row(type = \"...\")], for each `?` a value"]);
            panic!("{}", text.as_str());
        }
        Column::Plain { name, kind: T::TYPE }
    }

    /// A column of a type that the author names. `same` are the texts of which one must be that of `T`; none: not
    /// compared.
    ///
    /// # Panics
    /// At compile time, if the bytes of a `T` are not those of the type.
    pub const fn with_type<T: ColumnType + ?Sized>(name: &'static str, kind: &'static str, same: &[&str]) -> Self {
        possible(T::TYPE);
        let mut fits = same.is_empty();
        let mut at = 0;
        while at < same.len() {
            fits |= Text::fits(T::TYPE.as_bytes(), same[at].as_bytes());
            at += 1;
        }
        if !fits {
            let text =
                Text::join(&["the field has values of type `", T::TYPE, "`, which are not those of `", kind, "`"]);
            panic!("{}", text.as_str());
        }
        Column::Plain { name, kind }
    }

    /// The columns of a Nested.
    pub const fn nested<T: Elements>(name: &'static str) -> Self {
        Column::Nested { name, columns: <T::Element as Record>::COLUMNS }
    }

    /// Name and type of each column that it stands for.
    pub(crate) fn each(&self) -> Vec<(String, String)> {
        match self {
            Column::Plain { name, kind } => vec![((*name).into(), (*kind).into())],
            Column::Nested { name, columns } => {
                let inner = columns.iter().flat_map(Column::each);
                inner.map(|(column, kind)| (format!("{name}.{column}"), format!("Array({kind})"))).collect()
            }
        }
    }
}

/// ClickHouse has no Nullable of what is composed.
const fn possible(kind: &str) {
    let impossible = ["Nullable(Array(", "Nullable(Map(", "Nullable(Tuple(", "Nullable(Nullable("];
    let mut at = 0;
    while at < impossible.len() {
        if Text::contains(kind, impossible[at]) {
            let text = Text::join(&["there is no `", kind, "`: leave out the Option, or add #[row(default)]"]);
            panic!("{}", text.as_str());
        }
        at += 1;
    }
}

/// Writes the columns of a Nested.
#[inline]
pub fn write_nested<T: Elements>(elements: &T, row: &mut Row<'_>) {
    T::Element::write_columns(elements.elements(), row);
}

impl<T: Element> Elements for Vec<T> {
    type Element = T;

    fn elements(&self) -> &[T] {
        self
    }
}

impl<T: Element> Elements for &[T] {
    type Element = T;

    fn elements(&self) -> &[T] {
        self
    }
}

macro_rules! named {
    ($($kind:ty: $name:literal;)*) => {
        $(impl ColumnType for $kind {
            const TYPE: &'static str = $name;
        })*
    };
}

named! {
    u8: "UInt8";
    u16: "UInt16";
    u32: "UInt32";
    u64: "UInt64";
    u128: "UInt128";
    i8: "Int8";
    i16: "Int16";
    i32: "Int32";
    i64: "Int64";
    i128: "Int128";
    f32: "Float32";
    f64: "Float64";
    bool: "Bool";
    str: "String";
    String: "String";
    Cow<'_, str>: "String";
    Uuid: "UUID";
    Date: "Date";
    Date32: "Date32";
    DateTime: "DateTime";
    DateTime64: "DateTime64(?)";
    Decimal<i32>: "Decimal32(?)";
    Decimal<i64>: "Decimal64(?)";
    Decimal<i128>: "Decimal128(?)";
    // UInt256, Int256 and Decimal256(…)
    Wide: "?256?";
    Enum8: "Enum8(?)";
    Enum16: "Enum16(?)";
    Ipv4Addr: "IPv4";
    Ipv6Addr: "IPv6";
}

impl<const N: usize> ColumnType for Parts<'_, N> {
    const TYPE: &'static str = "String";
}

impl<const N: usize> ColumnType for FixedString<N> {
    const TYPE: &'static str = const { &Text::join(&["FixedString(", Text::number(N).as_str(), ")"]) }.as_str();
}

impl<T: ColumnType + ?Sized> ColumnType for &T {
    const TYPE: &'static str = T::TYPE;
}

impl<T: ColumnType> ColumnType for Option<T> {
    const TYPE: &'static str = const { &Text::join(&["Nullable(", T::TYPE, ")"]) }.as_str();
}

impl<T: ColumnType> ColumnType for [T] {
    const TYPE: &'static str = const { &Text::join(&["Array(", T::TYPE, ")"]) }.as_str();
}

impl<T: ColumnType> ColumnType for Vec<T> {
    const TYPE: &'static str = <[T]>::TYPE;
}

impl<A: ColumnType, B: ColumnType> ColumnType for (A, B) {
    const TYPE: &'static str = const { &Text::join(&["Tuple(", A::TYPE, ", ", B::TYPE, ")"]) }.as_str();
}

impl<K: ColumnType, V: ColumnType> ColumnType for BTreeMap<K, V> {
    const TYPE: &'static str = const { &Text::join(&["Map(", K::TYPE, ", ", V::TYPE, ")"]) }.as_str();
}

impl<K: ColumnType, V: ColumnType, S> ColumnType for HashMap<K, V, S> {
    const TYPE: &'static str = <BTreeMap<K, V>>::TYPE;
}
