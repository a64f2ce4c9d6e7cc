// The official Node package of OpenAI against a server with the demo model.

import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: `${process.env.BANTER_URL}/v1`,
  apiKey: 'none',
  maxRetries: 0,
});
const model = (await client.models.list()).data[0].id;
const hello = { model, messages: [{ role: 'user', content: 'hello' }], temperature: 0 };
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: { town: { type: 'string', maxLength: 12 } },
      required: ['town'],
      additionalProperties: false,
    },
  },
};

test('a model is found by its name', async () => {
  assert.equal((await client.models.retrieve(model)).id, model);
});

test('a stream says the same as an answer as a whole', async () => {
  const whole = await client.chat.completions.create(hello);
  let text = '';
  for await (const chunk of await client.chat.completions.create({ ...hello, stream: true }))
    text += chunk.choices[0].delta.content ?? '';
  assert.equal(text, whole.choices[0].message.content);
  const runner = client.chat.completions.stream(hello);
  assert.equal(await runner.finalContent(), text);
});

test('a stream that is left stops', async () => {
  const messages = [{ role: 'user', content: 'count to one hundred' }];
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  for await (const _ of stream) break;
  assert.equal(stream.controller.signal.aborted, true);
});

test('functions are run until the model has its answer', async () => {
  const asked = [];
  const run = (town) => {
    asked.push(town);
    return 'rain';
  };
  const tool = { ...weather, function: { ...weather.function, parse: JSON.parse, function: run } };
  const runner = client.chat.completions.runTools({
    ...hello,
    tools: [tool],
    tool_choice: { type: 'function', function: { name: 'weather' } },
  });
  await runner.done();
  assert.equal(asked.length, 1);
  assert.ok(asked[0].town.length <= 12);
});

test('structures always hold', async () => {
  const schema = {
    type: 'object',
    properties: { yes: { type: 'boolean' } },
    required: ['yes'],
    additionalProperties: false,
  };
  const response_format = { type: 'json_schema', json_schema: { name: 'x', schema } };
  const answer = await client.chat.completions.create({ ...hello, response_format });
  assert.equal(typeof JSON.parse(answer.choices[0].message.content).yes, 'boolean');
});

test('a wrong request says what is wrong', async () => {
  await assert.rejects(client.chat.completions.create({ ...hello, n: 0 }), (error) => {
    assert.deepEqual([error.status, error.param], [400, 'n']);
    return error instanceof OpenAI.BadRequestError;
  });
  await assert.rejects(client.chat.completions.create({ ...hello, model: 'gpt-4o' }), {
    status: 404,
    code: 'model_not_found',
  });
});

test('responses are made, streamed, gone on from and deleted', async () => {
  const asked = { model, input: 'count to ten', temperature: 0 };
  const response = await client.responses.create(asked);
  assert.equal(response.status, 'completed');
  let text = '';
  for await (const event of await client.responses.create({ ...asked, stream: true })) {
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  assert.equal(text, response.output_text);
  const more = { ...asked, input: 'and on', previous_response_id: response.id };
  assert.equal((await client.responses.create(more)).previous_response_id, response.id);
  await client.responses.delete(response.id);
  await assert.rejects(client.responses.retrieve(response.id), { status: 404 });
});
