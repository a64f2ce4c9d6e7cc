import { describe, expect, it } from 'vitest';
import { Api } from '../src/connection/api';

/** A server that gives these answers, one after the other. */
function serving(...responses: Response[]) {
  const asked: string[] = [];
  const api = new Api('http://here/', (input) => {
    asked.push(String(input));
    return Promise.resolve(responses.shift() ?? new Response(null, { status: 404 }));
  });
  return { api, asked };
}

function counted(dropped: number): Response {
  return Response.json({ dropped_messages: dropped });
}

function failing(status: number): Response {
  return new Response(null, { status });
}

describe('counting tokens', () => {
  it('tells how many messages the model would not read', async () => {
    const { api, asked } = serving(counted(4));
    expect(await api.droppedMessages([], null)).toBe(4);
    expect(asked).toEqual(['http://here/tokenize']);
  });

  it('is not asked for again from an engine that cannot', async () => {
    const { api, asked } = serving(failing(501), counted(4));
    expect(await api.droppedMessages([], null)).toBeNull();
    expect(await api.droppedMessages([], null)).toBeNull();
    expect(asked).toHaveLength(1);
  });

  it('is asked for again after any other failure', async () => {
    const { api, asked } = serving(failing(500), counted(4));
    expect(await api.droppedMessages([], null)).toBeNull();
    expect(await api.droppedMessages([], null)).toBe(4);
    expect(asked).toHaveLength(2);
  });
});
