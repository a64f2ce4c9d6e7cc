/**
 * A TLS proxy as people put before a server: it serves it below a path and says whom it speaks for.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

export interface TlsProxy {
  readonly port: number;
  /** Where requests below `/chat/` go; everything else is answered by `elsewhere`. */
  target: number | null;
  /** What is served at other paths, by path. */
  readonly elsewhere: Map<string, string>;
  /** What becomes of WebSockets. Proxies that know none refuse them, or never answer. */
  webSockets: 'pass' | 'refuse' | 'hang';
  close(): Promise<void>;
}

const PREFIX = '/chat';

export async function startTlsProxy(): Promise<TlsProxy> {
  const server = createServer(selfSigned());
  const sockets = new Set<Duplex>();
  const proxy: Omit<TlsProxy, 'close' | 'port'> = {
    target: null,
    elsewhere: new Map(),
    webSockets: 'pass',
  };
  server.on('request', (request: IncomingMessage, response) => {
    const page = proxy.elsewhere.get(request.url ?? '');
    if (page !== undefined) return response.setHeader('content-type', 'text/html').end(page);
    const path = below(request);
    if (path === null || proxy.target === null) return response.writeHead(404).end();
    const options = { port: proxy.target, method: request.method, path, headers: headers(request) };
    const passed = httpRequest(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.writeHead(502).end());
    request.pipe(passed);
  });
  server.on('upgrade', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    const path = below(request);
    if (path === null || proxy.target === null) return client.destroy();
    if (proxy.webSockets === 'hang') return;
    if (proxy.webSockets === 'refuse') return client.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    const upstream = connect(proxy.target, '127.0.0.1', () => {
      const lines = Object.entries(headers(request)).map(
        ([name, value]) => `${name}: ${String(value)}`,
      );
      upstream.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on('error', () => client.destroy());
    client.on('error', () => upstream.destroy());
  });
  server.on('secureConnection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () =>
    new Promise<void>((closed) => {
      server.close(() => closed());
      sockets.forEach((socket) => socket.destroy());
    });
  return Object.assign(proxy, { port: (server.address() as AddressInfo).port, close });
}

/** The path below the prefix, which the proxy takes away. */
function below({ url = '' }: IncomingMessage): string | null {
  return url.startsWith(`${PREFIX}/`) ? url.slice(PREFIX.length) : null;
}

function headers({
  headers,
  socket,
}: IncomingMessage): Record<string, string | string[] | undefined> {
  const forwarded = { 'x-forwarded-for': socket.remoteAddress, 'x-forwarded-proto': 'https' };
  return { ...headers, ...forwarded };
}

function selfSigned(): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'banter-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const options = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
  ];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '1'];
  execFileSync('openssl', [...options, ...names, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  const pair = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  return pair;
}
