//! The types of `banter.v1` and of conversations.

use super::{WireTypes, wire_type};
use crate::conversations::{
    ContextFit, ContextRequest, ConversationList, ConversationPatch, ConversationTree,
    ExportFormat, Following, ImportReport, Mark, NewContextRequest, NewConversation, SearchHit,
    SearchResults,
};
use crate::v1::client::{
    ClientEvent, Close, Continue, Draft, EditMessage, Hello, Key, Open, Regenerate, Resume,
    SendMessage, Stop, TagField, VisitorSecret,
};
use crate::v1::conversation::{Timings, Usage};
use crate::v1::parameters::OneOrMany;
use crate::v1::server::{
    Accepted, Change, Changed, Closed, Context, Delta, Finished, GoingAway, GoingAwayReason,
    MessageAdded, OnDisconnect, Opened, Prefill, Queued, RemovedPair, Reset, ResetReason, Resumed,
    SocketLimits, Welcome,
};
use crate::v1::{
    AnswerState, Conversation, ConversationId, ErrorCode, Finish, FinishReason, Message, MessageId,
    Messages, Parameters, Role, ServerEvent, V1Error,
};

pub(super) fn all() -> WireTypes {
    WireTypes { sent: sent(), read: read() }
}

fn sent() -> Vec<super::WireType> {
    vec![
        wire_type::<ConversationId>(),
        wire_type::<MessageId>(),
        wire_type::<ServerEvent>(),
        wire_type::<Welcome>(),
        wire_type::<SocketLimits>(),
        wire_type::<OnDisconnect>(),
        wire_type::<Opened>(),
        wire_type::<Messages>(),
        wire_type::<Closed>(),
        wire_type::<Accepted>(),
        wire_type::<MessageAdded>(),
        wire_type::<Queued>(),
        wire_type::<Prefill>(),
        wire_type::<Context>(),
        wire_type::<Delta>(),
        wire_type::<Finished>(),
        wire_type::<Resumed>(),
        wire_type::<Reset>(),
        wire_type::<ResetReason>(),
        wire_type::<Changed>(),
        wire_type::<RemovedPair>(),
        wire_type::<Change>(),
        wire_type::<GoingAway>(),
        wire_type::<GoingAwayReason>(),
        wire_type::<V1Error>(),
        wire_type::<ErrorCode>(),
        wire_type::<Conversation>(),
        wire_type::<Message>(),
        wire_type::<Role>(),
        wire_type::<AnswerState>(),
        wire_type::<Finish>(),
        wire_type::<FinishReason>(),
        wire_type::<Usage>(),
        wire_type::<Timings>(),
        wire_type::<ConversationList>(),
        wire_type::<SearchResults>(),
        wire_type::<SearchHit>(),
        wire_type::<Mark>(),
        wire_type::<ConversationTree>(),
        wire_type::<ContextFit>(),
        wire_type::<ImportReport>(),
    ]
}

fn read() -> Vec<super::WireType> {
    vec![
        wire_type::<TagField>(),
        wire_type::<ClientEvent>(),
        wire_type::<Hello>(),
        wire_type::<Key>(),
        wire_type::<VisitorSecret>(),
        wire_type::<Open>(),
        wire_type::<Close>(),
        wire_type::<SendMessage>(),
        wire_type::<EditMessage>(),
        wire_type::<Regenerate>(),
        wire_type::<Continue>(),
        wire_type::<Stop>(),
        wire_type::<Resume>(),
        wire_type::<Draft>(),
        wire_type::<Parameters>(),
        wire_type::<OneOrMany>(),
        wire_type::<NewConversation>(),
        wire_type::<ConversationPatch>(),
        wire_type::<ContextRequest>(),
        wire_type::<NewContextRequest>(),
        wire_type::<Following>(),
        wire_type::<ExportFormat>(),
    ]
}
