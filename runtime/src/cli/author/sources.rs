//! What a new project is made of, embedded in the program.

/// The SDK, the contract and what they need, by path below `vendor/`; laid out as in the repository.
pub const VENDORED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/vendor.rs"));

/// `vendor/Cargo.toml`.
pub const VENDORED_WORKSPACE: &str = include_str!(concat!(env!("OUT_DIR"), "/vendor.toml"));

/// The versions that the SDK is tested with; cargo drops what a project does not use.
pub const LOCK: &str = include_str!("../../../../Cargo.lock");

/// The Rust that the SDK is tested with.
pub const TOOLCHAIN: &str = include_str!("../../../../rust-toolchain.toml");

/// What every project has; `{{…}}` is filled in.
pub const PROJECT: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../template/Cargo.toml.in")),
    (".cargo/config.toml", include_str!("../../../template/cargo-config.toml")),
    (".gitignore", include_str!("../../../template/gitignore")),
    ("src/lib.rs", include_str!("../../../template/processor.rs.in")),
    ("pipeline.yaml", include_str!("../../../template/pipeline.yaml")),
    ("README.md", include_str!("../../../template/README.md")),
];

/// The structs and imports of the sample.
pub const SAMPLE_STRUCTS: &str = include_str!("../../../template/structs.rs.in");
pub const SAMPLE_IMPORTS: &[&str] = &["DateTime"];

/// Of the sample: a table and golden cases.
pub const SAMPLE: &[(&str, &str)] = &[
    ("schema.sql", include_str!("../../../template/schema.sql")),
    ("fixtures/event.json", include_str!("../../../template/fixtures/event.json")),
    ("fixtures/event.expected.json", include_str!("../../../template/fixtures/event.expected.json")),
    ("fixtures/no-id.json", include_str!("../../../template/fixtures/no-id.json")),
    ("fixtures/no-id.expected.json", include_str!("../../../template/fixtures/no-id.expected.json")),
];
