//! Modules from OCI registries. The protocol is oci-client's; which layer is the component, and that nothing is used
//! whose digest was not checked, is decided here.
//!
//! Not by oci-wasm: it takes one of the three layer types in use, and wants the config of one tool.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use futures::TryStreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use oci_client::manifest::{self, OciDescriptor, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use super::http::{self, Limited};
use super::store::{Kind, Store};
use super::{Auth, FetchError, FetchSettings, blocking};
use crate::digest::Digest;

/// The types by which components are pushed: today's, of older tools, of older ones.
const LAYER_TYPES: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];
const MANIFEST_TYPES: [&str; 4] = [
    manifest::OCI_IMAGE_MEDIA_TYPE,
    manifest::IMAGE_MANIFEST_MEDIA_TYPE,
    manifest::OCI_IMAGE_INDEX_MEDIA_TYPE,
    manifest::IMAGE_MANIFEST_LIST_MEDIA_TYPE,
];
/// Of a text that a registry sends with an error.
const SAID_BYTES_MAX: usize = 300;

/// The component of an image, and the image by its digest.
pub(super) async fn pull(
    image: &Reference,
    settings: &FetchSettings,
    store: &Store,
) -> Result<(Bytes, Reference), FetchError> {
    if let Some(wasm) = stored(image, store).await {
        return Ok((wasm, image.clone()));
    }
    let registry = Registry::new(image, settings).await?;
    let (bytes, pinned) = registry.manifest().await?;
    let layer = wasm_layer(&registry.from, &bytes)?;
    let component = match layer.digest.parse() {
        Ok(digest) => store.get(digest, Kind::Component).await,
        Err(_) => None,
    };
    let wasm = match component {
        Some(wasm) => wasm,
        None => registry.layer(&layer, settings.bytes_max).await?,
    };
    store.keep(bytes, Kind::Manifest).await;
    Ok((wasm, pinned))
}

/// An image named by its digest needs no registry once it was pulled.
async fn stored(image: &Reference, store: &Store) -> Option<Bytes> {
    let manifest = store.get(image.digest()?.parse().ok()?, Kind::Manifest).await?;
    let layer = wasm_layer(&image.to_string(), &manifest).ok()?;
    store.get(layer.digest.parse().ok()?, Kind::Component).await
}

struct Registry<'a> {
    client: Client,
    auth: RegistryAuth,
    image: &'a Reference,
    /// The image as text.
    from: String,
}

impl<'a> Registry<'a> {
    async fn new(image: &'a Reference, settings: &FetchSettings) -> Result<Self, FetchError> {
        http::use_ring();
        let in_the_clear = settings.insecure || is_here(image);
        let config = ClientConfig {
            protocol: if in_the_clear { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(http::CONNECT_TIMEOUT),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| FetchError::Tls { cause: error.to_string() })?;
        let auth = auth(image, settings).await?;
        let registry = Self { client, auth, image, from: format!("oci://{image}") };
        // Asked for here, because pulling goes on without what the registry refuses.
        let asked = registry.client.auth(image, &registry.auth, RegistryOperation::Pull).await;
        asked.map_err(|error| registry.error(error))?;
        Ok(registry)
    }

    async fn manifest(&self) -> Result<(Bytes, Reference), FetchError> {
        let pulled = self.client.pull_manifest_raw(self.image, &self.auth, &MANIFEST_TYPES).await;
        let (bytes, _) = pulled.map_err(|error| self.error(error))?;
        let (registry, repository) = (self.image.registry().to_owned(), self.image.repository().to_owned());
        let digest = Digest::of(&bytes).to_string();
        let pinned = match self.image.tag() {
            Some(tag) => Reference::with_tag_and_digest(registry, repository, tag.to_owned(), digest),
            None => Reference::with_digest(registry, repository, digest),
        };
        Ok((bytes, pinned))
    }

    async fn layer(&self, layer: &OciDescriptor, bytes_max: u64) -> Result<Bytes, FetchError> {
        let mut wasm = Limited::new(&self.from, bytes_max);
        wasm.expect(u64::try_from(layer.size).ok())?;
        let pulled = self.client.pull_blob_stream(self.image, layer).await;
        let mut chunks = pulled.map_err(|error| self.error(error))?.stream;
        while let Some(chunk) = chunks.try_next().await.map_err(|error| self.error(error.into()))? {
            wasm.push(&chunk)?;
        }
        Ok(wasm.bytes.freeze())
    }

    fn error(&self, error: OciDistributionError) -> FetchError {
        let from = self.from.clone();
        match error {
            OciDistributionError::RequestError(error) => http::of_transport(&from, &error),
            OciDistributionError::IoError(error) => of_stream(from, &error),
            OciDistributionError::DigestError(error) => of_digest(from, &error),
            OciDistributionError::UnauthorizedError { .. } => FetchError::of_status(from, 401, "status 401".into()),
            OciDistributionError::AuthenticationFailure(text) => FetchError::of_status(from, 401, said(&text)),
            OciDistributionError::ServerError { code, message, .. } => {
                FetchError::of_status(from, code, said(&format!("status {code}: {message}")))
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let status = envelope.errors.first().map_or(400, |error| status(&error.code));
                let texts = envelope.errors.iter().map(|error| format!("{:?}: {}", error.code, error.message));
                FetchError::of_status(from, status, said(&texts.collect::<Vec<_>>().join(", ")))
            }
            other => FetchError::Unexpected { from, said: said(&other.to_string()) },
        }
    }
}

/// A registry's errors are codes; this is the status that each of them comes with.
fn status(code: &OciErrorCode) -> u16 {
    match code {
        OciErrorCode::BlobUnknown
        | OciErrorCode::ManifestUnknown
        | OciErrorCode::ManifestBlobUnknown
        | OciErrorCode::NameUnknown
        | OciErrorCode::NotFound => 404,
        OciErrorCode::Unauthorized | OciErrorCode::Denied => 403,
        OciErrorCode::Toomanyrequests => 429,
        _ => 400,
    }
}

fn of_stream(from: String, error: &std::io::Error) -> FetchError {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<DigestError>()) {
        of_digest(from, error)
    } else if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
        http::of_transport(&from, error)
    } else {
        FetchError::Broken { from, cause: error.to_string() }
    }
}

fn of_digest(from: String, error: &DigestError) -> FetchError {
    match error {
        DigestError::VerificationError { expected, actual } => {
            FetchError::Digest { from, expected: expected.clone(), found: actual.clone() }
        }
        other => FetchError::Unexpected { from, said: other.to_string() },
    }
}

fn said(text: &str) -> String {
    let text = text.trim();
    text[..text.floor_char_boundary(SAID_BYTES_MAX)].to_owned()
}

/// The layer that is the component.
fn wasm_layer(from: &str, manifest: &[u8]) -> Result<OciDescriptor, FetchError> {
    let image = match serde_json::from_slice(manifest) {
        Ok(OciManifest::Image(image)) => image,
        Ok(OciManifest::ImageIndex(index)) => {
            let images = index.manifests.into_iter().map(|image| image.digest).collect();
            return Err(FetchError::Index { from: from.to_owned(), images });
        }
        Err(error) => {
            return Err(FetchError::Unexpected { from: from.to_owned(), said: format!("a manifest ({error})") });
        }
    };
    let mut found = image.layers.iter().filter(|layer| LAYER_TYPES.contains(&layer.media_type.as_str()));
    match (found.next(), found.count()) {
        (Some(layer), 0) => Ok(layer.clone()),
        (first, further) => {
            let count = first.map_or(0, |_| 1 + further);
            let layers = image.layers.iter().map(|layer| format!("{} ({} bytes)", layer.media_type, layer.size));
            Err(FetchError::Layers { from: from.to_owned(), count, layers: layers.collect() })
        }
    }
}

/// Whether the registry is on this machine; such a one is spoken to in the clear.
pub(super) fn is_here(image: &Reference) -> bool {
    let host = image.resolve_registry();
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    http::is_loopback(name)
}

async fn auth(image: &Reference, settings: &FetchSettings) -> Result<RegistryAuth, FetchError> {
    match (&settings.auth, &settings.docker_config) {
        (Some(Auth::Basic { user, password }), _) => {
            Ok(RegistryAuth::Basic(user.clone(), password.expose().to_owned()))
        }
        (Some(Auth::Bearer(token)), _) => Ok(RegistryAuth::Bearer(token.expose().to_owned())),
        (None, Some(file)) => {
            let (file, registry) = (file.clone(), image.resolve_registry().to_owned());
            blocking(move || of_docker(&file, &registry)).await
        }
        (None, None) => Ok(RegistryAuth::Anonymous),
    }
}

/// What `docker login` has written. May ask a credential helper, which is a program.
fn of_docker(file: &Path, registry: &str) -> Result<RegistryAuth, FetchError> {
    let unusable = |cause| FetchError::Credentials { registry: registry.to_owned(), file: file.to_owned(), cause };
    let config = match File::open(file) {
        Ok(config) => config,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(error) => return Err(unusable(error.to_string())),
    };
    match docker_credential::get_credential_from_reader(config, registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(unusable("identity tokens are not supported".into())),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        // What a helper has printed may be a secret.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => Err(unusable(format!("{helper} failed"))),
        Err(other) => Err(unusable(other.to_string())),
    }
}

/// `$DOCKER_CONFIG/config.json`, else `.docker/config.json` in the home folder.
pub(super) fn docker_config() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".docker"));
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home);
    folder.map(|folder| folder.join("config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_here_or_elsewhere() {
        let here = |image: &str| is_here(&image.parse().unwrap());
        assert!(here("localhost/a:1") && here("localhost:5000/a:1") && here("127.0.0.1:5000/a:1"));
        assert!(!here("registry.example/a:1") && !here("registry.example:5000/a:1") && !here("10.0.0.1/a:1"));
    }

    fn layers(types: &[&str]) -> Result<String, String> {
        let layers = types.iter().map(|kind| format!(r#"{{"mediaType":"{kind}","size":7,"digest":"sha256:{kind}"}}"#));
        let layers = layers.collect::<Vec<_>>().join(",");
        let config = r#"{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:e"}"#;
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#);
        let layer = wasm_layer("oci://h/a:1", manifest.as_bytes()).map_err(|error| error.to_string());
        layer.map(|layer| layer.media_type)
    }

    #[test]
    fn one_layer_is_the_component() {
        for kind in LAYER_TYPES {
            assert_eq!(layers(&[kind]), Ok(kind.into()));
            assert_eq!(layers(&["application/vnd.example.sbom+json", kind]), Ok(kind.into()));
        }
        let wrong = |found: &str| {
            format!(
                "the image oci://h/a:1 has {found}\n\nhint: push the component as the only layer of type \
                 application/wasm"
            )
        };
        assert_eq!(layers(&[]), Err(wrong("0 WebAssembly layers, and one is needed; its layers are none")));
        let two = "2 WebAssembly layers, and one is needed; its layers are application/wasm (7 bytes), \
            application/vnd.wasm.content.layer.v1+wasm (7 bytes)";
        assert_eq!(layers(&LAYER_TYPES[..2]), Err(wrong(two)));
    }

    #[test]
    fn an_index_names_its_images() {
        let index = r#"{"schemaVersion":2,"manifests":[{"mediaType":"m","size":1,"digest":"sha256:1"},
            {"mediaType":"m","size":1,"digest":"sha256:2"}]}"#;
        let error = wasm_layer("oci://h/a:1", index.as_bytes()).unwrap_err();
        assert!(
            error.to_string().starts_with("oci://h/a:1 is an index of images, not one: sha256:1, sha256:2\n\nhint: ")
        );
    }
}
