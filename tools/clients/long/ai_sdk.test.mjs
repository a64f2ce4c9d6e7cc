// Vercel's AI SDK by its providers for OpenAI, for what is like it, and for Anthropic, against a server with the demo model.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const url = process.env.BANTER_URL;
const listed = await (await fetch(`${url}/v1/models`)).json();
const name = listed.data[0].id;
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
const compatible = createOpenAICompatible({
  name: 'banter',
  baseURL: `${url}/v1`,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: 'none' });

const count = { prompt: 'count to ten', temperature: 0, maxOutputTokens: 1000, maxRetries: 0 };
const weather = tool({
  description: 'The weather of a town in some days',
  inputSchema: z.object({ town: z.string().max(12), days: z.number().int().min(1).max(7) }),
  execute: ({ town }) => `rain in ${town}`,
});
const clock = tool({
  description: 'The time of the day',
  inputSchema: z.object({}),
  execute: () => 'noon',
});

/** The text that every provider must get at temperature 0, and how many tokens it has. */
async function whole() {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: count.prompt }], temperature: 0 }),
  });
  const { choices, usage } = await response.json();
  return { text: choices[0].message.content, tokens: usage.completion_tokens };
}

const providers = {
  compatible,
  'openai, chat': openai.chat,
  'openai, responses': openai.responses,
  anthropic,
};

for (const [kind, provider] of Object.entries(providers)) {
  const model = provider(name);

  test(`${kind}: a stream says the same as an answer as a whole`, async () => {
    const { text, tokens } = await whole();
    const answer = await generateText({ ...count, model });
    assert.deepEqual(
      [answer.text, answer.usage.outputTokens, answer.finishReason],
      [text, tokens, 'stop'],
    );
    const stream = streamText({ ...count, model });
    let streamed = '';
    for await (const piece of stream.textStream) streamed += piece;
    assert.deepEqual([streamed, (await stream.usage).outputTokens], [text, tokens]);
  });

  test(`${kind}: structures always hold`, async () => {
    // Anthropic's provider drops limits such as `maxLength`, so nothing here has one.
    const schema = z.object({ yes: z.boolean(), mood: z.enum(['good', 'bad']) });
    const output = Output.object({ schema });
    const answer = await generateText({ ...count, model, output });
    assert.equal(typeof answer.output.yes, 'boolean');
    const stream = streamText({ ...count, model, output });
    for await (const _ of stream.partialOutputStream);
    assert.deepEqual(await stream.output, answer.output);
  });

  test(`${kind}: a named tool is called, and its result goes back`, async () => {
    // The first step names its tool, the second forbids calls: only arguments and the text are free.
    const steps = {
      ...count,
      model,
      tools: { clock, weather },
      stopWhen: stepCountIs(3),
      prepareStep: ({ stepNumber }) => ({
        toolChoice: stepNumber ? 'none' : { type: 'tool', toolName: 'weather' },
      }),
    };
    for (const answer of [await generateText(steps), streamText(steps)]) {
      const [first, second] = await answer.steps;
      assert.match(first.toolResults[0].output, /^rain in /);
      assert.equal(first.finishReason, 'tool-calls');
      assert.ok(second.text);
    }
  });

  test(`${kind}: some tool is called`, async () => {
    const answer = await generateText({
      ...count,
      model,
      tools: { clock, weather },
      toolChoice: 'required',
      providerOptions: {
        banter: { parallel_tool_calls: false },
        openai: { parallelToolCalls: false },
        anthropic: { disableParallelToolUse: true },
      },
    });
    assert.ok(['clock', 'weather'].includes(answer.toolCalls[0].toolName));
  });

  test(`${kind}: another model is not there`, async () => {
    const asked = generateText({ ...count, model: provider('another') });
    await assert.rejects(asked, (error) => {
      assert.equal(error.statusCode, 404);
      assert.ok(error.message.includes(name));
      return APICallError.isInstance(error);
    });
  });
}

/** A number that the server tells of itself. */
async function figure(start) {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
  return Number(
    lines
      .find((line) => line.startsWith(start))
      .split(' ')
      .at(-1),
  );
}

test('a stream that is aborted stops', async () => {
  const before = await figure('banter_gap_seconds_count');
  const ended = new AbortController();
  const stream = streamText({
    model: compatible(name),
    prompt: 'tell me a long story',
    // Very many words are unlikely then, and none of them is guessed.
    temperature: 2,
    providerOptions: { banter: { logit_bias: await endless() } },
    abortSignal: ended.signal,
  });
  for await (const part of stream.fullStream) if (part.type === 'text-delta') ended.abort();
  const limit = Date.now() + 10_000;
  while (await figure('banter_sequences{state="running"}'))
    assert.ok(Date.now() < limit, 'the server still computes');
  // Otherwise it would go on until its context is full, with about 1,500 pieces.
  assert.ok((await figure('banter_gap_seconds_count')) - before < 700);
});

/** A bias that forbids the token that ends an answer: in a prompt it also ends the question. */
async function endless() {
  const response = await fetch(`${url}/apply-template`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }] }),
  });
  const { ids } = await response.json();
  return { [ids[ids.lastIndexOf(ids[0]) - 2]]: -100 };
}
