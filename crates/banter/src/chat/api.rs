//! The HTTP requests of the chat: lists, searches, whole conversations, models.

use anyhow::{Context, anyhow, bail};
use banter_protocol::conversations::{
    ConversationList, ConversationPatch, ConversationTree, SearchResults,
};
use banter_protocol::http::ModelList;
use banter_protocol::v1::{Conversation, ConversationId};
use banter_remote::server::{ServerClient, ServerRequest, ServerResponse};
use serde::de::DeserializeOwned;

use super::socket::error_of;

/// The newest conversations.
pub async fn list(client: &ServerClient, limit: usize) -> anyhow::Result<ConversationList> {
    let limit = limit.to_string();
    get(client, &["api", "conversations"], &[("limit", &limit)]).await
}

/// Conversations with these words.
pub async fn search(client: &ServerClient, words: &str) -> anyhow::Result<SearchResults> {
    get(client, &["api", "conversations"], &[("q", words), ("limit", "20")]).await
}

/// A conversation with all its messages.
pub async fn tree(client: &ServerClient, id: ConversationId) -> anyhow::Result<ConversationTree> {
    get(client, &["api", "conversations", &id.to_string()], &[]).await
}

/// A conversation as a file of this form.
pub async fn export(
    client: &ServerClient,
    id: ConversationId,
    format: &str,
) -> anyhow::Result<String> {
    let id = id.to_string();
    let path = ["api", "conversations", &id, "export"];
    let request = ServerRequest { query: &[("format", format)], ..request("GET", &path, None) };
    String::from_utf8(ask(client, request).await?.body).context("the server sent no text")
}

/// Changes a conversation.
pub async fn change(
    client: &ServerClient,
    id: ConversationId,
    patch: &ConversationPatch,
) -> anyhow::Result<Conversation> {
    let body = serde_json::to_string(patch).context("write the change")?;
    let path = ["api", "conversations", &id.to_string()];
    read(ask(client, request("PATCH", &path, Some(body))).await?)
}

/// Deletes a conversation.
pub async fn delete(client: &ServerClient, id: ConversationId) -> anyhow::Result<()> {
    let path = ["api", "conversations", &id.to_string()];
    ask(client, request("DELETE", &path, None)).await.map(drop)
}

/// The models that the server has.
pub async fn models(client: &ServerClient) -> anyhow::Result<ModelList> {
    get(client, &["api", "models"], &[]).await
}

/// Begins to switch to another model.
pub async fn switch(client: &ServerClient, name: &str) -> anyhow::Result<()> {
    let body = serde_json::json!({ "name": name }).to_string();
    ask(client, request("POST", &["api", "models", "switch"], Some(body))).await.map(drop)
}

/// Whether a banter server answers.
pub async fn is_banter(client: &ServerClient) -> bool {
    let answer = client.ask(request("GET", &["health"], None)).await;
    answer.is_ok_and(|answer| answer.status == 200 && answer.server.starts_with("banter"))
}

/// How the engine stands: nothing if it is ready, else why it is not.
///
/// Errors: no banter answers.
pub async fn unready(client: &ServerClient) -> anyhow::Result<Option<String>> {
    let answer = client.ask(request("GET", &["ready"], None)).await.map_err(|e| anyhow!(e))?;
    match answer.status {
        200 => return Ok(None),
        503 => {}
        status => bail!("expected a banter, found a server that answers with status {status}"),
    }
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let status = crate::visible::visible_line(body["status"].as_str().unwrap_or("not ready"));
    Ok(Some(match body["progress"].as_f64() {
        Some(progress) => format!("{status}, {:.0} %", progress * 100.0),
        None => status,
    }))
}

fn request<'a>(
    method: &'static str,
    path: &'a [&'a str],
    body: Option<String>,
) -> ServerRequest<'a> {
    ServerRequest { method, path, query: &[], body }
}

async fn get<T: DeserializeOwned>(
    client: &ServerClient,
    path: &[&str],
    query: &[(&str, &str)],
) -> anyhow::Result<T> {
    read(ask(client, ServerRequest { query, ..request("GET", path, None) }).await?)
}

/// The response, if its status is a success.
async fn ask(client: &ServerClient, request: ServerRequest<'_>) -> anyhow::Result<ServerResponse> {
    let response = client.ask(request).await.map_err(|reason| anyhow!(reason))?;
    if (200..300).contains(&response.status) {
        return Ok(response);
    }
    match error_of(&response.body) {
        Some(message) => bail!(message),
        None => bail!("the server answered with status {}; its log says why", response.status),
    }
}

fn read<T: DeserializeOwned>(response: ServerResponse) -> anyhow::Result<T> {
    serde_json::from_slice(&response.body).context("the server's answer has another form")
}
