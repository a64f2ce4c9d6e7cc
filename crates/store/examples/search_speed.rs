//! Measures searching and storing with many messages:
//! `cargo run --release -p banter-store --example search_speed -- [messages]`.
//!
//! Half of the messages are Chinese, half English; words are drawn so that a few are in most
//! messages and many are rare, as in real text. Prints times in milliseconds.

use std::time::{Duration, Instant};

use banter_store::{
    Ask, Asked, Ending, Ends, Growth, How, NewConversation, NewUser, Place, Position, Reason,
    SearchQuery, SecretHash, State, Store, StoreConfig, Target, UserId, UserKind,
};

/// A small generator with a fixed seed: every run measures the same.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }

    /// Small numbers are much more likely than large ones, as ranks of words are.
    fn rank(&mut self, end: u64) -> u64 {
        let bound = self.below(end) + 1;
        let bound = self.below(bound) + 1;
        self.below(bound)
    }
}

const SYLLABLES: [&str; 16] = [
    "ta", "re", "con", "ing", "the", "mo", "li", "ser", "ver", "an", "to", "pro", "ti", "on", "de",
    "qu",
];

fn english(random: &mut Random, words: u64) -> String {
    let mut text = String::new();
    for _ in 0..words {
        let mut rank = random.rank(40_000) + 1;
        while rank > 0 {
            text.push_str(SYLLABLES[(rank % 16) as usize]);
            rank /= 16;
        }
        text.push(' ');
    }
    text
}

fn chinese(random: &mut Random, chars: u64) -> String {
    let char = |rank: u64| char::from_u32(0x4e00 + rank as u32).unwrap_or('中');
    let mut text = String::new();
    for index in 0..chars {
        text.push(char(random.rank(4000)));
        if index % 15 == 14 {
            text.push('，');
        }
    }
    text
}

fn text(random: &mut Random, size: u64) -> String {
    match random.below(2) {
        0 => english(random, size),
        _ => chinese(random, 2 * size),
    }
}

fn ask(store: &Store, user: UserId, (target, number): (Target, u64), text: String) -> Asked {
    let client_id = number.to_string();
    let ask = Ask { target, text: Some(text), client_id, how: How::default() };
    store.ask(user, ask).wait().expect("the store works")
}

fn fill(store: &Store, user: UserId, messages: u64) {
    let random = &mut Random(1);
    let mut last: Option<Asked> = None;
    for number in 0..messages / 2 {
        let size = 10 + random.below(40);
        let question = text(random, size);
        let target = match &last {
            Some(asked) if number % 10 != 0 => {
                Target::Existing(asked.conversation.id, Position::AtLeaf)
            }
            _ => Target::New(NewConversation::default()),
        };
        let asked = ask(store, user, (target, number), question);
        let size = 50 + random.below(250);
        let mut ending = Ending::new(State::Complete, Reason::End);
        ending.rest = Growth { text: text(random, size), at: Ends::default(), ..Growth::default() };
        store.finish_answer(asked.answer.seq, ending).wait().expect("the store works");
        last = Some(asked);
    }
}

fn print(name: &str, mut times: Vec<Duration>, found: usize) {
    times.sort();
    let ms = |time: Duration| 1000.0 * time.as_secs_f64();
    let (median, p99) = (times[times.len() / 2], times[(times.len() * 99).div_ceil(100) - 1]);
    println!("{name:<42} median {:>8.3}  p99 {:>8.3}  ({found} found)", ms(median), ms(p99));
}

fn measure_searches(store: &Store, user: UserId) {
    let random = &mut Random(2);
    let rare = |random: &mut Random| english(random, 1);
    type Make = dyn Fn(&mut Random) -> String;
    let kinds: [(&str, &Make); 9] = [
        ("an English word", &rare),
        ("two English words", &|random| english(random, 2)),
        ("the beginning of a word, 2 letters", &|random| english(random, 1)[..2].into()),
        ("one common letter", &|_| "t".into()),
        ("a Chinese character", &|random| chinese(random, 1)),
        ("two Chinese characters", &|random| chinese(random, 2)),
        ("four Chinese characters", &|random| chinese(random, 4)),
        ("Chinese and English", &|random| english(random, 1) + &chinese(random, 1)),
        ("a word that is nowhere", &|random| format!("zzyzx{}", random.below(1000))),
    ];
    for (name, make) in kinds {
        let mut found = 0;
        let times = (0..200)
            .map(|_| {
                let query = SearchQuery { text: make(random), limit: 20, ..SearchQuery::default() };
                let begin = Instant::now();
                let result = store.search(user, query).wait().expect("the store works");
                found += result.messages.len();
                begin.elapsed()
            })
            .collect();
        print(name, times, found);
    }
}

fn measure_asking(store: &Store, user: UserId) {
    let random = &mut Random(3);
    let mut answers = Vec::new();
    let times = (0..500)
        .map(|number| {
            let question = text(random, 20);
            let target = Target::New(NewConversation::default());
            let begin = Instant::now();
            let asked = ask(store, user, (target, 1_000_000_000 + number), question);
            answers.push(asked);
            begin.elapsed()
        })
        .collect();
    print("ask, until it is durable", times, 0);
    let times = (0..2000)
        .map(|number: u64| {
            let at = Ends { text: 4 * number, thinking: 0, tokens: number };
            let growth = Growth { at, text: "word".into(), tokens: vec![7], ..Growth::default() };
            let begin = Instant::now();
            store.append_live(answers[0].answer.seq, growth).wait().expect("the store works");
            begin.elapsed()
        })
        .collect();
    print("append_live, until it is kept", times, 0);
    let begin = Instant::now();
    store.delete_conversation(user, answers[1].conversation.id).wait().expect("the store works");
    print("delete a small conversation", vec![begin.elapsed()], 0);
}

/// Closing, and opening after a clean and after an unclean end.
fn measure_opening(store: Store, path: &std::path::Path) {
    drop(store);
    for (name, is_clean) in [("open after a clean end", true), ("open after an unclean end", false)]
    {
        if !is_clean {
            // What a process leaves that is killed while it opens the store.
            std::fs::write(path.join("banter.open"), "").expect("the folder can be written to");
        }
        let begin = Instant::now();
        let store = Store::open(StoreConfig::new(Place::Folder(path.into()))).expect("it opens");
        print(name, vec![begin.elapsed()], 0);
        drop(store);
    }
}

fn main() {
    let messages = std::env::args().nth(1).map_or(100_000, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("data");
    let store = Store::open(StoreConfig::new(Place::Folder(path.clone()))).expect("it opens");
    let anchor = SecretHash([1; 32]);
    let new = NewUser { kind: UserKind::Operator, anchor, name: "somebody".into() };
    let user = store.ensure_user(new).wait().expect("the store works").id;
    let begin = Instant::now();
    fill(&store, user, messages);
    let bytes = std::fs::metadata(path.join("banter.db")).map_or(0, |found| found.len());
    println!("{messages} messages in {:.1?}, {} MiB", begin.elapsed(), bytes >> 20);
    measure_searches(&store, user);
    measure_asking(&store, user);
    measure_opening(store, &path);
}
