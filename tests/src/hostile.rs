//! Guests that mean harm, a file of `tests/hostile` each: assembled, and what must come of them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve};

use crate::processors::{files, repository};

/// A hostile guest.
#[derive(Debug)]
pub struct Guest {
    /// The name of its file.
    pub name: String,
    pub expected: Expected,
    source: String,
}

/// Who pays for it, and what is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// `load STEP`, `init`, `message REASON`, `all REASON` or `none`; `tests/hostile/README.md` says what they mean.
    pub blamed: String,
    /// Part of the text that names the reason.
    pub text: String,
}

/// All of them, in the order of their names.
///
/// # Errors
/// If a file does not say what must come of it.
pub fn guests() -> Result<Vec<Guest>> {
    let folder = repository().join("tests/hostile");
    let files = files(&folder).into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "wat"));
    files.map(|file| Guest::read(&file).with_context(|| file.display().to_string())).collect()
}

impl Guest {
    /// The guest of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self> {
        Self::read(&repository().join("tests/hostile").join(format!("{name}.wat")))
    }

    fn read(file: &Path) -> Result<Self> {
        let source = fs::read_to_string(file)?;
        let first = source.lines().next().and_then(|line| line.strip_prefix(";; "));
        let first = first.context("the first line must say what comes of it")?;
        let (blamed, text) = first.split_once(": ").unwrap_or((first, ""));
        ensure!(text.is_empty() == (blamed == "none"), "the first line must say what is reported, and who is blamed");
        let expected = Expected { blamed: blamed.to_owned(), text: text.to_owned() };
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, expected, source })
    }

    /// The component, or whatever it is.
    ///
    /// # Errors
    /// If the text cannot be assembled.
    pub fn assemble(&self) -> Result<Vec<u8>> {
        let source = expanded(&self.source)?;
        let body = source.trim_start_matches(|c| c != '(').trim_start();
        let whole = forms(&source).len() == 1 && ["(component", "(module"].iter().any(|start| body.starts_with(start));
        if whole {
            return Ok(wat::parse_str(&source)?);
        }
        let mut module = wat::parse_str(module(&source)?)?;
        let (resolve, package) = self.contract()?;
        let world = resolve.select_world(&[package], None)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
        ComponentEncoder::default().module(&module)?.encode()
    }

    /// The world of a processor, with what the file imports besides.
    fn contract(&self) -> Result<(Resolve, PackageId)> {
        let mut resolve = Resolve::default();
        resolve.push_dir(repository().join("wit"))?;
        let lines = self.source.lines().filter_map(|line| line.strip_prefix(";; wit: "));
        let (packages, imports): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("package "));
        let world = format!(
            "package test:hostile;
            {}
            world hostile {{ include tidegate:processor/message-processor@0.1.0; {} }}",
            packages.join("\n"),
            imports.join("\n"),
        );
        let package = resolve.push_str("hostile.wit", &world)?;
        Ok((resolve, package))
    }
}

/// The well-behaved guest with the forms of `source` in the place of its own.
fn module(source: &str) -> Result<String> {
    let base = fs::read_to_string(repository().join("tests/hostile/well-behaved.wat"))?;
    let mut own = forms(source);
    let mut all = Vec::new();
    for form in forms(&base) {
        let same = |other: &&str| *other == form || (named(other).is_some() && named(other) == named(form));
        let replacing = own.iter().position(same);
        all.push(replacing.map_or(form, |at| own.remove(at)));
    }
    all.extend(own);
    // Imports come first in a module.
    all.sort_by_key(|form| !form.starts_with("(import"));
    Ok(format!("(module\n{}\n)", all.join("\n")))
}

/// `func $evil` of `(func $evil …)`.
fn named(form: &str) -> Option<(&str, &str)> {
    let mut words = form.split(|c: char| c.is_whitespace() || "()".contains(c)).filter(|word| !word.is_empty());
    Some((words.next()?, words.next().filter(|name| name.starts_with('$'))?))
}

/// What stands in brackets, without the comments between.
fn forms(text: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 0);
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => while bytes.next().is_some_and(|(at, byte)| byte != b'"' || text.as_bytes()[at - 1] == b'\\') {},
            b';' => while bytes.next_if(|(_, byte)| *byte != b'\n').is_some() {},
            b'(' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            b')' => {
                depth -= 1;
                if depth == 0 {
                    found.push(&text[start..=at]);
                }
            }
            _ => {}
        }
    }
    found
}

/// `(@repeat 3 text{i})` is `text0 text1 text2`; the innermost first.
fn expanded(source: &str) -> Result<String> {
    const REPEAT: &str = "(@repeat ";
    let mut text = source.to_owned();
    while let Some(at) = text.rfind(REPEAT) {
        let (times, rest) = text[at + REPEAT.len()..].split_once(' ').context("what is repeated?")?;
        let times: usize = times.parse()?;
        let mut depth = 1;
        let closing = rest.bytes().position(|byte| {
            depth += i32::from(byte == b'(') - i32::from(byte == b')');
            depth == 0
        });
        let (body, rest) = rest.split_at(closing.context("a repetition without an end")?);
        let mut repeated = text[..at].to_owned();
        for number in 0..times {
            repeated.push_str(&body.replace("{i}", &number.to_string()));
            repeated.push(' ');
        }
        repeated.push_str(&rest[1..]);
        text = repeated;
    }
    Ok(text)
}
