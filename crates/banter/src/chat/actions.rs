//! Carries out the commands of the chat.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use banter_protocol::Settable;
use banter_protocol::conversations::{ConversationPatch, ConversationTree};
use banter_protocol::http::{JobState, ModelState};
use banter_protocol::v1::client::{Continue, Regenerate};
use banter_protocol::v1::{ClientEvent, Conversation, ConversationId, Message, Parameters, Role};

use super::commands::{self, Command};
use super::interactive::{After, App};
use super::session::{Request, Shown};
use super::settings::parameter;
use super::{api, client_id, save, terminal};
use crate::home;
use crate::visible::{visible, visible_line};

/// How many messages of a conversation are shown when it is opened.
const SHOWN_MESSAGES: usize = 10;

impl App {
    /// Does what a command asks for.
    ///
    /// Errors: it could not be done; the message says why.
    pub(super) async fn act(&mut self, command: Command) -> anyhow::Result<After> {
        match command {
            Command::New => {
                self.conversation = None;
                self.left_out = 0;
                self.screen.note("a new conversation")?;
            }
            Command::List(count) => {
                let list = api::list(&self.client, count).await?;
                let rows = list.conversations.iter().map(|conversation| (conversation, None));
                self.show_list(rows.collect())?;
            }
            Command::Search(words) => {
                let found = api::search(&self.client, &words).await?;
                let hits = found.hits.iter();
                let rows = hits.map(|hit| (&hit.conversation, Some(hit.snippet.as_str())));
                self.show_list(rows.collect())?;
            }
            Command::Open(target) => {
                let id = self.find(&target)?;
                return self.open(id).await;
            }
            Command::Model(None) => self.list_models().await?,
            Command::Model(Some(name)) => self.switch_model(&name).await?,
            Command::System(None) => self.show_system().await?,
            Command::System(Some(text)) => self.set_system(text).await?,
            Command::Set(None) => self.show_parameters()?,
            Command::Set(Some((name, value))) => self.set(&name, value.as_deref())?,
            Command::Regenerate => return self.regenerate().await,
            Command::Edit(text) => return self.edit(text).await,
            Command::Continue => return self.go_on().await,
            Command::Save(file) => self.save(&file).await?,
            Command::Delete { is_sure } => self.delete(is_sure).await?,
            Command::Help => self.screen.say(&commands::help(terminal::width()))?,
            Command::Quit => return Ok(After::Leave(0)),
        }
        Ok(After::Prompt(String::new()))
    }

    fn show_list(&mut self, rows: Vec<(&Conversation, Option<&str>)>) -> anyhow::Result<()> {
        if rows.is_empty() {
            return Ok(self.screen.note("no conversations")?);
        }
        self.listed = rows.iter().map(|(conversation, _)| conversation.id).collect();
        let mut text = String::new();
        for (number, (conversation, snippet)) in rows.iter().enumerate() {
            let title = conversation.title.as_deref().unwrap_or("(no title)");
            let (messages, age) = (conversation.messages, age(conversation.updated_ms));
            let title = visible_line(title);
            let number = number + 1;
            text.push_str(&format!("{number:3}  {title}  ({messages} messages, {age})\n"));
            if let Some(snippet) = snippet {
                text.push_str(&format!("     {}\n", visible_line(snippet)));
            }
        }
        Ok(self.screen.say(&text)?)
    }

    /// The conversation that a number of the last list, or an id, names.
    fn find(&self, target: &str) -> anyhow::Result<ConversationId> {
        if let Ok(id) = target.parse() {
            return Ok(id);
        }
        let number = target.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let count = self.listed.len();
        number.and_then(|index| self.listed.get(index).copied()).ok_or_else(|| match count {
            0 => anyhow!("expected an id, or a number after /list or /search; found {target:?}"),
            _ => anyhow!("expected a number from 1 to {count} or an id, found {target:?}"),
        })
    }

    /// Shows the end of a conversation, and goes on with it.
    pub(super) async fn open(&mut self, id: ConversationId) -> anyhow::Result<After> {
        let tree = api::tree(&self.client, id).await?;
        self.conversation = Some(id);
        self.left_out = 0;
        self.editing = None;
        let title = tree.conversation.title.as_deref().unwrap_or("(no title)");
        self.screen.note(&visible_line(title))?;
        let branch = save::branch(&tree);
        let earlier = branch.len().saturating_sub(SHOWN_MESSAGES);
        if earlier > 0 {
            self.screen.note(&format!("({earlier} earlier messages)"))?;
        }
        let live = branch.last().filter(|last| last.state.is_some_and(|state| state.is_live()));
        for message in &branch[earlier..] {
            match message.role {
                Role::User => self.screen.say(&format!("> {}", visible(&message.text)))?,
                Role::Assistant => self.screen.answer(&message.text)?,
            }
            if live.is_none_or(|live| live.id != message.id) {
                self.screen.end()?;
            }
        }
        let Some(live) = live else { return Ok(After::Prompt(String::new())) };
        self.link.follow(live.id, shown(live));
        Ok(After::Answer)
    }

    async fn list_models(&mut self) -> anyhow::Result<()> {
        let list = api::models(&self.client).await?;
        let mut text = String::new();
        for model in list.models.iter().filter(|model| model.state == ModelState::Installed) {
            let is_current = list.current.as_ref() == Some(&model.name);
            let mark = if is_current { "*" } else { " " };
            text.push_str(&format!("{mark} {}\n", visible_line(&model.name)));
        }
        text.push_str("`banter pull NAME` downloads others\n");
        Ok(self.screen.say(&text)?)
    }

    async fn switch_model(&mut self, name: &str) -> anyhow::Result<()> {
        const PAUSE: Duration = Duration::from_millis(200);
        api::switch(&self.client, name).await?;
        loop {
            let report = api::models(&self.client).await?.switch.context("the server forgot it")?;
            match report.state {
                JobState::Running => {
                    let percent = report.progress * 100.0;
                    self.screen.status(&format!("loading, {percent:.0} %"))?;
                }
                JobState::Done => {
                    return Ok(self.screen.note(&format!("{} answers now", visible_line(name)))?);
                }
                JobState::Failed { message, .. } => {
                    self.screen.clear_status()?;
                    bail!(message);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn show_system(&mut self) -> anyhow::Result<()> {
        let system = match self.conversation {
            Some(id) => api::tree(&self.client, id).await?.conversation.system,
            None => self.system.clone(),
        };
        match system {
            Some(system) => Ok(self.screen.say(&visible(&system))?),
            None => Ok(self.screen.note("no system message of its own")?),
        }
    }

    async fn set_system(&mut self, text: String) -> anyhow::Result<()> {
        let system = Some(text).filter(|text| text != "-");
        match self.conversation {
            Some(id) => {
                let system = system.map_or(Settable::Null, Settable::Value);
                let patch = ConversationPatch { system, ..ConversationPatch::default() };
                api::change(&self.client, id, &patch).await?;
            }
            None => self.system = system,
        }
        Ok(self.screen.note("set")?)
    }

    fn show_parameters(&mut self) -> anyhow::Result<()> {
        let parameters = self.parameters_by_name()?;
        let set = parameters.as_object().filter(|set| !set.is_empty());
        let Some(set) = set else {
            return Ok(self.screen.note("nothing is set; the model's values hold")?);
        };
        let lines: String = set.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        Ok(self.screen.say(&visible(&lines))?)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> anyhow::Result<()> {
        match value {
            Some(value) => {
                let value =
                    parameter(name, value).map_err(|error| anyhow!("/set {name}: {error}"))?;
                self.parameters = value.over(&self.parameters);
            }
            None => {
                let mut parameters = self.parameters_by_name()?;
                let removed = parameters.as_object_mut().and_then(|set| set.remove(name));
                removed.with_context(|| format!("/set: {name} is not set"))?;
                self.parameters = serde_json::from_value::<Parameters>(parameters)?;
            }
        }
        Ok(self.screen.note("set")?)
    }

    /// The parameters that are set. They pass through text, which has the shortest form of numbers.
    fn parameters_by_name(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::from_str(&serde_json::to_string(&self.parameters)?)
    }

    /// The conversation, which must have begun.
    async fn tree(&self) -> anyhow::Result<ConversationTree> {
        let id = self.conversation.context("the conversation has not begun yet")?;
        api::tree(&self.client, id).await
    }

    async fn regenerate(&mut self) -> anyhow::Result<After> {
        let tree = self.tree().await?;
        let answer = newest(&tree, Role::Assistant).context("there is no answer yet")?;
        let event = ClientEvent::Regenerate(Regenerate {
            conversation: tree.conversation.id,
            message: answer.id,
            client_id: client_id(),
            parameters: self.parameters.clone(),
        });
        self.link.request(Request { event, shown: Shown::default() });
        Ok(After::Answer)
    }

    async fn edit(&mut self, text: Option<String>) -> anyhow::Result<After> {
        let tree = self.tree().await?;
        let message = newest(&tree, Role::User).context("there is no message yet")?;
        self.editing = Some(message.id);
        match text {
            Some(text) => {
                self.send(text);
                Ok(After::Answer)
            }
            None => Ok(After::Prompt(message.text.clone())),
        }
    }

    async fn go_on(&mut self) -> anyhow::Result<After> {
        let tree = self.tree().await?;
        let answer = newest(&tree, Role::Assistant).context("there is no answer yet")?;
        if !answer.state.is_some_and(|state| state.can_continue()) {
            bail!("the last answer is complete; /regenerate asks for another one");
        }
        let event = ClientEvent::Continue(Continue {
            conversation: tree.conversation.id,
            message: answer.id,
            client_id: client_id(),
            parameters: self.parameters.clone(),
        });
        self.link.request(Request { event, shown: shown(answer) });
        Ok(After::Answer)
    }

    async fn save(&mut self, file: &str) -> anyhow::Result<()> {
        let id = self.tree().await?.conversation.id;
        let path: PathBuf = home::expanded(file, home::folder().as_deref());
        let text = api::export(&self.client, id, save::format_of(&path)?).await?;
        save::write(&path, &text).with_context(|| format!("/save {file}"))?;
        Ok(self.screen.note(&visible_line(&format!("saved in {}", path.display())))?)
    }

    async fn delete(&mut self, is_sure: bool) -> anyhow::Result<()> {
        let tree = self.tree().await?;
        let title = visible_line(tree.conversation.title.as_deref().unwrap_or("(no title)"));
        if !is_sure {
            let what = format!("/delete yes deletes “{title}” for ever");
            return Ok(self.screen.note(&what)?);
        }
        api::delete(&self.client, tree.conversation.id).await?;
        self.conversation = None;
        Ok(self.screen.note(&format!("deleted “{title}”; a new conversation begins"))?)
    }
}

fn newest(tree: &ConversationTree, role: Role) -> Option<&Message> {
    save::branch(tree).into_iter().rev().find(|message| message.role == role)
}

/// The position of an answer whose whole text was loaded: all of it is shown.
fn shown(answer: &Message) -> Shown {
    let thinking = answer.thinking.as_ref().map_or(0, String::len);
    Shown { text: answer.text.len() as u64, thinking: thinking as u64 }
}

/// How long ago something was.
fn age(then_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = u64::try_from(now.as_millis()).unwrap_or(0).saturating_sub(then_ms) / 1_000;
    match seconds {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
