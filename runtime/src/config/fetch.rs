//! How modules are fetched.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Module, Reference, Text};
use crate::module_source::{self, FetchSettings};

/// A user with a password, or a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    #[serde(default)]
    pub user: Option<Text>,
    /// By reference: `{env: NAME}` or `{file: PATH}`.
    #[serde(default)]
    #[schemars(with = "Option<Reference>")]
    pub password: Option<Spanned<Reference>>,
    /// By reference; sent as `Authorization: Bearer …`.
    #[serde(default)]
    #[schemars(with = "Option<Reference>")]
    pub token: Option<Spanned<Reference>>,
}

impl Auth {
    pub(super) fn is_whole(&self) -> bool {
        let basic = self.user.is_some() && self.password.is_some();
        if self.token.is_some() { self.user.is_none() && self.password.is_none() } else { basic }
    }

    pub(super) fn secret(&mut self) -> Option<&mut Spanned<Reference>> {
        self.password.as_mut().or(self.token.as_mut())
    }

    fn read(&self) -> Option<module_source::Auth> {
        if let Some(token) = &self.token {
            return Some(module_source::Auth::Bearer(token.value.value()));
        }
        let (user, password) = (self.user.as_ref()?.0.clone(), self.password.as_ref()?.value.value());
        Some(module_source::Auth::Basic { user, password })
    }
}

impl Module {
    /// How its source is fetched; what was fetched is kept in `store`.
    pub fn fetch_settings(&self, store: PathBuf) -> FetchSettings {
        let auth = self.auth.as_ref().and_then(|auth| auth.value.read());
        FetchSettings { auth, insecure: self.insecure, ..FetchSettings::new(store) }
    }
}
