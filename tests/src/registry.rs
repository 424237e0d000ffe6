//! Images, pushed to a registry with any layers.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tidegate::digest::Digest;

use crate::web::request;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes an image with these layers (type and bytes), and returns the digest of its manifest.
///
/// # Errors
/// What the registry says.
pub fn push(host: &str, repository: &str, tag: &str, layers: &[(&str, &[u8])]) -> Result<Digest> {
    let layers = layers.iter().map(|(kind, bytes)| blob(host, repository, kind, bytes)).collect::<Result<Vec<_>>>()?;
    let manifest = manifest(blob(host, repository, "application/vnd.wasm.config.v0+json", b"{}")?, layers);
    let line = format!("PUT /v2/{repository}/manifests/{tag}");
    let (status, answer) = request(host, &line, &format!("Content-Type: {MANIFEST_TYPE}\r\n"), manifest.as_bytes())?;
    ensure!(status == 201, "the manifest was not taken: {answer}");
    Ok(Digest::of(manifest.as_bytes()))
}

/// A manifest as it is pushed.
pub fn manifest(config: Value, layers: Vec<Value>) -> String {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers }).to_string()
}

/// What a manifest says of a blob.
pub fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "size": bytes.len(), "digest": Digest::of(bytes).to_string() })
}

fn blob(host: &str, repository: &str, kind: &str, bytes: &[u8]) -> Result<Value> {
    let line = format!("POST /v2/{repository}/blobs/uploads/?digest={}", Digest::of(bytes));
    let (status, answer) = request(host, &line, "Content-Type: application/octet-stream\r\n", bytes)?;
    ensure!(status == 201, "the blob was not taken: {answer}");
    Ok(descriptor(kind, bytes))
}
