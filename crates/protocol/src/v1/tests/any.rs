//! Whatever an event is, it comes back unchanged; whatever a frame is, nothing panics.

use crate::Settable;
use crate::http::ModelInfo;
use crate::v1::client::{
    ClientEvent, Close, Continue, Draft, EditMessage, Hello, Key, MessageText, Open, Regenerate,
    Resume, SendMessage, Stop, VisitorSecret,
};
use crate::v1::conversation::{Timings, Usage};
use crate::v1::error::ErrorDetails;
use crate::v1::server::{
    Accepted, Change, Changed, Closed, Context, Delta, Finished, GoingAway, GoingAwayReason,
    MessageAdded, OnDisconnect, Opened, Prefill, Queued, RemovedPair, Reset, ResetReason, Resumed,
    SocketLimits, Welcome,
};
use crate::v1::{
    AnswerState, ClientId, Conversation, ConversationId, ErrorCode, Finish, FinishReason, Message,
    MessageId, Messages, Parameters, Role, ServerEvent, Tag, Tagged, V1Error, parse,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,20}", "[\u{0}-\u{7f}]{0,10}", Just("你好😀".to_owned())]
}

fn tag() -> impl Strategy<Value = Option<Tag>> {
    of("[\u{0}-\u{7f}]{0,64}".prop_map(|tag| Tag::new(tag).expect("short enough")))
}

fn client_id() -> impl Strategy<Value = ClientId> {
    "[!-~]{1,64}".prop_map(|name| ClientId::new(name).expect("short enough"))
}

fn message_text() -> impl Strategy<Value = MessageText> {
    "\\PC{1,20}".prop_map(|text| MessageText::new(text).expect("not empty"))
}

fn conversation_id() -> impl Strategy<Value = ConversationId> {
    any::<u128>().prop_map(ConversationId::from_bits)
}

fn message_id() -> impl Strategy<Value = MessageId> {
    any::<u128>().prop_map(MessageId::from_bits)
}

fn removed_pair() -> impl Strategy<Value = RemovedPair> {
    (vec(message_id(), 1..4), of(message_id()))
        .prop_map(|(messages, parent)| RemovedPair { messages, parent })
}

fn settable<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Settable<T>> {
    of(of(value)).prop_map(|value| match value {
        None => Settable::Missing,
        Some(None) => Settable::Null,
        Some(Some(value)) => Settable::Value(value),
    })
}

fn parameters() -> impl Strategy<Value = Parameters> {
    let sizes = (of(1_u32..=1_000_000), of(0.0_f32..=2.0), of(0.001_f32..=1.0), of(0_u32..=9));
    let penalties = (of(0.0_f32..=1.0), of(0.5_f32..=2.0), of(-2.0_f32..=2.0), of(-2.0_f32..=2.0));
    let stop = vec("[a-z]{1,5}", 0..3);
    (sizes, penalties, of(any::<u64>()), stop).prop_map(|(sizes, penalties, seed, stop)| {
        let (max_tokens, temperature, top_p, top_k) = sizes;
        let (min_p, repetition_penalty, presence_penalty, frequency_penalty) = penalties;
        Parameters {
            max_tokens,
            temperature,
            top_p,
            top_k,
            min_p,
            repetition_penalty,
            presence_penalty,
            frequency_penalty,
            seed,
            stop,
        }
    })
}

/// Where a message comes: a new conversation has no parent, and one that exists no system prompt.
fn place() -> impl Strategy<Value = (Option<ConversationId>, Settable<MessageId>, Option<String>)> {
    let parent_of_new = select(vec![Settable::Missing, Settable::Null]);
    prop_oneof![
        (parent_of_new, of(text())).prop_map(|(parent, system)| (None, parent, system)),
        (conversation_id(), settable(message_id())).prop_map(|(conversation, parent)| (
            Some(conversation),
            parent,
            None
        )),
    ]
}

fn client_event() -> impl Strategy<Value = ClientEvent> {
    let branch = || (conversation_id(), message_id(), client_id(), parameters());
    prop_oneof![
        (of("[!-~]{1,40}"), of("[a-z0-9]{26,64}")).prop_map(|(key, visitor)| {
            let visitor = visitor.and_then(VisitorSecret::new);
            ClientEvent::Hello(Hello { key: key.and_then(Key::new), visitor })
        }),
        conversation_id().prop_map(|conversation| ClientEvent::Open(Open { conversation })),
        conversation_id().prop_map(|conversation| ClientEvent::Close(Close { conversation })),
        (place(), message_text(), client_id(), parameters()).prop_map(
            |((conversation, parent, system), text, client_id, parameters)| {
                ClientEvent::Send(SendMessage {
                    conversation,
                    parent,
                    text,
                    client_id,
                    system,
                    parameters,
                })
            }
        ),
        (branch(), message_text()).prop_map(
            |((conversation, message, client_id, parameters), text)| {
                ClientEvent::Edit(EditMessage {
                    conversation,
                    message,
                    text,
                    client_id,
                    parameters,
                })
            }
        ),
        branch().prop_map(|(conversation, message, client_id, parameters)| {
            ClientEvent::Regenerate(Regenerate { conversation, message, client_id, parameters })
        }),
        branch().prop_map(|(conversation, message, client_id, parameters)| {
            ClientEvent::Continue(Continue { conversation, message, client_id, parameters })
        }),
        message_id().prop_map(|answer| ClientEvent::Stop(Stop { answer })),
        (message_id(), any::<u64>(), of(any::<u64>())).prop_map(|(answer, at, thinking_at)| {
            ClientEvent::Resume(Resume { answer, at, thinking_at })
        }),
        (place(), text()).prop_map(|((conversation, parent, system), text)| {
            ClientEvent::Draft(Draft { conversation, parent, text, system })
        }),
        Just(ClientEvent::Ping),
    ]
}

fn conversation() -> impl Strategy<Value = Conversation> {
    let texts = (of(text()), of(text()), of(text()));
    let rest = (conversation_id(), of(message_id()), parameters());
    (texts, rest, any::<[u64; 3]>(), any::<[bool; 2]>()).prop_map(
        |((title, system, model), (id, leaf, parameters), numbers, [pinned, archived])| {
            let [created_ms, updated_ms, messages] = numbers;
            Conversation {
                id,
                title,
                created_ms,
                updated_ms,
                pinned,
                archived,
                system,
                parameters,
                leaf,
                model,
                messages,
            }
        },
    )
}

fn error() -> impl Strategy<Value = V1Error> {
    let code = select(vec![ErrorCode::BadJson, ErrorCode::Busy, ErrorCode::NotAUserMessage]);
    let texts = (text(), of(text()), of(text()), of(text()));
    (code, texts, any::<[Option<u64>; 4]>()).prop_map(|(code, texts, numbers)| {
        let (message, field, expected, found) = texts;
        let [tokens, limit, position, retry_after_ms] = numbers;
        V1Error::new(code, message).with_details(ErrorDetails {
            field,
            expected,
            found,
            tokens,
            limit,
            position,
            retry_after_ms,
        })
    })
}

fn state() -> impl Strategy<Value = AnswerState> {
    select(vec![
        AnswerState::Waiting,
        AnswerState::Writing,
        AnswerState::Complete,
        AnswerState::Length,
        AnswerState::Stopped,
        AnswerState::Interrupted,
        AnswerState::Failed,
    ])
}

fn finish() -> impl Strategy<Value = Finish> {
    let reason = select(vec![
        FinishReason::End,
        FinishReason::StopString,
        FinishReason::Disconnected,
        FinishReason::Crashed,
        FinishReason::Failed,
    ]);
    let times = (of(0.0_f32..1e6), of(0.0_f32..1e6), of(0.0_f32..1e6));
    (reason, of(error()), any::<[Option<u64>; 4]>(), times).prop_map(
        |(reason, error, numbers, times)| {
            let [prompt_tokens, cached_tokens, completion_tokens, seed] = numbers;
            let (first_token_ms, tokens_per_second, halt_ms) = times;
            Finish {
                reason,
                error,
                usage: Usage { prompt_tokens, cached_tokens, completion_tokens },
                timings: Timings { first_token_ms, tokens_per_second, halt_ms },
                seed,
            }
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let texts = (text(), of(text()), of(text()));
    let role = select(vec![Role::User, Role::Assistant]);
    let ids = (message_id(), of(message_id()));
    (ids, role, texts, of(state()), of(finish()), any::<u64>()).prop_map(
        |((id, parent), role, (text, thinking, model), state, finish, created_ms)| Message {
            id,
            parent,
            role,
            text,
            thinking,
            state,
            created_ms,
            model,
            finish,
        },
    )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let model = (text(), any::<bool>(), any::<[Option<u64>; 2]>(), of(text())).prop_map(
        |(name, demo, [parameters, weights_bytes], licence)| ModelInfo {
            name,
            demo,
            parameters,
            licence,
            weights_bytes,
        },
    );
    let on_disconnect = select(vec![OnDisconnect::Finish, OnDisconnect::Grace, OnDisconnect::Stop]);
    let texts = (text(), text(), text());
    (texts, of(model), any::<[Option<u64>; 2]>(), any::<[u64; 2]>(), on_disconnect).prop_map(
        |((version, epoch, user), model, [context_tokens, grace_ms], limits, on_disconnect)| {
            Welcome {
                version,
                epoch,
                user,
                model,
                context_tokens,
                limits: SocketLimits::new(limits[0], limits[1]),
                stores: limits[0] % 2 == 0,
                on_disconnect,
                grace_ms,
            }
        },
    )
}

/// Replies, and events about conversations.
fn reply() -> impl Strategy<Value = ServerEvent> {
    let ids = || (conversation_id(), message_id(), of(message_id()), of(message_id()));
    let change = select(vec![Change::Created, Change::Updated, Change::Deleted]);
    let reason = select(vec![ResetReason::UnknownAnswer, ResetReason::UnknownOffset]);
    let going = select(vec![GoingAwayReason::Shutdown, GoingAwayReason::Revoked]);
    prop_oneof![
        welcome().prop_map(|welcome| ServerEvent::Welcome(Box::new(welcome))),
        conversation()
            .prop_map(|conversation| ServerEvent::Opened(Box::new(Opened { conversation }))),
        (conversation_id(), vec(message(), 0..3), any::<bool>()).prop_map(
            |(conversation, messages, more)| ServerEvent::Messages(Messages {
                conversation,
                messages,
                more
            })
        ),
        conversation_id().prop_map(|conversation| ServerEvent::Closed(Closed { conversation })),
        (client_id(), ids(), any::<bool>()).prop_map(|(client_id, ids, duplicate)| {
            let (conversation, answer, message, parent) = ids;
            ServerEvent::Accepted(Accepted {
                client_id,
                conversation,
                message,
                answer,
                parent,
                duplicate,
            })
        }),
        (conversation_id(), message()).prop_map(|(conversation, message)| {
            ServerEvent::Message(Box::new(MessageAdded { conversation, message }))
        }),
        (message_id(), text(), reason).prop_map(|(answer, epoch, reason)| ServerEvent::Reset(
            Reset { answer, epoch, reason }
        )),
        (ids(), change, of(conversation()), of(removed_pair())).prop_map(
            |(ids, change, summary, removed_pair)| {
                let (conversation, _, removed, _) = ids;
                let changed = Changed { conversation, change, summary, removed, removed_pair };
                ServerEvent::Changed(Box::new(changed))
            }
        ),
        error().prop_map(ServerEvent::Error),
        Just(ServerEvent::Pong),
        going.prop_map(|reason| ServerEvent::GoingAway(GoingAway { reason })),
    ]
}

/// Events of an answer.
fn progress() -> impl Strategy<Value = ServerEvent> {
    let ids = || (conversation_id(), message_id());
    let delta = || {
        (ids(), any::<u64>(), text()).prop_map(|((conversation, answer), at, text)| Delta {
            conversation,
            answer,
            at,
            text,
        })
    };
    prop_oneof![
        (ids(), any::<u64>(), of(any::<u64>())).prop_map(
            |((conversation, answer), ahead, estimate_ms)| {
                ServerEvent::Queued(Queued { conversation, answer, ahead, estimate_ms })
            }
        ),
        (ids(), any::<[u64; 3]>()).prop_map(|((conversation, answer), [done, total, cached])| {
            ServerEvent::Prefill(Prefill { conversation, answer, done, total, cached })
        }),
        (ids(), vec(message_id(), 0..4), any::<[Option<u64>; 2]>()).prop_map(
            |((conversation, answer), left_out, [prompt_tokens, context_tokens])| {
                ServerEvent::Context(Context {
                    conversation,
                    answer,
                    left_out,
                    prompt_tokens,
                    context_tokens,
                })
            }
        ),
        delta().prop_map(ServerEvent::Thinking),
        delta().prop_map(ServerEvent::Delta),
        (ids(), state(), any::<[u64; 2]>(), finish()).prop_map(
            |((conversation, answer), state, [bytes, thinking_bytes], finish)| {
                ServerEvent::Finished(Box::new(Finished {
                    conversation,
                    answer,
                    state,
                    bytes,
                    thinking_bytes,
                    finish,
                }))
            }
        ),
        (ids(), state(), any::<[u64; 2]>()).prop_map(
            |((conversation, answer), state, [bytes, thinking_bytes])| {
                ServerEvent::Resumed(Resumed { conversation, answer, state, bytes, thinking_bytes })
            }
        ),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{0,8}", inner, 0..5)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn an_event_of_a_client_comes_back_unchanged(event in client_event(), tag in tag()) {
        let event = Tagged { event, tag };
        prop_assert_eq!(parse(&event.to_json()), Ok(event));
    }

    #[test]
    fn an_event_of_the_server_comes_back_unchanged(
        event in prop_oneof![reply(), progress()],
        tag in tag(),
    ) {
        let event = event.tagged(tag);
        let read = Tagged::parse(&event.to_json());
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(event));
    }

    #[test]
    fn no_text_makes_the_parser_panic(frame in ".{0,200}") {
        let _ = parse(&frame);
        let _ = Tagged::parse(&frame);
    }

    #[test]
    fn no_json_makes_the_parser_panic(value in json_value()) {
        let _ = parse(&value.to_string());
        let _ = Tagged::parse(&value.to_string());
    }

    /// A valid event in which one field has another value gives an error that names the field, or
    /// an event.
    #[test]
    fn a_spoilt_event_is_an_event_or_an_error_that_names_the_field(
        event in client_event(),
        spoilt in any::<proptest::sample::Index>(),
        value in json_value(),
    ) {
        let frame = Tagged::untagged(event).to_json();
        let mut object: Map<String, Value> = serde_json::from_str(&frame).expect("an object");
        let field = object.keys().nth(spoilt.index(object.len())).expect("a field").clone();
        object.insert(field.clone(), value);
        object.insert("tag".into(), json!("t"));
        if let Err(error) = parse(&Value::Object(object).to_string()) {
            prop_assert_eq!(error.tag, Tag::new("t"));
            let named = error.event.details.field.expect("a field");
            // Whether a parent or a system prompt may stand there depends on the conversation, and
            // all fields depend on the type.
            let is_named = named.split(['.', '[']).next() == Some(&field);
            prop_assert!(is_named || ["type", "conversation"].contains(&&*field), "{} {}", named, field);
        }
    }
}
