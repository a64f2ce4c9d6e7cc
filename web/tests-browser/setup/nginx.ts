/** nginx in front of a server, as a file of `examples/proxy` sets it up. */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Server } from './server';

const EXAMPLES = join(import.meta.dirname, '../../../examples/proxy');
/** Somebody else may take a free port before nginx does. */
const TRIES = 8;

export interface Proxied {
  /** The address at which people open the page. */
  readonly url: string;
  readonly server: Server;
  stop(): Promise<void>;
}

/**
 * Starts a server that is told its address and its own port, and nginx with this file in front of it.
 */
export async function startBehindNginx(
  file: 'nginx.conf' | 'nginx-path.conf',
  start: (url: string, port: number) => Promise<Server>,
): Promise<Proxied> {
  const path = file === 'nginx.conf' ? '/' : '/chat/';
  let log = '';
  for (let tries = 0; tries < TRIES; tries += 1) {
    const [port, httpPort, own] = [await freePort(), await freePort(), await freePort()];
    const url = `https://localhost:${port}${path}`;
    // A server prints the address at which people open it, so its port must be known before.
    const server = await start(url, own);
    const nginx = await startNginx(readFileSync(join(EXAMPLES, file), 'utf8'), {
      port,
      httpPort,
      server: own,
    });
    const stop = async () => {
      await nginx.stop();
      await server.stop();
    };
    if (nginx.runs) return { url, server, stop };
    log = nginx.log();
    await stop();
  }
  throw new Error(`nginx does not start:\n${log}`);
}

interface Ports {
  readonly port: number;
  readonly httpPort: number;
  readonly server: number;
}

async function startNginx(example: string, { port, httpPort, server }: Ports) {
  const folder = mkdtempSync(join(tmpdir(), 'banter-nginx-'));
  makeCertificate(folder);
  const site = [
    ['127.0.0.1:7860', `127.0.0.1:${server}`],
    ['listen 80;', `listen 127.0.0.1:${httpPort};`],
    ['listen 443 ', `listen 127.0.0.1:${port} `],
    // Browsers may try the other loopback first, but not every machine has it.
    ['listen [::]:80;', `listen 127.0.0.9:${httpPort};`],
    ['listen [::]:443 ', `listen 127.0.0.9:${port} `],
    ['/etc/ssl/banter/', `${folder}/`],
    ['/var/log/nginx/', `${folder}/`],
  ].reduce((text, [from, to]) => replaced(text, from!, to!), example);
  writeFileSync(
    join(folder, 'site'),
    site.replaceAll(/server_name .*;/g, 'server_name localhost;'),
  );
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(' ');
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}\n` +
      `http { ${temporary} gzip on; include ${folder}/site; }`,
  );
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  let log = '';
  child.stderr.on('data', (data) => (log += String(data)));
  const ended = new Promise<false>((end) => {
    child.on('exit', () => end(false));
    child.on('error', (error) => {
      log += `${error}: the tests need nginx; \`sudo make setup\` installs it`;
      end(false);
    });
  });
  const stop = async () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true });
  };
  const has = { ended: false };
  void ended.then(() => (has.ended = true));
  const listens = async () => {
    while (!has.ended) if (await accepts(port)) return true;
    return false;
  };
  const runs = await Promise.race([listens(), ended]);
  return { runs, log: () => log, stop };
}

function replaced(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`no ${from} in ${text}`);
  return text.replaceAll(from, to);
}

function makeCertificate(folder: string): void {
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'certificate.pem')];
  const options = ['req', '-x509', ...kind, ...names, '-days', '1', ...files];
  execFileSync('openssl', options, { stdio: 'ignore' });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((tell) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => tell(true));
    socket.on('error', () => tell(false));
    socket.on('connect', () => socket.destroy());
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}
