//! The text of a source.

use oci_client::Reference;
use reqwest::Url;

use super::{ModuleSource, Place};
use crate::digest::Digest;

/// Paths stay as they are written.
pub(super) fn source(text: &str) -> Result<ModuleSource, String> {
    let (place, pin) = match text.rsplit_once("#sha256:") {
        Some((place, digits)) => (place, Some(pin(text, digits)?)),
        None => (text, None),
    };
    Ok(ModuleSource { place: self::place(place)?, pin })
}

fn pin(text: &str, digits: &str) -> Result<Digest, String> {
    let digest = format!("sha256:{digits}").parse();
    digest.map_err(|_| format!("source {text:?} does not end in a digest; write #sha256: and 64 hexadecimal digits"))
}

fn place(text: &str) -> Result<Place, String> {
    let named = |path: &str| match path {
        "" => Err(format!("source {text:?} names no path; write file:PATH or dir:PATH")),
        path => Ok(path.into()),
    };
    if let Some(path) = text.strip_prefix("file:") {
        return named(path).map(Place::File);
    }
    if let Some(path) = text.strip_prefix("dir:") {
        return named(path).map(Place::Directory);
    }
    if let Some(image) = text.strip_prefix("oci://") {
        return self::image(text, image).map(Place::Oci);
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return url(text).map(Place::Http);
    }
    Err(format!(
        "source {text:?} is of no known kind; write file:PATH, dir:PATH, https://HOST/PATH or oci://HOST/REPOSITORY:TAG"
    ))
}

fn url(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|error| format!("source {text:?} is no URL: {error}; write https://HOST/PATH"))?;
    if !url.username().is_empty() || url.password().is_some() {
        // The text is not repeated: it may have a password in it.
        return Err("a source has a user or a password in its URL; write auth: beside the source".into());
    }
    match url.fragment() {
        Some(_) => Err(format!(
            "source {text:?} ends in something else than a digest; write #sha256: and 64 hexadecimal digits"
        )),
        None => Ok(url),
    }
}

fn image(text: &str, image: &str) -> Result<Reference, String> {
    let wrong = |what: &str| {
        format!("source {text:?} {what}; write oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…")
    };
    let (host, rest) = image.split_once('/').ok_or_else(|| wrong("names no repository"))?;
    // Without them the host would be taken for a repository of Docker Hub.
    if host != "localhost" && !host.contains(['.', ':']) {
        return Err(wrong("names no host of a registry"));
    }
    if !rest.contains([':', '@']) {
        return Err(wrong("names neither a tag nor a digest"));
    }
    let reference: Reference = image.parse().map_err(|error| wrong(&format!("names no image ({error})")))?;
    match reference.digest().map(str::parse::<Digest>) {
        Some(Err(_)) => Err(wrong("names a digest that is not SHA-256")),
        Some(Ok(_)) | None => Ok(reference),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn parsed(text: &str) -> Result<ModuleSource, String> {
        ModuleSource::parse(text, Path::new("/etc/tidegate"))
    }

    #[test]
    fn every_kind_is_read_and_written() {
        let kinds = [
            ("file:a.wasm", "file:/etc/tidegate/a.wasm"),
            ("file:/a#b.wasm", "file:/a#b.wasm"),
            ("dir:modules", "dir:/etc/tidegate/modules"),
            ("http://h:1/a.wasm?x=1", "http://h:1/a.wasm?x=1"),
            ("https://h", "https://h/"),
            ("oci://h:1/a/b:1.0", "oci://h:1/a/b:1.0"),
            ("oci://localhost/a:1", "oci://localhost/a:1"),
            (&format!("oci://h.example/a@{ZEROS}"), &format!("oci://h.example/a@{ZEROS}")),
            (&format!("oci://h.example/a:1@{ZEROS}"), &format!("oci://h.example/a:1@{ZEROS}")),
        ];
        for (text, written) in kinds {
            for pin in ["", &format!("#{ZEROS}")] {
                let source = parsed(&format!("{text}{pin}")).unwrap();
                assert_eq!(source.to_string(), format!("{written}{pin}"));
                assert_eq!(source.pin().map(|pin| format!("#{pin}")).unwrap_or_default(), pin);
                assert_eq!(parsed(&source.to_string()), Ok(source));
            }
        }
    }

    #[test]
    fn everything_else_is_explained() {
        let image = "; write oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…";
        let kinds = "; write file:PATH, dir:PATH, https://HOST/PATH or oci://HOST/REPOSITORY:TAG";
        let digest = "; write #sha256: and 64 hexadecimal digits";
        let wrong = [
            ("", "source \"\" is of no known kind", kinds),
            ("a.wasm", "source \"a.wasm\" is of no known kind", kinds),
            ("ftp://h/a", "source \"ftp://h/a\" is of no known kind", kinds),
            ("file:", "source \"file:\" names no path", "; write file:PATH or dir:PATH"),
            ("file:a#sha256:12", "source \"file:a#sha256:12\" does not end in a digest", digest),
            ("http://h/a#v1", "source \"http://h/a#v1\" ends in something else than a digest", digest),
            ("https://", "source \"https://\" is no URL: empty host", "; write https://HOST/PATH"),
            (
                "https://me:secret@h/a",
                "a source has a user or a password in its URL",
                "; write auth: beside the source",
            ),
            ("oci://errors:1", "source \"oci://errors:1\" names no repository", image),
            ("oci://acme/errors:1", "source \"oci://acme/errors:1\" names no host of a registry", image),
            ("oci://h:1/errors", "source \"oci://h:1/errors\" names neither a tag nor a digest", image),
            ("oci://h:1/Errors:1", "source \"oci://h:1/Errors:1\" names no image (invalid reference format)", image),
            (
                "oci://h:1/e@sha256:12",
                "source \"oci://h:1/e@sha256:12\" names no image (invalid reference format)",
                image,
            ),
        ];
        for (text, what, way_out) in wrong {
            assert_eq!(parsed(text), Err(format!("{what}{way_out}")));
        }
    }
}
