//! A struct becomes a row: its columns, and the writing of each.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Ident, LitStr, Result, Type};

use crate::field::{IfNone, Options, inside_option};
use crate::kind::comparable;

/// A field that is a column, or several.
struct Field<'a> {
    name: &'a Ident,
    kind: &'a Type,
    options: Options,
}

pub fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let fields = fields(input)?;
    let columns = fields.iter().map(Field::column).collect::<Result<Vec<_>>>()?;
    let written = fields.iter().map(Field::write).collect::<Result<Vec<_>>>()?;
    let name = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    let element = if fields.iter().any(|field| field.options.nested) {
        TokenStream::new()
    } else {
        let written = fields.iter().map(Field::write_each).collect::<Result<Vec<_>>>()?;
        quote! {
            #[automatically_derived]
            impl #generics ::tidegate_processor::record::Element for #name #arguments #conditions {
                #[inline]
                fn write_columns(elements: &[Self], row: &mut ::tidegate_processor::Row<'_>) {
                    #(#written)*
                }
            }
        }
    };
    let checked = checked(input);
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::tidegate_processor::Record for #name #arguments #conditions {
            const COLUMNS: &'static [::tidegate_processor::record::Column] = &[#(#columns),*];

            #[inline]
            fn write(&self, row: &mut ::tidegate_processor::Row<'_>) {
                #(#written)*
            }
        }
        #element
        #checked
    })
}

fn fields(input: &DeriveInput) -> Result<Vec<Field<'_>>> {
    if let Some(attribute) = input.attrs.iter().find(|attribute| attribute.path().is_ident("row")) {
        return Err(Error::new(attribute.span(), "#[row(...)] belongs to a field"));
    }
    let named = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            _ => return Err(Error::new(input.ident.span(), "a row needs named fields: each is a column")),
        },
        _ => {
            let text = "a row is a struct; for an enum as a column, derive Enum8 or Enum16";
            return Err(Error::new(input.ident.span(), text));
        }
    };
    let mut fields = Vec::new();
    for field in named {
        let options = Options::read(&field.attrs)?;
        if let Some(name) = field.ident.as_ref().filter(|_| !options.skip) {
            fields.push(Field { name, kind: &field.ty, options });
        }
    }
    if fields.is_empty() {
        return Err(Error::new(input.ident.span(), "a row needs a column: this struct has no field that is one"));
    }
    unique(&fields)?;
    Ok(fields)
}

fn unique(fields: &[Field<'_>]) -> Result<()> {
    for (at, field) in fields.iter().enumerate() {
        let name = field.column_name();
        if fields[..at].iter().any(|other| other.column_name() == name) {
            return Err(Error::new(field.name.span(), format!("there is a column `{name}` already")));
        }
    }
    Ok(())
}

/// Columns are checked when the struct is, not only where it is used. Types with type parameters are checked at their
/// use.
fn checked(input: &DeriveInput) -> TokenStream {
    if !input.generics.params.iter().all(|parameter| matches!(parameter, GenericParam::Lifetime(_))) {
        return TokenStream::new();
    }
    let name = &input.ident;
    let lifetimes = input.generics.lifetimes().map(|_| quote!('static));
    quote! {
        const _: usize = <#name<#(#lifetimes),*> as ::tidegate_processor::Record>::COLUMNS.len();
    }
}

impl Field<'_> {
    fn column_name(&self) -> String {
        match &self.options.rename {
            Some(name) => name.value(),
            None => self.name.to_string().trim_start_matches("r#").to_owned(),
        }
    }

    /// The type whose values are written.
    fn written_type(&self) -> Result<&Type> {
        if self.options.default.is_some() { inside_option(self.kind) } else { Ok(self.kind) }
    }

    /// Errors point at the field's type; lints know that nobody wrote this.
    fn span(&self) -> Span {
        self.kind.span().resolved_at(Span::call_site())
    }

    fn column(&self) -> Result<TokenStream> {
        let name = LitStr::new(&self.column_name(), self.name.span());
        if name.value().is_empty() {
            return Err(Error::new(name.span(), "a column needs a name"));
        }
        let kind = self.written_type()?;
        let column = quote_spanned!(self.span()=> ::tidegate_processor::record::Column);
        if self.options.nested {
            return Ok(quote_spanned!(self.span()=> #column::nested::<#kind>(#name)));
        }
        let Some(given) = &self.options.kind else {
            return Ok(quote_spanned!(self.span()=> #column::of::<#kind>(#name)));
        };
        let same = comparable(&given.value()).map_err(|text| Error::new(given.span(), text))?;
        Ok(quote_spanned!(self.span()=> #column::with_type::<#kind>(#name, #given, &[#(#same),*])))
    }

    fn write(&self) -> Result<TokenStream> {
        let name = self.name;
        let span = self.span();
        if self.options.nested {
            return Ok(quote_spanned!(span=> ::tidegate_processor::record::write_nested(&self.#name, row);));
        }
        Ok(match self.default()? {
            Some(default) => quote_spanned!(span=> #default row.value(self.#name.as_ref().unwrap_or(&default));),
            None => quote_spanned!(span=> row.value(&self.#name);),
        })
    }

    /// As a column of a Nested: an array of what all elements have there.
    fn write_each(&self) -> Result<TokenStream> {
        let name = self.name;
        let span = self.span();
        Ok(match self.default()? {
            Some(default) => quote_spanned! {span=>
                #default
                row.array(elements.iter().map(|element| element.#name.as_ref().unwrap_or(&default)));
            },
            None => quote_spanned!(span=> row.array(elements.iter().map(|element| &element.#name));),
        })
    }

    fn default(&self) -> Result<Option<TokenStream>> {
        let kind = self.written_type()?;
        Ok(match &self.options.default {
            None => None,
            Some(IfNone::OfType) => {
                Some(quote_spanned!(self.span()=> let default: #kind = ::core::default::Default::default();))
            }
            Some(IfNone::Value(value)) => Some(quote!(let default: #kind = #value;)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let input: DeriveInput = syn::parse_str(text).unwrap();
        expand(&input).unwrap_err().to_string()
    }

    #[test]
    fn wrong_use_says_what_to_do() {
        let cases = [
            ("enum A { B }", "a row is a struct; for an enum as a column, derive Enum8 or Enum16"),
            ("struct A(u8);", "a row needs named fields: each is a column"),
            ("struct A {}", "a row needs a column"),
            ("struct A { #[row(skip)] a: u8 }", "a row needs a column"),
            ("#[row(skip)] struct A { a: u8 }", "#[row(...)] belongs to a field"),
            ("struct A { #[row(nullable)] a: u8 }", "known are rename = \"...\", type = \"...\", default,"),
            ("struct A { #[row(skip, rename = \"b\")] a: u8 }", "a field with `skip` is no column"),
            ("struct A { #[row(nested, type = \"String\")] a: u8 }", "`type` and `default` belong there"),
            ("struct A { #[row(default)] a: u8 }", "the field must be an Option<...>"),
            ("struct A { #[row(type = \"Array(String\")] a: u8 }", "parentheses or quotes that do not match"),
            ("struct A { #[row(rename = \"b\")] a: u8, b: u8 }", "there is a column `b` already"),
            ("struct A { #[row(rename = \"\")] a: u8 }", "a column needs a name"),
        ];
        for (text, said) in cases {
            let error = error(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
