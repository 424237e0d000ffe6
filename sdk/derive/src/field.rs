//! What `#[row(...)]` says of a field, and what of it makes no sense.

use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, GenericArgument, LitStr, PathArguments, Result, Type};

/// `#[row(rename = "...", type = "...", default, nested, skip)]`
#[derive(Default)]
pub struct Options {
    pub rename: Option<LitStr>,
    pub kind: Option<LitStr>,
    /// The column is not Nullable; `None` writes this.
    pub default: Option<IfNone>,
    pub nested: bool,
    pub skip: bool,
}

/// What `None` writes.
pub enum IfNone {
    OfType,
    Value(Expr),
}

const KNOWN: &str = "known are rename = \"...\", type = \"...\", default, default = value, nested and skip";

impl Options {
    pub fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("row")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("rename") {
                    options.rename = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("type") {
                    options.kind = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("default") {
                    let value = meta.input.peek(syn::Token![=]).then(|| meta.value()?.parse()).transpose()?;
                    options.default = Some(value.map_or(IfNone::OfType, IfNone::Value));
                } else if meta.path.is_ident("nested") {
                    options.nested = true;
                } else if meta.path.is_ident("skip") {
                    options.skip = true;
                } else {
                    return Err(meta.error(format!("#[row] does not know this; {KNOWN}")));
                }
                Ok(())
            })?;
            options.check(attribute)?;
        }
        Ok(options)
    }

    fn check(&self, attribute: &Attribute) -> Result<()> {
        let of_a_column = self.kind.is_some() || self.default.is_some();
        if self.skip && (self.nested || of_a_column || self.rename.is_some()) {
            return Err(Error::new(attribute.span(), "a field with `skip` is no column: leave out the rest"));
        }
        if self.nested && of_a_column {
            let text = "a `nested` field has a column per field of its struct: `type` and `default` belong there";
            return Err(Error::new(attribute.span(), text));
        }
        Ok(())
    }
}

/// `T` of `Option<T>`.
pub fn inside_option(kind: &Type) -> Result<&Type> {
    let error = || Error::new(kind.span(), "`default` is what None writes: the field must be an Option<...>");
    let Type::Path(path) = kind else { return Err(error()) };
    let last = path.path.segments.last().filter(|segment| segment.ident == "Option").ok_or_else(error)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Err(error()) };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Ok(inner),
        _ => Err(error()),
    }
}
