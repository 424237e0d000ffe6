//! TLS to ClickHouse and to Kafka on the real servers: what is right works, and what is wrong is said with its place and the
//! way out. The embeddable ClickHouse cannot listen with TLS itself, so a proxy ends it before the server.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate::clickhouse::{Class, Cluster, Settings, Tls, TlsFiles};
use tidegate::secret::Secret;
use tidegate_engines::{Kafka, Security};
use tidegate_tests::kafka;
use tidegate_tests::pipeline::Bed;
use tidegate_tests::servers;
use tidegate_tests::tidegate::{Tidegate, wait_until};
use tidegate_tests::tls::{Authority, Front, Identity};

const MINUTE: Duration = Duration::from_secs(60);
const NAMES: &[&str] = &["localhost", "127.0.0.1"];

fn files(ca: Option<&Authority>, client: Option<&Identity>) -> Tls {
    let ca = ca.map(|authority| authority.certificate.clone());
    let (certificate, key) = client.cloned().map(|of| (of.certificate, of.key)).unzip();
    Tls::read(&TlsFiles { ca, certificate, key }).unwrap()
}

/// What ClickHouse behind `url` answers to a question, or why there is no answer.
async fn ask(url: &str, tls: &Tls) -> Result<String, tidegate::clickhouse::Error> {
    let settings = Settings {
        hosts: vec![url.to_owned()],
        tls: tls.clone(),
        database: "default".into(),
        user: "default".into(),
        password: Secret::default(),
        timeout: Duration::from_secs(20),
    };
    Cluster::new(settings).query("SELECT 1").await
}

async fn assert_refused(url: &str, tls: &Tls, says: &[&str]) {
    let error = ask(url, tls).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(url), "{text}");
    for part in says {
        assert!(text.contains(part), "{text} does not say {part:?}");
    }
    assert_eq!(error.class(), Class::Operator, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_verified_and_what_is_wrong_is_said() {
    let folder = servers::folder("https");
    let (ours, others) = (Authority::new(&folder, "ours").unwrap(), Authority::new(&folder, "others").unwrap());
    let clickhouse = servers::clickhouse_port();
    let front = |server: Identity| Front::before(clickhouse, &server, None).unwrap();
    let right = front(ours.identity("right", NAMES).unwrap());
    let trusting = files(Some(&ours), None);
    assert_eq!(ask(&right.url(), &trusting).await.unwrap(), "1\n");

    let unknown = ["UnknownIssuer", "tls.ca"];
    assert_refused(&right.url(), &files(Some(&others), None), &unknown).await;
    assert_refused(&right.url(), &Tls::default(), &unknown).await;
    let elsewhere = front(ours.identity("elsewhere", &["clickhouse.example"]).unwrap());
    assert_refused(&elsewhere.url(), &trusting, &["clickhouse.example", "a name of the certificate under hosts"]).await;
    let expired = front(ours.expired("expired", NAMES).unwrap());
    assert_refused(&expired.url(), &trusting, &["expired", "renew it"]).await;
    let plain = servers::clickhouse().replace("http:", "https:");
    assert_refused(&plain, &trusting, &["is this its HTTPS port?"]).await;

    let asking = Front::before(clickhouse, &ours.identity("asking", NAMES).unwrap(), Some(&ours)).unwrap();
    let client = ours.identity("client", &["client"]).unwrap();
    assert_eq!(ask(&asking.url(), &files(Some(&ours), Some(&client))).await.unwrap(), "1\n");
    assert_refused(&asking.url(), &trusting, &["tls.certificate and tls.key"]).await;

    let in_the_clear = right.url().replace("https:", "http:");
    let text = ask(&in_the_clear, &trusting).await.unwrap_err().to_string();
    assert!(text.starts_with(&in_the_clear) && text.contains("write https://"), "{text}");
}

#[test]
fn a_certificate_that_expires_holds_the_pipeline_until_it_is_renewed() {
    let mut bed = Bed::new("renewed", 2).unwrap();
    let authority = Authority::new(&bed.folder, "authority").unwrap();
    let good = authority.identity("good", NAMES).unwrap();
    let front = Front::before(servers::clickhouse_port(), &good, None).unwrap();
    bed.clickhouse = front.url();
    // Relative to the configuration.
    let config = bed.config().replace("timeout: 20s }", "timeout: 20s, tls: { ca: authority.pem } }");
    bed.send((0..2000).map(|id| (id, "row"))).unwrap();
    let tidegate = Tidegate::run(&bed.folder, "renewed", &config).unwrap();
    wait_until(MINUTE, || bed.is_done()).unwrap();

    front.show(&authority.expired("bad", NAMES).unwrap()).unwrap();
    bed.send((2000..4000).map(|id| (id, "row"))).unwrap();
    let says = |page: &str| Ok(tidegate.get("/readyz")?.contains(page));
    wait_until(MINUTE, || says("renew it at the server")).unwrap();
    assert!(!bed.is_done().unwrap());
    front.show(&good).unwrap();
    wait_until(MINUTE, || bed.is_done()).unwrap();
    wait_until(MINUTE, || Ok(!says("renew it at the server")?)).unwrap();
    assert_eq!(bed.database.run("SELECT count(), uniqExact(id) FROM poison").unwrap(), "4000\t4000\n");
    assert!(tidegate.terminate().unwrap().code() == Some(143));
}

/// A broker with TLS of the test's own, and who may talk to it.
struct Secured {
    kafka: Kafka,
    folder: PathBuf,
}

const PASSWORD: &str = "bobs-password";

impl Secured {
    fn new() -> Self {
        let folder = servers::folder("secured");
        let (ours, others) = (Authority::new(&folder, "ours").unwrap(), Authority::new(&folder, "others").unwrap());
        let identity = ours.identity("broker", NAMES).unwrap().both;
        ours.identity("client", &["client"]).unwrap();
        others.identity("stranger", &["stranger"]).unwrap();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        std::fs::write(folder.join("guess"), "guessed").unwrap();
        let (clients, user) = (ours.certificate, "bob".to_owned());
        let security = Security { identity, clients, user, password: PASSWORD.into() };
        let kafka = Kafka::start_secured(&folder.join("kafka"), &security).unwrap_or_else(|error| panic!("{error}"));
        Self { kafka, folder }
    }

    /// A pipeline that reads from this broker; its client's properties are `security`.
    fn bed(&self, name: &str, broker: &str, security: &str) -> Bed {
        let mut bed = Bed::new(name, 1).unwrap();
        bed.kafka = broker.to_owned();
        bed.folder = self.folder.clone();
        bed.properties = format!("{}, {security}", bed.properties);
        bed
    }

    fn make_topics(&self, bed: &Bed) {
        let topics = [bed.topic(), bed.commit_log(), bed.replacements(), bed.dead_letters()];
        let topics: Vec<(&str, i32)> = topics.iter().map(|topic| (topic.as_str(), 1)).collect();
        tidegate_tests::runtime().block_on(kafka::create_topics(&self.kafka.bootstrap(), &topics)).unwrap();
    }

    /// What is sent in the clear arrives through TLS, dead letters and records of progress go back.
    fn assert_works(&self, name: &str, broker: &str, security: &str) {
        let mut bed = self.bed(name, broker, security);
        self.make_topics(&bed);
        let tidegate = bed.start(name).unwrap();
        bed.kafka = self.kafka.bootstrap();
        bed.send((0..500).map(|id| (id, if id % 100 == 0 { "not-json" } else { "row" }))).unwrap();
        wait_until(MINUTE, || bed.is_done()).unwrap_or_else(|error| panic!("{error}: {}", tidegate.log()));
        wait_until(MINUTE, || Ok(bed.said()?.get(&0) == Some(&500))).unwrap();
        assert_eq!(bed.database.number("SELECT uniqExact(id) FROM poison").unwrap(), 495);
        assert_eq!(bed.letters().unwrap().len(), 5);
        let (log, status) = (tidegate.log(), tidegate.status().unwrap().to_string());
        assert!(!log.contains(PASSWORD) && !status.contains(PASSWORD));
        assert_eq!(tidegate.terminate().unwrap().code(), Some(143));
    }

    /// It keeps trying, and says which broker and what to mend, in the log, in `/status` and in `/readyz`.
    fn assert_explained(&self, name: &str, broker: &str, security: &str, says: &str) {
        let bed = self.bed(name, broker, security);
        let mut tidegate = bed.start(name).unwrap();
        let told = |text: &str| text.contains(broker) && text.contains(says);
        let ready = || tidegate.get("/readyz").unwrap_or_default();
        let waited = wait_until(MINUTE, || Ok(told(&ready())));
        waited.unwrap_or_else(|error| panic!("{name}: {error}: {} {}", ready(), tidegate.log()));
        assert!(told(&tidegate.status().unwrap()["pipelines"][name]["last_error"]["text"].to_string()));
        assert!(tidegate.log().lines().any(told));
        assert!(tidegate.is_running());
        assert_dry_run_says(&bed.folder.join(format!("{name}.yaml")), told);
    }
}

fn assert_dry_run_says(config: &Path, told: impl Fn(&str) -> bool) {
    let output = Command::new(servers::built("tidegate")).arg("dry-run").arg(config).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.lines().any(told), "{text}");
}

const WITH_CERTIFICATE: &str = "security.protocol: ssl, ssl.ca.location: ours.pem, \
    ssl.certificate.location: client-certificate.pem, ssl.key.location: client-key.pem";
const WITH_PASSWORD: &str = "security.protocol: sasl_ssl, ssl.ca.location: ours.pem, \
    sasl.mechanism: SCRAM-SHA-256, sasl.username: bob, sasl.password: { file: password }";

#[test]
fn kafka_with_tls_works_and_what_is_wrong_is_said() {
    let secured = Secured::new();
    let (ssl, sasl_ssl) = (secured.kafka.ssl(), secured.kafka.sasl_ssl());
    secured.assert_works("tls-certificate", &ssl, WITH_CERTIFICATE);
    secured.assert_works("tls-password", &sasl_ssl, WITH_PASSWORD);

    let plain = secured.kafka.bootstrap();
    let of_tls = "security.protocol: ssl, ssl.ca.location: ours.pem".to_owned();
    let without_ca = WITH_PASSWORD.replace("ssl.ca.location: ours.pem, ", "");
    let cases = [
        ("tls-guess", &sasl_ssl, WITH_PASSWORD.replace("password }", "guess }"), "mend sasl.username"),
        ("tls-no-ca", &sasl_ssl, without_ca, "ssl.ca.location must name"),
        ("tls-other-ca", &sasl_ssl, WITH_PASSWORD.replace("ours.pem", "others.pem"), "ssl.ca.location must name"),
        ("tls-anonymous", &ssl, of_tls.clone(), "ssl.certificate.location"),
        ("tls-stranger", &ssl, WITH_CERTIFICATE.replace("client", "stranger"), "ssl.certificate.location"),
        ("tls-unspoken", &ssl, "linger.ms: 5".to_owned(), "security.protocol must be"),
        ("tls-unheard", &plain, of_tls, "security.protocol must be"),
    ];
    std::thread::scope(|scope| {
        for (name, broker, security, says) in &cases {
            scope.spawn(|| secured.assert_explained(name, broker, security, says));
        }
    });
}
