//! Modules over HTTP: what runs, and what should.
//!
//! ```text
//! GET  /modules                      every pipeline: what it runs, what it should, and what the fleet says
//! GET  /modules/PIPELINE/history     changes and what became of them, oldest first
//! POST /modules/PIPELINE/load        {"source": "file:…", "digest": "…"}      409 with {"error"} when it is refused
//! POST /modules/PIPELINE/rollback    {"digest": "…"} or {}: the one before
//! POST /modules/PIPELINE/pin, /unpin, /resume    {}
//! ```

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::Process;
use crate::control::{Ask, Keeper, Keepers, View};
use crate::load::Origin;

/// What may come with an order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    source: Option<String>,
    digest: Option<String>,
}

/// A pipeline in answers.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    view: View,
    /// What each process of the fleet says; empty without a control topic.
    members: Vec<Member>,
}

/// A process of the fleet.
#[derive(Serialize)]
struct Member {
    member: String,
    module: String,
    digest: String,
    /// `running`, `refused` (see `why`), `behind` (does not know the last wish) or `silent`.
    state: &'static str,
    why: Option<String>,
}

/// How long an answer waits for the fleet.
const FLEET_TIME: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Process> {
    Router::new()
        .route("/modules", get(list))
        .route("/modules/{pipeline}/history", get(history))
        .route("/modules/{pipeline}/{order}", post(ask))
}

async fn list(State(process): State<Process>) -> Response {
    let all: Vec<Shown> = process.keepers.list().iter().map(Shown::of).collect();
    Json(all).into_response()
}

async fn history(State(process): State<Process>, Path(pipeline): Path<String>) -> Response {
    match process.keepers.get(&pipeline) {
        Some(keeper) => Json(keeper.view().history).into_response(),
        None => unknown(&process.keepers, &pipeline),
    }
}

async fn ask(
    State(process): State<Process>,
    Path((pipeline, order)): Path<(String, String)>,
    Json(given): Json<Order>,
) -> Response {
    let Some(keeper) = process.keepers.get(&pipeline) else { return unknown(&process.keepers, &pipeline) };
    let ask = match (order.as_str(), given.source) {
        ("load", Some(source)) => Ask::Load(Origin { source, digest: given.digest }),
        ("load", None) => return failed(StatusCode::BAD_REQUEST, "\"source\" says what is to be loaded"),
        ("rollback", None) => Ask::RollBack(given.digest),
        ("pin", None) => Ask::Pin,
        ("unpin", None) => Ask::Unpin,
        ("resume", None) => Ask::Resume,
        _ => return failed(StatusCode::NOT_FOUND, "orders are load, rollback, pin, unpin and resume"),
    };
    match keeper.ask(ask).await {
        Ok(view) => {
            everybody_knows(&keeper, &view.desired.id).await;
            Json(Shown::of(&keeper)).into_response()
        }
        Err(why) => failed(StatusCode::CONFLICT, &why),
    }
}

/// Waits until every process of the fleet that speaks has said what it makes of a wish.
async fn everybody_knows(keeper: &Keeper, id: &str) {
    let until = Instant::now() + FLEET_TIME;
    while keeper.reports().values().any(|report| !report.is_silent() && report.desired != id) && Instant::now() < until
    {
        sleep(Duration::from_millis(20)).await;
    }
}

fn unknown(keepers: &Keepers, pipeline: &str) -> Response {
    let known: Vec<String> = keepers.list().iter().map(|keeper| keeper.view().pipeline).collect();
    let text = format!("there is no pipeline {pipeline:?} here; there is {}", known.join(", "));
    failed(StatusCode::NOT_FOUND, &text)
}

fn failed(code: StatusCode, text: &str) -> Response {
    (code, Json(json!({ "error": text }))).into_response()
}

impl Shown {
    fn of(keeper: &Keeper) -> Self {
        let view = keeper.view();
        let member = |(member, report): (String, crate::control::Report)| {
            let state = match (&report.why, report.is_silent(), report.desired == view.desired.id) {
                (_, true, _) => "silent",
                (_, _, false) => "behind",
                (Some(_), ..) => "refused",
                (None, ..) => "running",
            };
            Member { member, module: report.module, digest: report.digest, state, why: report.why }
        };
        let members = keeper.reports().into_iter().map(member).collect();
        Self { view, members }
    }
}
