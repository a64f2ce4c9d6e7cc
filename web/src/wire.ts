/** The HTTP bodies, made from the server's types: see `crates/protocol/src/schema.rs`. */
/**
 * `GET /api/info`: what a page must know before the first message.
 */
export type Info = {
/**
 * Version of the server.
 */
version: string,
/**
 * The loaded model.
 */
model: ModelInfo,
/**
 * Prompt and answer together can have this many tokens, if that is known.
 */
context_tokens: number | null,
/**
 * The limits of a client.
 */
limits: Limits,
/**
 * The values of parameters that a request leaves out.
 */
defaults: Defaults,
/**
 * The kind of the engine that somebody else runs and that computes for this server.
 */
engine: string | null,
/**
 * The parameters that a request may have. Others are refused.
 */
parameters: Array<string>,
/**
 * Whether `POST /tokenize` can count tokens.
 */
counts_tokens: boolean,
/**
 * Whether this server has models to choose from; see `GET /api/models`.
 */
has_models: boolean,
/**
 * The command that starts a real model in the way in which this server was started.
 */
real_model_command: string,
/**
 * Nobody needs a key, although other machines may reach the server.
 */
insecure: boolean,
/**
 * A name for the person who has signed in; each key has another. A browser that several people
 * use keeps their conversations apart by it.
 */
owner: string, };
/**
 * The loaded model, for people.
 */
export type ModelInfo = {
/**
 * Its name.
 */
name: string,
/**
 * Whether it is the small demo model that comes with the binary.
 */
demo: boolean,
/**
 * How many parameters it has, if that is known.
 */
parameters: number | null,
/**
 * Its licence, if the file names one.
 */
licence: string | null,
/**
 * Memory taken by the weights, if that is known.
 */
weights_bytes: number | null, };
/**
 * The limits that a page can respect in advance.
 */
export type Limits = {
/**
 * The longest message, in bytes of JSON.
 */
message_bytes: number, };
/**
 * The defaults of sampling. A missing value is the model's own, and not known here.
 */
export type Defaults = {
/**
 * Tokens of an answer.
 */
max_tokens: number,
/**
 * Sampling temperature.
 */
temperature: number | null,
/**
 * Nucleus size.
 */
top_p: number | null,
/**
 * Repetition penalty; 1.0 is none.
 */
repetition_penalty: number | null, };
/**
 * `GET /api/models`: the models, and the latest pull and switch.
 */
export type ModelList = {
/**
 * The name of the model that answers, if it is one of these.
 */
current: string | null,
/**
 * Whether the client may pull and switch.
 */
may_change: boolean,
/**
 * The models that are installed, partial, or available by a short name.
 */
models: Array<ModelEntry>,
/**
 * The latest pull since the start.
 */
pull: PullReport | null,
/**
 * The latest switch since the start.
 */
switch: SwitchReport | null, };
/**
 * A model that is installed or could be.
 */
export type ModelEntry = {
/**
 * The name for pulling it and switching to it.
 */
name: string,
/**
 * How much of it is here.
 */
state: ModelState,
/**
 * The size of its files; an estimate while it is only available.
 */
bytes: number,
/**
 * How many of these bytes are downloaded.
 */
downloaded_bytes: number,
/**
 * Its licence, if one is stated.
 */
licence: string | null,
/**
 * Whether the licence has no conditions for people who only use the model.
 */
is_open: boolean,
/**
 * The memory that it needs; an estimate while it is only available.
 */
memory_bytes: number | null,
/**
 * Whether that much memory is free now, beside the model that answers.
 */
fits: boolean | null,
/**
 * It is the small model that comes with the binary.
 */
demo: boolean, };
/**
 * How much of a model is downloaded.
 */
export type ModelState = "installed" | "partial" | "available";
/**
 * The state of a pull.
 */
export type PullReport = {
/**
 * The name in the request.
 */
name: string,
/**
 * What it is doing.
 */
phase: PullPhase,
/**
 * Bytes that are downloaded.
 */
downloaded_bytes: number,
/**
 * Bytes of all files; 0 while they are unknown.
 */
total_bytes: number,
/**
 * Whether it is running, done or failed.
 */
state: JobState, };
/**
 * What a pull is doing.
 */
export type PullPhase = "looking" | "fetching" | "waiting" | "checking";
/**
 * The state of a switch.
 */
export type SwitchReport = {
/**
 * The model that is to answer.
 */
name: string,
/**
 * How much of it is loaded, from 0 to 1.
 */
progress: number,
/**
 * How it stands.
 */
state: JobState, };
/**
 * The state of a job.
 */
export type JobState = { "status": "running" } | { "status": "done" } | { "status": "failed",
/**
 * Why, for programs.
 */
code: JobFailure,
/**
 * The same for people.
 */
message: string, };
/**
 * Why a job has failed.
 */
export type JobFailure = "licence" | "too_large" | "stopped" | "failed";
/**
 * `GET /health` and `GET /ready`.
 */
export type Status = { "status": "alive" } | { "status": "ready" } | { "status": "loading",
/**
 * From 0 to 1.
 */
progress: number, } | { "status": "stalled" } | { "status": "unreachable",
/**
 * The reason. Only requests from this machine get it, because it may name addresses.
 */
reason?: string, };
/**
 * The answer to a text in `POST /tokenize`.
 */
export type TokenizedText = {
/**
 * How many ids there are.
 */
tokens: number,
/**
 * The ids.
 */
ids: Array<number>, };
/**
 * The answer to a conversation in `POST /tokenize`.
 */
export type TokenizedConversation = {
/**
 * Tokens of the prompt that would be computed.
 */
tokens: number,
/**
 * Prompt and answer together can have this many.
 */
context_tokens: number,
/**
 * How many of the oldest messages would be left out.
 */
dropped_messages: number, };
/**
 * An HTTP error that is not about the content of a request.
 */
export type HttpError = {
/**
 * The code, for programs.
 */
code: string,
/**
 * The same for people.
 */
message: string, };
/**
 * `POST /tokenize`: either a text or a conversation.
 */
export type TokenizeRequest = {
/**
 * The text. Control tokens in it are plain characters.
 */
text: string, } | {
/**
 * The conversation.
 */
messages: Array<HttpMessage>,
/**
 * How many tokens the answer may have; the default is that of the plain language.
 */
max_tokens: number | null, };
/**
 * One message of a conversation in an HTTP body.
 */
export type HttpMessage = {
/**
 * Who said it.
 */
role: HttpRole,
/**
 * What was said.
 */
content: string, };
/**
 * The author of a message.
 */
export type HttpRole = "system" | "user" | "assistant";
/**
 * `POST /api/session`: a secret that is exchanged for a cookie.
 */
export type SessionRequest = { "code": string } | { "key": string };
/**
 * `POST /api/models/pull`.
 */
export type PullOrder = {
/**
 * An alias, `hf:owner/repo[:file]` or `ms:owner/repo[:file]`.
 */
name: string,
/**
 * Whether a licence with terms of its own is accepted.
 */
accept_licence: boolean,
/**
 * Whether to pull it although it does not fit in memory.
 */
even_if_too_large: boolean, };
/**
 * `POST /api/models/switch`.
 */
export type SwitchOrder = {
/**
 * The name of an installed model.
 */
name: string, };
