//! An enum without fields becomes the values of an `Enum8` or `Enum16` column, with their names.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Data, DeriveInput, Error, Expr, ExprLit, ExprUnary, Ident, Lit, Result, UnOp, Variant};

use crate::field::Options;

pub fn expand(input: &DeriveInput, family: &str, number: &str) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.ident.span(), format!("{family} is for an enum; for a struct, derive Row")));
    };
    let mut names = Vec::new();
    for variant in &data.variants {
        names.push(format!("'{}' = {}", name(variant)?, value(variant)?));
    }
    let kind = format!("{family}({})", names.join(", "));
    let name = &input.ident;
    let number = Ident::new(number, Span::call_site());
    Ok(quote! {
        #[automatically_derived]
        impl ::tidegate_processor::ColumnType for #name {
            const TYPE: &'static str = #kind;
        }

        #[automatically_derived]
        impl ::tidegate_processor::Encode for #name {
            #[inline]
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                ::tidegate_processor::Encode::encode(&(*self as #number), out);
            }
        }
    })
}

/// As ClickHouse writes it within quotes.
fn name(variant: &Variant) -> Result<String> {
    if !variant.fields.is_empty() {
        return Err(Error::new(variant.ident.span(), "a value of a ClickHouse enum has no fields"));
    }
    let options = Options::read(&variant.attrs)?;
    let name = options.rename.map_or_else(|| variant.ident.to_string(), |name| name.value());
    Ok(name.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The numbers are in the table, so they are said, not counted.
fn value(variant: &Variant) -> Result<i64> {
    let error = || {
        let text = format!("the number of this value in the table is missing: {} = 1", variant.ident);
        Error::new(variant.ident.span(), text)
    };
    match variant.discriminant.as_ref().map(|(_, value)| value) {
        Some(Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => number.base10_parse(),
        Some(Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. })) => match expr.as_ref() {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Ok(-number.base10_parse::<i64>()?),
            _ => Err(error()),
        },
        _ => Err(error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String> {
        Ok(expand(&syn::parse_str(text)?, "Enum8", "i8")?.to_string())
    }

    #[test]
    fn names_and_numbers_are_those_of_the_table() {
        let text = "enum Level { #[row(rename = \"it's\")] A = -1, Debug = 2 }";
        assert!(expanded(text).unwrap().contains(r"Enum8('it\\'s' = -1, 'Debug' = 2)"));
    }

    #[test]
    fn wrong_use_says_what_to_do() {
        let cases = [
            ("struct A { a: u8 }", "Enum8 is for an enum; for a struct, derive Row"),
            ("enum A { B(u8) = 1 }", "a value of a ClickHouse enum has no fields"),
            ("enum A { B }", "the number of this value in the table is missing: B = 1"),
        ];
        for (text, said) in cases {
            let error = expanded(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
