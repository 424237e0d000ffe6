//! Modules from files, folders, HTTP servers and registries that behave in every way but well.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidegate::digest::Digest;
use tidegate::error::{Backoff, Remedy};
use tidegate::module_source::{Auth, FetchError, FetchSettings, Fetched, ModuleSource};
use tidegate::secret::Secret;
use tidegate_tests::registry::{descriptor, manifest};
use tidegate_tests::servers::folder;
use tidegate_tests::web::{Web, answer};

const COMPONENT: &[u8] = b"the bytes of a component";
const OTHER: &[u8] = b"the bytes of another one";

fn settings(test: &str) -> FetchSettings {
    FetchSettings {
        docker_config: None,
        bytes_max: 1000,
        timeout: Duration::from_secs(5),
        pauses: Backoff::new(Duration::from_millis(1), Duration::from_millis(2)),
        ..FetchSettings::new(folder(test).join("store"))
    }
}

async fn fetch(source: &str, settings: &FetchSettings) -> Result<Fetched, FetchError> {
    ModuleSource::parse(source, Path::new("/")).unwrap().fetch(settings).await
}

fn stored(settings: &FetchSettings) -> usize {
    fs::read_dir(&settings.store).map_or(0, Iterator::count)
}

#[tokio::test]
async fn what_was_downloaded_is_not_downloaded_again() {
    let settings = settings("again");
    let web = Web::start(|_, _| answer("200 OK", "", COMPONENT)).unwrap();
    let url = format!("http://{}/errors.wasm?version=1", web.host());
    let fetched = fetch(&url, &settings).await.unwrap();
    let digest = Digest::of(COMPONENT);
    let expected = Fetched { wasm: COMPONENT.into(), digest, origin: format!("{url}#{digest}") };
    assert_eq!(fetched, expected);
    assert_eq!(fetch(&fetched.origin, &settings).await.unwrap(), expected);
    assert_eq!(web.heads().len(), 1);
    fetch(&url, &settings).await.unwrap();
    assert_eq!(web.heads().len(), 2, "what is not pinned is looked at again");
}

#[tokio::test]
async fn a_server_that_recovers_is_asked_again() {
    let web = Web::start(|_, before| match before {
        0 => answer("500 Internal Server Error", "", b""),
        1 => Some(b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nthe bytes".to_vec()),
        _ => answer("200 OK", "", COMPONENT),
    });
    let web = web.unwrap();
    let fetched = fetch(&format!("http://{}/a.wasm", web.host()), &settings("recovers")).await.unwrap();
    assert_eq!(fetched.wasm, COMPONENT);
    assert_eq!(web.heads().len(), 3);
}

#[tokio::test]
async fn servers_that_fail_are_told_from_what_is_wrong() {
    let truncated = b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nthe bytes".to_vec();
    let endless = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(), vec![0; 1001]].concat();
    let moved = answer("302 Found", "Location: /elsewhere\r\n", b"");
    let kinds = [
        (
            "down",
            answer("503 Service Unavailable", "", b""),
            Remedy::Retry,
            "URL is not able to answer now: status 503 Service Unavailable",
        ),
        (
            "busy",
            answer("429 Too Many Requests", "", b""),
            Remedy::Retry,
            "URL is not able to answer now: status 429 Too Many Requests",
        ),
        (
            "truncated",
            Some(truncated),
            Remedy::Retry,
            "URL ended its answer early: end of file before message length reached",
        ),
        ("silent", None, Remedy::Retry, "URL did not give the module within 200ms"),
        (
            "missing",
            answer("404 Not Found", "", b""),
            Remedy::Hold,
            "there is nothing at URL: status 404 Not Found\n\nhint: correct the source's name or tag, or put the module there",
        ),
        (
            "private",
            answer("401 Unauthorized", "", b""),
            Remedy::Hold,
            "URL refused the request: status 401 Unauthorized\n\nhint: write auth: beside the source (docs/modules.md); for a registry, `docker login` does as well",
        ),
        (
            "odd",
            answer("418 I'm a teapot", "", b""),
            Remedy::Hold,
            "URL answered with status 418 I'm a teapot, which is no module",
        ),
        ("large", answer("200 OK", "", &[0; 1001]), Remedy::Hold, "the module at URL is larger than 1000 bytes"),
        ("endless", Some(endless), Remedy::Hold, "the module at URL is larger than 1000 bytes"),
        ("loop", moved, Remedy::Hold, "URL leads nowhere: more than 5 redirects"),
    ];
    for (kind, answer, remedy, text) in kinds {
        let web = Web::start(move |_, _| answer.clone()).unwrap();
        let url = format!("http://{}/a.wasm", web.host());
        let settings = FetchSettings { timeout: Duration::from_millis(200), ..settings("fail") };
        let error = fetch(&url, &settings).await.unwrap_err();
        assert_eq!(error.to_string(), text.replace("URL", &url), "{kind}");
        assert_eq!(error.remedy(), remedy, "{kind}");
        let requests = if remedy == Remedy::Retry {
            3
        } else if kind == "loop" {
            6
        } else {
            1
        };
        assert_eq!(web.heads().len(), requests, "{kind}");
        assert_eq!(stored(&settings), 0, "{kind}");
    }
}

#[tokio::test]
async fn nobody_there_may_heal() {
    let settings = settings("nobody");
    for source in ["http://127.0.0.1:1/a.wasm", "oci://127.0.0.1:1/a:1"] {
        let error = fetch(source, &settings).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Retry);
        let text = format!("failed to connect to {source}: Connection refused (os error 111)");
        assert_eq!(error.to_string(), text);
    }
}

#[tokio::test]
async fn another_digest_is_refused() {
    let settings = settings("digest");
    let web = Web::start(|_, _| answer("200 OK", "", OTHER)).unwrap();
    let source = format!("http://{}/a.wasm#{}", web.host(), Digest::of(COMPONENT));
    let error = fetch(&source, &settings).await.unwrap_err();
    let (expected, found) = (Digest::of(COMPONENT), Digest::of(OTHER));
    let text = format!("the module at {source} has digest {found} instead of {expected}; it is not used\n\nhint: ");
    assert!(error.to_string().starts_with(&text), "{error}");
    assert_eq!(error.remedy(), Remedy::Hold);
    assert_eq!(stored(&settings), 0);
}

#[tokio::test]
async fn secrets_go_to_the_server_that_is_named_and_no_further() {
    let target = Web::start(|_, _| answer("200 OK", "", COMPONENT)).unwrap();
    let location = format!("Location: http://{}/b.wasm\r\n", target.host());
    let web = Web::start(move |_, _| answer("307 Temporary Redirect", &location, b"")).unwrap();
    let basic = Auth::Basic { user: "me".into(), password: Secret::new("secret") };
    for (auth, sent) in [
        (basic, "authorization: Basic bWU6c2VjcmV0"),
        (Auth::Bearer(Secret::new("t0ken")), "authorization: Bearer t0ken"),
    ] {
        let settings = FetchSettings { auth: Some(auth), ..settings("auth") };
        let fetched = fetch(&format!("http://{}/a.wasm", web.host()), &settings).await.unwrap();
        assert_eq!(fetched.wasm, COMPONENT);
        assert!(web.heads().last().unwrap().contains(sent), "{:?}", web.heads());
        assert!(!target.heads().last().unwrap().to_lowercase().contains("authorization"), "{:?}", target.heads());
    }
}

#[tokio::test]
async fn a_pinned_file_is_the_same_after_it_is_built_anew() {
    let settings = settings("file");
    let file = folder("file").join("a.wasm");
    let source = format!("file:{}", file.display());
    fs::write(&file, COMPONENT).unwrap();
    let fetched = fetch(&source, &settings).await.unwrap();
    assert_eq!(fetched.origin, format!("{source}#{}", Digest::of(COMPONENT)));
    fs::write(&file, OTHER).unwrap();
    assert_eq!(fetch(&source, &settings).await.unwrap().wasm, OTHER);
    assert_eq!(fetch(&fetched.origin, &settings).await.unwrap(), fetched);
    fs::remove_file(&file).unwrap();
    assert_eq!(fetch(&fetched.origin, &settings).await.unwrap(), fetched);
    let error = fetch(&source, &settings).await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to read {}: No such file or directory (os error 2)", file.display()));
    fs::write(&file, [0; 1001]).unwrap();
    let error = fetch(&source, &settings).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the module at {source} is larger than 1000 bytes"));
}

#[tokio::test]
async fn a_folder_gives_its_newest_and_says_when_it_may_have_changed() {
    let settings = settings("folder");
    let modules = folder("folder").join("modules");
    fs::create_dir_all(&modules).unwrap();
    let source = ModuleSource::parse(&format!("dir:{}", modules.display()), Path::new("/")).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(modules.join(name), bytes).unwrap();
    put("a-1.9.0.wasm", OTHER);
    let before = source.stamp();
    put("a-1.10.0.wasm", COMPONENT);
    let after = source.stamp();
    assert!(before.is_some() && before != after);
    put("notes.txt", b"");
    assert_eq!(source.stamp(), after);
    let fetched = source.fetch(&settings).await.unwrap();
    assert_eq!(fetched.wasm, COMPONENT);
    let origin = format!("file:{}/a-1.10.0.wasm#{}", modules.display(), Digest::of(COMPONENT));
    assert_eq!(fetched.origin, origin);
    let pinned = ModuleSource::parse(&origin, Path::new("/")).unwrap();
    assert_eq!(pinned.stamp(), None);
    put("b-2.0.0.wasm", OTHER);
    let error = source.fetch(&settings).await.unwrap_err();
    assert!(error.to_string().contains("it has a-1.10.0.wasm, a-1.9.0.wasm, b-2.0.0.wasm\n"), "{error}");
}

/// A registry with one image, for those who have the password.
fn registry(blob: &'static [u8]) -> Web {
    let image = manifest(
        descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        vec![descriptor("application/wasm", COMPONENT)],
    );
    let web = Web::start(move |head, _| {
        let path = head.split(' ').nth(1).unwrap();
        if !head.contains("authorization: Basic bWU6c2VjcmV0") {
            return answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"here\"\r\n", b"{}");
        }
        match path {
            "/v2/a/manifests/1" => answer("200 OK", "", image.as_bytes()),
            _ if path == format!("/v2/a/blobs/{}", Digest::of(COMPONENT)) => answer("200 OK", "", blob),
            // It gives the same image by any digest.
            _ => answer("200 OK", "", image.as_bytes()),
        }
    });
    web.unwrap()
}

#[tokio::test]
async fn a_registry_gets_the_password_of_the_docker_config() {
    let web = registry(COMPONENT);
    let source = format!("oci://{}/a:1", web.host());
    let docker_config = folder("docker").join("config.json");
    let with = |config: String| {
        fs::write(&docker_config, config).unwrap();
        FetchSettings { docker_config: Some(docker_config.clone()), ..settings("docker") }
    };
    let config = |auth: &str| with(format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, web.host()));
    let refused = fetch(&source, &config("bWU6d3Jvbmc=")).await.unwrap_err();
    assert!(
        refused.to_string().starts_with(&format!("{source} refused the request: status 401\n\nhint: ")),
        "{refused}"
    );
    assert_eq!(refused.remedy(), Remedy::Hold);
    let broken = fetch(&source, &with("{".into())).await.unwrap_err();
    assert!(matches!(&broken, FetchError::Credentials { registry, .. } if *registry == web.host()), "{broken}");
    let refused = fetch(&source, &with("{}".into())).await.unwrap_err();
    assert!(matches!(refused, FetchError::Refused { .. }), "{refused}");
    assert_eq!(fetch(&source, &config("bWU6c2VjcmV0")).await.unwrap().wasm, COMPONENT);
    let own = Auth::Basic { user: "me".into(), password: Secret::new("secret") };
    let settings = FetchSettings { auth: Some(own), ..settings("docker-own") };
    assert_eq!(fetch(&source, &settings).await.unwrap().wasm, COMPONENT);
}

#[tokio::test]
async fn a_registry_that_lies_is_refused() {
    let auth = Some(Auth::Basic { user: "me".into(), password: Secret::new("secret") });
    let settings = FetchSettings { auth, ..settings("lies") };
    let web = registry(OTHER);
    let source = format!("oci://{}/a:1", web.host());
    let refused = fetch(&source, &settings).await.unwrap_err();
    let (expected, found) = (Digest::of(COMPONENT), Digest::of(OTHER));
    let text = format!("the module at {source} has digest {found} instead of {expected}; it is not used\n\nhint: ");
    assert!(refused.to_string().starts_with(&text), "{refused}");
    let source = format!("oci://{}/a@{}", web.host(), Digest::of(b"another manifest"));
    let refused = fetch(&source, &settings).await.unwrap_err();
    assert!(matches!(&refused, FetchError::Digest { from, .. } if *from == source), "{refused}");
    let component_of_none = format!("oci://{}/a:1#{}", web.host(), Digest::of(b"no component"));
    assert!(fetch(&component_of_none, &settings).await.is_err());
    assert_eq!(stored(&settings), 0);
}
