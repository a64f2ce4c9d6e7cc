//! Answers one message with the most likely tokens, straight on the runner: for looking at a model.
//!
//! ```text
//! cargo run --release -p banter-engine --example generate -- MODEL.gguf "Hello!" 100
//! ```

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use banter_engine::StopFlag;
use banter_engine::kv_cache::{BlockId, blocks_for};
use banter_engine::model::{KvType, Model, Plan, Runner, RunnerConfig, Span, Wanted};
use banter_engine::model_file::{ModelFile, ModelSource};
use banter_engine::text::{Message, Text, TextDecoder, TokenId};
use banter_kernels::{Isa, Pool};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, message, max_tokens] = arguments.as_slice() else {
        return Err("expected MODEL MESSAGE MAX_TOKENS".into());
    };
    let max_tokens: usize = max_tokens.parse()?;
    let file = ModelFile::open(&ModelSource::Path(path.into()))?;
    let text = Text::new(file.vocabulary(), file.chat_template())?;
    let message = Message::user(message.clone());
    let mut tokens = text.prompt(&[message])?;
    let most_tokens = tokens.len() + max_tokens;

    let pool = Pool::new(Isa::best(), std::thread::available_parallelism()?);
    let model = Model::load(&file, &pool, &mut |_| {})?;
    let config = RunnerConfig {
        kv_type: KvType::F16,
        block_count: blocks_for(most_tokens),
        max_rows: tokens.len(),
        max_sampled: 1,
        context_tokens: most_tokens,
    };
    let mut runner = Runner::new(model, pool, config)?;
    let blocks: Vec<BlockId> = (0..).map(BlockId).take(config.block_count).collect();

    let mut decoder = TextDecoder::default();
    let stop = StopFlag::new();
    let mut computed = 0;
    let start = Instant::now();
    while tokens.len() < most_tokens {
        let rows = &tokens[computed..];
        let (first_position, wanted) = (computed, Wanted::logits(1));
        let span = Span { blocks: &blocks, first_position, tokens: rows, wanted, stop: &stop };
        runner.forward(&Plan { spans: &[span] });
        computed = tokens.len();
        let next = most_likely(runner.logits(0).expect("the span was sampled"));
        if text.is_end(next) {
            break;
        }
        tokens.push(next);
        print!("{}", decoder.push(&text, next));
        std::io::stdout().flush()?;
    }
    println!("{}", decoder.finish());
    eprintln!("{} tokens in {:.2} s", computed, start.elapsed().as_secs_f32());
    Ok(())
}

fn most_likely(logits: &[f32]) -> TokenId {
    let (best, _) = (0..)
        .zip(logits)
        .max_by(|(_, left), (_, right)| left.total_cmp(right))
        .expect("a vocabulary has rows");
    TokenId(best)
}
