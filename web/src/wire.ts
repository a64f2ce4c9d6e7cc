/** The words on the wire, made from the server's types: see `crates/protocol/src/schema.rs`. */
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
 * The body of `POST /detokenize`.
 */
export type DetokenizeRequest = {
/**
 * Token ids.
 */
ids: Array<number>, };
/**
 * The text that tokens spell.
 */
export type DetokenizedText = {
/**
 * The text; control tokens as their literals, bytes that are no text as �.
 */
text: string, };
/**
 * What `POST /apply-template` answers: the prompt of a request.
 */
export type WrittenPrompt = {
/**
 * What the model reads; control tokens as their literals.
 */
prompt: string,
/**
 * Its token ids.
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
 * `GET /api/admin`: what the server does now.
 */
export type ServerView = {
/**
 * Version of the server.
 */
version: string,
/**
 * For how long it runs, in seconds.
 */
running_for: number,
/**
 * Whether it can answer.
 */
state: Status,
/**
 * The loaded model, if one is loaded.
 */
model: ModelInfo | null,
/**
 * The answers that wait or are written, the oldest first.
 */
answers: Array<AnswerView>,
/**
 * What the backend counts, by the names of `GET /metrics`.
 */
figures: Array<Figure>, };
/**
 * An answer that waits or is written, without its text.
 */
export type AnswerView = {
/**
 * Its number in the log of the server.
 */
id: number,
/**
 * The key that it was asked with, if that was made by command.
 */
key: string | null,
/**
 * Whether somebody waits for it. Titles of conversations are written when nobody does.
 */
is_waited_for: boolean,
/**
 * Seconds since it was asked for.
 */
age: number,
/**
 * What happens to it.
 */
doing: Doing,
/**
 * Tokens of its prompt, if they are known.
 */
prompt_tokens: number | null,
/**
 * Tokens so far. Engines that others run do not tell them.
 */
tokens: number | null,
/**
 * Bytes so far, with the thoughts before it.
 */
bytes: number, };
/**
 * What happens to an answer.
 */
export type Doing = { "what": "waiting",
/**
 * How many requests are ahead of it, if that is known.
 */
ahead: number | null, } | { "what": "reading",
/**
 * Prompt tokens computed so far.
 */
done: number,
/**
 * Prompt tokens in all.
 */
total: number, } | { "what": "writing" } | { "what": "stopping" };
/**
 * A number that the backend counts.
 */
export type Figure = {
/**
 * Its name in `GET /metrics`, without the `_total` of counters.
 */
name: string,
/**
 * What distinguishes it from others of its name.
 */
label: string | null,
/**
 * The value.
 */
value: number, };
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
 * `POST /api/session/link`: a link that signs in one more device.
 */
export type DeviceLink = {
/**
 * The address, with a code that can be used once.
 */
link: string,
/**
 * How long the code is good, in seconds.
 */
seconds: number,
/**
 * The link as a QR code.
 */
qr: QrImage, };
/**
 * A QR code as an SVG image.
 */
export type QrImage = {
/**
 * The image is so many units wide and high, its light margin included.
 */
width: number,
/**
 * What is dark, as the `d` of a `path`.
 */
path: string, };
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
/** Names a conversation. */
export type ConversationId = string;
/** Names a message, and so also an answer. */
export type MessageId = string;
/**
 * An event of the server.
 */
export type ServerEvent = { "type": "welcome" } & Welcome | { "type": "opened" } & Opened | { "type": "messages" } & Messages | { "type": "closed" } & Closed | { "type": "accepted" } & Accepted | { "type": "message" } & MessageAdded | { "type": "queued" } & Queued | { "type": "prefill" } & Prefill | { "type": "context" } & Context | { "type": "thinking" } & Delta | { "type": "delta" } & Delta | { "type": "finished" } & Finished | { "type": "resumed" } & Resumed | { "type": "reset" } & Reset | { "type": "changed" } & Changed | { "type": "error" } & V1Error | { "type": "pong" } | { "type": "going_away" } & GoingAway;
/**
 * The reply to `hello`.
 */
export type Welcome = {
/**
 * The version of the server.
 */
version: string,
/**
 * A name of this run of the server. If it differs from the last one, the server has been
 * started again.
 */
epoch: string,
/**
 * A name of the user. It differs between people.
 */
user: string,
/**
 * The model that answers; `null` while none is loaded.
 */
model: ModelInfo | null,
/**
 * Prompt and answer together can have this many tokens, if that is known.
 */
context_tokens: number | null,
/**
 * The limits of a client.
 */
limits: SocketLimits,
/**
 * Whether conversations outlive the server.
 */
stores: boolean,
/**
 * What becomes of an answer that nobody follows any more.
 */
on_disconnect: OnDisconnect,
/**
 * `grace`: for how long it goes on.
 */
grace_ms?: number, };
/**
 * The limits of a socket.
 */
export type SocketLimits = {
/**
 * The longest frame of a client, in bytes.
 */
message_bytes: number,
/**
 * The longest `client_id`, in bytes.
 */
client_id_bytes: number,
/**
 * The longest `tag`, in bytes.
 */
tag_bytes: number,
/**
 * The longest title of a conversation, in bytes.
 */
title_bytes: number,
/**
 * How many conversations a socket may follow at a time.
 */
open_conversations: number, };
/**
 * What becomes of an answer that nobody follows any more.
 */
export type OnDisconnect = "finish" | "grace" | "stop";
/**
 * The first reply to `open`.
 */
export type Opened = {
/**
 * The conversation.
 */
conversation: Conversation, };
/**
 * The messages of a conversation, or some of them.
 */
export type Messages = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * Messages in the order in which they were added, so that each comes after its parent.
 */
messages: Array<Message>,
/**
 * Whether another frame with messages follows.
 */
more: boolean, };
/**
 * The reply to `close`.
 */
export type Closed = {
/**
 * The conversation.
 */
conversation: ConversationId, };
/**
 * The reply to a request for an answer.
 */
export type Accepted = {
/**
 * The name that the client gave the request.
 */
client_id: string,
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The message that was added; `null` for `regenerate` and `continue`.
 */
message: MessageId | null,
/**
 * The answer.
 */
answer: MessageId,
/**
 * The parent of `message`, or, without one, of `answer`.
 */
parent: MessageId | null,
/**
 * Whether the same request had been accepted before. Nothing new was started.
 */
duplicate: boolean, };
/**
 * A message was added, or `continue` has begun to change it.
 */
export type MessageAdded = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The message. It replaces one with the same id.
 */
message: Message, };
/**
 * An answer waits in the queue.
 */
export type Queued = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The answer.
 */
answer: MessageId,
/**
 * How many requests are ahead of it.
 */
ahead: number,
/**
 * How long it will wait, if that can be estimated.
 */
estimate_ms: number | null, };
/**
 * The prompt of an answer is being computed.
 */
export type Prefill = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The answer.
 */
answer: MessageId,
/**
 * Prompt tokens computed so far.
 */
done: number,
/**
 * Prompt tokens in all.
 */
total: number,
/**
 * Prompt tokens that had been computed before.
 */
cached: number, };
/**
 * How the conversation fits in the model's context.
 */
export type Context = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The answer.
 */
answer: MessageId,
/**
 * The messages of the branch that the model does not get, oldest first.
 */
left_out: Array<MessageId>,
/**
 * Tokens of the prompt, if they are known.
 */
prompt_tokens: number | null,
/**
 * Prompt and answer together can have this many tokens, if that is known.
 */
context_tokens: number | null, };
/**
 * More of a text.
 */
export type Delta = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The answer.
 */
answer: MessageId,
/**
 * How many bytes of the text come before it.
 */
at: number,
/**
 * Whole characters, never none.
 */
text: string, };
/**
 * An answer has ended.
 */
export type Finished = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The answer.
 */
answer: MessageId,
/**
 * How it stands now.
 */
state: AnswerState,
/**
 * The length of its text.
 */
bytes: number,
/**
 * The length of what the model thought.
 */
thinking_bytes: number,
/**
 * Why it ended.
 */
reason: FinishReason,
/**
 * What failed, if the state is `failed`.
 */
error?: V1Error,
/**
 * Its tokens.
 */
usage: Usage,
/**
 * Its times.
 */
timings: Timings,
/**
 * The seed that repeats it, if the engine tells it. A seed that the server has drawn is below
 * 2⁵³.
 */
seed: number | null, };
/**
 * The reply to `resume`.
 */
export type Resumed = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The answer.
 */
answer: MessageId,
/**
 * How it stands.
 */
state: AnswerState,
/**
 * The length of its text so far.
 */
bytes: number,
/**
 * The length of what the model has thought so far.
 */
thinking_bytes: number, };
/**
 * The reply to `resume` if the answer or the place is not known. The client opens the conversation
 * again.
 */
export type Reset = {
/**
 * The answer.
 */
answer: MessageId,
/**
 * The name of this run of the server.
 */
epoch: string,
/**
 * What is not known.
 */
reason: ResetReason, };
/**
 * What is not known about an answer that was to be resumed.
 */
export type ResetReason = "unknown_answer" | "unknown_offset";
/**
 * A conversation was made, changed or deleted.
 */
export type Changed = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * What happened.
 */
change: Change,
/**
 * The conversation as it is now; missing if it was deleted.
 */
summary?: Conversation,
/**
 * A message that was deleted, with all that followed it.
 */
removed?: MessageId,
/**
 * A user's message that was deleted with its answers, while what followed them was kept.
 */
removed_pair?: RemovedPair, };
/**
 * A user's message that was deleted with its answers.
 *
 * A message that is not among them, and whose parent is, has the parent of this pair from now on.
 * Nothing else about it changes.
 */
export type RemovedPair = {
/**
 * The user's message, and then all its answers.
 */
messages: Array<MessageId>,
/**
 * The message before the user's message; `null` if that was a first message.
 */
parent: MessageId | null, };
/**
 * What happened to a conversation.
 */
export type Change = "created" | "updated" | "deleted";
/**
 * The server is about to close the socket.
 */
export type GoingAway = {
/**
 * Why.
 */
reason: GoingAwayReason, };
/**
 * Why the server closes a socket.
 */
export type GoingAwayReason = "shutdown" | "revoked";
/**
 * An error as the client is told: the event `error`, or the `error` of an answer that has failed.
 */
export type V1Error = {
/**
 * The code, for programs.
 */
code: ErrorCode,
/**
 * The same for people.
 */
message: string,
/**
 * The field that is wrong, with its path: `parameters.stop[3]`.
 */
field?: string,
/**
 * The type or range that the field may have.
 */
expected?: string,
/**
 * What was found in its place, shortened if it is long.
 */
found?: string,
/**
 * `too_long`: how many tokens the message has.
 */
tokens?: number,
/**
 * `too_long`: how many tokens fit.
 */
limit?: number,
/**
 * `busy`: how many requests are ahead.
 */
position?: number,
/**
 * When it is worth trying again, if that is known.
 */
retry_after_ms?: number, };
/**
 * What is wrong, for programs.
 */
export type ErrorCode = "bad_json" | "unknown_event" | "invalid_parameter" | "unknown_conversation" | "unknown_message" | "not_an_answer" | "not_a_user_message" | "answer_complete" | "answer_running" | "too_long" | "busy" | "timeout" | "unauthorized" | "hello_first" | "hello_again" | "store_full" | "store_failed" | "filtered" | "unavailable" | "internal";
/**
 * A conversation without its messages.
 */
export type Conversation = {
/**
 * Its id.
 */
id: ConversationId,
/**
 * Its title; `null` until it has one.
 */
title: string | null,
/**
 * When it was made.
 */
created_ms: number,
/**
 * When its newest message was added, or its newest answer ended.
 */
updated_ms: number,
/**
 * Whether it comes before others in the list.
 */
pinned: boolean,
/**
 * Whether the list leaves it out.
 */
archived: boolean,
/**
 * Its system prompt.
 */
system: string | null,
/**
 * Parameters of its answers.
 */
parameters: Parameters,
/**
 * The newest message of the current branch; `null` while it has no message.
 */
leaf: MessageId | null,
/**
 * The model of its newest answer.
 */
model: string | null,
/**
 * How many messages it has, on all branches.
 */
messages: number, };
/**
 * A message of a conversation.
 */
export type Message = {
/**
 * Its id.
 */
id: MessageId,
/**
 * The message before it; `null` for a first message. Messages with one parent are branches.
 */
parent: MessageId | null,
/**
 * Who wrote it.
 */
role: MessageRole,
/**
 * Its text; of an answer that is being written, the text so far.
 */
text: string,
/**
 * What the model thought before an answer, if it did.
 */
thinking?: string,
/**
 * How an answer stands; missing for a person's message.
 */
state?: AnswerState,
/**
 * When it was added.
 */
created_ms: number,
/**
 * The model that wrote an answer.
 */
model?: string,
/**
 * How an answer ended; missing while it is being written.
 */
finish?: Finish, };
/**
 * The author of a message. The system prompt is no message.
 */
export type MessageRole = "user" | "assistant";
/**
 * How an answer stands.
 */
export type AnswerState = "waiting" | "writing" | "complete" | "length" | "stopped" | "interrupted" | "failed";
/**
 * How an answer ended.
 */
export type Finish = {
/**
 * Why it ended.
 */
reason: FinishReason,
/**
 * What failed, if the state is `failed`.
 */
error?: V1Error,
/**
 * Its tokens.
 */
usage: Usage,
/**
 * Its times.
 */
timings: Timings,
/**
 * The seed that repeats it, if the engine tells it. A seed that the server has drawn is below
 * 2⁵³.
 */
seed: number | null, };
/**
 * Why an answer ended.
 */
export type FinishReason = "end" | "stop_string" | "length" | "stopped" | "filtered" | "unavailable" | "disconnected" | "shutdown" | "crashed" | "failed";
/**
 * Tokens of an answer; `null` where they are not known.
 */
export type Usage = {
/**
 * Tokens of the prompt.
 */
prompt_tokens: number | null,
/**
 * Tokens of the prompt that had been computed before.
 */
cached_tokens: number | null,
/**
 * Tokens of the answer.
 */
completion_tokens: number | null, };
/**
 * Times of an answer; `null` where they are not known.
 */
export type Timings = {
/**
 * Time from the request to the first token.
 */
first_token_ms: number | null,
/**
 * Speed after the first token.
 */
tokens_per_second: number | null,
/**
 * Time from the stop to the halt of the computation.
 */
halt_ms: number | null, };
/**
 * `GET /api/conversations`: one page of the list.
 */
export type ConversationList = {
/**
 * Pinned conversations first, and among each the newest first.
 */
conversations: Array<Conversation>,
/**
 * What `after` has to be for the next page; `null` if this is the last one.
 */
next: string | null, };
/**
 * `GET /api/conversations?q=`: what a search has found.
 */
export type SearchResults = {
/**
 * The best first.
 */
hits: Array<SearchHit>,
/**
 * Whether there are more than `limit`.
 */
more: boolean, };
/**
 * A place that a search has found.
 */
export type SearchHit = {
/**
 * The conversation.
 */
conversation: Conversation,
/**
 * The message; `null` if the title was found.
 */
message: MessageId | null,
/**
 * Some of the text around what was found.
 */
snippet: string,
/**
 * What was found in the snippet, in order.
 */
marks: Array<Mark>, };
/**
 * A part of a snippet, in bytes of UTF-8. It begins and ends between two characters.
 */
export type Mark = {
/**
 * Where it begins.
 */
start: number,
/**
 * Where it ends.
 */
end: number, };
/**
 * `GET /api/conversations/{id}`: a conversation with all its messages.
 */
export type ConversationTree = {
/**
 * The conversation.
 */
conversation: Conversation,
/**
 * All messages in the order in which they were added, so that each comes after its parent.
 */
messages: Array<Message>, };
/**
 * How a message fits in the model's context: what the event `context` would say if it were sent.
 *
 * If the message does not fit even alone, `left_out` has everything before it, and `prompt_tokens`
 * is not below `context_tokens`.
 */
export type ContextFit = {
/**
 * The messages of the branch that the model would not get, oldest first. Empty if the engine
 * cannot count tokens.
 */
left_out: Array<MessageId>,
/**
 * Tokens of the prompt; `null` if the engine cannot count them.
 */
prompt_tokens: number | null,
/**
 * Prompt and answer together can have this many tokens, if that is known.
 */
context_tokens: number | null, };
/**
 * `POST /api/conversations/import`: what became of a file.
 */
export type ImportReport = {
/**
 * How many conversations were added.
 */
conversations: number,
/**
 * How many messages these have.
 */
messages: number,
/**
 * What was left out, and why, for people: the first ones.
 */
left_out: Array<string>,
/**
 * How much was left out.
 */
left_out_count: number, };
/**
 * What every event may have beside its own fields.
 */
export type TagField = {
/**
 * A name for the event. The direct reply to it, or the error, has the same tag.
 */
tag?: string, };
/**
 * An event of a client.
 */
export type ClientEvent = { "type": "hello" } & Hello | { "type": "open" } & Open | { "type": "close" } & Close | { "type": "send" } & SendMessage | { "type": "edit" } & EditMessage | { "type": "regenerate" } & Regenerate | { "type": "continue" } & Continue | { "type": "stop" } & Stop | { "type": "resume" } & Resume | { "type": "draft" } & Draft | { "type": "ping" };
/**
 * The first event of every socket.
 */
export type Hello = {
/**
 * The key, if the handshake had none and one is needed.
 */
key?: Key,
/**
 * A secret by which a visitor is known again: random letters and digits, which the page keeps.
 * The key beside it has to be one for visitors, and nothing counts that the handshake had.
 */
visitor?: VisitorSecret, };
/**
 * A key of the server.
 */
export type Key = string;
/**
 * The secret of a visitor. A shorter one could be guessed.
 */
export type VisitorSecret = string;
/**
 * Asks for a conversation and all that happens in it from now on.
 */
export type Open = {
/**
 * The conversation.
 */
conversation: ConversationId, };
/**
 * Asks for no more events of a conversation.
 */
export type Close = {
/**
 * The conversation.
 */
conversation: ConversationId, };
/**
 * Adds a message, and asks for an answer to it.
 */
export type SendMessage = {
/**
 * The conversation; without one, a new one is made.
 */
conversation?: ConversationId,
/**
 * The answer after which the message comes. `null` makes it a first message. If it is missing,
 * the message comes after the newest message of the current branch.
 */
parent?: MessageId | null,
/**
 * The message.
 */
text: string,
/**
 * A name for this request, which no other request of the user has.
 */
client_id: string,
/**
 * The system prompt of a new conversation.
 */
system?: string,
/**
 * Parameters of this answer. A new conversation keeps them.
 */
parameters?: Parameters, };
/**
 * Adds another version of a message, and asks for an answer to it.
 */
export type EditMessage = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The message of the person. It stays, and the new version gets the same parent.
 */
message: MessageId,
/**
 * The new version.
 */
text: string,
/**
 * A name for this request, which no other request of the user has.
 */
client_id: string,
/**
 * Parameters of this answer.
 */
parameters?: Parameters, };
/**
 * Asks for another answer.
 */
export type Regenerate = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The answer. It stays, and the new one gets the same parent.
 */
message: MessageId,
/**
 * A name for this request, which no other request of the user has.
 */
client_id: string,
/**
 * Parameters of this answer.
 */
parameters?: Parameters, };
/**
 * Asks for more of an answer that ended too early.
 */
export type Continue = {
/**
 * The conversation.
 */
conversation: ConversationId,
/**
 * The answer. It keeps its text, and more follows.
 */
message: MessageId,
/**
 * A name for this request, which no other request of the user has.
 */
client_id: string,
/**
 * Parameters of what follows.
 */
parameters?: Parameters, };
/**
 * Ends an answer.
 */
export type Stop = {
/**
 * The answer.
 */
answer: MessageId, };
/**
 * Asks for the rest of an answer.
 */
export type Resume = {
/**
 * The answer.
 */
answer: MessageId,
/**
 * How many bytes of its text the client has.
 */
at: number,
/**
 * How many bytes of its thinking the client has. Without it, no thinking is sent.
 */
thinking_at?: number, };
/**
 * The text that is being typed.
 */
export type Draft = {
/**
 * The conversation; none for a new one.
 */
conversation?: ConversationId,
/**
 * As in [`SendMessage`].
 */
parent?: MessageId | null,
/**
 * The text so far. An empty one ends the draft.
 */
text: string,
/**
 * The system prompt of a new conversation.
 */
system?: string, };
/**
 * Sampling parameters. One that is missing has the value of the conversation, and if that lacks it
 * too, the model's.
 */
export type Parameters = {
/**
 * How many tokens the answer may have; 2,048 if nothing else is said. The room in the context
 * may allow fewer.
 */
max_tokens?: number,
/**
 * 0 always takes the likeliest token.
 */
temperature?: number,
/**
 * Keeps the likeliest tokens that together have this probability. It is above 0.
 */
top_p?: number,
/**
 * Keeps this many tokens; 0 keeps all.
 */
top_k?: number,
/**
 * Drops tokens that have less than this part of the likeliest token's probability; 0 drops
 * none.
 */
min_p?: number,
/**
 * Makes tokens of the conversation less likely; 1.0 changes nothing.
 */
repetition_penalty?: number,
/**
 * Makes tokens that the answer has less likely.
 */
presence_penalty?: number,
/**
 * Makes tokens less likely the more often the answer has them.
 */
frequency_penalty?: number,
/**
 * Makes the answer repeatable.
 */
seed?: number,
/**
 * The answer ends before the first of these. One string may stand without a list.
 */
stop?: OneOrMany, };
/**
 * The forms of `stop`.
 */
export type OneOrMany = string | Array<string>;
/**
 * `POST /api/conversations`: makes a conversation. The reply is a [`Conversation`].
 */
export type NewConversation = {
/**
 * Its title.
 */
title?: string,
/**
 * Its system prompt.
 */
system?: string,
/**
 * Parameters of its answers.
 */
parameters?: Parameters, };
/**
 * `PATCH /api/conversations/{id}`: changes what it names. The reply is a [`Conversation`].
 */
export type ConversationPatch = {
/**
 * The title; `null` removes it.
 */
title?: string | null,
/**
 * Whether it comes before others in the list.
 */
pinned?: boolean,
/**
 * Whether the list leaves it out.
 */
archived?: boolean,
/**
 * The system prompt; `null` removes it.
 */
system?: string | null,
/**
 * All parameters of its answers; `null` removes them.
 */
parameters?: Parameters | null,
/**
 * The newest message of the branch that is to be the current one.
 */
leaf?: MessageId, };
/**
 * `POST /api/conversations/{id}/context`: how a message that is being typed fits in the model's
 * context, together with what comes before it. The reply is a [`ContextFit`].
 */
export type ContextRequest = {
/**
 * The answer after which the message will come; `null` for a new first message. If it is
 * missing, the message will come after the newest one of the current branch.
 */
parent?: MessageId | null,
/**
 * The text so far; empty if it is missing.
 */
text?: string, };
/**
 * `POST /api/conversations/context`: the same for the first message of a conversation that does
 * not exist yet.
 */
export type NewContextRequest = {
/**
 * The system prompt that the conversation will have.
 */
system?: string,
/**
 * The parameters that the conversation will have.
 */
parameters?: Parameters,
/**
 * The text so far; empty if it is missing.
 */
text?: string, };
/**
 * Whether the messages that follow a deleted one are deleted, too.
 */
export type Following = "delete" | "keep";
/**
 * How an export is written.
 */
export type ExportFormat = "markdown" | "json";
