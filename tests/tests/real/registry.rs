//! Modules from a real OCI registry.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidegate::digest::Digest;
use tidegate::error::{Backoff, Remedy};
use tidegate::module_source::{FetchError, FetchSettings, Fetched, ModuleSource};
use tidegate_tests::registry::push;
use tidegate_tests::servers::{folder, own_registry, registry};

const TYPES: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];

fn settings(store: &str) -> FetchSettings {
    FetchSettings {
        docker_config: None,
        pauses: Backoff::new(Duration::from_millis(1), Duration::from_millis(2)),
        ..FetchSettings::new(folder(store))
    }
}

async fn fetch(source: &str, store: &str) -> Result<Fetched, FetchError> {
    ModuleSource::parse(source, Path::new("/")).unwrap().fetch(&settings(store)).await
}

#[tokio::test]
async fn all_layer_types_are_pulled_by_tag_and_by_digest() {
    let host = registry();
    for (number, kind) in TYPES.into_iter().enumerate() {
        let bytes = vec![number as u8; 3 << 20];
        let (repository, component) = (format!("types/t{number}"), Digest::of(&bytes));
        let manifest = push(&host, &repository, "1.0", &[(kind, &bytes)]).unwrap();
        let by_tag = fetch(&format!("oci://{host}/{repository}:1.0"), &format!("tag-{number}")).await.unwrap();
        assert_eq!((by_tag.digest, by_tag.wasm.len()), (component, 3 << 20));
        assert_eq!(by_tag.origin, format!("oci://{host}/{repository}:1.0@{manifest}#{component}"));
        let by_digest = format!("oci://{host}/{repository}@{manifest}");
        let fetched = fetch(&by_digest, &format!("digest-{number}")).await.unwrap();
        assert_eq!((fetched.digest, fetched.origin), (component, format!("{by_digest}#{component}")));
        let again = fetch(&by_tag.origin, &format!("origin-{number}")).await.unwrap();
        assert_eq!(again, by_tag);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let host = registry();
    push(&host, "there", "1", &[(TYPES[0], b"component")]).unwrap();
    let (component, other) = (Digest::of(b"component"), Digest::of(b"other"));
    for source in
        [format!("oci://{host}/there:2"), format!("oci://{host}/there@{other}"), format!("oci://{host}/nobody:1")]
    {
        let error = fetch(&source, "missing").await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("there is nothing at {source}: ")), "{error}");
        assert_eq!(error.remedy(), Remedy::Hold);
    }
    let pinned = format!("oci://{host}/there:1#{other}");
    let error = fetch(&pinned, "missing").await.unwrap_err();
    let text = format!("the module at {pinned} has digest {component} instead of {other}; it is not used");
    assert!(error.to_string().starts_with(&text), "{error}");
}

#[tokio::test]
async fn an_image_of_files_is_no_module() {
    let host = registry();
    let layer = folder("files").join("layer.tar");
    let made = Command::new("tar").arg("cf").arg(&layer).args(["-C", "/etc", "hostname"]).status().unwrap();
    assert!(made.success());
    let image = format!("{host}/files:1");
    let crane = tidegate_engines::crane().unwrap();
    let pushed =
        Command::new(crane).args(["append", "--oci-empty-base", "-t", &image, "-f"]).arg(&layer).output().unwrap();
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    let error = fetch(&format!("oci://{image}"), "no-layer").await.unwrap_err();
    let text = format!(
        "the image oci://{image} has 0 WebAssembly layers, and one is needed; its layers are \
         application/vnd.oci.image.layer.v1.tar+gzip ("
    );
    assert!(error.to_string().starts_with(&text), "{error}");
    assert_eq!(error.remedy(), Remedy::Hold);
}

#[tokio::test]
async fn a_tag_that_moves_does_not_move_what_is_pinned() {
    let host = registry();
    let source = format!("oci://{host}/moving:latest");
    push(&host, "moving", "latest", &[(TYPES[0], b"old")]).unwrap();
    let old = fetch(&source, "moving").await.unwrap();
    push(&host, "moving", "latest", &[(TYPES[0], b"new")]).unwrap();
    assert_eq!(fetch(&source, "moving").await.unwrap().wasm, &b"new"[..]);
    assert_eq!(fetch(&old.origin, "moving").await.unwrap(), old);
    assert_eq!(fetch(&old.origin, "moving-elsewhere").await.unwrap(), old, "the manifest's digest finds it");
}

#[tokio::test]
async fn what_was_pulled_is_there_while_the_registry_is_down() {
    let mut registry = own_registry(&folder("down-registry"));
    let host = registry.host();
    let manifest = push(&host, "down", "1", &[(TYPES[0], b"component")]).unwrap();
    let tag = format!("oci://{host}/down:1");
    let fetched = fetch(&tag, "down").await.unwrap();
    registry.kill();
    assert_eq!(fetch(&fetched.origin, "down").await.unwrap(), fetched);
    let by_manifest = fetch(&format!("oci://{host}/down@{manifest}"), "down").await.unwrap();
    assert_eq!(by_manifest.wasm, fetched.wasm);
    let error = fetch(&tag, "down").await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to connect to {tag}: Connection refused (os error 111)"));
    assert_eq!(error.remedy(), Remedy::Retry);
    registry.restart().unwrap();
    push(&host, "down", "1", &[(TYPES[0], b"component")]).unwrap();
    assert_eq!(fetch(&tag, "down").await.unwrap(), fetched);
}
