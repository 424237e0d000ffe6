//! The derive macros of `tidegate-processor`, which re-exports and explains them. They write what an author would write by
//! hand with the row writer, column by column, and nothing else.

mod enumeration;
mod field;
mod kind;
mod record;

use proc_macro::TokenStream;

/// Makes a struct a row; see `tidegate_processor::Record`.
#[proc_macro_derive(Row, attributes(row))]
pub fn row(input: TokenStream) -> TokenStream {
    expanded(input, record::expand)
}

/// Makes an enum without fields a value of an `Enum8` column; see `tidegate_processor::ColumnType`.
#[proc_macro_derive(Enum8, attributes(row))]
pub fn enum8(input: TokenStream) -> TokenStream {
    expanded(input, |input| enumeration::expand(input, "Enum8", "i8"))
}

/// Makes an enum without fields a value of an `Enum16` column; see `tidegate_processor::ColumnType`.
#[proc_macro_derive(Enum16, attributes(row))]
pub fn enum16(input: TokenStream) -> TokenStream {
    expanded(input, |input| enumeration::expand(input, "Enum16", "i16"))
}

fn expanded(
    input: TokenStream,
    expand: impl FnOnce(&syn::DeriveInput) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
