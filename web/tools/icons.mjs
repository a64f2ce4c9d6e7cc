// Draws the PNG icons from public/assets/icon.svg: `node tools/icons.mjs`.
//
// Android and iOS cut their own shape out of an icon, so theirs fill the square to its corners. The
// drawing itself is inside the circle that no mask cuts, whose radius is 40 % of the width (W3C web
// app manifest, "safe zone"): its farthest point is 36 % from the centre.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { chromium } from 'playwright-core';

const FOLDER = join(import.meta.dirname, '../public/assets');
const ROUNDED = readFileSync(join(FOLDER, 'icon.svg'), 'utf8');
const SQUARE = ROUNDED.replace(' rx="16"', '');
// No name may end in a hyphen and eight letters: the server takes those for a hash.
const ICONS = [
  { name: 'icon-32.png', size: 32, drawing: ROUNDED },
  { name: 'icon-192.png', size: 192, drawing: ROUNDED },
  { name: 'icon-512.png', size: 512, drawing: ROUNDED },
  { name: 'maskable-512.png', size: 512, drawing: SQUARE },
  { name: 'apple-touch-icon.png', size: 180, drawing: SQUARE },
];

const executablePath = process.env.BANTER_CHROMIUM ?? '/usr/bin/chromium';
const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
const browser = await chromium.launch({ executablePath, args });
const page = await browser.newPage();
for (const { name, size, drawing } of ICONS) {
  const pixels = await page.evaluate(draw, { size, drawing });
  writeFileSync(join(FOLDER, name), png(size, Buffer.from(pixels)));
}
await browser.close();

/** Runs in the browser. Returns red, green, blue and alpha of each pixel. */
async function draw({ size, drawing }) {
  const image = new Image(size, size);
  image.src = `data:image/svg+xml,${encodeURIComponent(drawing)}`;
  await image.decode();
  const context = new OffscreenCanvas(size, size).getContext('2d');
  context.drawImage(image, 0, 0, size, size);
  return Array.from(context.getImageData(0, 0, size, size).data);
}

/**
 * A PNG without filters, which suits flat drawings: it has a third fewer bytes than Chromium's own.
 * Source: PNG specification (W3C, third edition), colour type 6.
 */
function png(size, pixels) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 6], 8);
  const rows = [];
  for (let row = 0; row < size; row += 1)
    rows.push(Buffer.of(0), pixels.subarray(row * size * 4, (row + 1) * size * 4));
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows), { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type, data) {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, checksum]);
}
